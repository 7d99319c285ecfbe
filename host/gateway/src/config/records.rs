//! How records of other meters are read, from any layer of settings.

use netsage_records::formats::{Format, Options};
use netsage_records::{Network, Origin};
use netsage_sources::RecordOptions;
use netsage_sources::stream::StreamOptions;

use super::{ConfigError, Settings};

impl Settings {
    /// How records are read.
    ///
    /// # Errors
    /// When there is no such zone.
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
            origin: self.origin(),
        })
    }

    /// How records of streams are put in order.
    ///
    /// # Errors
    /// When the lateness is out of its range.
    pub(super) fn stream_options(&self) -> Result<StreamOptions, ConfigError> {
        Ok(StreamOptions {
            lateness: self.lateness()?.map(|time| time.0),
            origin: self.origin(),
            ..StreamOptions::default()
        })
    }

    /// Where records were made that do not say so themselves.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            network: Network::named(self.network.as_deref().unwrap_or_default()),
            exporter: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

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
