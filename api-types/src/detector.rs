//! Detectors and their packages.

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
}

/// Where a package stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DetectorStatus {
    /// It scores flows.
    Active,
    /// It is known and can be activated.
    Available,
}

/// How a model was made and how good it is: the `card` of a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelCard {
    /// Schema the model was trained in, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// What it was trained on, in words, with the licence of the data.
    pub data: String,
    /// Number of training rows.
    pub rows: u64,
    /// Columns it reads.
    pub columns: Vec<String>,
    /// Seed of the training.
    pub seed: u64,
    /// Day of the training, `YYYY-MM-DD`.
    pub date: String,
    /// Score above which a flow raises an alert.
    pub threshold: f32,
    /// Where the threshold comes from, in words.
    pub threshold_rule: String,
    /// Raw scores of held-out ordinary rows at the quantiles 0, 0.01, ..., 1: 101 values, rising.
    pub calibration: Vec<f32>,
    /// Measured figures by name (e.g. `auroc`, `auroc_without_ttl`).
    pub figures: std::collections::BTreeMap<String, f64>,
    /// What to know before trusting the figures.
    pub notes: Vec<String>,
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
    pub status: DetectorStatus,
    /// The card in the package, if there is one.
    pub card: Option<ModelCard>,
    /// Flows scored by this package since the program started.
    pub scored: u64,
    /// Flows it failed to score since the program started (they are counted, never lost from sight).
    pub failed: u64,
    /// Instances replaced after a trap or an overrun.
    pub replaced_instances: u64,
    /// Mean cost of scoring one row, nanoseconds; absent before the first block.
    pub nanoseconds_per_row: Option<f64>,
}

/// What an activation did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Activated {
    /// The package that now scores.
    pub active: DetectorRef,
    /// The package it replaced, if one of that name was active.
    pub replaced: Option<DetectorRef>,
}
