//! When a canary is rolled back, from any layer of settings.

use std::time::Duration;

use netsage_lifecycle::GuardLimits;

use super::rollout::time_within;
use super::{ConfigError, Settings, within};

impl Settings {
    /// The limits of canaries and of packages that were promoted a short while ago.
    ///
    /// # Errors
    /// When a rate, a distance or a ratio cannot be.
    pub(super) fn guard_limits(&self, default: GuardLimits) -> Result<GuardLimits, ConfigError> {
        let rate = |setting, value, default| within(setting, value, default, 0.0..=1.0);
        let number = |setting, value, default| within(setting, value, default, 1..=1_000_000_000);
        Ok(GuardLimits {
            calls: number("canary-calls", self.canary_calls, default.calls)?,
            trap_rate: rate("canary-trap-rate", self.canary_trap_rate, default.trap_rate)?,
            overrun_rate: rate(
                "canary-overrun-rate",
                self.canary_overrun_rate,
                default.overrun_rate,
            )?,
            not_finite_rate: rate(
                "canary-not-finite-rate",
                self.canary_not_finite_rate,
                default.not_finite_rate,
            )?,
            scores: number("canary-scores", self.canary_scores, default.scores)?,
            distance: rate("canary-distance", self.canary_distance, default.distance)?,
            cost_ratio: within(
                "canary-cost-ratio",
                self.canary_cost_ratio,
                default.cost_ratio,
                1.0..=1e6,
            )?,
            probation: time_within("probation", self.probation, default.probation, Duration::ZERO)?,
        })
    }
}
