//! How well scores set attacks apart from ordinary flows.
//!
//! A row counts as anomalous when its score lies above the threshold. Rows of equal score are always taken
//! together, so that no figure depends on the order of rows.
//!
//! [`evaluate`] gives the figures, [`intervals`] how far they can be trusted, [`Distinct`] the rows that are left
//! when repeated ones are counted once. Definitions are those of scikit-learn, against which the tests compare.

use netsage_package::ModelCard;
use std::collections::BTreeMap;

use serde::Serialize;

mod bootstrap;
mod curve;
mod distinct;

pub use bootstrap::{Bootstrap, Intervals, intervals, wilson};
pub use curve::{Curve, OperatingPoint};
pub use distinct::Distinct;

/// Why scores cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// Scores and labels do not belong together.
    #[error("{scores} scores do not belong to {labels} labels")]
    Length {
        /// Number of scores.
        scores: usize,
        /// Number of labels or categories.
        labels: usize,
    },
    /// A score is not a number.
    #[error("the score of row {row} is not a number")]
    NotANumber {
        /// Position of the row, from 0.
        row: usize,
    },
    /// One of the classes is empty.
    #[error("{attacks} attacks among {rows} rows: figures need both attacks and ordinary flows")]
    OneClass {
        /// Rows labelled as attack.
        attacks: usize,
        /// All rows.
        rows: usize,
    },
}

/// Thresholds that were fixed before the rows were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Thresholds {
    /// The 95th percentile of the scores of held-out ordinary training rows.
    pub p95: Option<f32>,
    /// The 99th percentile of the same scores.
    pub p99: Option<f32>,
    /// The threshold that the model comes with.
    pub model: Option<f32>,
}

impl Thresholds {
    /// The thresholds of a model: its own, and those that its calibration gives.
    pub fn of_card(card: &ModelCard) -> Self {
        let percentile = |index: usize| (card.calibration.len() == 101).then(|| card.calibration[index]);
        Self {
            p95: percentile(95),
            p99: percentile(99),
            model: card.threshold,
        }
    }

    /// The thresholds that scores of held-out ordinary rows give; none without scores.
    pub fn of_held_out(scores: &[f32]) -> Self {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f32::total_cmp);
        let at = |share| (!sorted.is_empty()).then(|| crate::preparation::quantile(&sorted, share));
        Self {
            p95: at(0.95),
            p99: at(0.99),
            model: None,
        }
    }
}

impl From<Option<f32>> for Thresholds {
    fn from(model: Option<f32>) -> Self {
        Self {
            model,
            ..Self::default()
        }
    }
}

/// How many rows of one kind of attack are found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CategoryRecall {
    /// Name of the kind, as the dataset writes it.
    pub category: String,
    /// Rows of it.
    pub rows: usize,
    /// Share found at the threshold that takes at most 1 % of the ordinary flows for attacks.
    pub recall_at_fpr_1: f64,
    /// Share found at the 95th percentile of held-out ordinary training rows.
    pub recall_at_p95: Option<f64>,
    /// Share found at the 99th percentile of held-out ordinary training rows.
    pub recall_at_p99: Option<f64>,
    /// Share found at the threshold of the model.
    pub recall_at_threshold: Option<f64>,
}

/// The figures of a detector on labelled rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Rows judged.
    pub rows: usize,
    /// Rows labelled as attack.
    pub attacks: usize,
    /// Area under the ROC curve: the chance that an attack scores higher than an ordinary flow, ties counting half.
    pub auroc: f64,
    /// Average precision.
    pub auprc: f64,
    /// The best point with at most 0.1 % false positives.
    pub at_fpr_0_1: OperatingPoint,
    /// The best point with at most 1 % false positives.
    pub at_fpr_1: OperatingPoint,
    /// The best point with at most 5 % false positives.
    pub at_fpr_5: OperatingPoint,
    /// The point of the 95th percentile of held-out ordinary training rows.
    pub at_p95: Option<OperatingPoint>,
    /// The point of the 99th percentile of held-out ordinary training rows.
    pub at_p99: Option<OperatingPoint>,
    /// The point of the model's own threshold.
    pub at_threshold: Option<OperatingPoint>,
    /// Recall of each kind of attack, by name.
    pub categories: Vec<CategoryRecall>,
}

impl Evaluation {
    /// Every figure but the recalls by kind of attack, by name: `auroc`, `auprc`, `tpr_at_fpr_0_1`, `tpr_at_fpr_1`,
    /// `tpr_at_fpr_5`, and `tpr`, `fpr`, `precision`, `f1` with `_at_p95`, `_at_p99` and `_at_threshold`.
    pub fn named(&self) -> Vec<(String, f64)> {
        let mut named = vec![
            ("auroc".to_owned(), self.auroc),
            ("auprc".to_owned(), self.auprc),
            ("tpr_at_fpr_0_1".to_owned(), self.at_fpr_0_1.tpr),
            ("tpr_at_fpr_1".to_owned(), self.at_fpr_1.tpr),
            ("tpr_at_fpr_5".to_owned(), self.at_fpr_5.tpr),
        ];
        for (suffix, point) in self.at_fixed() {
            for (figure, value) in [
                ("tpr", point.tpr),
                ("fpr", point.fpr),
                ("precision", point.precision),
                ("f1", point.f1),
            ] {
                named.push((format!("{figure}_at_{suffix}"), value));
            }
        }
        named
    }

    /// The points of thresholds that were fixed before: `p95`, `p99`, `threshold`.
    pub fn at_fixed(&self) -> impl Iterator<Item = (&'static str, OperatingPoint)> {
        [
            ("p95", self.at_p95),
            ("p99", self.at_p99),
            ("threshold", self.at_threshold),
        ]
        .into_iter()
        .filter_map(|(name, point)| Some((name, point?)))
    }
}

/// Judges scores by labels. `categories` names the kind of each row (ordinary rows are left out), and `thresholds` were
/// fixed before; a lone `Some(threshold)` is the threshold of the model.
///
/// # Errors
/// [`MetricsError`].
pub fn evaluate(
    scores: &[f32],
    attack: &[bool],
    categories: Option<&[String]>,
    thresholds: impl Into<Thresholds>,
) -> Result<Evaluation, MetricsError> {
    let curve = Curve::new(scores, attack)?;
    if let Some(categories) = categories
        && categories.len() != scores.len()
    {
        return Err(MetricsError::Length {
            scores: scores.len(),
            labels: categories.len(),
        });
    }
    let thresholds = thresholds.into();
    let mut evaluation = curve.evaluate(&thresholds);
    let mut by_category: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for ((category, &score), _) in categories
        .unwrap_or_default()
        .iter()
        .zip(scores)
        .zip(attack)
        .filter(|&(_, &attack)| attack)
    {
        by_category.entry(category.trim()).or_default().push(score);
    }
    let at_fpr_1 = evaluation.at_fpr_1.threshold;
    let recall = |scores: &[f32], threshold: f32| {
        scores.iter().filter(|&&score| score > threshold).count() as f64 / scores.len() as f64
    };
    evaluation.categories = by_category
        .into_iter()
        .map(|(category, scores)| CategoryRecall {
            category: category.to_owned(),
            rows: scores.len(),
            recall_at_fpr_1: recall(&scores, at_fpr_1),
            recall_at_p95: thresholds.p95.map(|threshold| recall(&scores, threshold)),
            recall_at_p99: thresholds.p99.map(|threshold| recall(&scores, threshold)),
            recall_at_threshold: thresholds.model.map(|threshold| recall(&scores, threshold)),
        })
        .collect();
    Ok(evaluation)
}

/// Area under the ROC curve, ties counting half.
///
/// # Errors
/// [`MetricsError`].
pub fn auroc(scores: &[f32], attack: &[bool]) -> Result<f64, MetricsError> {
    Ok(Curve::new(scores, attack)?.auroc())
}

/// Average precision: precision at each distinct score, weighted by the recall gained there.
///
/// # Errors
/// [`MetricsError`].
pub fn auprc(scores: &[f32], attack: &[bool]) -> Result<f64, MetricsError> {
    Ok(Curve::new(scores, attack)?.auprc())
}

/// Adds the figures of an evaluation to a card; figures of the same name are replaced. `suffix` names the conditions:
/// [`netsage_package::card::DISTINCT`], [`netsage_package::card::WITHOUT_TTL`] or both in this order, and nothing for the
/// model itself on all rows.
pub fn add_figures(card: &mut ModelCard, suffix: &str, evaluation: &Evaluation) {
    let mut add = |name: &str, value: f64| {
        card.figures.insert(format!("{name}{suffix}"), value);
    };
    for (name, value) in evaluation.named() {
        add(&name, value);
    }
    for category in &evaluation.categories {
        let name = category.category.to_lowercase().replace([' ', '-'], "_");
        add(&format!("recall_at_fpr_1_{name}"), category.recall_at_fpr_1);
    }
}
