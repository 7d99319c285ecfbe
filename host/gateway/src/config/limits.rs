//! What a detector may use, from any layer of settings.

use std::path::Path;
use std::time::Duration;

use netsage_runtime::RuntimeConfig;

use super::resolved::cache_folder;
use super::rollout::time_within;
use super::{ByteSize, ConfigError, Settings, within};

/// Less holds no instance: the program of a small detector and its stack take this much.
const LEAST_MEMORY: ByteSize = ByteSize(1 << 20);
/// A component addresses its memory by 32 bits.
const MOST_MEMORY: ByteSize = ByteSize(4 << 30);

impl Settings {
    /// The limits of detectors, with the cache of compiled code in a data folder if there is one.
    ///
    /// # Errors
    /// When a limit cannot be.
    pub fn runtime(&self, data_dir: Option<&Path>, workers: usize) -> Result<RuntimeConfig, ConfigError> {
        let default = RuntimeConfig::default();
        let memory = self.detector_memory.unwrap_or(ByteSize(default.memory_limit));
        if !(LEAST_MEMORY..=MOST_MEMORY).contains(&memory) {
            return Err(ConfigError::value(
                "detector-memory",
                format!("{memory} is not between {LEAST_MEMORY} and {MOST_MEMORY}"),
            ));
        }
        // Deadlines are kept to this; a shorter one would end calls at random.
        let least = default.tick;
        let time = |setting, value, default| time_within(setting, value, default, least);
        Ok(RuntimeConfig {
            cache_dir: data_dir.map(cache_folder),
            workers: within("detector-instances", self.detector_instances, workers, 1..=256)?,
            memory_limit: memory.0,
            open_budget: time(
                "detector-open-deadline",
                self.detector_open_deadline,
                default.open_budget,
            )?,
            call_budget: time("detector-deadline", self.detector_deadline, default.call_budget)?,
            row_budget: time_within(
                "detector-row-deadline",
                self.detector_row_deadline,
                default.row_budget,
                Duration::ZERO,
            )?,
            ..default
        })
    }
}
