//! Four numbers that sum up many.

/// Mean, population standard deviation, smallest and largest; all 0 of nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) mean: f64,
    pub(crate) std: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Exact as long as the sums have not saturated, which takes 584 years of gaps.
    pub(super) fn new(count: u64, sum: u64, squares: u128, smallest: u64, largest: u64) -> Self {
        if count == 0 {
            return Self::default();
        }
        let (min, max) = (smallest as f64, largest as f64);
        let number = count as f64;
        let mean = (sum as f64 / number).clamp(min, max);
        // n * sum(x^2) - sum(x)^2 = n^2 * variance, without the cancellation that floats would suffer.
        let spread = u128::from(count)
            .checked_mul(squares)
            .map(|whole| whole.saturating_sub(u128::from(sum) * u128::from(sum)));
        let std = match spread {
            Some(spread) => (spread as f64).sqrt() / number,
            None => (squares as f64 / number - mean * mean).max(0.0).sqrt(),
        };
        // No standard deviation exceeds half the range (Popoviciu); rounding could.
        let std = std.min((max - min) / 2.0);
        Self { mean, std, min, max }
    }

    pub(super) fn scaled(self, divisor: f64) -> Self {
        Self {
            mean: self.mean / divisor,
            std: self.std / divisor,
            min: self.min / divisor,
            max: self.max / divisor,
        }
    }
}
