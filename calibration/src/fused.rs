//! One verdict of several detectors.
//!
//! The shares of ordinary flows above the scores of a flow are p-values, one per detector. Detectors look at the same
//! flow, so the p-values depend on each other in a way that nobody knows. Their geometric mean, times Euler's number,
//! is a p-value whatever the dependence (V. Vovk and R. Wang, "Combining p-values via averaging", Biometrika 107,
//! 2020): the verdict errs on the side of silence, and its threshold needs no training.

use std::f64::consts::LOG10_E;

/// The name by which thresholds and alerts call the fused verdict.
pub const NAME: &str = "fused";

/// The surprise of all detectors together: the mean of their surprises, less the decimal logarithm of Euler's number
/// when there are several detectors. At most one in `10^surprise` ordinary flows exceeds the result. `None` without any
/// detector.
pub fn surprise(of_each: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for surprise in of_each {
        sum += surprise;
        count += 1;
    }
    match count {
        0 => None,
        1 => Some(sum),
        _ => Some((sum / f64::from(count) - LOG10_E).max(0.0)),
    }
}

/// The surprise that at most this share of ordinary flows exceeds: the threshold of the fused verdict.
pub fn threshold(share: f64) -> f32 {
    -libm::log10(share.clamp(f64::MIN_POSITIVE, 1.0)) as f32
}

/// The largest share of ordinary flows that can exceed a surprise: the inverse of [`threshold`].
pub fn exceedance(surprise: f32) -> f64 {
    libm::pow(10.0, -f64::from(surprise)).clamp(f64::MIN_POSITIVE, 1.0)
}
