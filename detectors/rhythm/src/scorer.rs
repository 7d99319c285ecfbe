//! From rows to scores.

use netsage_detector_sdk::{Contribution, Explanation};

use crate::artifact::{ArtifactError, Model};
use crate::chance::surprise;
use crate::visits::{Pair, Visits};

/// The columns of a row, in order.
pub const COLUMNS: [&str; 8] = [
    "proto",
    "service",
    "duration",
    "syn_count",
    "src_payload",
    "context.start-time",
    "context.source",
    "context.destination",
];
const PAYLOAD: usize = 4;
const START_TIME: usize = 5;
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

/// What a row shows together with those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Negative decimal logarithm of the probability that visits are so regular by chance; 0 for a row that is no visit.
    pub surprise: f32,
    /// Payload that its source has sent its destination, bytes, of which half is forgotten every hour.
    pub sent: f32,
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

    /// Appends one score per row, the larger one of two: how surprising the rhythm of the visits is that this row is one
    /// of, less what is usual (a row that is no new visit, or one of too few, is not surprising at all); and the decimal
    /// logarithm of what its source has sent its destination, over what is usual.
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
            let measured = self.visit(row);
            let (rhythm, volume) = self.excess(row, measured);
            scores.push(rhythm.max(volume));
        }
        Ok(())
    }

    /// Appends for each row what is measured before anything is taken for usual; for training.
    ///
    /// # Errors
    /// [`RowError`]; rows before the one at fault are remembered.
    pub fn measure_block(
        &mut self,
        values: &[f32],
        rows: usize,
        measured: &mut Vec<Measured>,
    ) -> Result<(), RowError> {
        check(values, rows)?;
        for row in values.chunks_exact(COLUMNS.len()) {
            measured.push(self.visit(row));
        }
        Ok(())
    }

    /// Appends for each row the time of the visit, with the time at which it was to be expected, and the payload, with
    /// that of a source that sends as much as is usual; each by its share of the score. Changes no memory.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(&self, values: &[f32], rows: usize, limit: usize) -> Result<Explanation, RowError> {
        check(values, rows)?;
        let mut explanation = Explanation::default();
        for row in values.chunks_exact(COLUMNS.len()) {
            let found = self.visits.find(row[6] as u32, row[7] as u32);
            let mut entries: Vec<Contribution> = found
                .into_iter()
                .flat_map(|pair| self.reasons(pair, row))
                .collect();
            entries.sort_by(|one, other| other.weight.total_cmp(&one.weight));
            explanation.push_row(entries.into_iter().take(limit));
        }
        Ok(explanation)
    }

    /// Both parts of the score.
    fn excess(&self, row: &[f32], measured: Measured) -> (f32, f32) {
        let (surprise, sent) = self.model.ceiling(row[0] as u16, row[1] as u16);
        // Nothing sent is a byte sent: its logarithm exists.
        let volume = libm::log10(f64::from(measured.sent.max(1.0)) / f64::from(sent)) as f32;
        (measured.surprise - surprise, volume)
    }

    /// Why a row of a pair scores as it does, as far as it is more than usual; whatever there is where nothing is.
    fn reasons(&self, pair: &Pair, row: &[f32]) -> impl Iterator<Item = Contribution> + use<> {
        let measured = Measured {
            surprise: surprise_of(pair),
            sent: pair.sent,
        };
        let (_, usual_sent) = self.model.ceiling(row[0] as u16, row[1] as u16);
        let (rhythm, volume) = self.excess(row, measured);
        let mut parts = [rhythm.max(0.0), volume.max(0.0)];
        if parts == [0.0; 2] {
            parts = if rhythm > volume { [1.0, 0.0] } else { [0.0, 1.0] };
        }
        let all = parts[0] + parts[1];
        let share = f64::from(usual_sent) / f64::from(pair.sent.max(1.0));
        let typical = [
            expected(pair, row[START_TIME]),
            (f64::from(row[PAYLOAD]) * share) as f32,
        ];
        [START_TIME, PAYLOAD]
            .into_iter()
            .zip(parts)
            .zip(typical)
            .filter(|((_, part), typical)| *part > 0.0 && typical.is_finite())
            .map(move |((column, part), typical)| Contribution {
                column,
                weight: part / all,
                typical,
            })
    }

    /// Takes a row.
    fn visit(&mut self, row: &[f32]) -> Measured {
        let &[protocol, _, duration, syns, payload, start, source, destination] = row else {
            return Measured::default();
        };
        let (pair, is_known) = self.visits.meet(source as u32, destination as u32, start);
        pair.send(start, payload);
        let mut measured = Measured {
            surprise: 0.0,
            sent: pair.sent,
        };
        let end = start + duration.max(0.0);
        let pause = start - pair.end;
        pair.end = pair.end.max(end);
        // A later record of a long connection begins nothing.
        let goes_on = protocol as u16 == self.model.tcp && syns == 0.0;
        let gap = start - pair.last;
        if !is_known || goes_on || !(pause > self.model.pause && gap.is_finite()) {
            return measured;
        }
        pair.push(gap);
        pair.last = start;
        measured.surprise = surprise_of(pair);
        measured
    }
}

/// How surprising the rhythm of a pair is by chance; 0 for too few visits.
fn surprise_of(pair: &Pair) -> f32 {
    let (count, mean, mean_of_logarithms) = pair.means();
    if count < FEWEST_GAPS {
        return 0.0;
    }
    surprise(count, mean, mean_of_logarithms)
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
