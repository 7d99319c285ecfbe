//! How files become flows, by the flags of a command and the settings file.

use netsage_capture::MeterConfig;
use netsage_gateway::config::{ConfigError, MeterArgs, Settings};
use netsage_sources::RecordOptions;

/// How captures are metered and records read.
pub(crate) struct How {
    pub(crate) meter: MeterConfig,
    pub(crate) records: RecordOptions,
}

impl How {
    /// # Errors
    /// When a setting has a value that cannot be.
    pub(crate) fn of(args: &MeterArgs, file: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            meter: args.config(file)?,
            records: args.records(file)?,
        })
    }
}
