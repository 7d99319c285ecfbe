//! From flags, variables and a file to one set of settings.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{ConfigError, DEFAULT_FILE, Settings};

impl Settings {
    /// Fills what this layer does not say from a weaker one.
    ///
    /// The source is one choice: a stronger layer that names an interface silences the weaker one's capture file.
    pub fn or(self, weaker: Settings) -> Settings {
        let named = self.pcap.is_some() || self.interface.is_some();
        let (pcap, interface) = if named {
            (self.pcap, self.interface)
        } else {
            (weaker.pcap, weaker.interface)
        };
        Settings {
            pcap,
            interface,
            bpf: self.bpf.or(weaker.bpf),
            no_promiscuous: self.no_promiscuous.or(weaker.no_promiscuous),
            user: self.user.or(weaker.user),
            store: self.store.or(weaker.store),
            data_dir: self.data_dir.or(weaker.data_dir),
            detector: self.detector.or(weaker.detector),
            threshold: self.threshold.or(weaker.threshold),
            drift_flows: self.drift_flows.or(weaker.drift_flows),
            detectors_dir: self.detectors_dir.or(weaker.detectors_dir),
            trust: self.trust.or(weaker.trust),
            trusted_key: self.trusted_key.or(weaker.trusted_key),
            pinned_digest: self.pinned_digest.or(weaker.pinned_digest),
            on_failure: self.on_failure.or(weaker.on_failure),
            failures_before_quarantine: self
                .failures_before_quarantine
                .or(weaker.failures_before_quarantine),
            save_interval: self.save_interval.or(weaker.save_interval),
            rollout: self.rollout.or(weaker.rollout),
            rollout_flows: self.rollout_flows.or(weaker.rollout_flows),
            rollout_time: self.rollout_time.or(weaker.rollout_time),
            shadow_share: self.shadow_share.or(weaker.shadow_share),
            canary_share: self.canary_share.or(weaker.canary_share),
            canary_calls: self.canary_calls.or(weaker.canary_calls),
            canary_trap_rate: self.canary_trap_rate.or(weaker.canary_trap_rate),
            canary_overrun_rate: self.canary_overrun_rate.or(weaker.canary_overrun_rate),
            canary_not_finite_rate: self.canary_not_finite_rate.or(weaker.canary_not_finite_rate),
            canary_scores: self.canary_scores.or(weaker.canary_scores),
            canary_distance: self.canary_distance.or(weaker.canary_distance),
            canary_cost_ratio: self.canary_cost_ratio.or(weaker.canary_cost_ratio),
            probation: self.probation.or(weaker.probation),
            listen: self.listen.or(weaker.listen),
            token: self.token.or(weaker.token),
            upload_limit: self.upload_limit.or(weaker.upload_limit),
            keep_packets: self.keep_packets.or(weaker.keep_packets),
            workers: self.workers.or(weaker.workers),
            queue_blocks: self.queue_blocks.or(weaker.queue_blocks),
            detector_memory: self.detector_memory.or(weaker.detector_memory),
            detector_deadline: self.detector_deadline.or(weaker.detector_deadline),
            detector_row_deadline: self.detector_row_deadline.or(weaker.detector_row_deadline),
            detector_open_deadline: self.detector_open_deadline.or(weaker.detector_open_deadline),
            detector_instances: self.detector_instances.or(weaker.detector_instances),
            most_packages: self.most_packages.or(weaker.most_packages),
            schema: self.schema.or(weaker.schema),
            flow_memory: self.flow_memory.or(weaker.flow_memory),
            decapsulate: self.decapsulate.or(weaker.decapsulate),
            count_link_bytes: self.count_link_bytes.or(weaker.count_link_bytes),
            exit_when_done: self.exit_when_done.or(weaker.exit_when_done),
        }
    }
    /// Reads a settings file: the one named, otherwise [`DEFAULT_FILE`] in the working folder if it is there.
    ///
    /// # Errors
    /// When the file is named and cannot be read, or holds what no setting is.
    pub fn from_file(named: Option<&Path>) -> Result<Settings, ConfigError> {
        let path = named.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_path_buf);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Settings::default());
            }
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        Self::from_toml(&path, &text)
    }

    /// Reads the text of a settings file; `path` is for messages.
    ///
    /// # Errors
    /// When it is not TOML, has an unknown key, or names two sources.
    pub fn from_toml(path: &Path, text: &str) -> Result<Settings, ConfigError> {
        let settings: Settings = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_path_buf(),
            message: error.to_string(),
        })?;
        if settings.pcap.is_some() && settings.interface.is_some() {
            return Err(ConfigError::TwoSources {
                path: path.to_path_buf(),
            });
        }
        Ok(settings)
    }
}
