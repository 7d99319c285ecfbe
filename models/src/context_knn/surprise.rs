//! What distances mean: their distribution among ordinary rows.

use netsage_context_knn::Surprise;

use super::TrainOptions;

/// Fewest rows in the tail.
const FEWEST_IN_TAIL: usize = 20;
/// Knots before the tail, at most.
const KNOTS: usize = 128;

/// Fits the surprise to the distances of ordinary rows.
pub(super) fn fit(mut distances: Vec<f32>, options: &TrainOptions) -> Surprise {
    distances.sort_by(f32::total_cmp);
    let rows = distances.len();
    let tail = ((rows as f64 * options.tail) as usize)
        .max(FEWEST_IN_TAIL)
        .min(rows);
    // A place in the order becomes the share of rows that lie at least as far.
    let surprise = |distance: f32| {
        let nearer = distances.partition_point(|&other| other < distance);
        -(((rows - nearer + 1) as f64 / (rows + 1) as f64).ln()) as f32
    };
    let last = distances[rows - tail];
    let least = -(options.floor.ln());
    let most = f64::from(surprise(last));
    let mut knots: Vec<(f32, f32)> = Vec::new();
    for knot in 0..=KNOTS {
        let wanted = least + (most - least).max(0.0) * knot as f64 / KNOTS as f64;
        let place = ((1.0 - (-wanted).exp()) * (rows + 1) as f64) as usize;
        let distance = distances[place.min(rows - tail)].min(last);
        if knots.last().is_none_or(|before| before.0 < distance) {
            knots.push((distance, surprise(distance)));
        }
    }
    // A tail that begins at 0 has no shape; it begins at the first distance above, if there is one.
    if let Some(end) = knots.last_mut()
        && end.0 < 1e-3
    {
        let first = distances
            .iter()
            .copied()
            .find(|&distance| distance >= 1e-3)
            .unwrap_or(1.0);
        let surprise = surprise(first);
        if end.0 < first {
            knots.push((first, surprise));
        }
    }
    Surprise {
        knots,
        per_doubling: options.per_doubling,
    }
}
