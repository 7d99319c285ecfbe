//! The forest that scores rows.

use ndarray::{ArrayView1, ArrayView2, Axis};
use netsage_detector_sdk::{Contribution, Explanation};

use crate::artifact::{ArtifactError, InputColumn, Model, Reader, TreeShape};
use crate::maths::{exp2, expected_path_lengths};
use crate::trees::{LANES, Lanes, Trees};

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
    trees: Trees,
    /// Path length expected in a tree: `c(psi)`.
    normal_path_length: f64,
}

impl Forest {
    /// Checks a model and lays it out for scoring.
    ///
    /// # Errors
    /// [`ArtifactError::Content`] when the model is not a forest.
    pub fn new(model: &Model) -> Result<Self, ArtifactError> {
        let nodes = model.trees.iter().map(|shape| shape.columns.len()).sum();
        let mut shapes = model.trees.iter();
        Self::build(
            model.schema.clone(),
            model.columns.clone(),
            model.subsample,
            (model.trees.len(), nodes),
            |shape| {
                if let Some(next) = shapes.next() {
                    shape.clone_from(next);
                }
                Ok(())
            },
        )
    }

    /// Reads an artifact, one tree after the other: a model in between would cost the memory of the forest once more.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn decode(artifact: &[u8]) -> Result<Self, ArtifactError> {
        let (mut reader, head) = Reader::new(artifact)?;
        let counts = (head.trees, reader.count_nodes(head.trees)?);
        Self::build(head.schema, head.columns, head.subsample, counts, |shape| {
            reader.read_tree(shape)
        })
    }

    /// Checks what is read and lays it out; `next` gives one tree after the other.
    fn build(
        schema: String,
        columns: Vec<InputColumn>,
        subsample: u32,
        (count, nodes): (usize, usize),
        mut next: impl FnMut(&mut TreeShape) -> Result<(), ArtifactError>,
    ) -> Result<Self, ArtifactError> {
        let content = |text: String| Err(ArtifactError::Content(text));
        if !(1..=255).contains(&columns.len()) {
            return content(format!("{} columns instead of 1 to 255", columns.len()));
        }
        if !(2..=MAX_SUBSAMPLE).contains(&subsample) {
            return content(format!(
                "{subsample} training rows per tree instead of 2 to {MAX_SUBSAMPLE}"
            ));
        }
        if !(1..=MAX_TREES).contains(&count) {
            return content(format!("{count} trees instead of 1 to {MAX_TREES}"));
        }
        if let Some(column) = columns.iter().find(|column| !column.typical.is_finite()) {
            return content(format!(
                "the typical value of {} is {}",
                column.name, column.typical
            ));
        }
        let expected = expected_path_lengths(subsample);
        let mut trees = Trees::with_capacity(nodes);
        let mut shape = TreeShape::default();
        for _ in 0..count {
            next(&mut shape)?;
            trees.push(&shape, columns.len(), subsample, &expected)?;
        }
        Ok(Self {
            schema,
            columns,
            trees,
            normal_path_length: expected[subsample as usize],
        })
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
        // Every row meets the trees in the same order, so its sum has the same bits everywhere.
        let groups = part.nrows() / LANES;
        if groups > 0 {
            let mut lanes: Vec<Lanes<WIDTH>> = vec![[[0.0; WIDTH]; LANES]; groups];
            for (index, row) in part.rows().into_iter().take(groups * LANES).enumerate() {
                self.ranked(first_row + index, &row, &mut lanes[index / LANES][index % LANES])?;
            }
            let mut totals = vec![[0.0f64; LANES]; groups];
            self.trees.add_path_lengths(&lanes, &mut totals);
            scores.extend(totals.iter().flatten().map(|&total| self.score_of(total)));
        }
        // Too few rows to keep the lanes busy.
        let mut ranked = [0.0; WIDTH];
        for (index, row) in part.rows().into_iter().enumerate().skip(groups * LANES) {
            self.ranked(first_row + index, &row, &mut ranked)?;
            scores.push(self.score_of(self.trees.path_length_of(&ranked)));
        }
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
        self.trees
            .walk(ranked, |column, taken_away| contributions[column] += taken_away);
        let trees = self.trees.len() as f64;
        contributions
            .iter_mut()
            .for_each(|contribution| *contribution /= trees);
        contributions
    }

    /// Path length expected of a row about which nothing is known.
    #[cfg(test)]
    pub(crate) fn mean_path_length(&self) -> f64 {
        let sum: f64 = self.trees.mean_path_lengths().map(f64::from).sum();
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
