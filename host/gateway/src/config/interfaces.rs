//! The interfaces to capture on, from any layer of settings.

use super::{ConfigError, Settings};

/// The interfaces to capture on, and what to take from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Their names, at least one, none twice.
    pub names: Vec<String>,
    /// What to capture, in the language of tcpdump.
    pub bpf: Option<String>,
    /// Whether to take packets for other machines too.
    pub promiscuous: bool,
}

/// The flags of commands other than `run` that can capture.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct InterfaceArgs {
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

impl InterfaceArgs {
    /// The interfaces to capture on; `None` when no interface is named.
    ///
    /// # Errors
    /// When a name is empty or stands twice.
    pub fn settings(&self) -> Result<Option<InterfaceSettings>, ConfigError> {
        let flags = Settings {
            interface: self.interface.clone(),
            bpf: self.bpf.clone(),
            no_promiscuous: Some(self.no_promiscuous),
            ..Settings::default()
        };
        flags.interfaces()
    }
}

impl Settings {
    /// The interfaces to capture on; `None` when no interface is named.
    ///
    /// # Errors
    /// When a name is empty or stands twice.
    pub fn interfaces(&self) -> Result<Option<InterfaceSettings>, ConfigError> {
        let Some(names) = &self.interface else {
            return Ok(None);
        };
        let wrong = |reason: String| ConfigError::value("interface", reason);
        if cfg!(not(feature = "live")) {
            return Err(wrong(
                "this program was built without live capture; build it with the feature `live`".to_owned(),
            ));
        }
        for (index, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(wrong("an empty name; name an interface, e.g. eth0".to_owned()));
            }
            if names[..index].contains(name) {
                return Err(wrong(format!(
                    "`{name}` twice; its packets would count twice, name it once"
                )));
            }
        }
        if names.is_empty() {
            return Ok(None);
        }
        Ok(Some(InterfaceSettings {
            names: names.clone(),
            bpf: self.bpf.clone(),
            promiscuous: !self.no_promiscuous()?,
        }))
    }
}
