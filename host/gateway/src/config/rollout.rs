//! How far a new version goes by itself, from any layer of settings.

use std::time::Duration;

use netsage_api_types::Stage;
use netsage_lifecycle::Rollout;
use serde::Deserialize;

use super::{ConfigError, Settings, Time};

/// How far a new version goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutStage {
    /// It is ready, and waits for an operator
    Warm,
    /// It scores beside the active one, without alerts
    Shadow,
    /// As shadow first, then for a share of the flows
    Canary,
    /// All the way: it takes the place of the active one
    Active,
}

impl From<RolloutStage> for Stage {
    fn from(stage: RolloutStage) -> Self {
        match stage {
            RolloutStage::Warm => Stage::Warm,
            RolloutStage::Shadow => Stage::Shadow,
            RolloutStage::Canary => Stage::Canary,
            RolloutStage::Active => Stage::Active,
        }
    }
}

impl Settings {
    /// How far packages go by themselves.
    ///
    /// # Errors
    /// When a number of flows or a time cannot be.
    pub(super) fn rollout(&self, default: Rollout) -> Result<Rollout, ConfigError> {
        Ok(Rollout {
            until: self.rollout.map_or(default.until, Stage::from),
            flows: super::within(
                "rollout-flows",
                self.rollout_flows,
                default.flows,
                1..=1_000_000_000,
            )?,
            time: time_within("rollout-time", self.rollout_time, default.time, Duration::ZERO)?,
        })
    }
}

/// A share of flows.
pub(super) fn share(setting: &'static str, value: Option<f64>, default: f64) -> Result<f64, ConfigError> {
    let share = value.unwrap_or(default);
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    Err(ConfigError::value(
        setting,
        format!(
            "{share} is not a share; give a number above 0 and at most 1, e.g. 0.1 for a tenth of the flows"
        ),
    ))
}

/// A time of at least `least` and at most 30 days.
pub(super) fn time_within(
    setting: &'static str,
    value: Option<Time>,
    default: Duration,
    least: Duration,
) -> Result<Duration, ConfigError> {
    const MOST: Time = Time(Duration::from_secs(30 * 86_400));
    let time = value.unwrap_or(Time(default));
    if (Time(least)..=MOST).contains(&time) {
        return Ok(time.0);
    }
    Err(ConfigError::value(
        setting,
        format!("{time} is not between {} and {MOST}", Time(least)),
    ))
}
