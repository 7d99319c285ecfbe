//! How packets are metered, from any layer of settings.

use netsage_capture::MeterConfig;
use netsage_schema::Schema;

use super::{ByteSize, ConfigError, Settings};

/// Below this the meter could hold a handful of flows, and the fixed parts alone would take most of it.
const LEAST_FLOW_MEMORY: ByteSize = ByteSize(1 << 20);

/// The flags of commands that meter a capture and have few settings else.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct MeterArgs {
    /// Which features flows have [default: unsw-nb15]
    #[arg(long, value_name = "SCHEMA", env = "NETSAGE_SCHEMA", value_parser = Schema::ALL.map(|schema| schema.id))]
    schema: Option<String>,
    /// Memory for flows that are not finished; beyond it half-open and idle ones end early [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "NETSAGE_FLOW_MEMORY")]
    flow_memory: Option<ByteSize>,
    /// Meter packets inside tunnels by the flow inside instead of the outer one
    #[arg(long, value_name = "BOOL", env = "NETSAGE_DECAPSULATE", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    decapsulate: Option<bool>,
    /// Count link headers in sbytes and dbytes, as Argus does on Ethernet and the dataset does not
    #[arg(long, value_name = "BOOL", env = "NETSAGE_COUNT_LINK_BYTES", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    count_link_bytes: Option<bool>,
}

impl MeterArgs {
    /// The meter's configuration by these flags, then the settings file.
    ///
    /// # Errors
    /// When a value cannot be.
    pub fn config(&self, file: &Settings) -> Result<MeterConfig, ConfigError> {
        let flags = Settings {
            schema: self.schema.clone(),
            flow_memory: self.flow_memory,
            decapsulate: self.decapsulate,
            count_link_bytes: self.count_link_bytes,
            ..Settings::default()
        };
        flags.or(file.clone()).meter()
    }
}

impl Settings {
    /// The meter's configuration with its defaults filled in.
    ///
    /// # Errors
    /// When there is too little memory for flows, or no such schema.
    pub fn meter(&self) -> Result<MeterConfig, ConfigError> {
        let default = MeterConfig::default();
        let flow_memory = self.flow_memory.unwrap_or(ByteSize(default.flow_memory));
        if flow_memory < LEAST_FLOW_MEMORY {
            return Err(ConfigError::Value {
                setting: "flow-memory",
                reason: format!("{flow_memory} is too little; give it at least {LEAST_FLOW_MEMORY}"),
            });
        }
        let schema = match &self.schema {
            None => default.schema,
            Some(name) => Schema::by_id(name).ok_or_else(|| ConfigError::Value {
                setting: "schema",
                reason: format!(
                    "`{name}` is none; there are {}",
                    Schema::ALL.map(|schema| schema.id).join(", ")
                ),
            })?,
        };
        Ok(MeterConfig {
            schema,
            flow_memory: flow_memory.0,
            decapsulate: self.decapsulate.unwrap_or(default.decapsulate),
            count_link_bytes: self.count_link_bytes.unwrap_or(default.count_link_bytes),
            ..default
        })
    }
}
