//! Thresholds as people give them.

use netsage_package::ModelCard;
use std::fmt;
use std::str::FromStr;

use crate::Scale;

/// Largest share of ordinary flows that a threshold may alert.
const MOST_SHARE: f64 = 0.5;

/// A threshold as a person gives it. Its text, as [`FromStr`] reads it and [`fmt::Display`] writes it, is the same in
/// settings, on the command line and in the API.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// `card`: what the model card says.
    Card,
    /// `off`: no alerts.
    Off,
    /// `0.62`: this raw score.
    Score(f32),
    /// `10/day`: at most so many flows above it a day, of ordinary traffic.
    PerDay(f64),
    /// `fpr:0.001` or `0.1%`: at most this share of ordinary flows above it.
    Rate(f64),
    /// `p99.9`: the percentile of the scores of ordinary flows.
    Percentile(f64),
}

/// Why a text is not a threshold, or why a threshold gives no score.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// No such form.
    #[error(
        "`{given}` is not a threshold; give alerts per day (10/day), a false-positive rate (fpr:0.001 or 0.1%), a percentile (p99.9), a score (0.62), `card` for that of the model card, or `off`"
    )]
    Form {
        /// What was given, cut to 64 characters.
        given: String,
    },
    /// The number is out of its range.
    #[error("`{given}`: {what} must be {range}")]
    Range {
        /// What was given, cut to 64 characters.
        given: String,
        /// Which number.
        what: &'static str,
        /// The range that is allowed.
        range: &'static str,
    },
    /// The card has no calibration.
    #[error(
        "`{rule}` needs the scores of ordinary flows, and the card of {name} has none; give a score instead"
    )]
    NoCalibration {
        /// What was asked for.
        rule: Rule,
        /// The detector.
        name: String,
    },
    /// Nobody knows how many flows a day has.
    #[error(
        "`{rule}` needs the number of flows a day, which neither stored traffic of ten minutes or more nor the card of {name} tells; give a false-positive rate (fpr:0.001) or a percentile (p99.9), or ask again later"
    )]
    NoRate {
        /// What was asked for.
        rule: Rule,
        /// The detector.
        name: String,
    },
}

impl Rule {
    /// The share of ordinary flows that may lie above the threshold; `None` where the rule names a score and no share.
    ///
    /// # Errors
    /// When the rule needs the number of flows a day and nobody knows the number. `name` is the name of the detector,
    /// for the message.
    pub fn share(self, flows_per_day: Option<f64>, name: &str) -> Result<Option<f64>, RuleError> {
        match self {
            Self::Card | Self::Off | Self::Score(_) => Ok(None),
            Self::Rate(share) => Ok(Some(share)),
            Self::Percentile(percentile) => Ok(Some(1.0 - percentile / 100.0)),
            Self::PerDay(alerts) => {
                let flows = flows_per_day.filter(|flows| flows.is_finite() && *flows > 0.0);
                let flows = flows.ok_or_else(|| RuleError::NoRate {
                    rule: self,
                    name: name.to_owned(),
                })?;
                Ok(Some((alerts / flows).min(MOST_SHARE)))
            }
        }
    }

    /// The score above which a flow is alerted; `f32::MAX` for none.
    ///
    /// # Errors
    /// When the card lacks what the rule needs.
    pub fn threshold(
        self,
        name: &str,
        card: Option<&ModelCard>,
        scale: Option<&Scale>,
        flows_per_day: Option<f64>,
    ) -> Result<f32, RuleError> {
        match self {
            Self::Off => Ok(f32::MAX),
            Self::Score(score) => Ok(score),
            Self::Card => Ok(card.and_then(|card| card.threshold).unwrap_or(f32::MAX)),
            Self::PerDay(_) | Self::Rate(_) | Self::Percentile(_) => {
                let scale = scale.ok_or_else(|| RuleError::NoCalibration {
                    rule: self,
                    name: name.to_owned(),
                })?;
                let share = self.share(flows_per_day, name)?;
                Ok(scale.score_exceeded_by(share.unwrap_or(MOST_SHARE)))
            }
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let given = || text.trim().chars().take(64).collect::<String>();
        let number = |text: &str| {
            let number = text
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite());
            number.ok_or_else(|| RuleError::Form { given: given() })
        };
        let within = |number: f64, is_right: bool, what, range| {
            if is_right {
                Ok(number)
            } else {
                Err(RuleError::Range {
                    given: given(),
                    what,
                    range,
                })
            }
        };
        let rate = |share: f64| {
            let is_right = share > 0.0 && share <= MOST_SHARE;
            within(
                share,
                is_right,
                "a false-positive rate",
                "above 0 and at most 0.5 (50%)",
            )
            .map(Self::Rate)
        };
        let text = text.trim();
        match text {
            "card" => return Ok(Self::Card),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        if let Some(alerts) = text.strip_suffix("/day") {
            let alerts = number(alerts)?;
            let is_right = (1e-6..=1e9).contains(&alerts);
            return within(alerts, is_right, "alerts per day", "0.000001 to 1,000,000,000").map(Self::PerDay);
        }
        if let Some(share) = text.strip_prefix("fpr:") {
            return match share.trim().strip_suffix('%') {
                Some(percent) => rate(number(percent)? / 100.0),
                None => rate(number(share)?),
            };
        }
        if let Some(percent) = text.strip_suffix('%') {
            return rate(number(percent)? / 100.0);
        }
        if let Some(percentile) = text.strip_prefix('p') {
            let percentile = number(percentile)?;
            let is_right = (50.0..100.0).contains(&percentile);
            return within(percentile, is_right, "a percentile", "at least 50 and below 100")
                .map(Self::Percentile);
        }
        let score = number(text)? as f32;
        if score.is_finite() {
            Ok(Self::Score(score))
        } else {
            Err(RuleError::Form { given: given() })
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card => formatter.write_str("card"),
            Self::Off => formatter.write_str("off"),
            Self::Score(score) => write!(formatter, "{score}"),
            Self::PerDay(alerts) => write!(formatter, "{alerts}/day"),
            Self::Rate(share) => write!(formatter, "fpr:{share}"),
            Self::Percentile(percentile) => write!(formatter, "p{percentile}"),
        }
    }
}

impl TryFrom<String> for Rule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}
