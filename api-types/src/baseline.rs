//! What a model card says about ordinary traffic: how its scores end, and how its columns are distributed.

use serde::{Deserialize, Serialize};

/// How the scores of held-out ordinary rows end: quantiles beyond the 99th percentile as far as the rows support them,
/// and a generalised Pareto distribution beyond the last of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CalibrationTail {
    /// Held-out rows.
    pub rows: u64,
    /// Quantiles beyond the 99th percentile, the shares falling; each has at least 5 held-out rows beyond it.
    pub points: Vec<TailPoint>,
    /// Scale of the distribution of what exceeds the last point (or the 99th percentile where there is none), in units
    /// of the score; above 0.
    pub scale: f32,
    /// Its shape, 0.05 to 0.9: the larger, the slower large scores become rare.
    pub shape: f32,
}

/// A score, and the share of ordinary rows that exceed it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TailPoint {
    /// Share of ordinary rows above the score, above 0 and below 0.01.
    pub share: f64,
    /// Raw score.
    pub score: f32,
}

/// The distribution of ordinary rows, column by column, in bins: what traffic is compared with later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Baseline {
    /// Rows it was counted on.
    pub rows: u64,
    /// Flows per day of the traffic that the rows come from, where their times are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_per_day: Option<f64>,
    /// The columns that the model reads.
    pub columns: Vec<ColumnBaseline>,
}

/// The distribution of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ColumnBaseline {
    /// Name of the column.
    pub column: String,
    /// Upper ends of the bins of a numeric column, rising: a value falls into the first bin whose end is not below it,
    /// and into one more bin when it is above all. Empty for a nominal column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f32>,
    /// Terms of a nominal column, the commonest first, a bin each, and one more bin for all others. Empty for a numeric
    /// column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// Share of the rows in each bin, rounded to 0.0001: one more than edges or terms.
    pub shares: Vec<f32>,
}
