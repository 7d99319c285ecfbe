//! Settings: a flag wins over an environment variable, that over the settings file, that over the default.
//!
//! A setting has one name everywhere: the flag `--flow-memory`, the variable `NETSAGE_FLOW_MEMORY`, the key
//! `flow-memory`. [`Settings`] is that one definition; clap reads flags and variables into it and serde reads
//! the file, so that no layer can know a setting that another does not.

mod live;
mod meter;
mod resolved;
mod size;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use netsage_schema::Schema;
use serde::Deserialize;

pub use live::{LiveArgs, LiveSource};
pub use meter::MeterArgs;
pub(crate) use resolved::cache_folder;
pub use resolved::{Resolved, Source, default_data_dir};
pub use size::{ByteSize, NotASize};

/// The settings file that is read from the working folder when no other is named.
pub const DEFAULT_FILE: &str = "netsage.toml";

/// Settings as one layer gives them; what a layer does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Replay this capture (pcap or pcapng, also gzipped)
    #[arg(long, value_name = "FILE", env = "NETSAGE_PCAP", help_heading = "Source")]
    pub pcap: Option<PathBuf>,
    /// Capture live on this interface; may be repeated
    #[arg(
        long,
        value_name = "IF",
        env = "NETSAGE_INTERFACE",
        value_delimiter = ',',
        help_heading = "Source"
    )]
    pub interface: Option<Vec<String>>,
    /// Capture only what passes this filter, in the language of tcpdump
    #[arg(long, value_name = "FILTER", env = "NETSAGE_BPF", help_heading = "Source")]
    pub bpf: Option<String>,
    /// Leave the interfaces to packets for this machine [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_NO_PROMISCUOUS", help_heading = "Source", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub no_promiscuous: Option<bool>,
    /// Go on as this user once the interfaces are open; only CAP_NET_RAW stays, for opening them again
    #[arg(long, value_name = "NAME", env = "NETSAGE_USER", help_heading = "Source")]
    pub user: Option<String>,

    /// Where flows and alerts are kept: `sqlite:PATH` or `mongodb://...` [default: netsage.sqlite in the data folder]
    #[arg(long, value_name = "URL", env = "NETSAGE_STORE", help_heading = "Store")]
    pub store: Option<String>,
    /// The data folder: the store and the cache of compiled detectors [default: $XDG_DATA_HOME/netsage]
    #[arg(long, value_name = "DIR", env = "NETSAGE_DATA_DIR", help_heading = "Store")]
    pub data_dir: Option<PathBuf>,

    /// Detector package to score with, a file or the name of a bundled one; may be repeated [default: iforest-generated]
    #[arg(
        long,
        value_name = "PKG",
        env = "NETSAGE_DETECTOR",
        value_delimiter = ',',
        help_heading = "Detectors"
    )]
    pub detector: Option<Vec<String>>,
    /// Alert above this score instead of the threshold in the model card; may be repeated
    #[arg(
        long,
        value_name = "NAME=SCORE",
        env = "NETSAGE_THRESHOLD",
        value_delimiter = ',',
        help_heading = "Detectors"
    )]
    pub threshold: Option<Vec<String>>,

    /// Address of the dashboard and the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "NETSAGE_LISTEN", help_heading = "Server")]
    pub listen: Option<SocketAddr>,
    /// Token that state-changing calls must bear; needed for an address other than loopback
    #[arg(
        long,
        value_name = "TOKEN",
        env = "NETSAGE_TOKEN",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub token: Option<String>,
    /// Largest detector package that may be uploaded, in MiB [default: 64]
    #[arg(
        long,
        value_name = "MIB",
        env = "NETSAGE_UPLOAD_LIMIT",
        help_heading = "Server"
    )]
    pub upload_limit: Option<u32>,

    /// Keep the latest packets in memory of this size, for the packets of an alert [default: none are kept]
    #[arg(
        long,
        value_name = "SIZE",
        env = "NETSAGE_KEEP_PACKETS",
        help_heading = "Evidence"
    )]
    pub keep_packets: Option<ByteSize>,

    /// Threads that score [default: the number of processors]
    #[arg(long, value_name = "N", env = "NETSAGE_WORKERS", help_heading = "Limits")]
    pub workers: Option<usize>,
    /// Blocks of up to 1,024 flows that may be under way between reading and storing [default: 64]
    #[arg(long, value_name = "N", env = "NETSAGE_QUEUE_BLOCKS", help_heading = "Limits")]
    pub queue_blocks: Option<usize>,
    /// Which features flows have; the detectors must be made for them [default: unsw-nb15]
    #[arg(long, value_name = "SCHEMA", env = "NETSAGE_SCHEMA", help_heading = "Meter", value_parser = Schema::ALL.map(|schema| schema.id))]
    pub schema: Option<String>,
    /// Memory for flows that are not finished; beyond it half-open and idle ones end early [default: 64MiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "NETSAGE_FLOW_MEMORY",
        help_heading = "Meter"
    )]
    pub flow_memory: Option<ByteSize>,
    /// Meter packets inside tunnels by the flow inside instead of the outer one [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_DECAPSULATE", help_heading = "Meter", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub decapsulate: Option<bool>,
    /// Count link headers in sbytes and dbytes, as Argus does on Ethernet and the dataset does not [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_COUNT_LINK_BYTES", help_heading = "Meter", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub count_link_bytes: Option<bool>,

    /// End when the replay is through, instead of serving until Ctrl-C [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_EXIT_WHEN_DONE", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub exit_when_done: Option<bool>,
}

/// Why the settings cannot be used. Exit status 2: the caller can mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not TOML, or has a key or a value that is not known.
    #[error("the settings file {} is not valid: {}", path.display(), message.trim_end())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what, with the line.
        message: String,
    },
    /// Two sources in one layer.
    #[error("{} names both `pcap` and `interface`; a run reads one of them", path.display())]
    TwoSources {
        /// The file.
        path: PathBuf,
    },
    /// A setting has a value that cannot be.
    #[error("setting `{setting}`: {reason}")]
    Value {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The API would be open to the network.
    #[error(
        "refusing to listen on {listen}, which other machines can reach, without a token; set one with `--token` or NETSAGE_TOKEN, or listen on 127.0.0.1"
    )]
    TokenNeeded {
        /// The address.
        listen: SocketAddr,
    },
    /// Neither `--data-dir` nor a home folder is there.
    #[error("there is no home folder to keep data in; name one with `--data-dir` or NETSAGE_DATA_DIR")]
    NoDataFolder,
}

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
            listen: self.listen.or(weaker.listen),
            token: self.token.or(weaker.token),
            upload_limit: self.upload_limit.or(weaker.upload_limit),
            keep_packets: self.keep_packets.or(weaker.keep_packets),
            workers: self.workers.or(weaker.workers),
            queue_blocks: self.queue_blocks.or(weaker.queue_blocks),
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

/// Reads `NAME=SCORE` entries.
fn parse_thresholds(entries: &[String]) -> Result<BTreeMap<String, f32>, ConfigError> {
    let mut thresholds = BTreeMap::new();
    for entry in entries {
        let parsed = entry
            .split_once('=')
            .and_then(|(name, score)| Some((name.trim(), score.trim().parse::<f32>().ok()?)))
            .filter(|(name, score)| !name.is_empty() && score.is_finite());
        let Some((name, score)) = parsed else {
            return Err(ConfigError::Value {
                setting: "threshold",
                reason: format!("`{entry}` is not NAME=SCORE, e.g. iforest=0.62"),
            });
        };
        thresholds.insert(name.to_owned(), score);
    }
    Ok(thresholds)
}

fn home_folder() -> Option<PathBuf> {
    env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Settings {
        Settings::from_toml(Path::new("netsage.toml"), text).unwrap()
    }

    #[test]
    fn a_stronger_layer_wins_and_its_source_silences_the_weaker() {
        let strong = parsed("interface = [\"eth0\", \"eth1\"]\nworkers = 3");
        let weak = parsed("pcap = \"a.pcap\"\nworkers = 9\nflow-memory = \"2MiB\"");
        let both = strong.or(weak);
        assert_eq!(
            (both.workers, both.flow_memory),
            (Some(3), Some(ByteSize(2 << 20)))
        );
        let interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
        assert_eq!((both.pcap, both.interface), (None, Some(interfaces)));
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        let check = |text: &str, expected: &str| {
            let message = Settings::from_toml(Path::new("netsage.toml"), text)
                .unwrap_err()
                .to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("worker = 3", "unknown field `worker`");
        check("workers = \"three\"", "line 1");
        check("listen = 5", "listen");
        check("flow-memory = \"64\"", "a whole number and a unit");
        check("pcap = \"a\"\ninterface = [\"b\"]", "both `pcap` and `interface`");
    }

    #[test]
    fn impossible_values_are_refused() {
        let check = |text: &str, expected: &str| {
            let message = Resolved::new(parsed(text)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        let data = "data-dir = \"/tmp\"\n";
        check(&format!("{data}listen = \"0.0.0.0:80\""), "without a token");
        check(&format!("{data}token = \"short\""), "at least 8");
        check(&format!("{data}workers = 0"), "not between 1 and 256");
        check(&format!("{data}interface = [\"\"]"), "empty name");
        check(&format!("{data}interface = [\"a\", \"b\", \"a\"]"), "`a` twice");
        check(&format!("{data}flow-memory = \"1KiB\""), "at least 1MiB");
        check(&format!("{data}keep-packets = \"4KiB\""), "at least 1MiB");
        check(&format!("{data}threshold = [\"iforest\"]"), "NAME=SCORE");
        check(&format!("{data}threshold = [\"iforest=nan\"]"), "NAME=SCORE");
    }
}
