//! Thresholds that people set, and how far traffic has drifted.

use serde::{Deserialize, Serialize};

use crate::detector::DetectorRef;

/// The threshold of a detector's name, or of the fused verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ThresholdInfo {
    /// Name of the detector, or `fused`.
    pub name: String,
    /// The rule, as it was given: `10/day`, `fpr:0.001`, `p99.9`, a score, `card`, or `off`.
    pub rule: String,
    /// Where the rule comes from: `card`, `settings`, `history` when it was set in the running program, or `tried` when it
    /// was only asked about.
    pub origin: String,
    /// The score above which a flow is alerted; absent when no flow is. Of the fused verdict it is the negative decimal
    /// logarithm of the share of ordinary flows that may exceed it: 3 is 1 in 1,000.
    pub score: Option<f32>,
    /// Share of ordinary flows above that score, by the calibration of the model card.
    pub exceedance: Option<f64>,
    /// Flows per day that the score was derived with, where the rule takes them.
    pub flows_per_day: Option<f64>,
    /// Why the rule is not in force yet, in a sentence; the threshold of the model card stands in.
    pub pending: Option<String>,
    /// What the threshold would have raised in the last 24 hours; only in the answer about one threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yesterday: Option<Yesterday>,
}

/// What a threshold would have raised on stored flows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Yesterday {
    /// Time of the flows, ms since the epoch: up to 24 hours before the newest one.
    pub from: i64,
    /// Time of the newest flow, ms since the epoch.
    pub until: i64,
    /// Flows in this time that the package now active has scored.
    pub flows: u64,
    /// Of these, flows above the threshold.
    pub above: u64,
    /// Alerts that these flows make: flows of one source, kind and window of time are one alert.
    pub alerts: u64,
    /// Whether all flows of the 24 hours were looked at; with very many, the newest are.
    pub complete: bool,
}

/// A threshold to be set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ThresholdRequest {
    /// The rule: `10/day`, `fpr:0.001` or `0.1%`, `p99.9`, a score, `card`, or `off`.
    #[cfg_attr(
        feature = "openapi",
        schema(
            pattern = "^(card|off|[1-9][0-9]{0,8}/day|fpr:0\\.[0-4][0-9]{0,8}[1-9]|0?\\.[0-9]{0,8}[1-9]%|p[5-9][0-9](\\.[0-9]{1,8})?|[0-9]{1,9}(\\.[0-9]{1,9})?)$"
        )
    )]
    pub rule: String,
    /// Who asks, for the history; at most 128 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 128))]
    pub by: Option<String>,
    /// Why, for the history; at most 1,024 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 1024))]
    pub why: Option<String>,
}

/// How far traffic is from what a model was trained on: population stability indices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Drift {
    /// The package.
    pub detector: DetectorRef,
    /// Whether its card has reference distributions; without them nothing is measured.
    #[serde(rename = "has_baseline")]
    pub has_reference: bool,
    /// Flows in a window.
    pub window: u32,
    /// Flows counted in the window under way.
    pub counting: u32,
    /// Flows behind the indices below: those of the last whole window, or before the first whole window those counted
    /// so far.
    pub flows: u32,
    /// When they were taken, ms since the epoch; absent before there are enough flows.
    pub at: Option<i64>,
    /// Index of the calibrated score.
    pub score: Option<f64>,
    /// Index of each column, in the order of the card.
    pub columns: Vec<ColumnDrift>,
    /// Below it a distribution counts as the same.
    pub small: f64,
    /// Above it a distribution counts as another.
    pub large: f64,
}

/// The population stability index of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ColumnDrift {
    /// Name of the column.
    pub column: String,
    /// The index, 0 for the same distribution.
    pub index: f64,
}
