//! The encoding of each column for the network, learned from the training rows.

use ndarray::Array2;
use netsage_onnx::artifact::UNKNOWN;
use netsage_onnx::{Encoding, Function, InputColumn};
use netsage_schema::{Column, Schema};

use super::TrainOptions;
use crate::preparation::typical;

/// The columns of a model for these training rows.
pub(super) fn columns(
    schema: &Schema,
    selected: &[usize],
    table: &Array2<f32>,
    options: &TrainOptions,
) -> Vec<InputColumn> {
    selected
        .iter()
        .zip(table.columns())
        .map(|(&index, values)| {
            let column = &schema.columns[index];
            let values = || values.iter().copied();
            let wider = |[low, high]: [f32; 2], value: f32| [low.min(value), high.max(value)];
            let (typical, _) = typical(column, values());
            InputColumn {
                name: column.name.to_owned(),
                typical,
                range: values().fold([f32::MAX, f32::MIN], wider),
                weight: 1.0,
                encoding: encoding(column, values(), options),
            }
        })
        .collect()
}

fn encoding(column: &Column, values: impl ExactSizeIterator<Item = f32>, options: &TrainOptions) -> Encoding {
    match column.vocabulary() {
        Some(vocabulary) => one_hot(vocabulary.terms.len(), values, options),
        None => number(values, options),
    }
}

/// A category for each code that is frequent enough, and one for all others.
fn one_hot(codes: usize, values: impl ExactSizeIterator<Item = f32>, options: &TrainOptions) -> Encoding {
    let rows = values.len();
    let mut counts = vec![0usize; codes];
    for code in values {
        if let Some(count) = counts.get_mut(code as usize) {
            *count += 1;
        }
    }
    let least = (f64::from(options.least_share) * rows as f64).max(1.0);
    let mut known = 0u16;
    let categories = counts
        .iter()
        .map(|&count| {
            if (count as f64) < least {
                return UNKNOWN;
            }
            known += 1;
            known - 1
        })
        .collect();
    let count = known + 1;
    Encoding::OneHot {
        categories,
        count,
        other: Some(known),
        values: vec![[0.0, options.nominal_scale]; usize::from(count)],
    }
}

fn number(values: impl ExactSizeIterator<Item = f32>, options: &TrainOptions) -> Encoding {
    let function = Function::Logarithm { steps: options.steps };
    let rows = values.len() as f64;
    let (mut sum, mut squares) = (0.0, 0.0);
    for value in values {
        let value = f64::from(function.apply(value));
        sum += value;
        squares += value * value;
    }
    let mean = sum / rows;
    let deviation = (squares / rows - mean * mean).max(0.0).sqrt() as f32;
    Encoding::Number {
        function,
        offset: mean as f32,
        // Of a column that is the same in all of training any other value is far away.
        scale: if deviation > 1e-4 { deviation } else { 1.0 },
        limit: options.limit,
    }
}
