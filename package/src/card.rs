//! The model card: how a model was made and how good it is, as JSON inside a package.
//!
//! A card is a file format. People and other programs write cards too, so nothing in one is believed before it is
//! checked; the messages of the HTTP API show cards as they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::name::is_detector_name;

/// How the names of figures end that are measured on rows of which equal ones count once.
pub const DISTINCT: &str = "_distinct";
/// How the names of figures end that belong to a model trained without the columns that give the label away.
pub const WITHOUT_TTL: &str = "_without_ttl";

/// How a note begins that says that labelled rows steered a choice, e.g. that of the columns.
pub const STEERED: &str = "Steered: ";

/// How a model was made and how good it is: the `card` of a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelCard {
    /// The name under which the package scores, in place of that of its component: several models of one method can
    /// then score side by side. Lower-case ASCII letters, digits and hyphens; 1 to 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The component that reads the artifact, e.g. `onnx`; the isolation forest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// Schema the model was trained in, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// What it was trained on, in words, with the licence of the data.
    pub data: String,
    /// Number of training rows.
    pub rows: u64,
    /// Columns it reads.
    pub columns: Vec<String>,
    /// The method and all its options, from which the same rows give the same model again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub training: Option<serde_json::Value>,
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
    /// How the calibration goes on beyond the 99th percentile; cards of earlier versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<CalibrationTail>,
    /// How ordinary rows are distributed, for drift; cards of earlier versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Measured figures by name (e.g. `auroc`, `auroc_without_ttl`).
    pub figures: BTreeMap<String, f64>,
    /// What to know before trusting the figures.
    pub notes: Vec<String>,
}

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

/// The card in a package is not a model card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model card in the package cannot be read: {message}; pack it again with the card that its training wrote"
)]
pub struct CardError {
    /// What is wrong.
    pub message: String,
}

impl ModelCard {
    /// Reads a card from JSON.
    ///
    /// # Errors
    /// When the text is not a card, or its name cannot be that of a detector.
    pub fn from_json(json: &[u8]) -> Result<Self, CardError> {
        let card: Self = serde_json::from_slice(json).map_err(|error| CardError {
            message: error.to_string(),
        })?;
        match &card.name {
            // It becomes the name of a detector, so it keeps to the contract's rule for those.
            Some(name) if !is_detector_name(name) => Err(CardError {
                message: format!("its name {name:?} is not 1 to 64 of a-z, 0-9 and -"),
            }),
            _ => Ok(card),
        }
    }

    /// The card as JSON, the form that travels in a package.
    ///
    /// # Errors
    /// When a number of the card is not finite, which JSON cannot write.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| on_one_line(&json))
    }

    /// The card for people, in Markdown.
    pub fn to_markdown(&self, title: &str) -> String {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("a string takes every write");
            text.push('\n');
        };
        line(format_args!("# {title}\n"));
        line(format_args!("| | |\n|---|---|"));
        line(format_args!("| Schema | {} |", self.schema));
        line(format_args!("| Data | {} |", self.data));
        line(format_args!("| Training rows | {} |", self.rows));
        line(format_args!("| Seed | {} |", self.seed));
        line(format_args!("| Date | {} |", self.date));
        line(format_args!(
            "| Threshold | {}: {} |",
            self.threshold, self.threshold_rule
        ));
        line(format_args!(
            "\nColumns ({}): {}\n",
            self.columns.len(),
            self.columns.join(", ")
        ));
        if !self.figures.is_empty() {
            line(format_args!(
                "## Figures\n\n{}",
                figures(&self.figures).trim_end()
            ));
        }
        if !self.notes.is_empty() {
            line(format_args!("\n## Notes\n"));
            for note in &self.notes {
                line(format_args!("- {note}"));
            }
        }
        text
    }

    /// What labelled rows steered, when the card declares it: the note that begins with [`STEERED`], without that word.
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

/// One row for each figure, one column for each condition that has any.
fn figures(figures: &BTreeMap<String, f64>) -> String {
    let conditions = [
        ("value", String::new()),
        ("without TTL", WITHOUT_TTL.to_owned()),
        ("distinct rows", DISTINCT.to_owned()),
        ("distinct rows, without TTL", format!("{DISTINCT}{WITHOUT_TTL}")),
    ];
    let mut rows: BTreeMap<&str, [Option<f64>; 4]> = BTreeMap::new();
    for (name, &value) in figures {
        // The longest ending that fits: every name ends with nothing.
        let (at, base) = (0..4)
            .filter_map(|at| Some((at, name.strip_suffix(conditions[at].1.as_str())?)))
            .min_by_key(|(_, base)| base.len())
            .unwrap_or((0, name));
        rows.entry(base).or_default()[at] = Some(value);
    }
    let used: Vec<usize> = (0..4)
        .filter(|&at| rows.values().any(|values| values[at].is_some()))
        .collect();
    let mut text = String::from("| figure |");
    for &at in &used {
        text += &format!(" {} |", conditions[at].0);
    }
    text += &format!("\n|---|{}\n", "---|".repeat(used.len()));
    for (name, values) in rows {
        text += &format!("| {name} |");
        for &at in &used {
            text += &values[at].map_or_else(|| " |".to_owned(), |value| format!(" {value:.4} |"));
        }
        text.push('\n');
    }
    text
}
