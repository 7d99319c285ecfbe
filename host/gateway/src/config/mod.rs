//! Settings: a flag wins over an environment variable, that over the settings file, that over the default.
//!
//! A setting has one name everywhere: the flag `--flow-memory`, the variable `NETSAGE_FLOW_MEMORY`, the key
//! `flow-memory`. `settings.rs` declares each setting once, with help, default, range and example; `setting.rs` makes
//! of that the flags and variables, the struct that serde reads the file into, the merging of layers, and the checks of
//! ranges; `examples.rs` writes the example files and docs/settings.md. The files of single themes carry the values to
//! the parts of the program, and check rules that concern more than one setting.
//!
//! To add a setting: write its entry in `settings.rs`, use it, and run
//! `NETSAGE_BLESS=1 cargo test -p netsage-gateway example`.

mod detectors;
#[cfg(test)]
mod examples;
mod forward;
mod interfaces;
mod kafka;
mod layers;
mod limits;
mod meter;
mod most;
#[cfg(target_os = "linux")]
mod netflow;
mod outputs;
mod records;
mod resolved;
mod rollout;
mod server;
mod setting;
mod settings;
mod store;
mod trust;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{env, io};

pub use detectors::names_nobody_has;
pub use forward::ForwardSettings;
pub use interfaces::{InterfaceArgs, InterfaceSettings};
pub use kafka::{KafkaSettings, client_settings};
pub use meter::MeterArgs;
pub use most::{Most, NotALimit};
pub use netsage_outputs::quantity::{ByteSize, NotASize, NotATime, Time};
pub use outputs::{OutputSettings, OutputTables};
pub(crate) use records::LONGEST_NAME;
pub use resolved::{Resolved, Source, default_data_dir};
pub use rollout::RolloutStage;
pub use setting::{Form, Setting};
pub use settings::Settings;
pub use store::{NotFlows, StoreFlows};
pub use trust::Trust;

/// The settings file that is read from the working folder when no other is named.
pub const DEFAULT_FILE: &str = "netsage.toml";

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
    #[error("{} names more than one of `pcap`, `records`, `interface` and `netflow`; a run reads one of them", path.display())]
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

impl ConfigError {
    pub(crate) fn value(setting: &'static str, reason: impl Into<String>) -> Self {
        Self::Value {
            setting,
            reason: reason.into(),
        }
    }
}

fn home_folder() -> Option<PathBuf> {
    env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        check("pcap = \"a\"\ninterface = [\"b\"]", "more than one of `pcap`");
        check("pcap = \"a\"\nrecords = [\"b\"]", "more than one of `pcap`");
    }

    #[test]
    fn no_mistake_in_the_file_shows_what_may_be_a_secret() {
        let secret = "5173920";
        for line in [
            "token = 5173920",
            "token = [\"5173920\"]",
            "token = \"5173920",
            "token = '5173920\" ",
            "token = 5173920z",
            "token \"5173920\"",
            "token : \"5173920\"",
            "tokne = \"5173920\"",
            "token = \"\\5173920\"",
            "token = \"5173920\"\ntoken = \"5173920\"",
            "\"token\" = 5173920",
            "store = 5173920",
            "store = \"mongodb://user:5173920@host/x\" y",
            "[token]\nvalue = 5173920",
        ] {
            for text in [
                line.to_owned(),
                format!("workers = 3\n{line}\nlisten = \"127.0.0.1:1\"\n"),
            ] {
                let error = Settings::from_toml(Path::new("netsage.toml"), &text).unwrap_err();
                assert!(!error.to_string().contains(secret), "{text}: {error}");
            }
        }
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
        check(
            &format!("{data}detector-memory = \"1KiB\""),
            "between 1MiB and 4GiB",
        );
        check(
            &format!("{data}detector-deadline = \"1ms\""),
            "between 10ms and 30d",
        );
        check(&format!("{data}detector-instances = 0"), "`detector-instances`");
        check(&format!("{data}trust = \"signed\""), "needs a key");
        check(&format!("{data}workers = 0"), "not between 1 and 256");
        let [nameless, repeated] = if cfg!(feature = "live") {
            ["empty name", "`a` twice"]
        } else {
            ["built without"; 2]
        };
        check(&format!("{data}interface = [\"\"]"), nameless);
        check(&format!("{data}interface = [\"a\", \"b\", \"a\"]"), repeated);
        check(&format!("{data}flow-memory = \"1KiB\""), "at least 1MiB");
        check(&format!("{data}keep-packets = \"4KiB\""), "at least 1MiB");
        check(&format!("{data}threshold = [\"iforest\"]"), "NAME=RULE");
        check(
            &format!("{data}threshold = [\"iforest=nan\"]"),
            "is not a threshold",
        );
    }
}
