//! The forest that scores rows.

use ndarray::{ArrayView1, ArrayView2, Axis};
use netsage_detector_sdk::{Contribution, Explanation, MAX_ROWS, RowError};

use crate::artifact::{ArtifactError, InputColumn, Model, Reader, Tail, TreeShape};
use crate::maths::{exp2, expected_path_lengths, scaled, shortened};
use crate::trees::{LANES, Lanes, Trees};

/// Largest number of training rows per tree.
const MAX_SUBSAMPLE: u32 = 1 << 20;

/// Most trees.
const MAX_TREES: usize = 10_000;

/// Rows that go through all trees before the next: so many that loading a tree pays, so few that they stay
/// in the processor's cache.
const ROWS_AT_ONCE: usize = MAX_ROWS;

/// An isolation forest, checked and ready to score.
#[derive(Debug, Clone)]
pub struct Forest {
    schema: String,
    columns: Vec<InputColumn>,
    /// Per column least and largest value in training, ranks for nominal ones; or empty.
    ranges: Vec<[f32; 2]>,
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
            Tail {
                ranges: model.ranges.clone(),
                planes: model.planes.clone(),
            },
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
        let (nodes, tail) = reader.look_ahead(head.trees)?;
        let counts = (head.trees, nodes);
        Self::build(head.schema, head.columns, head.subsample, counts, tail, |shape| {
            reader.read_tree(shape)
        })
    }

    /// Checks what is read and lays it out; `next` gives one tree after the other.
    fn build(
        schema: String,
        columns: Vec<InputColumn>,
        subsample: u32,
        (count, nodes): (usize, usize),
        tail: Tail,
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
        let ordered = |[low, high]: &&[f32; 2]| low.is_finite() && high.is_finite() && low <= high;
        if let Some([low, high]) = tail.ranges.iter().find(|range| !ordered(range)) {
            return content(format!("a column with values from {low} to {high}"));
        }
        if !tail.ranges.is_empty() && tail.ranges.len() != columns.len() {
            return content(format!(
                "ranges of {} columns instead of {}",
                tail.ranges.len(),
                columns.len()
            ));
        }
        let expected = expected_path_lengths(subsample);
        let mut trees = Trees::with_capacity(nodes);
        let mut shape = TreeShape::default();
        for _ in 0..count {
            next(&mut shape)?;
            trees.push(&shape, columns.len(), subsample, &expected)?;
        }
        if let Some(planes) = tail.planes {
            trees.extend(planes, columns.len())?;
        }
        Ok(Self {
            schema,
            columns,
            ranges: tail.ranges,
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
            let mut hazards = vec![[0.0f64; LANES]; groups];
            for (index, row) in part.rows().into_iter().take(groups * LANES).enumerate() {
                let (group, lane) = (index / LANES, index % LANES);
                hazards[group][lane] = self.prepare(first_row + index, &row, &mut lanes[group][lane])?;
            }
            let mut totals = vec![[0.0f64; LANES]; groups];
            self.trees.add_path_lengths(&lanes, &mut totals);
            let rows = totals.iter().flatten().zip(hazards.iter().flatten());
            scores.extend(rows.map(|(&total, &hazard)| self.score_of(total, hazard)));
        }
        // Too few rows to keep the lanes busy.
        let mut prepared = [0.0; WIDTH];
        for (index, row) in part.rows().into_iter().enumerate().skip(groups * LANES) {
            let hazard = self.prepare(first_row + index, &row, &mut prepared)?;
            scores.push(self.score_of(self.trees.path_length_of(&prepared), hazard));
        }
        Ok(())
    }

    /// The path length of a row whose path lengths in the trees sum to `total`.
    fn path_length(&self, total: f64, hazard: f64) -> f64 {
        shortened(total / self.trees.len() as f64, hazard)
    }

    fn score_of(&self, total: f64, hazard: f64) -> f32 {
        exp2(-self.path_length(total, hazard) / self.normal_path_length) as f32
    }

    /// For each row the columns that brought it closer to the root than a typical value would have, at most `limit` of
    /// them, the largest first.
    ///
    /// The contribution of a column is by how much the path grows when its value is replaced by the typical one.
    /// Weights are shares of all such growth.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(&self, values: &[f32], rows: usize, limit: usize) -> Result<Explanation, RowError> {
        let table = self.table(values, rows)?;
        let mut explanation = Explanation::default();
        for (index, row) in table.rows().into_iter().enumerate() {
            let contributions = if self.columns.len() <= 64 {
                self.contributions::<64>(index, &row)?
            } else {
                self.contributions::<256>(index, &row)?
            };
            let grown: f64 = contributions.iter().filter(|&&share| share > 0.0).sum();
            let mut order: Vec<usize> = (0..contributions.len())
                .filter(|&column| contributions[column] > 0.0)
                .collect();
            order.sort_by(|&a, &b| contributions[b].total_cmp(&contributions[a]).then(a.cmp(&b)));
            order.truncate(limit);
            explanation.push_row(order.into_iter().map(|column| Contribution {
                column,
                // Rounded down a little: the shares of a row must not sum to more than 1.
                weight: (contributions[column] / grown * (1.0 - 1e-6)) as f32,
                typical: self.columns[column].typical,
            }));
        }
        Ok(explanation)
    }

    /// By how much the path of a row grows with the typical value in each column.
    fn contributions<const WIDTH: usize>(
        &self,
        index: usize,
        row: &ArrayView1<'_, f32>,
    ) -> Result<Vec<f64>, RowError> {
        let columns = self.columns.len();
        // The row itself, then the row with each column replaced; lanes that are left over stay empty.
        let groups = (columns + 1).div_ceil(LANES);
        let mut lanes: Vec<Lanes<WIDTH>> = vec![[[0.0; WIDTH]; LANES]; groups];
        let mut totals = vec![[0.0f64; LANES]; groups];
        let mut hazards = vec![0.0; columns + 1];
        let mut changed = row.to_owned();
        for variant in 0..=columns {
            if let Some(column) = variant.checked_sub(1) {
                changed[column] = self.columns[column].typical;
            }
            let lane = &mut lanes[variant / LANES][variant % LANES];
            hazards[variant] = self.prepare(index, &changed.view(), lane)?;
            if let Some(column) = variant.checked_sub(1) {
                changed[column] = row[column];
            }
        }
        self.trees.add_variant_lengths(&lanes, &mut totals);
        let mut lengths = totals
            .iter()
            .flatten()
            .zip(&hazards)
            .map(|(&total, &hazard)| self.path_length(total, hazard));
        let own = lengths.next().unwrap_or_default();
        Ok(lengths.map(|length| length - own).collect())
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

    /// Copies a row into the form that the trees compare: nominal columns hold ranks instead of codes, and all columns
    /// are on one scale for extended splits. Returns the hazard of the row, 0 to 1: the probability that one split
    /// isolates the row because of a value beyond the range of training.
    ///
    /// A tree knows nothing of values beyond the range of training. Had the row been among the rows of training, every
    /// split by a column in which the row lies apart could have isolated the row. Splits choose columns evenly, so the
    /// hazard is the share of those columns among all columns.
    fn prepare(&self, index: usize, row: &ArrayView1<'_, f32>, copy: &mut [f32]) -> Result<f64, RowError> {
        for ((column, &value), copy) in self.columns.iter().zip(*row).zip(&mut *copy) {
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
        let mut apart = 0.0f32;
        for ((&value, &[low, high]), column) in copy.iter().zip(&self.ranges).zip(&self.columns) {
            if value < low || value > high {
                apart += apartness(value, low, high, column.ranks.is_some());
            }
        }
        if self.trees.are_extended() {
            for value in &mut copy[..self.columns.len()] {
                *value = scaled(*value);
            }
        }
        Ok(f64::from(apart) / self.columns.len() as f64)
    }
}

/// How far apart a value is that training did not reach, 0 to 1: twice the largest or half the least, and whatever is
/// further, is all apart. So is a term that training never saw.
#[cold]
fn apartness(value: f32, low: f32, high: f32, nominal: bool) -> f32 {
    let (gap, end) = if value > high {
        (value - high, high.abs())
    } else {
        (2.0 * (low - value), low.abs())
    };
    // Where the end is 0 every gap is wide.
    if nominal || gap >= end { 1.0 } else { gap / end }
}
