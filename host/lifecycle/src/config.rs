//! What an operator may choose.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use netsage_api_types::{FailurePolicy, Stage};
use netsage_calibration::Rule;

/// Which packages are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustPolicy {
    /// All packages: the sandbox is the protection.
    Any,
    /// Packages with a minisign signature by one of these keys (each the base64 line of a `.pub` file), given beside
    /// the package or in a file `PACKAGE.minisig`.
    Signed(Vec<String>),
    /// Packages with one of these SHA-256 digests, 64 hexadecimal digits.
    Pinned(Vec<String>),
}

/// Automatic rollout of a package that is not the first of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// The last stage that the package reaches by itself: `warm`, `shadow`, `canary` or `active`.
    pub until: Stage,
    /// Flows that the package must have scored as shadow, and again as canary, before its next stage.
    pub flows: u64,
    /// Shortest time in each of the two stages.
    pub time: Duration,
}

/// When a canary, or a package that became active a short while ago, is rolled back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardLimits {
    /// Least denominator of the rates below, in calls: with 5, one failure in two calls counts as one in five.
    pub calls: u64,
    /// Largest share of calls that trap or break the contract.
    pub trap_rate: f64,
    /// Largest share of calls that overrun their deadline.
    pub overrun_rate: f64,
    /// Largest share of calls with a score that is not finite.
    pub not_finite_rate: f64,
    /// Scores on each side that must be there before the distributions are compared.
    pub scores: u64,
    /// Largest distance of the two distributions of calibrated scores (two-sample Kolmogorov-Smirnov statistic D), for
    /// any number of scores. D is also allowed what chance explains at a level of 0.001:
    /// `1.95 * sqrt((n + m) / (n * m))`.
    pub distance: f64,
    /// Largest cost per row, as a multiple of the active detector's; judged by the medians of 16 calls or more, or when
    /// calls took 0.25 s together, with an allowance for the fixed cost of a call.
    pub cost_ratio: f64,
    /// How long a promoted package is held to these limits. The distance does not count: the package and its predecessor
    /// score flows of different times.
    pub probation: Duration,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            calls: 5,
            trap_rate: 0.01,
            overrun_rate: 0.01,
            not_finite_rate: 0.0,
            scores: 200,
            distance: 0.25,
            cost_ratio: 10.0,
            probation: Duration::from_secs(600),
        }
    }
}

/// What an operator may choose.
#[derive(Debug, Clone, PartialEq)]
pub struct LifecycleConfig {
    /// Folder for packages, journal and learned state; `None` keeps all of it in memory.
    pub directory: Option<PathBuf>,
    /// Folder that is watched for new packages.
    pub watched_folder: Option<PathBuf>,
    /// Which packages are taken.
    pub trust: TrustPolicy,
    /// Thresholds by name of detector, in place of the thresholds of model cards. The fused verdict raises alerts when
    /// there is a threshold for the name `fused`.
    pub thresholds: BTreeMap<String, Rule>,
    /// Flows per day of the traffic, where enough flows are stored to tell.
    pub flows_per_day: Option<f64>,
    /// Flows in a window of drift.
    pub drift_flows: u32,
    /// Failure policy by name of detector: what happens to flows that the detector fails to score.
    pub on_failure: BTreeMap<String, FailurePolicy>,
    /// Failure policy of all other detectors.
    pub on_failure_default: FailurePolicy,
    /// Consecutive failures of a detector with [`FailurePolicy::Reload`] before it is quarantined.
    pub failures_before_quarantine: u32,
    /// The automatic rollout.
    pub rollout: Rollout,
    /// When a canary is rolled back.
    pub guard: GuardLimits,
    /// Share of flows that a shadow scores, unless a step names another share.
    pub shadow_share: f64,
    /// Share of flows that a canary scores, unless a step names another share.
    pub canary_share: f64,
    /// Whether detectors whose state goes by source begin without what they saved: the flows of their sources are shared out
    /// anew at each start, and enough of them is read again.
    pub forgets_sources: bool,
    /// Time between two saves of the detectors' memory.
    pub save_interval: Duration,
    /// Number of scoring threads, and so of the instances that a package has ready when it takes over from another one.
    pub workers: usize,
    /// Packages held at once, whatever their stage.
    pub most_packages: usize,
}

impl LifecycleConfig {
    /// The failure policy of the detector of this name.
    pub fn on_failure_of(&self, name: &str) -> FailurePolicy {
        self.on_failure
            .get(name)
            .copied()
            .unwrap_or(self.on_failure_default)
    }
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self {
            directory: None,
            watched_folder: None,
            trust: TrustPolicy::Any,
            thresholds: BTreeMap::new(),
            flows_per_day: None,
            drift_flows: 5_000,
            on_failure: BTreeMap::new(),
            on_failure_default: FailurePolicy::Reload,
            failures_before_quarantine: 5,
            rollout: Rollout {
                until: Stage::Warm,
                flows: 1000,
                time: Duration::from_secs(30),
            },
            guard: GuardLimits::default(),
            shadow_share: 1.0,
            canary_share: 0.1,
            forgets_sources: false,
            save_interval: Duration::from_secs(60),
            workers: 1,
            most_packages: 64,
        }
    }
}
