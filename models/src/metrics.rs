//! How well scores set attacks apart from ordinary flows.
//!
//! A row counts as anomalous when its score lies above the threshold. Rows of equal score are always taken
//! together, so that no figure depends on the order of rows.

use std::collections::BTreeMap;

use serde::Serialize;

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

/// A threshold and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Scores above this are anomalous.
    pub threshold: f32,
    /// Share of the attacks that are found.
    pub tpr: f64,
    /// Share of the ordinary flows that are taken for attacks.
    pub fpr: f64,
    /// Share of attacks among what is found; 1 when nothing is.
    pub precision: f64,
    /// Harmonic mean of precision and `tpr`.
    pub f1: f64,
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
    /// The best point with at most 1 % false positives.
    pub at_fpr_1: OperatingPoint,
    /// The best point with at most 5 % false positives.
    pub at_fpr_5: OperatingPoint,
    /// The point of the model's own threshold.
    pub at_threshold: Option<OperatingPoint>,
    /// Recall of each kind of attack, by name.
    pub categories: Vec<CategoryRecall>,
}

/// Judges scores by labels. `categories` names the kind of each row (ordinary rows are left out), and
/// `threshold` is that of the model.
///
/// # Errors
/// [`MetricsError`].
pub fn evaluate(
    scores: &[f32],
    attack: &[bool],
    categories: Option<&[String]>,
    threshold: Option<f32>,
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
    let at_fpr_1 = curve.point_at_fpr(0.01);
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
    let recall = |scores: &[f32], threshold: f32| {
        scores.iter().filter(|&&score| score > threshold).count() as f64 / scores.len() as f64
    };
    Ok(Evaluation {
        rows: scores.len(),
        attacks: curve.attacks,
        auroc: curve.auroc(),
        auprc: curve.auprc(),
        at_fpr_1,
        at_fpr_5: curve.point_at_fpr(0.05),
        at_threshold: threshold.map(|threshold| curve.point_at_threshold(threshold)),
        categories: by_category
            .into_iter()
            .map(|(category, scores)| CategoryRecall {
                category: category.to_owned(),
                rows: scores.len(),
                recall_at_fpr_1: recall(&scores, at_fpr_1.threshold),
                recall_at_threshold: threshold.map(|threshold| recall(&scores, threshold)),
            })
            .collect(),
    })
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

/// The point with the most attacks found among those with a false positive rate of at most `fpr`.
///
/// # Errors
/// [`MetricsError`].
pub fn tpr_at_fpr(scores: &[f32], attack: &[bool], fpr: f64) -> Result<OperatingPoint, MetricsError> {
    Ok(Curve::new(scores, attack)?.point_at_fpr(fpr))
}

/// Rows of one score.
struct Step {
    score: f32,
    attacks: usize,
    ordinary: usize,
}

/// The rows by falling score, equal scores together.
struct Curve {
    steps: Vec<Step>,
    attacks: usize,
    ordinary: usize,
}

impl Curve {
    fn new(scores: &[f32], attack: &[bool]) -> Result<Self, MetricsError> {
        if scores.len() != attack.len() {
            return Err(MetricsError::Length {
                scores: scores.len(),
                labels: attack.len(),
            });
        }
        if let Some(row) = scores.iter().position(|score| score.is_nan()) {
            return Err(MetricsError::NotANumber { row });
        }
        let attacks = attack.iter().filter(|&&attack| attack).count();
        if attacks == 0 || attacks == attack.len() {
            return Err(MetricsError::OneClass {
                attacks,
                rows: attack.len(),
            });
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let mut steps: Vec<Step> = Vec::new();
        for row in order {
            // Numerical equality: -0 and 0 are one score.
            if steps.last().is_none_or(|step| step.score != scores[row]) {
                steps.push(Step {
                    score: scores[row],
                    attacks: 0,
                    ordinary: 0,
                });
            }
            let step = steps.last_mut().expect("one was pushed");
            if attack[row] {
                step.attacks += 1;
            } else {
                step.ordinary += 1;
            }
        }
        Ok(Self {
            steps,
            attacks,
            ordinary: attack.len() - attacks,
        })
    }

    fn auroc(&self) -> f64 {
        let (mut area, mut attacks_above) = (0.0, 0.0);
        for step in &self.steps {
            let attacks = step.attacks as f64;
            area += step.ordinary as f64 * (attacks_above + attacks / 2.0);
            attacks_above += attacks;
        }
        area / (self.attacks as f64 * self.ordinary as f64)
    }

    fn auprc(&self) -> f64 {
        let (mut sum, mut found, mut taken) = (0.0, 0, 0);
        for step in &self.steps {
            found += step.attacks;
            taken += step.attacks + step.ordinary;
            sum += step.attacks as f64 * found as f64 / taken as f64;
        }
        sum / self.attacks as f64
    }

    fn point_at_fpr(&self, limit: f64) -> OperatingPoint {
        let (mut found, mut wrong) = (0, 0);
        for step in &self.steps {
            if (wrong + step.ordinary) as f64 > limit * self.ordinary as f64 {
                // This score and all below are left out.
                return self.point(step.score, found, wrong);
            }
            found += step.attacks;
            wrong += step.ordinary;
        }
        self.point(f32::NEG_INFINITY, found, wrong)
    }

    fn point_at_threshold(&self, threshold: f32) -> OperatingPoint {
        let above = self.steps.iter().take_while(|step| step.score > threshold);
        let (found, wrong) = above.fold((0, 0), |(found, wrong), step| {
            (found + step.attacks, wrong + step.ordinary)
        });
        self.point(threshold, found, wrong)
    }

    fn point(&self, threshold: f32, found: usize, wrong: usize) -> OperatingPoint {
        let taken = found + wrong;
        OperatingPoint {
            threshold,
            tpr: found as f64 / self.attacks as f64,
            fpr: wrong as f64 / self.ordinary as f64,
            precision: if taken == 0 {
                1.0
            } else {
                found as f64 / taken as f64
            },
            f1: 2.0 * found as f64 / (taken + self.attacks) as f64,
        }
    }
}
