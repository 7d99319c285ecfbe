//! What a detector has to beat: a single column, and the distance from the mean.
//!
//! Both learn from the same ordinary rows as the detectors, hold back the same share of them for their thresholds, and
//! read the same columns. They are yardsticks, not detectors to run.

use netsage_schema::Rows;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::TrainError;
use crate::metrics::Thresholds;
use crate::preparation::Common;

mod column;
mod encoding;
mod mahalanobis;

pub use column::{Direction, SingleColumn};
pub use mahalanobis::Mahalanobis;

/// The scores of a baseline, with thresholds from held-out ordinary rows.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineScores {
    /// One per row.
    pub scores: Vec<f32>,
    /// Percentiles of the scores of the held-out rows.
    pub thresholds: Thresholds,
}

/// Fits the Mahalanobis distance on ordinary rows and scores `rows` with it.
///
/// # Errors
/// When there are too few training rows, no column, or a value that is not finite.
pub fn mahalanobis(training: &Rows, common: &Common, rows: &Rows) -> Result<BaselineScores, TrainError> {
    let (columns, [held_out, fitted]) = prepare(training, common)?;
    let model = Mahalanobis::fit(training, &fitted, &columns)?;
    let held_out: Vec<f32> = held_out
        .iter()
        .map(|&row| model.score(training.row(row)))
        .collect();
    Ok(BaselineScores {
        scores: rows.iter().map(|row| model.score(row)).collect(),
        thresholds: Thresholds::of_held_out(&held_out),
    })
}

/// The single column, and the way to read it, that sets attacks apart best on `rows`.
///
/// This is an oracle: labels choose the column, which no honest detector may do. It shows how much of the data a
/// look at one column gives away.
///
/// # Errors
/// When there are too few training rows, no column, or `rows` do not hold both classes.
pub fn best_column(
    training: &Rows,
    common: &Common,
    rows: &Rows,
    attack: &[bool],
) -> Result<(SingleColumn, BaselineScores), TrainError> {
    let (columns, [held_out, fitted]) = prepare(training, common)?;
    let mut best: Option<(f64, SingleColumn, Vec<f32>)> = None;
    for &column in &columns {
        for candidate in SingleColumn::candidates(training, &fitted, column) {
            let scores: Vec<f32> = rows.iter().map(|row| candidate.score(row)).collect();
            let area = crate::metrics::auroc(&scores, attack)
                .map_err(|error| TrainError::Score(error.to_string()))?;
            if best.as_ref().is_none_or(|(most, _, _)| area > *most) {
                best = Some((area, candidate, scores));
            }
        }
    }
    let (_, column, scores) = best.expect("there is at least one column, and each has a candidate");
    let held_out: Vec<f32> = held_out
        .iter()
        .map(|&row| column.score(training.row(row)))
        .collect();
    let thresholds = Thresholds::of_held_out(&held_out);
    Ok((column, BaselineScores { scores, thresholds }))
}

fn prepare(training: &Rows, common: &Common) -> Result<(Vec<usize>, [Vec<usize>; 2]), TrainError> {
    common.check(training)?;
    let columns = common.columns(training.schema())?;
    let mut random = ChaCha8Rng::seed_from_u64(common.seed);
    Ok((columns, common.split(training, &mut random)))
}
