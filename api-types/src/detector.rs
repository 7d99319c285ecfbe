//! Detectors and their packages.

use netsage_package::ModelCard;
use serde::{Deserialize, Serialize};

/// Which detector made a score.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DetectorRef {
    /// Name, e.g. `iforest`.
    pub name: String,
    /// Version of the code, e.g. `1.0.0`.
    pub version: String,
    /// SHA-256 of the package, 64 hexadecimal digits: its identity.
    pub digest: String,
    /// Number of the activation that scored: a package gets the next number of the data folder each time it begins to
    /// score flows for alerts, as canary or as active package. 0 where none is meant: a package on its own, a score
    /// asked for by hand.
    #[serde(default)]
    pub generation: u64,
}

/// Where a package stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its bytes are kept, nothing is known about them.
    Staged,
    /// Everything that can be checked was found right.
    Checked,
    /// Compiled, with instances ready.
    Warm,
    /// It scores flows beside the active one; nothing is alerted.
    Shadow,
    /// It scores a share of the flows in place of the active one.
    Canary,
    /// It scores flows.
    Active,
    /// It was active once. The one that was active last stays warm.
    Retired,
    /// It was taken out of service because it broke a limit or failed a check, or by an operator.
    Quarantined,
}

impl Stage {
    /// Every stage, in the order of a life.
    pub const ALL: [Self; 8] = [
        Self::Staged,
        Self::Checked,
        Self::Warm,
        Self::Shadow,
        Self::Canary,
        Self::Active,
        Self::Retired,
        Self::Quarantined,
    ];

    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Checked => "checked",
            Self::Warm => "warm",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Quarantined => "quarantined",
        }
    }
}

/// What can be done with a package; the last part of the path of its call, and the CLI's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Keep its bytes.
    Stage,
    /// Check it: `staged` to `checked`.
    Check,
    /// Compile it and start instances: `checked` to `warm`; also ends a shadow.
    Warm,
    /// Score a share of flows for comparison only.
    Shadow,
    /// Score a share of flows for real.
    Canary,
    /// Make the package the active one of its name.
    Promote,
    /// A canary: give its flows back to the active one. The active package: make the previous one active again.
    Rollback,
    /// Stop scoring with it, without another in its place.
    Retire,
    /// Take it out, whatever it is doing.
    Quarantine,
    /// Let a quarantined one begin anew, as `staged`.
    Release,
    /// In the history only: its name got another threshold.
    Threshold,
    /// In the history only: its traffic left the reference distributions of its card, or came back.
    Drift,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 12] = [
        Self::Stage,
        Self::Check,
        Self::Warm,
        Self::Shadow,
        Self::Canary,
        Self::Promote,
        Self::Rollback,
        Self::Retire,
        Self::Quarantine,
        Self::Release,
        Self::Threshold,
        Self::Drift,
    ];

    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Check => "check",
            Self::Warm => "warm",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Retire => "retire",
            Self::Quarantine => "quarantine",
            Self::Release => "release",
            Self::Threshold => "threshold",
            Self::Drift => "drift",
        }
    }

    /// Whether it is an entry of the history without a step that a package can be asked to take.
    pub fn is_note(self) -> bool {
        matches!(self, Self::Threshold | Self::Drift)
    }

    /// Whether a share of the flows can be named with it.
    pub fn takes_share(self) -> bool {
        matches!(self, Self::Shadow | Self::Canary)
    }
}

/// The body of a step; everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StepRequest {
    /// Who asks, for the history; at most 128 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 128))]
    pub by: Option<String>,
    /// Why, for the history; at most 1,024 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 1024))]
    pub why: Option<String>,
    /// Shadow and canary: share of the flows, above 0 and at most 1.
    #[cfg_attr(feature = "openapi", schema(exclusive_minimum = 0.0, maximum = 1.0))]
    pub share: Option<f64>,
    /// Canary and promote, where packages must be signed: take the place of a package that was signed later.
    pub downgrade: bool,
}

/// One entry of the history: something was done with a package, or was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEntry {
    /// Position in the history, from 1.
    pub number: u64,
    /// When, ms since the epoch.
    pub at: i64,
    /// Who made the step: a given name, `command line`, `directory`, or `netsage` for steps that the program made by
    /// itself.
    pub by: String,
    /// What was done.
    pub step: Step,
    /// Digest of the package; empty where it is about none: the threshold of the fused verdict.
    pub digest: String,
    /// Its name, once it is known.
    pub name: Option<String>,
    /// Where it stood before; absent for the first entry of a package.
    pub from: Option<Stage>,
    /// Where it stands since.
    pub to: Stage,
    /// Number of its activation, when it began to score with this entry.
    pub generation: Option<u64>,
    /// Why, in a sentence.
    pub why: String,
}

/// Which entries of the history to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(default, deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only of this package: its digest, or the first 8 or more digits of it.
    pub digest: Option<String>,
    /// Only of packages with this name.
    pub name: Option<String>,
    /// How many, 1 to 500; 50 when not given.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 500))]
    pub limit: Option<u32>,
    /// Where the previous page ended.
    #[cfg_attr(feature = "openapi", param(pattern = "^[0-9]{1,19}$"))]
    pub cursor: Option<String>,
}

/// How a shadow or a canary compares with the active detector of its name, since the package became shadow or canary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comparison {
    /// The package.
    pub candidate: DetectorRef,
    /// The active one it is compared with.
    pub active: DetectorRef,
    /// Since when, ms since the epoch.
    pub since: i64,
    /// Flows that the candidate scored.
    pub flows: u64,
    /// Flows that the candidate failed to score.
    pub failed: u64,
    /// Flows that were to be compared and were not, for want of time.
    pub skipped: u64,
    /// Share of the flows scored by both on which both say the same: above or below the own threshold. Absent for a
    /// canary, which scores other flows than the active one, and before the first flow.
    pub agreement: Option<f64>,
    /// Spearman's rank correlation of the scores, on flows scored by both.
    pub rank_correlation: Option<f64>,
    /// Largest distance of the two distributions of calibrated scores (Kolmogorov-Smirnov statistic), 0 to 1.
    pub distance: Option<f64>,
    /// The distance above which a canary is rolled back, with this number of flows.
    pub allowed_distance: Option<f64>,
    /// Flows above the threshold per day, at the rate seen: candidate and active.
    pub alerts_per_day: [Option<f64>; 2],
    /// Time of a call per row, nanoseconds: candidate and active.
    pub nanoseconds_per_row: [Option<f64>; 2],
    /// Time of a call, 99th percentile, microseconds: candidate and active.
    pub call_p99_us: [Option<f64>; 2],
    /// How often each calibrated score was given, in steps of equal width from 0 to 1: candidate and active.
    pub histogram: [Vec<u64>; 2],
    /// Flows by both scores: `grid[row][column]`, the row by the active one's calibrated score, the column by the
    /// candidate's, both in steps of equal width from 0 to 1. Empty for a canary.
    pub grid: Vec<Vec<u64>>,
}

/// What becomes of flows that a detector fails to score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// They wait; when it does not recover, the run stops.
    Closed,
    /// They pass without its score and are counted.
    Open,
    /// As `open`, and its instance is started again, after longer and longer waits; then it is quarantined.
    Reload,
}

impl FailurePolicy {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Reload => "reload",
        }
    }
}

/// A detector package as the host knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DetectorInfo {
    /// Name, version and digest.
    pub detector: DetectorRef,
    /// One sentence from its author.
    pub summary: String,
    /// SPDX licence expression.
    pub licence: String,
    /// Whether it says which columns drove a score.
    pub explains: bool,
    /// Whether it learns as it goes.
    pub learns: bool,
    /// Columns it reads.
    pub columns: Vec<String>,
    /// Size of the package in bytes.
    pub size: u64,
    /// Where it stands.
    pub stage: Stage,
    /// Since when, ms since the epoch.
    pub since: i64,
    /// What can be done with it now.
    pub next: Vec<Step>,
    /// A step that is under way.
    pub under_way: Option<Step>,
    /// Share of the flows it scores, as shadow or canary.
    pub share: Option<f64>,
    /// Why it stands where it stands, in a sentence: the last reason of its history.
    pub why: String,
    /// The package to which a rollback would go.
    pub previous: Option<DetectorRef>,
    /// What becomes of flows that it fails to score.
    pub on_failure: FailurePolicy,
    /// Score above which a flow is alerted, when there is one.
    pub threshold: Option<f32>,
    /// The card in the package, if there is one.
    pub card: Option<ModelCard>,
    /// Flows scored by this package since the program started.
    pub scored: u64,
    /// Flows it failed to score since the program started (they are counted, never lost from sight).
    pub failed: u64,
    /// Instances replaced after a trap or an overrun.
    pub replaced_instances: u64,
    /// Explanations that it failed to give; after eight since it was loaded it is asked for none.
    pub failed_explanations: u64,
    /// Mean cost of scoring one row, nanoseconds; absent before the first block.
    pub nanoseconds_per_row: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_messages() {
        for stage in Stage::ALL {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.name());
        }
        for step in Step::ALL {
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        }
        for policy in [FailurePolicy::Closed, FailurePolicy::Open, FailurePolicy::Reload] {
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.name());
        }
    }
}
