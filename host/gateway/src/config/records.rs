//! How records of other meters are read, from any layer of settings.

use netsage_records::formats::{Format, Options};
use netsage_sources::stream::StreamOptions;
use netsage_sources::{RecordOptions, Site};

use super::{ConfigError, Settings};

/// Longest name of a network or a sensor, in characters, as in the JSON of a flow.
pub(crate) const LONGEST_NAME: usize = 128;

impl Settings {
    /// How records are read.
    ///
    /// # Errors
    /// When there is no such zone, or a name is too long.
    pub fn record_options(&self) -> Result<RecordOptions, ConfigError> {
        let zone = self.input_zone()?;
        let input_zone = Options::zone(&zone).ok_or_else(|| {
            let reason = format!(
                "`{zone}` is no zone that this system knows; give an offset as `+02:00`, a name as `Europe/Prague`, or a rule \
                 as `CET-1CEST,M3.5.0,M10.5.0/3`"
            );
            ConfigError::value("input-zone", reason)
        })?;
        Ok(RecordOptions {
            format: self.input_format.as_deref().and_then(Format::by_name),
            reading: Options { input_zone },
            site: self.site()?,
        })
    }

    /// How records of streams are put in order.
    ///
    /// # Errors
    /// When the lateness is out of its range, or a name is too long.
    pub(super) fn stream_options(&self) -> Result<StreamOptions, ConfigError> {
        Ok(StreamOptions {
            lateness: self.lateness()?.map(|time| time.0),
            site: self.site()?,
            ..StreamOptions::default()
        })
    }

    /// Where flows come from that do not say so themselves.
    ///
    /// # Errors
    /// When a name is too long.
    pub(super) fn site(&self) -> Result<Site, ConfigError> {
        let name = |setting, name: &Option<String>| {
            let name = name.as_deref().unwrap_or_default();
            match name.chars().count() {
                ..=LONGEST_NAME => Ok(name.into()),
                _ => Err(ConfigError::value(
                    setting,
                    format!("it has more than {LONGEST_NAME} characters"),
                )),
            }
        };
        Ok(Site {
            sensor: name("sensor", &self.sensor)?,
            network: name("network", &self.network)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_of_places_are_not_endless() {
        let check = |name: String, is_taken: bool| {
            let settings = [
                Settings {
                    network: Some(name.clone()),
                    ..Settings::default()
                },
                Settings {
                    sensor: Some(name),
                    ..Settings::default()
                },
            ];
            for settings in settings {
                assert_eq!(settings.site().is_ok(), is_taken, "{settings:?}");
            }
        };
        check("é".repeat(LONGEST_NAME), true);
        check("x".repeat(LONGEST_NAME + 1), false);
    }

    #[test]
    fn zones_are_offsets_names_and_rules() {
        let check = |zone: &str, is_known: bool| {
            let settings = Settings {
                input_zone: Some(zone.to_owned()),
                ..Settings::default()
            };
            assert_eq!(settings.record_options().is_ok(), is_known, "{zone}");
        };
        check("UTC", true);
        check("+02:00", true);
        check("CET-1CEST,M3.5.0,M10.5.0/3", true);
        check("Nowhere", false);
        if Path::new("/usr/share/zoneinfo/Europe/Prague").exists() {
            check("Europe/Prague", true);
        } else {
            eprintln!("skipped: this system knows no zones by name");
        }
    }
}
