//! Ratios of pairs: their median, and an interval for it that assumes no distribution.
//!
//! A busy machine is busy for both sides of a pair, so that the ratio of a pair says more than two means. Such ratios
//! have heavy tails (something else ran during one of the two), which is why the median is taken and not the mean.

/// How often the interval shall hold the true median.
const COVERAGE: f64 = 0.95;

/// The middle of some ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Middle {
    /// The median.
    pub(crate) median: f64,
    /// Two of the ratios, between which the true median lies.
    pub(crate) interval: (f64, f64),
    /// How often, in repetitions of the whole measurement, such an interval holds the true median.
    pub(crate) coverage: f64,
}

/// The median of some values; NaN without any.
pub(crate) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// The median of values drawn independently from one distribution, whatever it is, with the narrowest interval between
/// two of the values that holds the true median in 95 of 100 cases or more: each value lies below the true median with
/// probability one half, so that the number of values below is binomial. Fewer than six values cannot promise as much;
/// then the interval is from the least to the largest.
pub(crate) fn middle(values: &[f64]) -> Option<Middle> {
    let sorted = sorted(values);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let mut found = Middle {
        median: median(values),
        interval: (first, last),
        coverage: coverage(sorted.len(), 0),
    };
    for left_out in 1..sorted.len().div_ceil(2) {
        let coverage = coverage(sorted.len(), left_out);
        if coverage < COVERAGE {
            break;
        }
        found.interval = (sorted[left_out], sorted[sorted.len() - 1 - left_out]);
        found.coverage = coverage;
    }
    Some(found)
}

/// The probability that the true median of `count` values lies between them without the `left_out` least and largest.
fn coverage(count: usize, left_out: usize) -> f64 {
    // The probability that exactly `below` of them lie below it.
    let mut exactly = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut outside = 0.0;
    for below in 0..=left_out {
        outside += exactly;
        exactly *= (count - below) as f64 / (below + 1) as f64;
    }
    1.0 - 2.0 * outside
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Ranks and coverage of the sign test's interval, from the tables of the binomial distribution.
        let check = |count: usize, ranks: (usize, usize), coverage: f64| {
            let values: Vec<f64> = (1..=count).rev().map(|value| value as f64).collect();
            let found = middle(&values).expect("values");
            assert_eq!(found.interval, (ranks.0 as f64, ranks.1 as f64), "{count}");
            assert!(
                (found.coverage - coverage).abs() < 5e-5,
                "{count}: {}",
                found.coverage
            );
            assert!(
                (found.median - (count as f64 + 1.0) / 2.0).abs() < 1e-12,
                "{count}"
            );
        };
        check(1, (1, 1), 0.0);
        check(5, (1, 5), 0.9375);
        check(6, (1, 6), 0.9688);
        check(10, (2, 9), 0.9785);
        check(15, (4, 12), 0.9648);
        check(20, (6, 15), 0.9586);
        check(30, (10, 21), 0.9572);
        assert_eq!(middle(&[]), None);
    }

    #[test]
    fn one_wild_ratio_moves_nothing() {
        let mut ratios = vec![0.99, 1.0, 1.01, 1.0, 0.98, 1.02, 1.0, 1.01, 0.99, 1.0];
        let calm = middle(&ratios).expect("values");
        ratios[0] = 40.0;
        let disturbed = middle(&ratios).expect("values");
        assert!((calm.median - disturbed.median).abs() < 1e-12);
        assert!(disturbed.interval.1 < 1.05, "{disturbed:?}");
    }
}
