//! Growing one isolation tree.

use std::collections::VecDeque;
use std::ops::Range;

use ndarray::Array2;
use netsage_iforest::{LEAF, TreeShape};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Thresholds are drawn on the scale `ln(1 + v / RESOLUTION)`. Sizes, rates and times span many orders of
/// magnitude; drawn evenly between the extremes, nearly every threshold would lie among the few largest
/// values and set only those apart. A thousandth is a millisecond for `dur`; whole numbers keep their order.
const RESOLUTION: f64 = 1e-3;

/// Grows a tree over the rows of `table` that `sample` names, at most `height_limit` high. The order of
/// `sample` changes.
pub(crate) fn tree(
    table: &Array2<f32>,
    sample: &mut [u32],
    height_limit: u32,
    random: &mut ChaCha8Rng,
) -> TreeShape {
    let mut shape = TreeShape::default();
    let mut candidates: Vec<usize> = (0..table.ncols()).collect();
    // First in, first out: nodes come in the breadth-first order of the stored form.
    let mut waiting: VecDeque<(Range<usize>, u32)> = VecDeque::from([(0..sample.len(), 0)]);
    while let Some((range, depth)) = waiting.pop_front() {
        let rows = &mut sample[range.clone()];
        let split = if depth < height_limit {
            choose_split(table, rows, &mut candidates, random)
        } else {
            None
        };
        let Some((column, threshold)) = split else {
            shape.columns.push(LEAF);
            shape
                .sizes
                .push(u32::try_from(rows.len()).expect("a subsample has at most 2^20 rows"));
            continue;
        };
        let middle = range.start + partition(rows, |row| table[[row as usize, column]] < threshold);
        shape
            .columns
            .push(u8::try_from(column).expect("a model has at most 255 columns"));
        shape.thresholds.push(threshold);
        waiting.push_back((range.start..middle, depth + 1));
        waiting.push_back((middle..range.end, depth + 1));
    }
    shape
}

/// A random column that is not constant over `rows`, and a threshold that leaves rows on both sides; nothing
/// when the rows are all equal. `candidates` are all columns, in any order.
fn choose_split(
    table: &Array2<f32>,
    rows: &[u32],
    candidates: &mut [usize],
    random: &mut ChaCha8Rng,
) -> Option<(usize, f32)> {
    if rows.len() < 2 {
        return None;
    }
    for tried in 0..candidates.len() {
        let pick = random.random_range(tried..candidates.len());
        candidates.swap(tried, pick);
        let column = candidates[tried];
        let (mut smallest, mut largest) = (f32::INFINITY, f32::NEG_INFINITY);
        for &row in rows {
            let value = table[[row as usize, column]];
            smallest = smallest.min(value);
            largest = largest.max(value);
        }
        if smallest < largest {
            return Some((column, draw_threshold(smallest, largest, random.random())));
        }
    }
    None
}

/// The threshold at `position`, 0 to 1, of the way from `smallest` to `largest`; above the one and at most the
/// other, so that neither side is empty.
fn draw_threshold(smallest: f32, largest: f32, position: f64) -> f32 {
    let to_scale = |value: f32| {
        let value = f64::from(value);
        (value.abs() / RESOLUTION).ln_1p().copysign(value)
    };
    let from_scale = |scaled: f64| (scaled.abs().exp_m1() * RESOLUTION).copysign(scaled) as f32;
    let (start, end) = (to_scale(smallest), to_scale(largest));
    let threshold = from_scale(start + (end - start) * position);
    // Rounding may land on or beyond an end.
    if threshold > smallest && threshold <= largest {
        threshold
    } else {
        largest
    }
}

/// Moves the rows for which `first` holds to the front and says how many there are.
fn partition(rows: &mut [u32], mut first: impl FnMut(u32) -> bool) -> usize {
    let mut middle = 0;
    for index in 0..rows.len() {
        if first(rows[index]) {
            rows.swap(middle, index);
            middle += 1;
        }
    }
    middle
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_threshold_leaves_rows_on_both_sides(a in any::<f32>(), b in any::<f32>(), position in 0.0..1.0) {
            prop_assume!(a.is_finite() && b.is_finite() && a != b);
            let (smallest, largest) = (a.min(b), a.max(b));
            let threshold = draw_threshold(smallest, largest, position);
            prop_assert!(smallest < threshold && threshold <= largest);
        }
    }

    #[test]
    fn partition_splits_and_keeps_every_row() {
        let mut rows = [5, 1, 4, 2, 3];
        let middle = partition(&mut rows, |row| row < 3);
        let mut front = rows[..middle].to_vec();
        front.sort_unstable();
        assert_eq!(front, [1, 2]);
        rows.sort_unstable();
        assert_eq!(rows, [1, 2, 3, 4, 5]);
    }
}
