//! What a detector may use, from any layer of settings.

use std::path::Path;

use netsage_runtime::RuntimeConfig;

use super::resolved::cache_folder;
use super::{ConfigError, Settings};

impl Settings {
    /// The limits of detectors, with the cache of compiled code in a data folder if there is one.
    ///
    /// # Errors
    /// When a limit is out of its range.
    pub fn runtime(&self, data_dir: Option<&Path>, workers: usize) -> Result<RuntimeConfig, ConfigError> {
        Ok(RuntimeConfig {
            cache_dir: data_dir.map(cache_folder),
            workers: self.detector_instances()?.unwrap_or(workers),
            memory_limit: self.detector_memory()?.0,
            core_instance_limit: self.detector_core_instances()?,
            open_budget: self.detector_open_deadline()?.0,
            call_budget: self.detector_deadline()?.0,
            row_budget: self.detector_row_deadline()?.0,
            ..RuntimeConfig::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_runtime() {
        let config = Settings::default().runtime(None, 3).unwrap();
        let expected = RuntimeConfig {
            workers: 3,
            ..RuntimeConfig::default()
        };
        assert_eq!(format!("{config:?}"), format!("{expected:?}"));
    }
}
