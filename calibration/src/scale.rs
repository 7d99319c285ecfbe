//! The calibrated scale: how rare a raw score is among ordinary flows.
//!
//! A card holds quantiles of the scores of held-out ordinary rows. Between two quantiles the share of rows above a
//! score is linear. Beyond the last one it follows a generalised Pareto distribution (J. Pickands, "Statistical
//! inference using extreme order statistics", Annals of Statistics 3, 1975): what exceeds a high threshold is
//! distributed so, whatever the scores are, as the threshold rises. So the share falls strictly, even beyond the
//! largest score seen, and 1 in 10,000 can be told from 1 in 1,000,000.

use netsage_package::{CalibrationTail, ModelCard, TailPoint};
use std::f64::consts::LN_10;

/// Shares of held-out rows beyond a quantile that a card holds where the rows support them.
const TAIL_SHARES: [f64; 12] = [
    0.005, 0.002, 0.001, 0.000_5, 0.000_2, 0.000_1, 0.000_05, 0.000_02, 0.000_01, 0.000_005, 0.000_002,
    0.000_001,
];
/// Rows that must lie beyond a quantile: with fewer rows, a quantile says more about these rows than about the traffic.
const FEWEST_BEYOND: f64 = 5.0;
/// Share of the rows whose excess gives the distribution beyond the last quantile.
const EXCESS_SHARE: f64 = 0.05;
/// Bounds of the shape. The lower bound keeps scores above the largest one seen possible; above the upper bound the
/// distribution has hardly a mean.
const SHAPE: [f64; 2] = [0.05, 0.9];

/// The calibrated scale of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Quantiles, rising.
    scores: Vec<f32>,
    /// Share of ordinary rows above each, falling from 1.
    shares: Vec<f64>,
    scale: f64,
    shape: f64,
}

impl Scale {
    /// The scale of a card; `None` when the card has no calibration or its quantiles do not rise.
    ///
    /// For a card without a tail, the share above its largest score is taken to be a tenth of the last step's share (1
    /// in 1,000 with 101 quantiles), and the excess beyond to have the smallest shape, which is nearly exponential.
    pub fn of(card: &ModelCard) -> Option<Self> {
        Self::new(&card.calibration, card.tail.as_ref())
    }

    /// The scale of these quantiles, in steps of equal share, and of the tail beyond the last one.
    pub fn new(calibration: &[f32], tail: Option<&CalibrationTail>) -> Option<Self> {
        let steps = calibration.len().checked_sub(1).filter(|steps| *steps > 0)?;
        if !calibration.iter().all(|score| score.is_finite()) || !calibration.is_sorted() {
            return None;
        }
        let share_at = |step: usize| 1.0 - step as f64 / steps as f64;
        let mut scores = calibration[..steps].to_vec();
        let mut shares: Vec<f64> = (0..steps).map(share_at).collect();
        if let Some(tail) = tail.filter(|tail| tail.check(scores[steps - 1], shares[steps - 1]).is_ok()) {
            scores.extend(tail.points.iter().map(|point| point.score));
            shares.extend(tail.points.iter().map(|point| point.share));
            return Some(Self {
                scores,
                shares,
                scale: f64::from(tail.scale),
                shape: f64::from(tail.shape),
            });
        }
        let largest = calibration[steps];
        let share = 0.1 / steps as f64;
        scores.push(largest);
        shares.push(share);
        // The step at or below the excess of a twentieth of the rows.
        let from = ((1.0 - EXCESS_SHARE) * steps as f64) as usize;
        let width = f64::from(largest) - f64::from(calibration[from]);
        let scale = width / libm::log(share_at(from) / share).max(1.0);
        Some(Self {
            scores,
            shares,
            scale: positive(scale, largest),
            shape: SHAPE[0],
        })
    }

    /// The share of ordinary flows with a higher score, as far as the held-out rows tell: 1 below all of their scores,
    /// falling strictly from the smallest one on, never 0.
    pub fn exceedance(&self, score: f32) -> f64 {
        match self.place(score) {
            Place::Below => 1.0,
            Place::Within(share) => share,
            Place::Beyond(_) => libm::exp(-self.surprise(score) * LN_10).max(f64::MIN_POSITIVE),
        }
    }

    /// The negative decimal logarithm of [`Self::exceedance`], which rises with the score: every flow has at least 0,
    /// and 1 in 1,000 ordinary flows exceeds 3.
    pub fn surprise(&self, score: f32) -> f64 {
        match self.place(score) {
            Place::Below => 0.0,
            Place::Within(share) => -libm::log10(share),
            Place::Beyond(excess) => {
                let last = self.shares.last().copied().unwrap_or(1.0);
                libm::log1p(self.shape * excess / self.scale) / self.shape / LN_10 - libm::log10(last)
            }
        }
    }

    /// The percentile of a score among those of ordinary flows, 0 to 1.
    pub fn percentile(&self, score: f32) -> f32 {
        (1.0 - self.exceedance(score)) as f32
    }

    /// The score that this share of ordinary flows exceeds: the inverse of [`Self::exceedance`]. Of several such scores
    /// it is the smallest; a share outside of 0 to 1 is clamped to that range.
    pub fn score_exceeded_by(&self, share: f64) -> f32 {
        let share = share.clamp(f64::MIN_POSITIVE, 1.0);
        let (first, last) = (self.scores[0], self.shares.len() - 1);
        if share < self.shares[last] {
            let ratio = libm::pow(self.shares[last] / share, self.shape);
            let score = f64::from(self.scores[last]) + self.scale / self.shape * (ratio - 1.0);
            return (score as f32).min(f32::MAX);
        }
        // The first quantile that no more than this share exceeds.
        let at = self.shares.partition_point(|above| *above > share);
        if at == 0 {
            return first;
        }
        let (before, after) = (self.shares[at - 1], self.shares[at]);
        let part = (before - share) / (before - after);
        let (low, high) = (f64::from(self.scores[at - 1]), f64::from(self.scores[at]));
        (low + part * (high - low)) as f32
    }

    fn place(&self, score: f32) -> Place {
        let above = self.scores.partition_point(|quantile| *quantile <= score);
        if above == 0 {
            return Place::Below;
        }
        let low = f64::from(self.scores[above - 1]);
        let Some(high) = self.scores.get(above).copied().map(f64::from) else {
            return Place::Beyond(f64::from(score) - low);
        };
        // `low <= score < high`, so the width is not zero.
        let within = (f64::from(score) - low) / (high - low);
        let (before, after) = (self.shares[above - 1], self.shares[above]);
        Place::Within(before + within * (after - before))
    }
}

/// Where a score lies.
enum Place {
    /// Below all quantiles.
    Below,
    /// Between two; the share above it.
    Within(f64),
    /// At or beyond the last one, by so much.
    Beyond(f64),
}

/// A scale that is above 0, so that the order of scores survives where all held-out scores were equal.
fn positive(scale: f64, near: f32) -> f64 {
    if scale.is_finite() && scale > 0.0 {
        scale
    } else {
        f64::from(near.abs()).max(1.0) * 1e-3
    }
}

/// The tail of a calibration: quantiles beyond the 99th percentile that at least 5 rows exceed, and the distribution
/// beyond the last of them. `scores` are those of held-out ordinary rows, rising; `None` with fewer than 20 of them.
///
/// Shape and scale come from what exceeds the 95th percentile, by the method of probability-weighted moments (J. Hosking
/// and J. Wallis, "Parameter and quantile estimation for the generalized Pareto distribution", Technometrics 29, 1987),
/// the shape held within 0.05 and 0.9; beyond a higher threshold the distribution has the same shape, and a scale that
/// is larger by the shape times the distance.
pub fn fit_tail(scores: &[f32]) -> Option<CalibrationTail> {
    let rows = scores.len();
    let quantile = |share: f64| {
        let position = ((1.0 - share) * (rows - 1) as f64).round() as usize;
        scores.get(position).copied().unwrap_or_default()
    };
    let beyond = (EXCESS_SHARE * rows as f64) as usize;
    if beyond == 0 || !scores.is_sorted() || !scores.iter().all(|score| score.is_finite()) {
        return None;
    }
    let points: Vec<TailPoint> = TAIL_SHARES
        .into_iter()
        .filter(|share| share * rows as f64 >= FEWEST_BEYOND)
        .map(|share| TailPoint {
            share,
            score: quantile(share),
        })
        .collect();
    let start = f64::from(scores[rows - 1 - beyond]);
    let [scale, shape] = pareto(&scores[rows - beyond..], start);
    let last = points.last().map_or_else(|| quantile(0.01), |point| point.score);
    let scale = scale + shape * (f64::from(last) - start);
    Some(CalibrationTail {
        rows: rows as u64,
        points,
        scale: positive(scale, last) as f32,
        shape: shape as f32,
    })
}

/// Scale and shape of what exceeds `start`, from rising scores.
fn pareto(scores: &[f32], start: f64) -> [f64; 2] {
    let count = scores.len() as f64;
    let (mut mean, mut weighted) = (0.0, 0.0);
    for (index, score) in scores.iter().enumerate() {
        let excess = f64::from(*score) - start;
        mean += excess / count;
        // The plotting position of Hosking and Wallis.
        let below = (index as f64 + 1.0 - 0.35) / count;
        weighted += (1.0 - below) * excess / count;
    }
    let difference = mean - 2.0 * weighted;
    let shape = 2.0 - mean / difference;
    if difference > 0.0 && (SHAPE[0]..=SHAPE[1]).contains(&shape) {
        return [2.0 * mean * weighted / difference, shape];
    }
    // With the nearest shape allowed, the scale that keeps the mean.
    let shape = if difference > 0.0 {
        shape.clamp(SHAPE[0], SHAPE[1])
    } else {
        SHAPE[0]
    };
    [mean * (1.0 - shape), shape]
}
