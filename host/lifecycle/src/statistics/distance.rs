//! How far two distributions are from each other.

/// The two-sample Kolmogorov-Smirnov statistic: the largest difference of the two cumulative shares, 0 to 1, taken at
/// the ends of the bins. Binning never makes the statistic larger. `None` when a side is empty. (Smirnov 1939; Conover, Practical Nonparametric Statistics, 3rd edition, 6.3.)
pub fn kolmogorov_smirnov(left: &[u64], right: &[u64]) -> Option<f64> {
    let (left_total, right_total) = (total(left), total(right));
    if left_total == 0 || right_total == 0 {
        return None;
    }
    let (mut left_below, mut right_below) = (0, 0);
    let mut largest = 0.0_f64;
    for (left, right) in left.iter().zip(right) {
        left_below += left;
        right_below += right;
        let difference = left_below as f64 / left_total as f64 - right_below as f64 / right_total as f64;
        largest = largest.max(difference.abs());
    }
    Some(largest)
}

/// What chance alone explains of the statistic at a level of 0.001, for `left` and `right` scores of one distribution:
/// `1.95 * sqrt((n + m) / (n * m))`, the large-sample bound of Smirnov (Knuth, The Art of Computer Programming 2,
/// 3.3.1; `sqrt(-ln(0.001 / 2) / 2) = 1.949`).
pub fn chance(left: u64, right: u64) -> f64 {
    let (left, right) = (left as f64, right as f64);
    1.95 * ((left + right) / (left * right)).sqrt()
}

/// How many were counted.
pub fn total(counts: &[u64]) -> u64 {
    counts.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_hand() {
        let check = |left: &[u64], right: &[u64], expected: Option<f64>| {
            let found = kolmogorov_smirnov(left, right);
            let close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
                (found, expected) => found == expected,
            };
            assert!(close, "{left:?} {right:?}: {found:?}, not {expected:?}");
        };
        check(&[1, 1, 1, 1], &[1, 1, 1, 1], Some(0.0));
        check(&[10, 0], &[0, 3], Some(1.0));
        // Cumulative shares 0.5, 0.75, 1 and 0.25, 0.5, 1.
        check(&[2, 1, 1], &[1, 1, 2], Some(0.25));
        // 0.2, 0.8, 1 and 0.5, 0.5, 1: the largest difference is in the other direction.
        check(&[1, 3, 1], &[5, 0, 5], Some(0.3));
        check(&[0, 0], &[1, 1], None);
        check(&[], &[], None);
    }

    #[test]
    fn chance_shrinks_with_the_number_of_scores() {
        assert!((chance(200, 200) - 0.195).abs() < 1e-12);
        assert!((chance(20_000, 20_000) - 0.0195).abs() < 1e-12);
        assert_eq!(
            chance(0, 5),
            f64::INFINITY,
            "nothing is beyond chance without scores"
        );
    }

    proptest! {
        #[test]
        fn a_distance_is_symmetric_and_bounded(
            left in prop::collection::vec(0_u64..1000, 8),
            right in prop::collection::vec(0_u64..1000, 8),
        ) {
            let distance = kolmogorov_smirnov(&left, &right);
            prop_assert_eq!(distance, kolmogorov_smirnov(&right, &left));
            if let Some(distance) = distance {
                prop_assert!((0.0..=1.0).contains(&distance));
            }
            let doubled: Vec<u64> = left.iter().map(|count| count * 2).collect();
            if let Some(same) = kolmogorov_smirnov(&left, &doubled) {
                prop_assert!(same < 1e-12, "shares count, not numbers");
            }
        }

        /// The statistic of the unbinned scores, by its definition, is never below the binned statistic; both are equal
        /// when every score has its own bin.
        #[test]
        fn bins_show_at_most_the_distance_of_the_scores(
            left in prop::collection::vec(0_usize..64, 1..40),
            right in prop::collection::vec(0_usize..64, 1..40),
        ) {
            let below = |scores: &[usize], limit: usize| {
                scores.iter().filter(|score| **score <= limit).count() as f64 / scores.len() as f64
            };
            let exact = (0..64).map(|at| (below(&left, at) - below(&right, at)).abs()).fold(0.0, f64::max);
            let counts = |scores: &[usize], bins: usize| {
                let mut counts = vec![0_u64; bins];
                for score in scores {
                    counts[score * bins / 64] += 1;
                }
                counts
            };
            let fine = kolmogorov_smirnov(&counts(&left, 64), &counts(&right, 64)).unwrap();
            let coarse = kolmogorov_smirnov(&counts(&left, 8), &counts(&right, 8)).unwrap();
            prop_assert!((fine - exact).abs() < 1e-9);
            prop_assert!(coarse <= exact + 1e-9);
        }
    }
}
