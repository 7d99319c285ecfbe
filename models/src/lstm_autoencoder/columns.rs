//! How the values of each column become numbers.

use ndarray::Array2;
use netsage_detector_sdk::maths;
use netsage_lstm_autoencoder::{Encoding, InputColumn};
use netsage_schema::{Column, Kind, Schema};

/// Rows that must have a term for it to get a place of its own; the others share one.
const FEWEST_OF_A_TERM: usize = 20;

/// Least standard deviation: a column that hardly ever changed is not stretched beyond measure.
const LEAST_DEVIATION: f32 = 0.05;

/// Learns the encodings of the selected columns from their values.
pub(super) fn fit(schema: &Schema, selected: &[usize], values: &Array2<f32>, steps: f32) -> Vec<InputColumn> {
    let columns = selected.iter().zip(values.columns());
    columns
        .map(|(&index, values)| {
            let column = &schema.columns[index];
            InputColumn {
                name: column.name.to_owned(),
                encoding: encoding(column, values.iter().copied(), steps),
            }
        })
        .collect()
}

/// The numbers of rows.
pub(super) fn encode(columns: &[InputColumn], values: &Array2<f32>) -> Array2<f32> {
    let is_numeric = |column: &InputColumn| matches!(column.encoding, Encoding::Logarithm { .. });
    let features = columns.iter().map(|column| column.encoding.width()).sum();
    let mut table = Array2::zeros((values.nrows(), features));
    for (mut numbers, values) in table.rows_mut().into_iter().zip(values.rows()) {
        let mut rest = numbers.as_slice_mut().expect("rows are contiguous");
        // Numeric columns come first.
        for numeric in [true, false] {
            for (column, &value) in columns
                .iter()
                .zip(values)
                .filter(|(column, _)| is_numeric(column) == numeric)
            {
                let (own, after) = rest.split_at_mut(column.encoding.width());
                column.encoding.write(value, own);
                rest = after;
            }
        }
    }
    table
}

fn encoding(column: &Column, values: impl ExactSizeIterator<Item = f32> + Clone, steps: f32) -> Encoding {
    if let Some(vocabulary) = column.vocabulary() {
        let mut counts = vec![0_usize; vocabulary.terms.len()];
        for code in values {
            if let Some(count) = counts.get_mut(code as usize) {
                *count += 1;
            }
        }
        let frequent = |count: &usize| *count >= FEWEST_OF_A_TERM;
        let others = counts.iter().copied().filter(frequent).count();
        let mut next = 0..;
        let places = counts.iter().chain([&0]).map(|count| {
            let own = frequent(count).then(|| next.next()).flatten();
            u16::try_from(own.unwrap_or(others)).expect("codes are 16 bits wide")
        });
        return Encoding::Terms(places.collect());
    }
    let steps = match column.kind {
        Kind::Continuous => steps,
        _ => 1.0,
    };
    let count = values.len().max(1) as f64;
    let logarithms = values.map(|value| f64::from(maths::ln(value.clamp(0.0, 1e15) * steps + 1.0)));
    let mean = logarithms.clone().sum::<f64>() / count;
    let variance = logarithms.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    Encoding::Logarithm {
        steps,
        mean: mean as f32,
        factor: 1.0 / (variance.sqrt() as f32).max(LEAST_DEVIATION),
    }
}
