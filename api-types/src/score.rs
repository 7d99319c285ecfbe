//! Scoring rows through the API.

use serde::{Deserialize, Serialize};

use crate::detector::DetectorRef;

/// A value of a row: a number, or the term of a nominal column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Value {
    /// A number; for a nominal column the code of a term.
    Number(f64),
    /// A term of a nominal column, e.g. `"tcp"`.
    Term(String),
}

/// Rows to be scored by every active detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScoreRequest {
    /// The schema of the rows, e.g. `unsw-nb15`.
    pub schema: String,
    /// The rows, each with all columns of the schema in its order; at most 10,000.
    pub rows: Vec<Vec<Value>>,
}

/// One row, in the form that the older prediction API took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SingleScoreRequest {
    /// All columns of `unsw-nb15` in its order.
    pub features: Vec<Value>,
}

/// The scores of one detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScoreResponse {
    /// The detector.
    pub detector: DetectorRef,
    /// Its threshold.
    pub threshold: f32,
    /// One score per row, in order.
    pub scores: Vec<f32>,
    /// Whether each row lies above the threshold.
    pub anomalous: Vec<bool>,
}
