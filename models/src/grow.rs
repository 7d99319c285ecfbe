//! Growing one isolation tree.

use std::collections::VecDeque;
use std::ops::Range;

use ndarray::Array2;
use netsage_iforest::{LEAF, Term, TreeShape};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Thresholds are drawn on the scale `ln(1 + v / RESOLUTION)`. Sizes, rates and times span many orders of
/// magnitude; drawn evenly between the extremes, nearly every threshold would lie among the few largest
/// values and set only those apart. A thousandth is a millisecond for `dur`; whole numbers keep their order.
const RESOLUTION: f64 = 1e-3;

/// What ends the growth of a tree, and what its splits are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Greatest height.
    pub(crate) height_limit: u32,
    /// A node of fewer rows is not split; at least 2.
    pub(crate) least_rows: usize,
    /// Columns that a split weighs; 1 for plain splits.
    pub(crate) columns_per_split: usize,
}

/// How a node divides its rows: those where the column, or the sum of the terms, is below the threshold come first.
enum Split {
    Column(usize, f32),
    Plane(Vec<Term>, f32),
}

/// Grows a tree over the rows of `table` that `sample` names. The order of `sample` changes. The terms of extended
/// splits, for which the table has to be on the detector's scale, are appended to `terms`.
pub(crate) fn tree(
    table: &Array2<f32>,
    sample: &mut [u32],
    rules: Rules,
    random: &mut ChaCha8Rng,
    terms: &mut Vec<Term>,
) -> TreeShape {
    let mut shape = TreeShape::default();
    let mut candidates: Vec<usize> = (0..table.ncols()).collect();
    // First in, first out: nodes come in the breadth-first order of the stored form.
    let mut waiting: VecDeque<(Range<usize>, u32)> = VecDeque::from([(0..sample.len(), 0)]);
    while let Some((range, depth)) = waiting.pop_front() {
        let rows = &mut sample[range.clone()];
        let split = if depth >= rules.height_limit || rows.len() < rules.least_rows {
            None
        } else if rules.columns_per_split > 1 {
            choose_plane(table, rows, rules.columns_per_split, &mut candidates, random)
        } else {
            varying_column(table, rows, 0, &mut candidates, random).map(|(column, [smallest, largest])| {
                Split::Column(column, draw_threshold(smallest, largest, random.random()))
            })
        };
        let Some(split) = split else {
            shape.columns.push(LEAF);
            shape
                .sizes
                .push(u32::try_from(rows.len()).expect("a subsample has at most 2^20 rows"));
            continue;
        };
        let (column, threshold, first) = match split {
            Split::Column(column, threshold) => {
                let first = partition(rows, |row| table[[row as usize, column]] < threshold);
                (column, threshold, first)
            }
            Split::Plane(plane, threshold) => {
                let first = partition(rows, |row| sum(table, row, &plane) < threshold);
                terms.extend(plane);
                (0, threshold, first)
            }
        };
        let middle = range.start + first;
        shape
            .columns
            .push(u8::try_from(column).expect("a model has at most 255 columns"));
        shape.thresholds.push(threshold);
        waiting.push_back((range.start..middle, depth + 1));
        waiting.push_back((middle..range.end, depth + 1));
    }
    shape
}

/// A random column that is not constant over `rows`, and its extremes; nothing when there is none. `candidates` are
/// all columns, in any order; the first `taken` of them are not looked at, and the one that is found follows them.
fn varying_column(
    table: &Array2<f32>,
    rows: &[u32],
    taken: usize,
    candidates: &mut [usize],
    random: &mut ChaCha8Rng,
) -> Option<(usize, [f32; 2])> {
    if rows.len() < 2 {
        return None;
    }
    for tried in taken..candidates.len() {
        let pick = random.random_range(tried..candidates.len());
        candidates.swap(tried, pick);
        let column = candidates[tried];
        let [smallest, largest] = extremes(rows.iter().map(|&row| table[[row as usize, column]]));
        if smallest < largest {
            candidates.swap(taken, tried);
            return Some((column, [smallest, largest]));
        }
    }
    None
}

/// A random hyperplane that leaves rows on both sides: standard normal weights, each divided by the width of its
/// column, and a threshold drawn evenly between the extremes of the sum. (Hariri, Kind and Brunner draw a point of the
/// box around the rows instead, through which many planes have all rows on one side.)
fn choose_plane(
    table: &Array2<f32>,
    rows: &[u32],
    columns_per_split: usize,
    candidates: &mut [usize],
    random: &mut ChaCha8Rng,
) -> Option<Split> {
    let mut plane = Vec::with_capacity(columns_per_split);
    while plane.len() < columns_per_split {
        let Some((column, [smallest, largest])) =
            varying_column(table, rows, plane.len(), candidates, random)
        else {
            break;
        };
        plane.push(Term {
            column: u8::try_from(column).expect("a model has at most 255 columns"),
            weight: (normal(random) / f64::from(largest - smallest).max(1e-4)) as f32,
        });
    }
    // Every split has the same number of terms; these weigh nothing.
    plane.resize(
        columns_per_split,
        Term {
            column: 0,
            weight: 0.0,
        },
    );
    let [smallest, largest] = extremes(rows.iter().map(|&row| sum(table, row, &plane)));
    if smallest >= largest {
        return None;
    }
    let threshold = smallest + (largest - smallest) * random.random::<f32>();
    let threshold = if threshold > smallest { threshold } else { largest };
    Some(Split::Plane(plane, threshold))
}

/// The sum of an extended split, added in the detector's order.
fn sum(table: &Array2<f32>, row: u32, plane: &[Term]) -> f32 {
    plane.iter().fold(0.0, |sum, term| {
        sum + term.weight * table[[row as usize, usize::from(term.column)]]
    })
}

fn extremes(values: impl Iterator<Item = f32>) -> [f32; 2] {
    values.fold(
        [f32::INFINITY, f32::NEG_INFINITY],
        |[smallest, largest], value| [smallest.min(value), largest.max(value)],
    )
}

/// A number from the standard normal distribution (Box and Muller, 1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
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
