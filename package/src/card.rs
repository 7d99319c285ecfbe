//! The model card: how a model was made and how good it is, as JSON inside a package.
//!
//! A card is a file format with its own version number. People and other programs write cards too, so no code relies on
//! a card before [`ModelCard::check`] has compared its fields with each other and with the schema. Messages of the HTTP
//! API show cards as they are.

mod check;
mod markdown;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use check::CardError;
pub(crate) use check::{known_schema, known_schemas};

/// Suffix of the names of figures measured on distinct rows, where equal rows count once.
pub const DISTINCT: &str = "_distinct";
/// Suffix of the names of figures of a model trained without the columns that give the label away.
pub const WITHOUT_TTL: &str = "_without_ttl";

/// Prefix of a note about a choice that labelled rows steered, e.g. the choice of the columns.
pub const STEERED: &str = "Steered: ";

/// How a model was made and how good it is: the `card` of a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// The number of the card's format: 1.
    pub format: u32,
    /// The name under which the package scores, in place of the component's name, so that several models of one method
    /// can score side by side. Lower-case ASCII letters, digits and hyphens; 1 to 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The component that reads the artifact, e.g. `onnx`; the isolation forest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// Schema the model was trained in, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// The training data in words, with its licence.
    pub data: String,
    /// Number of training rows.
    pub rows: u64,
    /// Features that the model reads, in its order; the context is not among them.
    pub columns: Vec<String>,
    /// The method with all its options; with the same rows and seed they give the same model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub training: Option<serde_json::Value>,
    /// Seed of the training.
    pub seed: u64,
    /// Day of the training, `YYYY-MM-DD`, of the years 2000 to 2099.
    pub date: String,
    /// Score above which a flow raises an alert; absent when nobody chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Where the threshold comes from, or why there is none, in words.
    pub threshold_rule: String,
    /// Raw scores of held-out ordinary rows at the quantiles 0, 0.01, ..., 1: 101 values, rising; empty when nobody
    /// measured them.
    pub calibration: Vec<f32>,
    /// The calibration beyond the 99th percentile; absent when nobody measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<CalibrationTail>,
    /// Distributions of ordinary rows, for drift; absent when nobody measured them. The key in the file is `baseline`.
    #[serde(rename = "baseline", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ReferenceDistributions>,
    /// Measured figures by name (e.g. `auroc`, `auroc_without_ttl`).
    pub figures: BTreeMap<String, f64>,
    /// What to know before trusting the figures.
    pub notes: Vec<String>,
}

/// How the scores of held-out ordinary rows end: quantiles beyond the 99th percentile as far as the rows support them,
/// and a generalised Pareto distribution beyond the last of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct TailPoint {
    /// Share of ordinary rows above the score, above 0 and below 0.01.
    pub share: f64,
    /// Raw score.
    pub score: f32,
}

/// The distribution of ordinary rows, column by column, in bins: the reference that traffic is compared with later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReferenceDistributions {
    /// Rows it was counted on.
    pub rows: u64,
    /// Flows per day of the traffic that the rows come from, where their times are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_per_day: Option<f64>,
    /// The columns that the model reads.
    pub columns: Vec<ColumnDistribution>,
}

/// The distribution of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ColumnDistribution {
    /// Name of the column.
    pub column: String,
    /// Upper ends of the bins of a numeric column, rising: a value falls into the first bin whose end is not below the
    /// value. One more bin takes the values above all ends. Empty for a nominal column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f32>,
    /// Terms of a nominal column, the commonest first, a bin each, and one more bin for all others. Empty for a numeric
    /// column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// Share of the rows in each bin, rounded to 0.0001: one number more than there are edges or terms.
    pub shares: Vec<f32>,
}

impl ModelCard {
    /// The format that this crate reads and writes. Adding or dropping a field, or changing its meaning, makes a new
    /// format.
    pub const FORMAT: u32 = 1;

    /// Reads a card from JSON. [`ModelCard::check`] finds out whether the card is consistent.
    ///
    /// # Errors
    /// [`CardError::Unreadable`] when the text is not a card, [`CardError::Format`] when the card has another format.
    pub fn from_json(json: &[u8]) -> Result<Self, CardError> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| CardError::Unreadable(error.to_string());
        let Head { format } = serde_json::from_slice(json).map_err(unreadable)?;
        if format != Self::FORMAT {
            return Err(CardError::Format { found: format });
        }
        serde_json::from_slice(json).map_err(unreadable)
    }

    /// The card as JSON, the form that travels in a package.
    ///
    /// # Errors
    /// When a number of the card is not finite, which JSON cannot write.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| on_one_line(&json))
    }

    /// The choices that labelled rows steered, if the card declares any: the note that begins with [`STEERED`], without
    /// that word.
    pub fn steered(&self) -> Option<&str> {
        self.notes.iter().find_map(|note| note.strip_prefix(STEERED))
    }
}

/// Puts every list of numbers on one line: a card has hundreds of them, and people read it.
fn on_one_line(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut lines = json.lines().peekable();
    while let Some(line) = lines.next() {
        text.push_str(line);
        let is_number = |line: &&str| {
            line.trim_start()
                .starts_with(|first: char| first == '-' || first.is_ascii_digit())
        };
        if line.ends_with('[') && lines.peek().is_some_and(is_number) {
            while let Some(number) = lines.next_if(is_number) {
                text.push_str(number.trim_start());
                text.push_str(if number.ends_with(',') { " " } else { "" });
            }
            // The bracket that ends the list.
            text.push_str(lines.next().unwrap_or_default().trim_start());
        }
        text.push('\n');
    }
    text
}
