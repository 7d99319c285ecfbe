//! The rows by falling score, from which every figure is counted.

use serde::Serialize;

use super::{Evaluation, MetricsError, Thresholds};

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

/// Rows of one score.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) score: f32,
    pub(super) attacks: u32,
    pub(super) ordinary: u32,
}

/// The rows by falling score, equal scores together.
#[derive(Debug, Clone)]
pub struct Curve {
    /// A step may hold no row, in a sample that was drawn with replacement.
    pub(super) steps: Vec<Step>,
    pub(super) attacks: usize,
    pub(super) ordinary: usize,
}

impl Curve {
    /// Sorts the rows.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn new(scores: &[f32], attack: &[bool]) -> Result<Self, MetricsError> {
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

    /// Every figure that needs no categories.
    pub(super) fn evaluate(&self, thresholds: &Thresholds) -> Evaluation {
        let at = |threshold: Option<f32>| threshold.map(|threshold| self.point_at_threshold(threshold));
        Evaluation {
            rows: self.attacks + self.ordinary,
            attacks: self.attacks,
            auroc: self.auroc(),
            auprc: self.auprc(),
            at_fpr_0_1: self.point_at_fpr(0.001),
            at_fpr_1: self.point_at_fpr(0.01),
            at_fpr_5: self.point_at_fpr(0.05),
            at_p95: at(thresholds.p95),
            at_p99: at(thresholds.p99),
            at_threshold: at(thresholds.model),
            categories: Vec::new(),
        }
    }

    /// Area under the ROC curve, ties counting half: the statistic of Mann and Whitney over the number of pairs.
    pub fn auroc(&self) -> f64 {
        let (mut area, mut attacks_above) = (0.0, 0.0);
        for step in &self.steps {
            let attacks = f64::from(step.attacks);
            area += f64::from(step.ordinary) * (attacks_above + attacks / 2.0);
            attacks_above += attacks;
        }
        area / (self.attacks as f64 * self.ordinary as f64)
    }

    /// Average precision: precision at each distinct score, weighted by the recall gained there.
    pub fn auprc(&self) -> f64 {
        let (mut sum, mut found, mut taken) = (0.0, 0_u64, 0_u64);
        for step in &self.steps {
            found += u64::from(step.attacks);
            taken += u64::from(step.attacks) + u64::from(step.ordinary);
            if step.attacks > 0 {
                sum += f64::from(step.attacks) * found as f64 / taken as f64;
            }
        }
        sum / self.attacks as f64
    }

    /// The point with the most attacks found among those with a false positive rate of at most `limit`.
    pub fn point_at_fpr(&self, limit: f64) -> OperatingPoint {
        let (mut found, mut wrong) = (0, 0);
        for step in &self.steps {
            let ordinary = step.ordinary as usize;
            if (wrong + ordinary) as f64 > limit * self.ordinary as f64 {
                // This score and all below are left out.
                return self.point(step.score, found, wrong);
            }
            found += step.attacks as usize;
            wrong += ordinary;
        }
        self.point(f32::NEG_INFINITY, found, wrong)
    }

    /// The point of a threshold.
    pub fn point_at_threshold(&self, threshold: f32) -> OperatingPoint {
        let above = self.steps.iter().take_while(|step| step.score > threshold);
        let (found, wrong) = above.fold((0, 0), |(found, wrong), step| {
            (found + step.attacks as usize, wrong + step.ordinary as usize)
        });
        self.point(threshold, found, wrong)
    }

    /// Every point of the curve, by falling threshold: rates rise from 0 to 1.
    pub fn points(&self) -> impl Iterator<Item = OperatingPoint> {
        let mut next_scores = self.steps.iter().skip(1).map(|step| step.score);
        let (mut found, mut wrong) = (0, 0);
        let first = self.point(self.steps.first().map_or(0.0, |step| step.score), 0, 0);
        std::iter::once(first).chain(self.steps.iter().map(move |step| {
            found += step.attacks as usize;
            wrong += step.ordinary as usize;
            self.point(next_scores.next().unwrap_or(f32::NEG_INFINITY), found, wrong)
        }))
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
