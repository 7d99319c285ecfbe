//! Outputs: tables of the settings file, one for each.

use std::collections::BTreeMap;

use netsage_outputs::opening::ReceiverSettings;
use netsage_outputs::settings::Common;

use super::{ConfigError, Settings};

/// Most characters of the name of an output.
const LONGEST_NAME: usize = 64;

/// Tables of outputs by their names, as the file has them.
pub type OutputTables = BTreeMap<String, toml::Table>;

/// One output.
#[derive(Debug, Clone)]
pub struct OutputSettings {
    /// The name: that of its table.
    pub name: String,
    /// What every output has.
    pub common: Common,
    /// What it sends to.
    pub receiver: ReceiverSettings,
}

impl Settings {
    /// The outputs.
    ///
    /// # Errors
    /// When a name or a table cannot be used.
    pub(super) fn outputs(&self) -> Result<Vec<OutputSettings>, ConfigError> {
        let tables = self.output.iter().flatten();
        tables
            .map(|(name, table)| OutputSettings::of_table(name, table.clone()))
            .collect()
    }
}

impl OutputSettings {
    /// Reads a table.
    ///
    /// # Errors
    /// When the name or the table cannot be used.
    pub(crate) fn of_table(name: &str, mut table: toml::Table) -> Result<Self, ConfigError> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_name) {
            let shown: String = name.chars().take(LONGEST_NAME).collect();
            let reason = format!(
                "`{shown}` is no name of an output; use lower-case letters, digits and `-`, at most 64"
            );
            return Err(ConfigError::value("output", reason));
        }
        // What stands in a value may be a secret in the wrong place: only keys and kinds are told.
        let wrong =
            |reason: &dyn std::fmt::Display| ConfigError::value("output", format!("`{name}`: {reason}"));
        let common = Common::take_from(&mut table).map_err(|error| wrong(&error))?;
        let receiver = ReceiverSettings::from_table(table).map_err(|error| wrong(&error))?;
        Ok(Self {
            name: name.to_owned(),
            common,
            receiver,
        })
    }
}
