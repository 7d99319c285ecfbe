//! How far figures can be trusted: what they would be on other rows of the same kind.
//!
//! The percentile bootstrap of Efron (1979), stratified: each sample draws as many attacks among the attacks and as
//! many ordinary rows among the ordinary ones as there are, with replacement. The interval holds the middle 95 % of
//! what the samples give. The interval covers the chance in the choice of rows. It covers neither the chance of the
//! training nor another network, and dependent rows (flows of one attack) make it too narrow.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Curve, MetricsError, Thresholds};

/// Lower and upper end of the interval of each figure, by the names of [`super::Evaluation::named`].
pub type Intervals = BTreeMap<String, [f64; 2]>;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// Number of samples; 1,000 settle the ends of an interval to about a tenth of its width.
    pub samples: u32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            samples: 1_000,
            seed: 1,
        }
    }
}

/// The 95 % intervals of the figures of scores; empty without samples.
///
/// # Errors
/// [`MetricsError`].
pub fn intervals(
    scores: &[f32],
    attack: &[bool],
    thresholds: &Thresholds,
    bootstrap: Bootstrap,
) -> Result<Intervals, MetricsError> {
    let curve = Curve::new(scores, attack)?;
    // Where each row of a class lies among the steps, so that drawing a row is drawing a position.
    let (mut attacks, mut ordinary) = (
        Vec::with_capacity(curve.attacks),
        Vec::with_capacity(curve.ordinary),
    );
    for (index, step) in (0_u32..).zip(&curve.steps) {
        attacks.extend(std::iter::repeat_n(index, step.attacks as usize));
        ordinary.extend(std::iter::repeat_n(index, step.ordinary as usize));
    }
    let mut random = ChaCha8Rng::seed_from_u64(bootstrap.seed);
    let mut sample = curve.clone();
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..bootstrap.samples {
        for step in &mut sample.steps {
            (step.attacks, step.ordinary) = (0, 0);
        }
        for _ in 0..attacks.len() {
            let step = attacks[random.random_range(0..attacks.len())];
            sample.steps[step as usize].attacks += 1;
        }
        for _ in 0..ordinary.len() {
            let step = ordinary[random.random_range(0..ordinary.len())];
            sample.steps[step as usize].ordinary += 1;
        }
        for (name, value) in sample.evaluate(thresholds).named() {
            values.entry(name).or_default().push(value);
        }
    }
    Ok(values
        .into_iter()
        .map(|(name, mut values)| {
            values.sort_by(f64::total_cmp);
            (name, [between(&values, 0.025), between(&values, 0.975)])
        })
        .collect())
}

/// The value at a share of rising values, interpolated between the two nearest.
fn between(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// The 95 % interval of a share counted on `rows` rows (Wilson, 1927), which also holds for few rows and for shares
/// near 0 or 1; `[0, 1]` without rows.
pub fn wilson(share: f64, rows: usize) -> [f64; 2] {
    /// The 0.975 quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    if rows == 0 {
        return [0.0, 1.0];
    }
    let rows = rows as f64;
    let scale = 1.0 + Z * Z / rows;
    let middle = (share + Z * Z / (2.0 * rows)) / scale;
    let reach = Z / scale * (share * (1.0 - share) / rows + Z * Z / (4.0 * rows * rows)).sqrt();
    [(middle - reach).max(0.0), (middle + reach).min(1.0)]
}
