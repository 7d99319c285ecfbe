//! From rows to scores.

use netsage_detector_sdk::{Contribution, Explanation};

use crate::artifact::{ArtifactError, Model};
use crate::chance::surprise;
use crate::visits::{Pair, Visits};

/// The columns of a row, in order.
pub const COLUMNS: [&str; 7] = [
    "proto",
    "service",
    "duration",
    "syn_count",
    "context.start-time",
    "context.source",
    "context.destination",
];
const START_TIME: usize = 4;
/// Gaps before anything is said.
const FEWEST_GAPS: usize = 5;

/// Why rows cannot be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The values are no whole rows.
    #[error("{rows} rows of {} columns need {} values, and {values} came", COLUMNS.len(), rows.saturating_mul(COLUMNS.len()))]
    Shape {
        /// Rows that were announced.
        rows: usize,
        /// Values that came.
        values: usize,
    },
    /// A value is not finite.
    #[error("row {row}, column `{}`: not a finite number", COLUMNS[*column])]
    Value {
        /// Position of the row, from 0.
        row: usize,
        /// Position in [`COLUMNS`].
        column: usize,
    },
}

/// Scores rows in the order in which they come, and remembers who visited whom.
#[derive(Debug, Clone)]
pub struct Scorer {
    model: Model,
    visits: Visits,
}

impl Scorer {
    /// A scorer without a memory.
    ///
    /// # Errors
    /// [`ArtifactError::Content`].
    pub fn new(model: Model) -> Result<Self, ArtifactError> {
        model.check()?;
        Ok(Self {
            model,
            visits: Visits::new(),
        })
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub fn decode(artifact: &[u8]) -> Result<Self, ArtifactError> {
        Self::new(Model::decode(artifact)?)
    }

    /// Appends one score per row: how surprising the rhythm of the visits is that this row is one of, less what is
    /// usual. A row that is no new visit, or one of too few, scores 0 less what is usual.
    ///
    /// # Errors
    /// [`RowError`]; rows before the one at fault are remembered.
    pub fn score_block(
        &mut self,
        values: &[f32],
        rows: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        check(values, rows)?;
        scores.reserve(rows);
        for row in values.chunks_exact(COLUMNS.len()) {
            let surprise = self.visit(row);
            scores.push(surprise - self.model.ceiling(row[0] as u16, row[1] as u16));
        }
        Ok(())
    }

    /// Appends for each row the time of the visit, with the time at which it was to be expected, and changes no memory.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(&self, values: &[f32], rows: usize, limit: usize) -> Result<Explanation, RowError> {
        check(values, rows)?;
        let mut explanation = Explanation::default();
        for row in values.chunks_exact(COLUMNS.len()) {
            let found = self.visits.find(row[5] as u32, row[6] as u32);
            let known = found.filter(|pair| usize::from(pair.count) >= FEWEST_GAPS);
            let entry = known.map(|pair| Contribution {
                column: START_TIME,
                weight: 1.0,
                typical: expected(pair, row[START_TIME]),
            });
            explanation.push_row(entry.into_iter().take(limit));
        }
        Ok(explanation)
    }

    /// Takes a row, and says how surprising the rhythm is.
    fn visit(&mut self, row: &[f32]) -> f32 {
        let &[protocol, _, duration, syns, start, source, destination] = row else {
            return 0.0;
        };
        let (pair, is_known) = self.visits.meet(source as u32, destination as u32, start);
        let end = start + duration.max(0.0);
        let pause = start - pair.end;
        pair.end = pair.end.max(end);
        // A later record of a long connection begins nothing.
        let goes_on = protocol as u16 == self.model.tcp && syns == 0.0;
        let gap = start - pair.last;
        if !is_known || goes_on || !(pause > self.model.pause && gap.is_finite()) {
            return 0.0;
        }
        pair.push(gap);
        pair.last = start;
        let (count, mean, mean_of_logarithms) = pair.means();
        if count < FEWEST_GAPS {
            return 0.0;
        }
        surprise(count, mean, mean_of_logarithms)
    }
}

/// When a visit at about `start` was to be expected: a whole number of mean gaps from the last one.
fn expected(pair: &Pair, start: f32) -> f32 {
    let (_, mean, _) = pair.means();
    let mean = mean as f32;
    let gaps = ((start - pair.last) / mean).round();
    let expected = pair.last + gaps * mean;
    if expected.is_finite() { expected } else { start }
}

fn check(values: &[f32], rows: usize) -> Result<(), RowError> {
    if rows.checked_mul(COLUMNS.len()) != Some(values.len()) {
        return Err(RowError::Shape {
            rows,
            values: values.len(),
        });
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(place) => Err(RowError::Value {
            row: place / COLUMNS.len(),
            column: place % COLUMNS.len(),
        }),
    }
}
