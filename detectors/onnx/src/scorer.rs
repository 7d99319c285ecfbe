//! Scores and explanations.

use netsage_detector_sdk::{Contribution, Explanation, RowError as BadRow};

use crate::artifact::{ArtifactError, InputColumn, Model, Output};
use crate::dense::padded;
use crate::encoder::Encoder;
use crate::engine::Engine;
use crate::kernel::LANES;

/// Why a row cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowError {
    /// They are no rows of its columns.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// The network cannot be run on these rows.
    #[error("row {row} or one behind it: {problem}")]
    Network {
        /// Position of the first of the rows, from 0.
        row: usize,
        /// Why not.
        problem: String,
    },
    /// The network gives no number.
    #[error("row {row}: the network gives no number; its weights or its scaler do not fit these rows")]
    NoNumber {
        /// Position of the row, from 0.
        row: usize,
    },
}

/// A model, checked, ready to score.
#[derive(Debug)]
pub struct Scorer {
    schema: String,
    output: Output,
    encoder: Encoder,
    engine: Engine,
    /// Weight of the error of each number of an encoded row; together 1, and 0 in the padding.
    weights: Vec<f32>,
    /// The rows at hand.
    encoded: Vec<f32>,
}

impl Scorer {
    /// Checks a model and makes its network ready.
    ///
    /// # Errors
    /// [`ArtifactError`] when the model cannot be.
    pub fn new(model: &Model) -> Result<Self, ArtifactError> {
        let encoder = Encoder::new(&model.columns)?;
        let outputs = match model.output {
            Output::Reconstruction => encoder.width(),
            Output::Score { .. } => 1,
        };
        let engine = Engine::new(&model.network, encoder.width(), outputs)?;
        let mut weights = vec![0.0; padded(encoder.width())];
        let total: f32 = model.columns.iter().map(|column| column.weight).sum();
        if model.output == Output::Reconstruction && total <= 0.0 {
            let text = "the errors of its columns weigh nothing".to_owned();
            return Err(ArtifactError::Content(text));
        }
        for (index, column) in model.columns.iter().enumerate() {
            weights[encoder.slots(index)].fill(column.weight / total);
        }
        Ok(Self {
            schema: model.schema.clone(),
            output: model.output,
            encoder,
            engine,
            weights,
            encoded: Vec::new(),
        })
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn decode(artifact: &[u8]) -> Result<Self, ArtifactError> {
        Self::new(&Model::decode(artifact)?)
    }

    /// The columns that rows have, in order.
    pub fn columns(&self) -> &[InputColumn] {
        self.encoder.columns()
    }

    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Appends the scores of `rows` rows, row-major, to `scores`: higher is more anomalous.
    ///
    /// # Errors
    /// [`RowError`]; `scores` may then hold scores of the rows before.
    pub fn score_block(
        &mut self,
        values: &[f32],
        rows: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        self.check_shape(values, rows)?;
        let rows = self.engine.chunk();
        for (chunk, values) in values.chunks(rows * self.encoder.columns().len()).enumerate() {
            self.score_chunk(values, chunk * rows, scores)?;
        }
        Ok(())
    }

    fn score_chunk(&mut self, values: &[f32], first: usize, scores: &mut Vec<f32>) -> Result<(), RowError> {
        self.encoder.encode(values, first, &mut self.encoded)?;
        let rows = values.len() / self.encoder.columns().len();
        let problem = |problem| RowError::Network { row: first, problem };
        let given = self.engine.run(&self.encoded, rows).map_err(problem)?;
        let width = self.weights.len();
        match self.output {
            Output::Reconstruction => {
                for (seen, given) in self.encoded.chunks_exact(width).zip(given.chunks_exact(width)) {
                    scores.push(error(seen, given, &self.weights));
                }
            }
            Output::Score { negate } => {
                for given in given.chunks_exact(LANES) {
                    scores.push(if negate { -given[0] } else { given[0] });
                }
            }
        }
        let from = scores.len() - rows;
        for (row, score) in scores[from..].iter_mut().enumerate() {
            if score.is_nan() {
                return Err(RowError::NoNumber { row: first + row });
            }
            *score = score.clamp(-f32::MAX, f32::MAX);
        }
        Ok(())
    }

    /// For each row the columns that drove its score, at most `limit` of them, the largest first. Weights are shares
    /// of the squared error, or of what the score falls by.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(
        &mut self,
        values: &[f32],
        rows: usize,
        limit: usize,
    ) -> Result<Explanation, RowError> {
        self.check_shape(values, rows)?;
        let mut explanation = Explanation::default();
        for (index, row) in values.chunks_exact(self.encoder.columns().len()).enumerate() {
            let contributions = match self.output {
                Output::Reconstruction => self.errors(index, row)?,
                Output::Score { .. } => self.occlusions(index, row)?,
            };
            explanation.push_row(shares(contributions, limit));
        }
        Ok(explanation)
    }

    /// By how much the error falls when one column after the other has its typical value, with the value that the
    /// network then expects in its place. The error of the column alone would not do: a network that is given something
    /// odd in one column is wrong about others as well.
    fn errors(&mut self, index: usize, row: &[f32]) -> Result<Vec<Contribution>, RowError> {
        let (all, _) = self.squared_error(index, 0, row)?;
        let mut variant = row.to_vec();
        let mut contributions = Vec::with_capacity(row.len());
        for column in 0..row.len() {
            let typical = self.encoder.columns()[column].typical;
            variant[column] = typical;
            let (without, expected) = self.squared_error(index, column, &variant)?;
            variant[column] = row[column];
            contributions.push(Contribution {
                column,
                weight: (all - without).max(0.0),
                typical: expected,
            });
        }
        Ok(contributions)
    }

    /// The weighted mean of squared errors of a row, and the value that the network gives back for a column.
    fn squared_error(&mut self, index: usize, column: usize, row: &[f32]) -> Result<(f32, f32), RowError> {
        self.encoder.encode(row, index, &mut self.encoded)?;
        let problem = |problem| RowError::Network { row: index, problem };
        let given = self.engine.run(&self.encoded, 1).map_err(problem)?;
        let root = error(&self.encoded, given, &self.weights);
        Ok((root * root, self.encoder.decode(column, given)))
    }

    /// By how much the score falls when one column after the other has its typical value.
    fn occlusions(&mut self, index: usize, row: &[f32]) -> Result<Vec<Contribution>, RowError> {
        let columns = row.len();
        let mut variants = Vec::with_capacity((columns + 1) * columns);
        variants.extend_from_slice(row);
        for (column, input) in self.encoder.columns().iter().enumerate() {
            variants.extend_from_slice(row);
            variants[(column + 1) * columns + column] = input.typical;
        }
        let mut scores = Vec::with_capacity(columns + 1);
        // A row is named as the block has it, not as the variants do.
        let named = |error| match error {
            RowError::Row(BadRow::Code { column, value, .. }) => RowError::Row(BadRow::Code {
                row: index,
                column,
                value,
            }),
            RowError::NoNumber { .. } => RowError::NoNumber { row: index },
            RowError::Network { problem, .. } => RowError::Network { row: index, problem },
            shape @ RowError::Row(BadRow::Shape { .. }) => shape,
        };
        self.score_block(&variants, columns + 1, &mut scores)
            .map_err(named)?;
        let contribution = |(column, score): (usize, &f32)| Contribution {
            column,
            // Halves, so that a difference of the largest scores is a number.
            weight: (scores[0] / 2.0 - score / 2.0).max(0.0),
            typical: self.encoder.columns()[column].typical,
        };
        Ok(scores[1..].iter().enumerate().map(contribution).collect())
    }

    fn check_shape(&self, values: &[f32], rows: usize) -> Result<(), RowError> {
        Ok(BadRow::check_shape(rows, self.encoder.columns().len(), values)?)
    }
}

/// The root of the weighted mean of squared errors, in eight sums that are then added pair by pair.
#[inline(always)]
fn error(seen: &[f32], given: &[f32], weights: &[f32]) -> f32 {
    let ((seen, _), (given, _), (weights, _)) = (
        seen.as_chunks::<LANES>(),
        given.as_chunks::<LANES>(),
        weights.as_chunks::<LANES>(),
    );
    let mut sums = [0.0f32; LANES];
    for ((seen, given), weights) in seen.iter().zip(given).zip(weights) {
        for lane in 0..LANES {
            let error = seen[lane] - given[lane];
            sums[lane] += error * error * weights[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    (((a + e) + (c + g)) + ((b + f) + (d + h))).sqrt()
}

/// The largest contributions as shares of all.
fn shares(mut contributions: Vec<Contribution>, limit: usize) -> Vec<Contribution> {
    for entry in &mut contributions {
        entry.weight = if entry.weight.is_finite() {
            entry.weight
        } else {
            f32::MAX
        };
    }
    let all: f64 = contributions.iter().map(|entry| f64::from(entry.weight)).sum();
    contributions.retain(|entry| entry.weight > 0.0);
    contributions.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.column.cmp(&b.column)));
    contributions.truncate(limit);
    for entry in &mut contributions {
        // Rounded down a little: the shares of a row must not sum to more than 1.
        entry.weight = (f64::from(entry.weight) / all) as f32 * (1.0 - 1e-5);
    }
    contributions
}
