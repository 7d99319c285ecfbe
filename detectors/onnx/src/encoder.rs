//! Encodes values of columns as inputs of the network, and decodes outputs for explanations.

use crate::artifact::{ArtifactError, Encoding, Function, InputColumn, UNKNOWN};
use crate::dense::padded;
use crate::maths::{exp_m1, scaled_logarithm};
use netsage_detector_sdk::RowError;

/// Most numbers that a row becomes.
const MAX_WIDTH: usize = 4_096;

/// Encodes rows: makes of the values of their columns what a network is given.
#[derive(Debug, Clone)]
pub struct Encoder {
    columns: Vec<InputColumn>,
    /// Where each column begins in an encoded row.
    starts: Vec<usize>,
    /// Numbers in an encoded row, without padding.
    width: usize,
    /// An encoded row in which no category is chosen.
    template: Vec<f32>,
    /// Columns of numbers, and where they go.
    numbers: Vec<(usize, usize)>,
    nominals: Vec<usize>,
    /// Of the columns of numbers, padded to whole lanes; 0 steps for a number that stays the same.
    steps: Vec<f32>,
    offsets: Vec<f32>,
    scales: Vec<f32>,
    limits: Vec<f32>,
    /// The numbers of the row at hand.
    gathered: Vec<f32>,
}

impl Encoder {
    /// Checks the columns and lays out what they become.
    ///
    /// # Errors
    /// [`ArtifactError::Content`] when a column cannot be encoded as it says, or when there are too many.
    pub fn new(columns: &[InputColumn]) -> Result<Self, ArtifactError> {
        if !(1..=256).contains(&columns.len()) {
            return Err(content(format!("{} columns instead of 1 to 256", columns.len())));
        }
        let mut starts = Vec::with_capacity(columns.len());
        let mut template = Vec::new();
        for column in columns {
            check(column)?;
            starts.push(template.len());
            match &column.encoding {
                Encoding::OneHot { values, .. } => template.extend(values.iter().map(|[off, _]| *off)),
                _ => template.push(0.0),
            }
            if template.len() > MAX_WIDTH {
                return Err(content(format!("a row becomes more than {MAX_WIDTH} numbers")));
            }
        }
        let width = template.len();
        template.resize(padded(width), 0.0);
        let is_number = |&index: &usize| matches!(columns[index].encoding, Encoding::Number { .. });
        let (numbers, nominals): (Vec<usize>, Vec<usize>) = (0..columns.len()).partition(is_number);
        let lanes = padded(numbers.len());
        let mut encoder = Self {
            numbers: numbers.iter().map(|&index| (index, starts[index])).collect(),
            nominals,
            steps: vec![0.0; lanes],
            offsets: vec![0.0; lanes],
            scales: vec![1.0; lanes],
            limits: vec![1.0; lanes],
            gathered: vec![0.0; lanes],
            columns: columns.to_vec(),
            starts,
            width,
            template,
        };
        for (place, &index) in numbers.iter().enumerate() {
            if let Encoding::Number {
                function,
                offset,
                scale,
                limit,
            } = columns[index].encoding
            {
                if let Function::Logarithm { steps } = function {
                    encoder.steps[place] = steps;
                }
                encoder.offsets[place] = offset;
                encoder.scales[place] = scale;
                encoder.limits[place] = limit;
            }
        }
        Ok(encoder)
    }

    pub(crate) fn columns(&self) -> &[InputColumn] {
        &self.columns
    }

    /// Numbers that a row becomes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What rows, row-major, become: [`Encoder::width`] numbers each.
    ///
    /// # Errors
    /// [`RowError`] when the values are no whole rows or a nominal column holds no code.
    pub fn encode_rows(&mut self, values: &[f32]) -> Result<Vec<f32>, RowError> {
        let columns = self.columns.len();
        if !values.len().is_multiple_of(columns) {
            return Err(RowError::Shape {
                rows: values.len() / columns,
                columns,
                values: values.len(),
            });
        }
        let mut encoded = Vec::new();
        self.encode(values, 0, &mut encoded)?;
        let rows = encoded.chunks_exact(self.template.len());
        Ok(rows.flat_map(|row| &row[..self.width]).copied().collect())
    }

    /// Numbers of a column in an encoded row.
    pub(crate) fn slots(&self, column: usize) -> std::ops::Range<usize> {
        self.starts[column]..self.starts[column] + self.columns[column].encoding.width()
    }

    /// Encodes rows, each padded to whole lanes. `first` is the number of the first one, for errors.
    pub(crate) fn encode(
        &mut self,
        values: &[f32],
        first: usize,
        encoded: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        let rows = values.len() / self.columns.len();
        encoded.resize(rows * self.template.len(), 0.0);
        let places = encoded.chunks_exact_mut(self.template.len());
        for (index, (row, place)) in values.chunks_exact(self.columns.len()).zip(places).enumerate() {
            place.copy_from_slice(&self.template);
            for &column in &self.nominals {
                let code = row[column];
                if !(code >= 0.0 && code.fract() == 0.0) {
                    return Err(RowError::Code {
                        row: first + index,
                        column: self.columns[column].name.clone(),
                        value: code,
                    });
                }
                choose(
                    &self.columns[column].encoding,
                    code,
                    &mut place[self.starts[column]..],
                );
            }
            self.encode_numbers(row, place);
        }
        Ok(())
    }

    #[inline(always)]
    fn encode_numbers(&mut self, row: &[f32], place: &mut [f32]) {
        for (gathered, &(column, _)) in self.gathered.iter_mut().zip(&self.numbers) {
            *gathered = row[column];
        }
        // Plain slices of one length, so that compilers take four numbers at a time.
        let count = self.gathered.len();
        let (steps, offsets) = (&self.steps[..count], &self.offsets[..count]);
        let (scales, limits) = (&self.scales[..count], &self.limits[..count]);
        let values = &mut self.gathered[..count];
        for index in 0..count {
            let value = values[index];
            let logarithm = scaled_logarithm(value, steps[index]);
            let value = if steps[index] > 0.0 { logarithm } else { value };
            values[index] = within((value - offsets[index]) / scales[index], limits[index]);
        }
        for (value, &(_, slot)) in self.gathered.iter().zip(&self.numbers) {
            place[slot] = *value;
        }
    }

    /// The value of a column that an encoded row, or what a network made of it, stands for.
    pub(crate) fn decode(&self, column: usize, encoded: &[f32]) -> f32 {
        let slots = &encoded[self.slots(column)];
        let column = &self.columns[column];
        let value = match &column.encoding {
            Encoding::Number {
                function,
                offset,
                scale,
                ..
            } => {
                let value = slots[0] * scale + offset;
                match function {
                    Function::Same => value,
                    Function::Logarithm { steps } => (exp_m1(value.abs()) / steps).copysign(value),
                }
            }
            Encoding::OneHot {
                categories, values, ..
            } => {
                let share = |category: usize| {
                    let [off, on] = values[category];
                    (slots[category] - off) / (on - off)
                };
                let likeliest = (0..slots.len())
                    .max_by(|&a, &b| share(a).total_cmp(&share(b)).then(b.cmp(&a)))
                    .unwrap_or_default();
                let stands_for = |&category: &u16| usize::from(category) == likeliest;
                // The category of all others stands for no code in particular.
                categories
                    .iter()
                    .position(stands_for)
                    .map_or(column.typical, |code| code as f32)
            }
            Encoding::Ordinal { numbers, .. } => {
                let distance = |code: usize| (numbers[code] - slots[0]).abs();
                (0..numbers.len())
                    .min_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)))
                    .map_or(column.typical, |code| code as f32)
            }
        };
        let [low, high] = column.range;
        if value.is_nan() {
            column.typical
        } else {
            value.max(low).min(high)
        }
    }
}

/// `value`, between minus `limit` and `limit`.
#[inline(always)]
fn within(value: f32, limit: f32) -> f32 {
    let value = if value > limit { limit } else { value };
    if value < -limit { -limit } else { value }
}

/// Writes the numbers of a code.
fn choose(encoding: &Encoding, code: f32, place: &mut [f32]) {
    match encoding {
        Encoding::OneHot {
            categories,
            other,
            values,
            ..
        } => {
            let known = categories
                .get(code as usize)
                .filter(|&&category| category != UNKNOWN);
            if let Some(&category) = known.or(other.as_ref()) {
                place[usize::from(category)] = values[usize::from(category)][1];
            }
        }
        Encoding::Ordinal { numbers, unknown } => {
            place[0] = numbers.get(code as usize).copied().unwrap_or(*unknown);
        }
        Encoding::Number { .. } => {}
    }
}

fn content(text: String) -> ArtifactError {
    ArtifactError::Content(text)
}

fn check(column: &InputColumn) -> Result<(), ArtifactError> {
    let sound = match &column.encoding {
        Encoding::Number {
            function,
            offset,
            scale,
            limit,
        } => {
            let steps = match function {
                Function::Same => 1.0,
                Function::Logarithm { steps } => *steps,
            };
            let positive = |number: f32| number.is_normal() && number > 0.0;
            offset.is_finite() && positive(*scale) && positive(*limit) && positive(steps)
        }
        Encoding::OneHot {
            categories,
            count,
            other,
            values,
        } => {
            let known = |category: &u16| category < count;
            values.len() == usize::from(*count)
                && !values.is_empty()
                && other.iter().all(known)
                && categories
                    .iter()
                    .all(|category| *category == UNKNOWN || known(category))
                && values
                    .iter()
                    .all(|[off, on]| off.is_finite() && on.is_finite() && off != on)
        }
        Encoding::Ordinal { numbers, unknown } => {
            unknown.is_finite() && numbers.iter().all(|number| number.is_finite())
        }
    };
    let [low, high] = column.range;
    let weight = (0.0..=1e6).contains(&column.weight);
    if !sound || !weight || !column.typical.is_finite() || !low.is_finite() || !high.is_finite() || low > high
    {
        return Err(content(format!(
            "the column {} cannot be encoded as it says",
            column.name
        )));
    }
    Ok(())
}
