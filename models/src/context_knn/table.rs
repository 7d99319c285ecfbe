//! The training rows as a model sees them: numbers in standard deviations, and contexts.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;
use netsage_context_knn::{InputColumn, Scale};
use netsage_schema::{Column, Kind};

/// Most contexts whose rows become reference points; those of rarer ones do not.
const MOST_CONTEXTS: usize = 1_024;

/// The training rows.
pub(crate) struct Table {
    /// The columns, with their scales.
    pub(crate) columns: Vec<InputColumn>,
    /// Positions of the nominal columns.
    pub(crate) nominals: Vec<usize>,
    /// Codes of the nominal columns, row-major.
    pub(crate) codes: Vec<u16>,
    /// The contexts that occur, the most frequent first.
    pub(crate) contexts: Vec<Vec<u16>>,
    /// The context of each row, by its position.
    pub(crate) context_of: Vec<Option<usize>>,
    /// Whether each row is the first among those that are equal to it.
    pub(crate) first: Vec<bool>,
    /// Numbers in standard deviations (and codes), row-major.
    scaled: Vec<f32>,
}

impl Table {
    /// Fits the scales of `schema_columns` to the rows of `values`; those that `is_name` and those with a vocabulary have
    /// none.
    pub(crate) fn new(
        schema_columns: &[&Column],
        values: &Array2<f32>,
        is_name: impl Fn(&Column) -> bool,
    ) -> Self {
        let columns: Vec<InputColumn> = schema_columns
            .iter()
            .zip(values.columns())
            .map(|(column, values)| InputColumn {
                name: column.name.to_owned(),
                scale: if column.vocabulary().is_some() {
                    Scale::Nominal
                } else if is_name(column) {
                    Scale::Name
                } else {
                    scale(column, values.iter().copied())
                },
            })
            .collect();
        let nominals: Vec<usize> = (0..columns.len())
            .filter(|&column| columns[column].scale.is_nominal())
            .collect();
        let mut scaled = Vec::with_capacity(values.len());
        let mut codes = Vec::with_capacity(values.nrows() * nominals.len());
        let mut seen = BTreeSet::new();
        let mut first = Vec::with_capacity(values.nrows());
        for row in values.rows() {
            scaled.extend(
                row.iter()
                    .zip(&columns)
                    .map(|(&value, column)| number(column, value)),
            );
            // Codes have 16 bits.
            codes.extend(nominals.iter().map(|&nominal| row[nominal] as u16));
            first.push(seen.insert(row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()));
        }
        let context = |row: usize| codes[row * nominals.len()..][..nominals.len()].to_vec();
        let mut counts: BTreeMap<Vec<u16>, usize> = BTreeMap::new();
        for row in 0..values.nrows() {
            *counts.entry(context(row)).or_default() += 1;
        }
        let mut by_count: Vec<(Vec<u16>, usize)> = counts.into_iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        by_count.truncate(MOST_CONTEXTS);
        let contexts: Vec<Vec<u16>> = by_count.into_iter().map(|(codes, _)| codes).collect();
        let numbers: BTreeMap<&[u16], usize> = (0..)
            .zip(&contexts)
            .map(|(number, codes)| (codes.as_slice(), number))
            .collect();
        let context_of = (0..values.nrows())
            .map(|row| numbers.get(context(row).as_slice()).copied())
            .collect();
        Self {
            columns,
            nominals,
            codes,
            contexts,
            context_of,
            first,
            scaled,
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// The numbers of a row, in standard deviations, by column (codes where the column is nominal).
    pub(crate) fn numbers(&self, row: usize) -> &[f32] {
        let width = self.columns.len();
        &self.scaled[row * width..][..width]
    }

    /// The codes of a row, by nominal column.
    pub(crate) fn codes(&self, row: usize) -> &[u16] {
        let width = self.nominals.len();
        &self.codes[row * width..][..width]
    }

    /// Positions of the named columns, of those that are numbers and are read.
    pub(crate) fn positions(&self, names: &[String]) -> Vec<usize> {
        let is = |name: &String, column: &InputColumn| column.name == *name && !column.scale.is_nominal();
        let position = |name| self.columns.iter().position(|column| is(name, column));
        names.iter().filter_map(position).collect()
    }
}

fn number(column: &InputColumn, value: f32) -> f32 {
    match column.scale {
        Scale::Nominal | Scale::Name => value,
        Scale::Number {
            steps,
            centre,
            deviation,
        } => (Scale::logarithm(value, steps) - centre) / deviation,
    }
}

/// Steps to a unit below which differences hardly count: hundredths of a share, one of all else, times in seconds.
fn steps(column: &Column) -> f32 {
    match (column.kind, column.unit) {
        (Kind::Continuous, "ms") => 0.001,
        (Kind::Continuous, "") => 100.0,
        _ => 1.0,
    }
}

fn scale(column: &Column, values: impl Iterator<Item = f32>) -> Scale {
    let steps = steps(column);
    let (mut count, mut sum, mut squares) = (0.0f64, 0.0f64, 0.0f64);
    for value in values {
        let logarithm = f64::from(Scale::logarithm(value, steps));
        (count, sum, squares) = (count + 1.0, sum + logarithm, squares + logarithm * logarithm);
    }
    let centre = sum / count;
    let variance = (squares / count - centre * centre).max(0.0);
    Scale::Number {
        steps,
        centre: centre as f32,
        // A column that is the same in all of training: a doubling is a standard deviation.
        deviation: if variance > 1e-6 {
            variance.sqrt() as f32
        } else {
            1.0
        },
    }
}
