//! Rows as numbers that a covariance makes sense of: logarithms of quantities, one 0 or 1 for each term.

use netsage_schema::Rows;

use crate::TrainError;

/// How a column becomes numbers.
#[derive(Debug, Clone)]
enum Code {
    /// `sign(x) ln(1 + |x|)`, less its mean, over its standard deviation.
    Number { mean: f64, deviation: f64 },
    /// The position of each term among those that occur in training; all others share the last one.
    Term { positions: Vec<Option<u16>>, count: u16 },
}

/// The encoding of rows.
#[derive(Debug, Clone)]
pub(super) struct Encoding {
    columns: Vec<(usize, Code)>,
    /// Numbers per row.
    pub(super) width: usize,
}

fn logarithm(value: f64) -> f64 {
    value.signum() * value.abs().ln_1p()
}

impl Encoding {
    pub(super) fn fit(training: &Rows, fitted: &[usize], columns: &[usize]) -> Result<Self, TrainError> {
        let schema = training.schema();
        let mut width = 0;
        let mut codes = Vec::with_capacity(columns.len());
        for &column in columns {
            let values = || fitted.iter().map(|&row| training.row(row)[column]);
            if let Some(at) = fitted
                .iter()
                .position(|&row| !training.row(row)[column].is_finite())
            {
                return Err(TrainError::Value {
                    row: fitted[at],
                    column: schema.columns[column].name,
                    value: training.row(fitted[at])[column],
                });
            }
            let code = match schema.columns[column].vocabulary() {
                Some(vocabulary) => {
                    let mut positions = vec![None; vocabulary.terms.len()];
                    let mut count = 0;
                    for value in values() {
                        if let Some(position @ None) = positions.get_mut(value as usize) {
                            *position = Some(count);
                            count += 1;
                        }
                    }
                    width += usize::from(count) + 1;
                    Code::Term { positions, count }
                }
                None => {
                    let rows = fitted.len() as f64;
                    let mean = values().map(logarithm).sum::<f64>() / rows;
                    let variance = values()
                        .map(|value| (logarithm(value) - mean).powi(2))
                        .sum::<f64>()
                        / rows;
                    width += 1;
                    Code::Number {
                        mean,
                        // A column that never changes in training keeps its own unit.
                        deviation: if variance > 1e-18 { variance.sqrt() } else { 1.0 },
                    }
                }
            };
            codes.push((column, code));
        }
        Ok(Self {
            columns: codes,
            width,
        })
    }

    /// Appends the numbers of a row.
    pub(super) fn encode(&self, row: &[f64], out: &mut Vec<f64>) {
        for (column, code) in &self.columns {
            let value = row[*column];
            match code {
                Code::Number { mean, deviation } => {
                    let number = (logarithm(value) - mean) / deviation;
                    out.push(if number.is_finite() { number } else { 0.0 });
                }
                Code::Term { positions, count } => {
                    let position = positions.get(value as usize).copied().flatten().unwrap_or(*count);
                    out.extend((0..=*count).map(|at| f64::from(u8::from(at == position))));
                }
            }
        }
    }
}
