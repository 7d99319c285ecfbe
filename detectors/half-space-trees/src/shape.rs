//! The trees: where space is halved. They follow from a seed and never change.

use crate::maths::{mix, unit};

/// A halving: the column, and the value from which on a row belongs to the upper half.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    pub(crate) at: f32,
    pub(crate) column: u32,
}

/// Inner nodes of a tree of this height. Its leaves are one more.
pub(crate) fn splits(height: u8) -> usize {
    (1 << height) - 1
}

/// Nodes of a tree of this height, leaves included.
pub(crate) fn nodes(height: u8) -> usize {
    (2 << height) - 1
}

/// Appends the splits of tree number `tree` in the order of a heap: the children of node `i` are `2i + 1` and `2i + 2`.
///
/// As in the paper (algorithm 1), each column has a work range around a random point `s` of its width, `s` plus and
/// minus `2 * max(s, 1 - s)`, and each node halves the range that is left to it of a random column.
pub(crate) fn append(seed: u64, tree: usize, height: u8, columns: usize, into: &mut Vec<Split>) {
    let key = mix(mix(seed) ^ tree as u64);
    let mut ranges: Vec<[f32; 2]> = (0..columns as u64)
        .map(|column| {
            let point = unit(key ^ ((column + 1) << 32));
            let reach = 2.0 * point.max(1.0 - point);
            [point - reach, point + reach]
        })
        .collect();
    let start = into.len();
    into.resize(start + splits(height), Split { at: 0.0, column: 0 });
    halve(key, 0, &mut ranges, &mut into[start..]);
}

/// The depth of the recursion is the height, at most 16.
fn halve(key: u64, node: usize, ranges: &mut [[f32; 2]], splits: &mut [Split]) {
    if node >= splits.len() {
        return;
    }
    let column = (mix(key.wrapping_add(node as u64)) % ranges.len() as u64) as usize;
    let [low, high] = ranges[column];
    let at = (low + high) / 2.0;
    splits[node] = Split {
        at,
        column: column as u32,
    };
    ranges[column] = [low, at];
    halve(key, 2 * node + 1, ranges, splits);
    ranges[column] = [at, high];
    halve(key, 2 * node + 2, ranges, splits);
    ranges[column] = [low, high];
}
