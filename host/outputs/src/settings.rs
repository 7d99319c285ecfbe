//! The table of an output in the settings file: what is common to all outputs, apart from what a receiver wants to know.

use std::str::FromStr;
use std::time::Duration;

use netsage_api_types::Severity;
use netsage_messages::EventSeverity;
use serde::Deserialize;

use crate::quantity::Time;
use crate::sending::{Filter, QuietHours, Rate, Rules};
use crate::{Begin, LEASE};

/// What every output has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// What goes out, and when.
    pub rules: Rules,
    /// Which events of the program go out: these and worse ones; `None` for none.
    pub events: Option<EventSeverity>,
    /// Where to begin when the output is new.
    pub begin: Begin,
    /// How long a program that has died keeps the others from delivering.
    pub lease: Duration,
}

/// The keys of [`Common`], as they are written.
pub const KEYS: [&str; 12] = [
    "min-severity",
    "detectors",
    "networks",
    "schemas",
    "growth",
    "rate",
    "quiet-hours",
    "quiet-hours-except",
    "digest-every",
    "events",
    "begin",
    "lease",
];

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A key is unknown, or its value cannot be.
    #[error("{0}")]
    Value(String),
    /// A rate that is none.
    #[error("`{0}` is not a rate; write how many messages in which time, e.g. 10/h or 5/10min")]
    Rate(String),
    /// Hours that are none.
    #[error("`{0}` are not quiet hours; write two times of day in UTC, e.g. 22:00-06:00")]
    QuietHours(String),
    /// A lease that is too short to be renewed.
    #[error("`lease` must be between 1s and 30s")]
    Lease,
    /// A pause between digests that is none.
    #[error("`digest-every` must be at least 1s")]
    Digest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    min_severity: Option<Severity>,
    detectors: Vec<String>,
    networks: Vec<String>,
    schemas: Vec<String>,
    growth: Option<Time>,
    rate: Option<String>,
    quiet_hours: Option<String>,
    quiet_hours_except: Option<Severity>,
    digest_every: Option<Time>,
    events: Option<WrittenEvents>,
    begin: WrittenBegin,
    lease: Option<Time>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenEvents {
    None,
    Info,
    Warning,
    Error,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenBegin {
    #[default]
    Now,
    First,
}

impl Common {
    /// Takes the keys of [`KEYS`] out of a table; what is left is the receiver's. A message goes out at most once a minute
    /// while an alert does nothing but grow, and so do events from warnings on, unless the table says otherwise.
    ///
    /// # Errors
    /// When a value cannot be.
    pub fn take_from(table: &mut toml::Table) -> Result<Self, SettingsError> {
        let common: toml::Table = (KEYS.iter())
            .filter_map(|key| Some(((*key).to_owned(), table.remove(*key)?)))
            .collect();
        let written: Written = common
            .try_into()
            .map_err(|error: toml::de::Error| SettingsError::Value(error.message().to_owned()))?;
        let lease = written.lease.map_or(LEASE, |time| time.0);
        if !(Duration::from_secs(1)..=Duration::from_secs(30)).contains(&lease) {
            return Err(SettingsError::Lease);
        }
        let digest_every = written.digest_every.map(|time| time.0);
        if digest_every.is_some_and(|every| every < Duration::from_secs(1)) {
            return Err(SettingsError::Digest);
        }
        let quiet_hours = written.quiet_hours.map(|hours| hours.parse()).transpose()?;
        Ok(Self {
            rules: Rules {
                filter: Filter {
                    min_severity: written.min_severity,
                    detectors: written.detectors,
                    networks: written.networks,
                    schemas: written.schemas,
                },
                growth: Some(written.growth.map_or(Duration::from_secs(60), |time| time.0)),
                rate: written.rate.map(|rate| rate.parse()).transpose()?,
                quiet_hours: quiet_hours.map(|hours| QuietHours {
                    except: written.quiet_hours_except,
                    ..hours
                }),
                digest_every,
            },
            events: match written.events.unwrap_or(WrittenEvents::Warning) {
                WrittenEvents::None => None,
                WrittenEvents::Info => Some(EventSeverity::Info),
                WrittenEvents::Warning => Some(EventSeverity::Warning),
                WrittenEvents::Error => Some(EventSeverity::Error),
            },
            begin: match written.begin {
                WrittenBegin::Now => Begin::AtNext,
                WrittenBegin::First => Begin::AtFirst,
            },
            lease,
        })
    }
}

/// `10/h`, `5/10min`.
impl FromStr for Rate {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (messages, per) = text.split_once('/')?;
            let messages = messages.trim().parse().ok().filter(|messages| *messages > 0)?;
            let per = per.trim();
            // A unit alone is one of it.
            let per: Time = match per.starts_with(|first: char| first.is_ascii_digit()) {
                true => per.parse().ok()?,
                false => format!("1{per}").parse().ok()?,
            };
            (!per.0.is_zero()).then_some(Self { messages, per: per.0 })
        };
        read().ok_or_else(|| SettingsError::Rate(text.to_owned()))
    }
}

/// `22:00-06:00`, without exceptions.
impl FromStr for QuietHours {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let minute = |time: &str| {
            let (hours, minutes) = time.trim().split_once(':')?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 60 + minutes)
        };
        let read = || {
            let (from, until) = text.split_once('-')?;
            Some(Self {
                from: minute(from).filter(|from| *from < 24 * 60)?,
                until: minute(until)?,
                except: None,
            })
        };
        read().ok_or_else(|| SettingsError::QuietHours(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<(Common, Vec<String>), String> {
        let mut table: toml::Table = text.parse().unwrap();
        let common = Common::take_from(&mut table).map_err(|error| error.to_string())?;
        Ok((common, table.into_iter().map(|(key, _)| key).collect()))
    }

    #[test]
    fn what_is_common_is_taken_and_the_rest_is_left() {
        let (common, rest) = taken(
            "type = \"webhook\"\nmin-severity = \"high\"\nrate = \"10/h\"\nquiet-hours = \"22:00-06:30\"\n\
             quiet-hours-except = \"critical\"\nevents = \"none\"\nbegin = \"first\"\ngrowth = \"5min\"\nurl-file = \"x\"",
        )
        .unwrap();
        assert_eq!(rest, ["type", "url-file"]);
        assert_eq!(common.rules.filter.min_severity, Some(Severity::High));
        let rate = Rate {
            messages: 10,
            per: Duration::from_secs(3_600),
        };
        assert_eq!(
            (common.rules.rate, common.rules.growth),
            (Some(rate), Some(Duration::from_secs(300)))
        );
        let except = Some(Severity::Critical);
        assert_eq!(
            common.rules.quiet_hours,
            Some(QuietHours {
                from: 1_320,
                until: 390,
                except
            })
        );
        assert_eq!((common.events, common.begin), (None, Begin::AtFirst));
    }

    #[test]
    fn without_a_word_a_growing_alert_is_told_once_a_minute() {
        let (common, _) = taken("").unwrap();
        assert_eq!(
            common.rules,
            Rules {
                growth: Some(Duration::from_secs(60)),
                ..Rules::default()
            }
        );
        assert_eq!(
            (common.events, common.begin),
            (Some(EventSeverity::Warning), Begin::AtNext)
        );
        assert_eq!(common.lease, LEASE);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let message = taken(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        };
        check("min-severity = \"worst\"", "unknown variant `worst`");
        for rate in ["10", "0/h", "x/h", "10/", "10/0s", "10/parsec"] {
            check(&format!("rate = \"{rate}\""), "is not a rate");
        }
        for hours in [
            "22",
            "22-6",
            "24:00-06:00",
            "22:60-06:00",
            "22:00-24:01",
            "a:b-c:d",
        ] {
            check(&format!("quiet-hours = \"{hours}\""), "are not quiet hours");
        }
        check("lease = \"31s\"", "between 1s and 30s");
        check("digest-every = \"0s\"", "at least 1s");
        check("growth = 5", "invalid type");
    }
}
