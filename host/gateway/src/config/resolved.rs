//! Settings with every default filled in and every value checked.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;

use ipnet::IpNet;
use netsage_alerts::AlertLimits;
use netsage_capture::MeterConfig;
use netsage_lifecycle::LifecycleConfig;
use netsage_runtime::RuntimeConfig;
use netsage_schema::RECORD_V1;
#[cfg(target_os = "linux")]
use netsage_sources::NetflowOptions;
use netsage_sources::RecordOptions;
use netsage_sources::stream::{Files, StreamOptions};
use netsage_store::StoreOptions;

#[cfg(feature = "live")]
use super::InterfaceSettings;
#[cfg(feature = "kafka")]
use super::KafkaSettings;
use super::server::check_reach;
use super::{ConfigError, ForwardSettings, OutputSettings, Settings, home_folder};
use crate::api::access::AllowedHost;
use crate::pipeline::StoringConfig;
use crate::server::Limits;

/// Where packets come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, replayed as fast as it can be scored.
    Replay(PathBuf),
    /// Records: files, which are replayed, or streams.
    Records(Vec<String>),
    /// Interfaces.
    #[cfg(feature = "live")]
    Interfaces(InterfaceSettings),
    /// A topic of Kafka.
    #[cfg(feature = "kafka")]
    Kafka(KafkaSettings),
    /// Exporters of NetFlow and IPFIX.
    #[cfg(target_os = "linux")]
    Netflow(Box<NetflowOptions>),
    /// Nothing: only serve what the store has.
    None,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Where packets come from.
    pub source: Source,
    /// The user to go on as once the source is open.
    pub user: Option<String>,
    /// URL of the store.
    pub store: String,
    /// How long the store keeps what it has.
    pub store_options: StoreOptions,
    /// The folder for the store and the cache.
    pub data_dir: PathBuf,
    /// The file with the key by which detectors are shown addresses; `None` for that of the store or the data folder.
    pub address_key: Option<PathBuf>,
    /// Packages to score with, files or names of bundled packages. Empty: the packages that were active at the last
    /// end, otherwise the default.
    pub detectors: Vec<String>,
    /// Thresholds, rollout, rollback and the rest of the life of detectors.
    pub lifecycle: LifecycleConfig,
    /// What each detector may use.
    pub runtime: RuntimeConfig,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Token that calls must bear.
    pub token: Option<String>,
    /// What the server may be called besides its address and loopback names.
    pub allowed_hosts: Vec<AllowedHost>,
    /// What callers may take together.
    pub limits: Limits,
    /// Whether each call is logged.
    pub access_log: bool,
    /// Largest upload, bytes.
    pub upload_limit: usize,
    /// Bytes for packets that are kept as evidence.
    pub keep_packets: Option<usize>,
    /// Threads that score, at least 1.
    pub workers: usize,
    /// Blocks under way, at least 2.
    pub queue_blocks: usize,
    /// How the pipeline deals with its store.
    pub storing: StoringConfig,
    /// How packets are metered.
    pub meter: MeterConfig,
    /// How records are read.
    pub records: RecordOptions,
    /// How files of them are read.
    pub files: Files,
    /// How those of streams are put in order.
    pub streams: StreamOptions,
    /// Bytes of records that may wait in the inbox, if there is one.
    pub inbox: Option<u64>,
    /// Whether the program ends with its replay.
    pub exit_when_done: bool,
    /// Where alerts go.
    pub outputs: Vec<OutputSettings>,
    /// Networks that webhooks which are set through the API may reach.
    pub webhook_networks: Vec<IpNet>,
    /// Where flows are forwarded to, if they are.
    pub forward: Option<ForwardSettings>,
    /// Whether flows are scored and stored here.
    pub scores: bool,
}

impl Resolved {
    /// Fills in the defaults and checks the values.
    ///
    /// # Errors
    /// When a value cannot be, or the address needs a token that is not there.
    pub fn new(mut settings: Settings) -> Result<Self, ConfigError> {
        let two = {
            let mut sources = settings.sources();
            sources.next().zip(sources.next())
        };
        if let Some((one, other)) = two {
            let reason = format!("`{other}` is there too; traffic comes from one of them, not both");
            return Err(ConfigError::value(one, reason));
        }
        let of_records = [
            settings.records.is_some(),
            settings.inbox.is_some(),
            settings.kafka.is_some(),
            settings.netflow.is_some(),
        ];
        if of_records.contains(&true) {
            settings.schema.get_or_insert_with(|| RECORD_V1.id.to_owned());
        }
        let meter = settings.meter()?;
        let kafka = settings.kafka(&meter)?;
        let is_reread = kafka.as_ref().is_some_and(|kafka| !kafka.reread.is_zero());
        let mut source = match (&settings.pcap, &settings.records, settings.interfaces()?, kafka) {
            (Some(file), ..) => Source::Replay(file.clone()),
            (None, Some(records), ..) => Source::Records(records.clone()),
            #[cfg(feature = "live")]
            (None, None, Some(interfaces), _) => Source::Interfaces(interfaces),
            #[cfg(feature = "kafka")]
            (None, None, None, Some(kafka)) => Source::Kafka(kafka),
            (None, None, ..) => Source::None,
        };
        #[cfg(target_os = "linux")]
        if let Some(options) = settings.netflow_options()? {
            source = Source::Netflow(Box::new(options));
        }
        let records = settings.record_options()?;
        let data_dir = settings.data_dir.clone().map_or_else(default_data_dir, Ok)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers = settings.workers()?.unwrap_or(processors.min(256));
        let runtime = settings.runtime(Some(&data_dir), workers)?;
        let mut lifecycle = LifecycleConfig {
            forgets_sources: is_reread,
            ..settings.lifecycle(&data_dir, runtime.workers)?
        };
        let forward = settings.forward_settings()?;
        let scores = !settings.no_score()?;
        if !scores {
            // The detectors of the data folder stay as they are.
            (lifecycle.directory, lifecycle.watched_folder) = (None, None);
        }
        let listen = settings.listen()?;
        let token = settings.server_token()?;
        check_reach(listen, token.as_ref())?;
        let upload_limit = (settings.upload_limit()? as usize) << 20;
        let store = settings.store_url()?;
        Ok(Self {
            storing: settings.storing(matches!(source, Source::Replay(_) | Source::Records(_)))?,
            source,
            store_options: settings.store_options()?,
            files: match (settings.follow()?, settings.exit_when_done()?) {
                (false, _) => Files::Whole,
                (true, false) => Files::Followed,
                (true, true) => Files::FollowedToTheEnd,
            },
            streams: settings.stream_options()?,
            inbox: settings.inbox()?.map(|size| size.0 as u64),
            upload_limit,
            allowed_hosts: settings.allowed_hosts()?,
            limits: settings.limits(upload_limit)?,
            access_log: settings.access_log()?,
            keep_packets: settings.keep_packets()?.map(|size| size.0),
            queue_blocks: settings.queue_blocks()?,
            outputs: settings.outputs()?,
            webhook_networks: settings.webhook_networks()?,
            exit_when_done: settings.exit_when_done()?,
            user: settings.user,
            store: store.unwrap_or_else(|| format!("sqlite:{}", data_dir.join("netsage.sqlite").display())),
            address_key: settings.address_key,
            data_dir,
            detectors: settings.detector.unwrap_or_default(),
            lifecycle,
            runtime,
            listen,
            token,
            workers,
            meter,
            records,
            forward,
            scores,
        })
    }
}

impl Settings {
    /// How the pipeline deals with its store. Only a replay with an end ever gives the store up.
    ///
    /// # Errors
    /// When a value is out of its range.
    fn storing(&self, is_replay: bool) -> Result<StoringConfig, ConfigError> {
        let ends = is_replay && self.exit_when_done()?;
        let timeout = self.store_timeout()?.0;
        Ok(StoringConfig {
            queue_flows: self.store_queue()?,
            patience: ends.then_some(timeout),
            ..StoringConfig::default()
        })
    }

    /// How long the store keeps what it has.
    ///
    /// # Errors
    /// When a retention is out of its range.
    fn store_options(&self) -> Result<StoreOptions, ConfigError> {
        Ok(StoreOptions {
            kept_flows: self.store_flows()?.0,
            flow_retention: self.flow_retention()?.0,
            alert_limits: AlertLimits {
                sources: self.alert_sources()?.0,
                alerts: self.alert_limit()?.0,
                ..AlertLimits::default()
            },
            alert_retention: self.alert_retention()?.0,
            size_limit: Some(self.store_size()?.0 as u64),
            ..StoreOptions::default()
        })
    }
}

/// `$XDG_DATA_HOME/netsage`, by the XDG rules `~/.local/share/netsage` when that is not set.
///
/// # Errors
/// When there is no home folder either.
pub fn default_data_dir() -> Result<PathBuf, ConfigError> {
    let base = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        // The XDG rules: a relative path in this variable is to be ignored.
        .filter(|path| path.is_absolute())
        .or_else(|| home_folder().map(|home| home.join(".local/share")));
    Ok(base.ok_or(ConfigError::NoDataFolder)?.join("netsage"))
}

/// The folder in which compiled detectors are kept.
pub(super) fn cache_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("compiled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_store() {
        assert_eq!(
            Settings::default().store_options().unwrap(),
            StoreOptions::default()
        );
    }
}
