//! How packets are metered, from any layer of settings; and records read, which the same commands take.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use netsage_capture::MeterConfig;
use netsage_schema::Schema;
use netsage_sources::RecordOptions;

use super::{ConfigError, Settings};

/// The flags of commands that take a capture or records and have few settings else.
#[derive(Debug, Clone, Default)]
pub struct MeterArgs(Box<Settings>);

impl Args for MeterArgs {
    fn augment_args(command: Command) -> Command {
        command
            .args(Settings::flags_of("Meter"))
            .args(Settings::flags_of("Records"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for MeterArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Box::new(Settings::from_arg_matches(matches)?)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl MeterArgs {
    /// The meter's configuration by these flags, then the settings file.
    ///
    /// # Errors
    /// When there is too little memory for flows, or no such schema.
    pub fn config(&self, file: &Settings) -> Result<MeterConfig, ConfigError> {
        self.settings(file).meter()
    }

    /// How records are read, by these flags, then the settings file.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn records(&self, file: &Settings) -> Result<RecordOptions, ConfigError> {
        self.settings(file).record_options()
    }

    fn settings(&self, file: &Settings) -> Settings {
        Settings::clone(&self.0).or(file.clone())
    }
}

impl Settings {
    /// The meter's configuration with its defaults filled in.
    ///
    /// # Errors
    /// When there is too little memory for flows, or no such schema.
    pub fn meter(&self) -> Result<MeterConfig, ConfigError> {
        let name = self.schema()?;
        let schema = Schema::by_id(&name).ok_or_else(|| {
            let all = Schema::ALL.map(|schema| schema.id).join(", ");
            ConfigError::value("schema", format!("`{name}` is none; there are {all}"))
        })?;
        Ok(MeterConfig {
            schema,
            flow_memory: self.flow_memory()?.0,
            decapsulate: self.decapsulate()?,
            count_link_bytes: self.count_link_bytes()?,
            ..MeterConfig::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_meter() {
        let (config, default) = (Settings::default().meter().unwrap(), MeterConfig::default());
        assert_eq!(format!("{config:?}"), format!("{default:?}"));
    }
}
