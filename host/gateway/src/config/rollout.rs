//! How far a new version goes by itself, and when it is taken back, from any layer of settings.

use std::str::FromStr;

use netsage_api_types::Stage;
use netsage_lifecycle::{GuardLimits, Rollout};
use serde::Deserialize;

use super::{ConfigError, Settings};

/// How far a new version goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutStage {
    /// Compiled and ready; the next step is an operator's
    Warm,
    /// Scores beside the active version, without alerts
    Shadow,
    /// Scores a share of the flows in place of the active version, after its time as shadow
    Canary,
    /// Takes the place of the active version, after its time as canary
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

impl FromStr for RolloutStage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, false)
    }
}

impl Settings {
    /// How far packages go by themselves.
    ///
    /// # Errors
    /// When a number of flows or a time is out of its range.
    pub(super) fn steps_by_itself(&self) -> Result<Rollout, ConfigError> {
        Ok(Rollout {
            until: self.rollout()?.into(),
            flows: self.rollout_flows()?,
            time: self.rollout_time()?.0,
        })
    }

    /// The limits of canaries and of packages that were promoted a short while ago.
    ///
    /// # Errors
    /// When a rate, a distance, a ratio or a time is out of its range.
    pub(super) fn guard_limits(&self) -> Result<GuardLimits, ConfigError> {
        Ok(GuardLimits {
            calls: self.canary_calls()?,
            trap_rate: self.canary_trap_rate()?,
            overrun_rate: self.canary_overrun_rate()?,
            not_finite_rate: self.canary_not_finite_rate()?,
            scores: self.canary_scores()?,
            distance: self.canary_distance()?,
            cost_ratio: self.canary_cost_ratio()?,
            probation: self.probation()?.0,
        })
    }
}
