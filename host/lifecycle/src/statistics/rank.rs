//! Whether two detectors put flows into the same order.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::bin;

/// Steps of each axis of the grid.
pub const STEPS: usize = 32;

/// Joint counts of flows that two detectors scored, by both scores; any thread may add to them.
#[derive(Debug)]
pub struct Joint {
    cells: Vec<AtomicU64>,
    agreed: AtomicU64,
    compared: AtomicU64,
}

impl Default for Joint {
    fn default() -> Self {
        Self {
            cells: (0..STEPS * STEPS).map(|_| AtomicU64::new(0)).collect(),
            agreed: AtomicU64::new(0),
            compared: AtomicU64::new(0),
        }
    }
}

impl Joint {
    /// Counts a flow: its two scores between 0 and 1, and whether both detectors agree whether it is above their
    /// thresholds.
    pub fn count(&self, row: f32, column: f32, agreed: bool) {
        let cell = bin(row, STEPS) * STEPS + bin(column, STEPS);
        self.cells[cell].fetch_add(1, Ordering::Relaxed);
        self.agreed.fetch_add(u64::from(agreed), Ordering::Relaxed);
        self.compared.fetch_add(1, Ordering::Relaxed);
    }

    /// Share of the flows on which both detectors agree; `None` before the first flow.
    pub fn agreement(&self) -> Option<f64> {
        let compared = self.compared.load(Ordering::Relaxed);
        (compared > 0).then(|| self.agreed.load(Ordering::Relaxed) as f64 / compared as f64)
    }

    /// The counts now, by row and column.
    pub fn grid(&self) -> Vec<Vec<u64>> {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let rows = self.cells.chunks(STEPS);
        rows.map(|row| row.iter().map(read).collect()).collect()
    }
}

/// Spearman's rank correlation of a table of counts, -1 to 1: Pearson's correlation of the ranks, where those that
/// share a row (or a column) share the mean of their ranks (Kendall and Gibbons, Rank Correlation Methods, 3.8, the
/// form that holds with ties). `None` when one side has a single rank for all.
///
/// Scores are ranked by their steps, which is what a grid of bounded size knows. Scores within a step count as equal.
pub fn spearman(grid: &[Vec<u64>]) -> Option<f64> {
    let columns = grid.first().map_or(0, Vec::len);
    let row_totals: Vec<u64> = grid.iter().map(|row| row.iter().sum()).collect();
    let column_totals: Vec<u64> = (0..columns)
        .map(|column| grid.iter().filter_map(|row| row.get(column)).sum())
        .collect();
    let (row_ranks, column_ranks) = (centred_ranks(&row_totals), centred_ranks(&column_totals));
    let spread = |ranks: &[f64], totals: &[u64]| {
        let squares = ranks.iter().zip(totals);
        squares
            .map(|(rank, total)| rank * rank * *total as f64)
            .sum::<f64>()
    };
    let both = spread(&row_ranks, &row_totals) * spread(&column_ranks, &column_totals);
    if both <= 0.0 {
        return None;
    }
    let mut together = 0.0;
    for (row, rank) in grid.iter().zip(&row_ranks) {
        for (count, other) in row.iter().zip(&column_ranks) {
            together += rank * other * *count as f64;
        }
    }
    Some((together / both.sqrt()).clamp(-1.0, 1.0))
}

/// The mean rank of each group of equals, less the mean of all ranks.
fn centred_ranks(totals: &[u64]) -> Vec<f64> {
    let all: u64 = totals.iter().sum();
    let middle = all as f64 / 2.0;
    let mut before = 0;
    let mut rank = |total: &u64| {
        let mean = before as f64 + *total as f64 / 2.0;
        before += total;
        mean - middle
    };
    totals.iter().map(&mut rank).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(grid: &[&[u64]], expected: Option<f64>) {
        let grid: Vec<Vec<u64>> = grid.iter().map(|row| row.to_vec()).collect();
        let found = spearman(&grid);
        match (found, expected) {
            (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-12, "{grid:?}: {found}"),
            _ => assert_eq!(found, expected, "{grid:?}"),
        }
    }

    #[test]
    fn by_hand() {
        check(&[&[1, 0, 0], &[0, 1, 0], &[0, 0, 1]], Some(1.0));
        check(&[&[0, 0, 1], &[0, 1, 0], &[1, 0, 0]], Some(-1.0));
        // Ranks 1, 2, 3 against 2, 1, 3: 1 - 6 * (1 + 1 + 0) / (3 * 8) = 0.5.
        check(&[&[0, 1, 0], &[1, 0, 0], &[0, 0, 1]], Some(0.5));
        // With ties: (1.5, 1.5, 3) against (1, 2, 3); Pearson's correlation of these ranks is 1.5 / sqrt(1.5 * 2).
        check(&[&[1, 1, 0], &[0, 0, 1]], Some(1.5 / 3.0_f64.sqrt()));
        check(&[&[5, 5], &[5, 5]], Some(0.0));
        check(&[&[3, 4]], None);
        check(&[], None);
    }

    #[test]
    fn what_was_counted_is_in_the_grid() {
        let joint = Joint::default();
        assert_eq!(joint.agreement(), None);
        joint.count(0.0, 1.0, false);
        joint.count(0.5, 0.25, true);
        joint.count(0.5, 0.25, true);
        let grid = joint.grid();
        assert_eq!((grid[0][31], grid[16][8]), (1, 2));
        assert_eq!(grid.iter().flatten().sum::<u64>(), 3);
        assert_eq!(joint.agreement(), Some(2.0 / 3.0));
    }

    proptest! {
        /// Against the definition: mean ranks of a list of pairs, then Pearson.
        #[test]
        fn the_same_as_over_the_pairs(pairs in prop::collection::vec((0_usize..6, 0_usize..6), 2..40)) {
            let ranks = |values: Vec<usize>| -> Vec<f64> {
                let rank = |value: &usize| {
                    let below = values.iter().filter(|other| *other < value).count() as f64;
                    let equal = values.iter().filter(|other| *other == value).count() as f64;
                    below + (equal + 1.0) / 2.0
                };
                values.iter().map(rank).collect()
            };
            let left = ranks(pairs.iter().map(|pair| pair.0).collect());
            let right = ranks(pairs.iter().map(|pair| pair.1).collect());
            let mean = (pairs.len() as f64 + 1.0) / 2.0;
            let product = |left: &[f64], right: &[f64]| -> f64 {
                left.iter().zip(right).map(|(left, right)| (left - mean) * (right - mean)).sum()
            };
            let both = product(&left, &left) * product(&right, &right);
            let expected = (both > 1e-9).then(|| product(&left, &right) / both.sqrt());
            let mut grid = vec![vec![0; 6]; 6];
            for (row, column) in &pairs {
                grid[*row][*column] += 1;
            }
            match (spearman(&grid), expected) {
                (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-9),
                (found, expected) => prop_assert_eq!(found, expected),
            }
        }
    }
}
