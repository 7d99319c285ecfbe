//! The reference points of a group: rows on a grid, equal places merged.

use std::collections::BTreeMap;

use netsage_context_knn::Points;
use netsage_context_knn::index::arrange;
use netsage_context_knn::maths::to_grid;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::table::Table;

/// How many rows are drawn, and from which contexts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// About how many rows in all.
    pub(crate) most: u32,
    /// Of a context at least so many, as far as it has them: what is rare and known stays known.
    pub(crate) least: usize,
    /// A context gets rows in proportion to this power of how many it has, 0 to 1.
    pub(crate) exponent: f64,
}

/// Draws rows at even distances from a random beginning in each context: rows lie in the order of collection, so that
/// every host is there in proportion.
pub(crate) fn draw(table: &Table, rows: Vec<usize>, shares: Shares, random: &mut ChaCha8Rng) -> Vec<usize> {
    let most = shares.most as usize;
    if rows.len() <= most {
        return rows;
    }
    let mut by_context = vec![Vec::new(); table.contexts.len()];
    for row in rows {
        if let Some(context) = table.context_of[row] {
            by_context[context].push(row);
        }
    }
    let weight = |rows: &Vec<usize>| (rows.len() as f64).powf(shares.exponent);
    let total: f64 = by_context
        .iter()
        .filter(|rows| !rows.is_empty())
        .map(weight)
        .sum();
    let mut drawn = Vec::new();
    for rows in by_context.iter().filter(|rows| !rows.is_empty()) {
        let own = rows.len();
        let wanted = (weight(rows) * most as f64 / total).ceil() as usize;
        let wanted = wanted.max(shares.least).min(own);
        let begin = random.random_range(0..own);
        // `wanted` positions over all rows, rising within one turn; the turn begins anywhere.
        drawn.extend((0..wanted).map(|place| rows[(begin + place * own / wanted) % own]));
    }
    drawn
}

/// The points that some rows make, for each context of the table; a point counts as often as rows lie on it. Rows of
/// contexts that the table leaves out make none.
pub(crate) fn points(table: &Table, rows: &[usize], columns: &[usize], resolution: f32) -> Vec<Points> {
    let mut counts: BTreeMap<(usize, Vec<i16>), u32> = BTreeMap::new();
    for &row in rows {
        if let Some(context) = table.context_of[row] {
            let numbers = table.numbers(row);
            // The grid is that of `i16`, and so bounded.
            let place = columns
                .iter()
                .map(|&column| to_grid(numbers[column] * resolution) as i16);
            *counts.entry((context, place.collect())).or_default() += 1;
        }
    }
    let distinct: Vec<((usize, Vec<i16>), u32)> = counts.into_iter().collect();
    let mut rest = distinct.as_slice();
    let of_context = |context: usize| {
        let end = rest.partition_point(|((other, _), _)| *other <= context);
        let (own, after) = rest.split_at(end);
        rest = after;
        let places = own.iter().flat_map(|((_, place), _)| place);
        let values: Vec<f32> = places.map(|&value| f32::from(value)).collect();
        let mut order: Vec<u32> = (0..).take(own.len()).collect();
        arrange(columns.len(), &values, &mut order);
        let mut points = Points::default();
        for point in order {
            let ((_, place), count) = &own[point as usize];
            points.values.extend(place);
            points.counts.push(*count);
        }
        points
    };
    (0..table.contexts.len()).map(of_context).collect()
}
