//! What to capture live, from any layer of settings.

use super::{ConfigError, Settings};

/// Interfaces to capture on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSource {
    /// Their names, at least one, none twice.
    pub interfaces: Vec<String>,
    /// What to capture, in the language of tcpdump.
    pub bpf: Option<String>,
    /// Whether to take packets for other machines too.
    pub promiscuous: bool,
}

/// The flags of commands other than `run` that can capture.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LiveArgs {
    /// Capture live on this interface instead, until Ctrl-C; may be repeated
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    pub interface: Option<Vec<String>>,
    /// Capture only what passes this filter, in the language of tcpdump
    #[arg(long, value_name = "FILTER", requires = "interface")]
    pub bpf: Option<String>,
    /// Leave the interfaces to packets for this machine
    #[arg(long, requires = "interface")]
    pub no_promiscuous: bool,
    /// Go on as this user once the interfaces are open; only CAP_NET_RAW stays, for opening them again
    #[arg(long, value_name = "NAME", requires = "interface")]
    pub user: Option<String>,
}

impl LiveArgs {
    /// What to capture; `None` when no interface is named.
    ///
    /// # Errors
    /// When a name is empty or stands twice.
    pub fn source(&self) -> Result<Option<LiveSource>, ConfigError> {
        let flags = Settings {
            interface: self.interface.clone(),
            bpf: self.bpf.clone(),
            no_promiscuous: Some(self.no_promiscuous),
            ..Settings::default()
        };
        flags.live()
    }
}

impl Settings {
    /// What to capture live; `None` when no interface is named.
    ///
    /// # Errors
    /// When a name is empty or stands twice.
    pub fn live(&self) -> Result<Option<LiveSource>, ConfigError> {
        let Some(interfaces) = &self.interface else {
            return Ok(None);
        };
        let wrong = |reason: String| ConfigError::value("interface", reason);
        if cfg!(not(feature = "live")) {
            return Err(wrong(
                "this program was built without live capture; build it with the feature `live`".to_owned(),
            ));
        }
        for (index, name) in interfaces.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(wrong("an empty name; name an interface, e.g. eth0".to_owned()));
            }
            if interfaces[..index].contains(name) {
                return Err(wrong(format!(
                    "`{name}` twice; its packets would count twice, name it once"
                )));
            }
        }
        if interfaces.is_empty() {
            return Ok(None);
        }
        Ok(Some(LiveSource {
            interfaces: interfaces.clone(),
            bpf: self.bpf.clone(),
            promiscuous: !self.no_promiscuous()?,
        }))
    }
}
