//! How likely gaps are so regular by chance.

use std::f64::consts::LN_10;

/// Gaps below this relative deviation are as regular as clocks and networks can tell: the statistic of one gap, about
/// half the squared deviation, is not taken for less than that of 1 %.
const LEAST_STATISTIC: f64 = 0.5e-4;

/// The negative decimal logarithm of the probability that `count` exponential gaps are at least as regular as ones with
/// this mean and this mean of natural logarithms; 0 for fewer than two, 0 or more.
pub(crate) fn surprise(count: usize, mean: f64, mean_of_logarithms: f64) -> f32 {
    if count < 2 {
        return 0.0;
    }
    let gaps = count as f64;
    let statistic = (libm::log(mean) - mean_of_logarithms).max(LEAST_STATISTIC);
    let x = 2.0 * gaps * statistic / (1.0 + (gaps + 1.0) / (6.0 * gaps)) / 2.0;
    let a = (gaps - 1.0) / 2.0;
    // Beyond the mean of the distribution nothing is regular.
    if x >= a || x.is_nan() {
        return 0.0;
    }
    // The regularised lower incomplete gamma function by its series (Abramowitz and Stegun 6.5.29), which converges
    // quickly below the mean.
    let (mut term, mut sum, mut next) = (1.0, 1.0, a);
    for _ in 0..60 {
        next += 1.0;
        term *= x / next;
        sum += term;
    }
    let logarithm = a * libm::log(x) - x - libm::lgamma(a + 1.0) + libm::log(sum);
    (-logarithm / LN_10).max(0.0) as f32
}

#[cfg(test)]
mod tests {
    use super::surprise;

    #[test]
    fn chance_is_that_of_the_chi_square_distribution() {
        // Three gaps have two degrees of freedom: 1 - exp(-x / 2).
        for statistic in [0.01_f64, 0.1, 0.3] {
            let x = 6.0 * statistic / (1.0 + 4.0 / 18.0);
            let expected = -(1.0 - (-x / 2.0).exp()).log10();
            let found = f64::from(surprise(3, 1.0, -statistic));
            assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
        }
        assert_eq!(surprise(1, 1.0, 0.0), 0.0);
        assert_eq!(surprise(16, 1.0, -3.0), 0.0);
    }
}
