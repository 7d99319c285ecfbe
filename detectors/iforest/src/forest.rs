//! The forest that scores rows.

use ndarray::{ArrayView1, ArrayView2, Axis};
use netsage_detector_sdk::{Contribution, Explanation};

use crate::artifact::{ArtifactError, InputColumn, Model};
use crate::maths::{exp2, expected_path_lengths};
use crate::tree::{LANES, Lanes, Tree};

/// Largest number of training rows per tree.
const MAX_SUBSAMPLE: u32 = 1 << 20;

/// Most trees.
const MAX_TREES: usize = 10_000;

/// Rows that go through all trees before the next: so many that loading a tree pays, so few that they stay
/// in the processor's cache.
const ROWS_AT_ONCE: usize = 1_024;

/// Why rows cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowError {
    /// The number of values does not fit.
    #[error("{rows} rows of {columns} columns are not {values} values")]
    Shape {
        /// Rows announced.
        rows: usize,
        /// Columns of the forest.
        columns: usize,
        /// Values given.
        values: usize,
    },
    /// A nominal column holds something else than the code of a term.
    #[error("row {row}, column {column}: {value} is not the code of a term")]
    Code {
        /// Position of the row, from 0.
        row: usize,
        /// Name of the column.
        column: String,
        /// What it holds.
        value: f32,
    },
}

/// An isolation forest, checked and ready to score.
#[derive(Debug, Clone)]
pub struct Forest {
    schema: String,
    columns: Vec<InputColumn>,
    trees: Vec<Tree>,
    /// Path length expected in a tree: `c(psi)`.
    normal_path_length: f64,
}

impl Forest {
    /// Checks a model and lays it out for scoring.
    ///
    /// # Errors
    /// [`ArtifactError::Content`] when the model is not a forest.
    pub fn new(model: &Model) -> Result<Self, ArtifactError> {
        let content = |text: String| Err(ArtifactError::Content(text));
        if !(1..=255).contains(&model.columns.len()) {
            return content(format!("{} columns instead of 1 to 255", model.columns.len()));
        }
        if !(2..=MAX_SUBSAMPLE).contains(&model.subsample) {
            return content(format!(
                "{} training rows per tree instead of 2 to {MAX_SUBSAMPLE}",
                model.subsample
            ));
        }
        if !(1..=MAX_TREES).contains(&model.trees.len()) {
            return content(format!("{} trees instead of 1 to {MAX_TREES}", model.trees.len()));
        }
        if let Some(column) = model.columns.iter().find(|column| !column.typical.is_finite()) {
            return content(format!(
                "the typical value of {} is {}",
                column.name, column.typical
            ));
        }
        let expected = expected_path_lengths(model.subsample);
        let trees = model
            .trees
            .iter()
            .map(|shape| Tree::new(shape, model.columns.len(), model.subsample, &expected))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            schema: model.schema.clone(),
            columns: model.columns.clone(),
            trees,
            normal_path_length: expected[model.subsample as usize],
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
        &self.columns
    }

    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Number of trees.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// Appends the scores of `rows` rows, row-major, to `scores`. A score lies between 0 and 1, and higher means
    /// more anomalous. Any number of rows will do.
    ///
    /// # Errors
    /// [`RowError`]; `scores` may then hold scores of the rows before.
    pub fn score_block(&self, values: &[f32], rows: usize, scores: &mut Vec<f32>) -> Result<(), RowError> {
        let table = self.table(values, rows)?;
        for (chunk, part) in table.axis_chunks_iter(Axis(0), ROWS_AT_ONCE).enumerate() {
            let first_row = chunk * ROWS_AT_ONCE;
            // Powers of two, so that no index into a row needs a check; few schemas have over 64 columns.
            if self.columns.len() <= 64 {
                self.score_chunk::<64>(first_row, &part, scores)?;
            } else {
                self.score_chunk::<256>(first_row, &part, scores)?;
            }
        }
        Ok(())
    }

    fn score_chunk<const WIDTH: usize>(
        &self,
        first_row: usize,
        part: &ArrayView2<'_, f32>,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        let groups = part.nrows().div_ceil(LANES);
        // The last group may have lanes without a row; they descend as zeros and are not read.
        let mut lanes: Vec<Lanes<WIDTH>> = vec![[[0.0; WIDTH]; LANES]; groups];
        for (index, row) in part.rows().into_iter().enumerate() {
            self.ranked(first_row + index, &row, &mut lanes[index / LANES][index % LANES])?;
        }
        // Every row meets the trees in the same order, so its sum has the same bits everywhere.
        let mut totals = vec![[0.0f64; LANES]; groups];
        for tree in &self.trees {
            tree.add_path_lengths(&lanes, &mut totals);
        }
        scores.extend(
            totals
                .iter()
                .flatten()
                .take(part.nrows())
                .map(|&total| self.score_of(total)),
        );
        Ok(())
    }

    /// The score of a row whose path lengths sum to `total`.
    fn score_of(&self, total: f64) -> f32 {
        exp2(-total / self.trees.len() as f64 / self.normal_path_length) as f32
    }

    /// For each row the columns that brought it closer to the root than rows are on average, at most `limit` of
    /// them, the largest first.
    ///
    /// Each split on a row's path changes the path length that is expected of it; what the splits of a column
    /// take away, summed over the trees, is the column's contribution. Weights are shares of all that was taken
    /// away.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(&self, values: &[f32], rows: usize, limit: usize) -> Result<Explanation, RowError> {
        let table = self.table(values, rows)?;
        let mut explanation = Explanation::default();
        let mut ranked = vec![0.0; self.columns.len()];
        for (index, row) in table.rows().into_iter().enumerate() {
            self.ranked(index, &row, &mut ranked)?;
            let contributions = self.path_contributions(&ranked);
            let taken_away: f64 = contributions.iter().filter(|&&share| share > 0.0).sum();
            let mut order: Vec<usize> = (0..contributions.len())
                .filter(|&column| contributions[column] > 0.0)
                .collect();
            order.sort_by(|&a, &b| contributions[b].total_cmp(&contributions[a]).then(a.cmp(&b)));
            order.truncate(limit);
            explanation.push_row(order.into_iter().map(|column| Contribution {
                column,
                // Rounded down a little: the shares of a row must not sum to more than 1.
                weight: (contributions[column] / taken_away * (1.0 - 1e-6)) as f32,
                typical: self.columns[column].typical,
            }));
        }
        Ok(explanation)
    }

    /// Path length that each column took away from a row whose nominal columns hold ranks, mean over the trees.
    /// Their sum is the mean path length of the training rows less that of the row.
    pub(crate) fn path_contributions(&self, ranked: &[f32]) -> Vec<f64> {
        let mut contributions = vec![0.0; self.columns.len()];
        for tree in &self.trees {
            tree.walk(ranked, |column, taken_away| contributions[column] += taken_away);
        }
        let trees = self.trees.len() as f64;
        contributions
            .iter_mut()
            .for_each(|contribution| *contribution /= trees);
        contributions
    }

    /// Path length expected of a row about which nothing is known.
    #[cfg(test)]
    pub(crate) fn mean_path_length(&self) -> f64 {
        let sum: f64 = self
            .trees
            .iter()
            .map(|tree| f64::from(tree.mean_path_length()))
            .sum();
        sum / self.trees.len() as f64
    }

    fn table<'a>(&self, values: &'a [f32], rows: usize) -> Result<ArrayView2<'a, f32>, RowError> {
        let columns = self.columns.len();
        ArrayView2::from_shape((rows, columns), values)
            .ok()
            .filter(|table| table.len() == values.len())
            .ok_or(RowError::Shape {
                rows,
                columns,
                values: values.len(),
            })
    }

    /// Copies a row, with ranks instead of codes in nominal columns.
    fn ranked(&self, index: usize, row: &ArrayView1<'_, f32>, copy: &mut [f32]) -> Result<(), RowError> {
        for ((column, &value), copy) in self.columns.iter().zip(*row).zip(copy) {
            *copy = match &column.ranks {
                None => value,
                Some(ranks) => {
                    if !(value >= 0.0 && value.fract() == 0.0) {
                        return Err(RowError::Code {
                            row: index,
                            column: column.name.clone(),
                            value,
                        });
                    }
                    let rank = ranks.get(value as usize).copied();
                    f32::from(rank.unwrap_or_else(|| InputColumn::unseen_rank(ranks)))
                }
            };
        }
        Ok(())
    }
}
