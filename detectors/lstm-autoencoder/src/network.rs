//! The network, ready to run: from raw rows to reconstructions, block by block.

use crate::artifact::{Encoding, Memory, Model, SCALED_LIMIT, SCORE_FLOOR, VALUE_LIMIT, WINDOW, place_of};
use crate::histories::{Histories, Window};
use crate::product::{LANES, Weights, pad, padded};
use netsage_detector_sdk::maths::{exp, ln, sigmoid, tanh};

/// Windows that run together: few enough that their states stay in the nearest cache.
const TOGETHER: usize = 32;

/// A column whose values become one number.
#[derive(Debug, Clone)]
struct Numeric {
    column: usize,
    steps: f32,
    mean: f32,
    factor: f32,
}

/// A column whose codes become a 1 among zeros.
#[derive(Debug, Clone)]
struct Nominal {
    column: usize,
    /// Among all numbers of a row.
    first: usize,
    places: Vec<u16>,
    width: usize,
}

/// Weights of a memory's recurrence.
#[derive(Debug, Clone)]
struct Recurrence {
    hidden: usize,
    input: Weights,
    bias: Vec<f32>,
    recurrent: Weights,
}

/// A network, laid out for speed.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    columns: usize,
    features: usize,
    numeric: Vec<Numeric>,
    nominal: Vec<Nominal>,
    /// Of the numeric part.
    embedding: Weights,
    embedding_bias: Vec<f32>,
    /// For each number of the nominal part a row of the embedding's width.
    embedding_terms: Vec<f32>,
    encoder: Recurrence,
    code: Weights,
    code_bias: Vec<f32>,
    decoder: Recurrence,
    output: Weights,
    output_bias: Vec<f32>,
    score_weights: Vec<f32>,
}

/// Memory that keeps its size from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The numbers of each row.
    pub(crate) numbers: Vec<f32>,
    embedded: Vec<f32>,
    /// What the encoder reads of each row.
    pub(crate) projected: Vec<f32>,
    /// What the network says of each row.
    pub(crate) reconstructed: Vec<f32>,
    order: Vec<u32>,
    states: States,
}

#[derive(Debug, Default)]
struct States {
    encoder: State,
    codes: Vec<f32>,
    decoder: State,
    outputs: Vec<f32>,
}

#[derive(Debug, Default)]
struct State {
    gates: Vec<f32>,
    hidden: Vec<f32>,
    cells: Vec<f32>,
}

/// A value that is the code of no term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NoCode {
    pub(crate) column: usize,
    pub(crate) value: f32,
}

impl Network {
    pub(crate) fn new(model: &Model) -> Self {
        let (mut numeric, mut nominal) = (Vec::new(), Vec::new());
        for (column, input) in model.columns.iter().enumerate() {
            match &input.encoding {
                Encoding::Logarithm { steps, mean, factor } => {
                    let (steps, mean, factor) = (*steps, *mean, *factor);
                    numeric.push(Numeric {
                        column,
                        steps,
                        mean,
                        factor,
                    });
                }
                Encoding::Terms(places) => {
                    let width = input.encoding.width();
                    nominal.push(Nominal {
                        column,
                        first: 0,
                        places: places.clone(),
                        width,
                    });
                }
            }
        }
        let mut first = numeric.len();
        for column in &mut nominal {
            column.first = first;
            first += column.width;
        }
        let embedding = &model.embedding;
        let (of_numbers, of_terms) = embedding.weights.split_at(numeric.len() * embedding.outputs);
        Self {
            columns: model.columns.len(),
            features: first,
            numeric,
            nominal,
            embedding: Weights::new(embedding.outputs, of_numbers),
            embedding_bias: pad(&embedding.bias),
            embedding_terms: of_terms.chunks_exact(embedding.outputs).flat_map(pad).collect(),
            encoder: Recurrence::new(&model.encoder),
            code: Weights::new(model.code.outputs, &model.code.weights),
            code_bias: pad(&model.code.bias),
            decoder: Recurrence::new(&model.decoder),
            output: Weights::new(model.output.outputs, &model.output.weights),
            output_bias: pad(&model.output.bias),
            score_weights: pad(&model.score_weights),
        }
    }

    /// Values of a row that the encoder reads: what histories remember.
    pub(crate) fn projected_width(&self) -> usize {
        self.encoder.input.width()
    }

    /// Values of a row of numbers or of a reconstruction; those beyond the features are 0.
    pub(crate) fn padded_features(&self) -> usize {
        padded(self.features)
    }

    /// The numbers of each row, and what the encoder reads of it. `values` are rows of all columns.
    pub(crate) fn project(&self, values: &[f32], scratch: &mut Scratch) -> Result<(), (usize, NoCode)> {
        let Scratch {
            numbers,
            embedded,
            projected,
            ..
        } = scratch;
        let (features, stride) = (self.padded_features(), self.columns);
        let rows = values.len() / stride;
        numbers.clear();
        numbers.resize(rows * features, 0.0);
        fill(embedded, &self.embedding_bias, rows);
        let width = self.embedding.width();
        let both = numbers
            .chunks_exact_mut(features)
            .zip(embedded.chunks_exact_mut(width));
        for (index, (row, (numbers, embedded))) in values.chunks_exact(stride).zip(both).enumerate() {
            self.read_numbers(row, numbers);
            for nominal in &self.nominal {
                let place = place_of(&nominal.places, row[nominal.column]).ok_or_else(|| {
                    let (column, value) = (nominal.column, row[nominal.column]);
                    (index, NoCode { column, value })
                })?;
                numbers[nominal.first + place] = 1.0;
                let term = nominal.first + place - self.numeric.len();
                let weights = &self.embedding_terms[term * width..][..width];
                for (sum, weight) in embedded.iter_mut().zip(weights) {
                    *sum += weight;
                }
            }
        }
        if !self.numeric.is_empty() {
            self.embedding.add_product(numbers, features, embedded);
        }
        for value in embedded.iter_mut() {
            *value = tanh(*value);
        }
        fill(projected, &self.encoder.bias, rows);
        self.encoder.input.add_product(embedded, width, projected);
        Ok(())
    }

    fn read_numbers(&self, row: &[f32], numbers: &mut [f32]) {
        for (numeric, number) in self.numeric.iter().zip(numbers) {
            let logarithm = ln(row[numeric.column].clamp(0.0, VALUE_LIMIT) * numeric.steps + 1.0);
            *number = ((logarithm - numeric.mean) * numeric.factor).clamp(-SCALED_LIMIT, SCALED_LIMIT);
        }
    }

    /// Reconstructs the last row of each window. `scratch` holds the block that was projected last.
    pub(crate) fn reconstruct(&self, windows: &[Window], histories: &Histories, scratch: &mut Scratch) {
        let Scratch {
            projected,
            reconstructed,
            order,
            states,
            ..
        } = scratch;
        let features = self.padded_features();
        reconstructed.clear();
        reconstructed.resize(windows.len() * features, 0.0);
        sort_by_length(windows, order);
        for together in order.chunks(TOGETHER) {
            self.run(together, windows, histories, projected, states);
            fill(&mut states.outputs, &self.output_bias, together.len());
            let stride = padded(self.decoder.hidden);
            self.output
                .add_product(&states.decoder.hidden, stride, &mut states.outputs);
            for (&row, output) in together.iter().zip(states.outputs.chunks_exact(features)) {
                reconstructed[row as usize * features..][..features].copy_from_slice(output);
            }
        }
    }

    /// Both memories along windows of falling length, side by side.
    fn run(
        &self,
        together: &[u32],
        windows: &[Window],
        histories: &Histories,
        block: &[f32],
        states: &mut States,
    ) {
        let States {
            encoder,
            codes,
            decoder,
            ..
        } = states;
        encoder.begin(&self.encoder, together.len());
        decoder.begin(&self.decoder, together.len());
        let mut active = together;
        for step in 0..WINDOW {
            // The longest come first, so those that are not yet at their end are the first ones.
            let longer = |&row: &u32| usize::from(windows[row as usize].length) > step;
            active = &active[..active.partition_point(longer)];
            if active.is_empty() {
                break;
            }
            encoder.gates.clear();
            encoder.gates.reserve(active.len() * self.encoder.bias.len());
            for &row in active {
                let projected = histories.row(&windows[row as usize], step, block);
                encoder.gates.extend_from_slice(projected);
            }
            encoder.advance(&self.encoder, step);
            fill(codes, &self.code_bias, active.len());
            let stride = padded(self.encoder.hidden);
            self.code
                .add_product(&encoder.hidden[..active.len() * stride], stride, codes);
            fill(&mut decoder.gates, &self.decoder.bias, active.len());
            self.decoder
                .input
                .add_product(codes, self.code.width(), &mut decoder.gates);
            decoder.advance(&self.decoder, step);
        }
    }

    /// The weighted error of a reconstruction: the square root of the sum of the weighted squares and of the floor's.
    pub(crate) fn score(&self, numbers: &[f32], reconstructed: &[f32]) -> f32 {
        let mut sums = [0.0; LANES];
        let parts = numbers.chunks_exact(LANES).zip(reconstructed.chunks_exact(LANES));
        for ((numbers, reconstructed), weights) in parts.zip(self.score_weights.chunks_exact(LANES)) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let error = numbers[lane] - reconstructed[lane];
                *sum += weights[lane] * (error * error);
            }
        }
        (sums.iter().sum::<f32>() + SCORE_FLOOR * SCORE_FLOOR).sqrt()
    }

    /// For each column its part of the squared score and the value that the reconstruction stands for.
    pub(crate) fn judge(&self, numbers: &[f32], reconstructed: &[f32], columns: &mut Vec<(f32, f32)>) {
        columns.clear();
        columns.resize(self.columns, (0.0, 0.0));
        let part = |index: usize| {
            let error = numbers[index] - reconstructed[index];
            self.score_weights[index] * (error * error)
        };
        for (index, numeric) in self.numeric.iter().enumerate() {
            let scaled = reconstructed[index].clamp(-SCALED_LIMIT, SCALED_LIMIT);
            let value = (exp(scaled / numeric.factor + numeric.mean) - 1.0) / numeric.steps;
            columns[numeric.column] = (part(index), value.clamp(0.0, VALUE_LIMIT));
        }
        for nominal in &self.nominal {
            let numbers = nominal.first..nominal.first + nominal.width;
            let best = numbers.clone().max_by(|&a, &b| {
                // Of equal ones the first.
                reconstructed[a].total_cmp(&reconstructed[b]).then(b.cmp(&a))
            });
            let best = best.map_or(0, |best| best - nominal.first);
            let code = nominal
                .places
                .iter()
                .position(|&place| usize::from(place) == best);
            let error = numbers.map(part).sum();
            columns[nominal.column] = (error, code.unwrap_or_default() as f32);
        }
    }
}

impl Recurrence {
    fn new(memory: &Memory) -> Self {
        Self {
            hidden: memory.hidden,
            input: Weights::new(4 * memory.hidden, &memory.input.weights),
            bias: pad(&memory.input.bias),
            recurrent: Weights::new(4 * memory.hidden, &memory.recurrent),
        }
    }
}

impl State {
    fn begin(&mut self, recurrence: &Recurrence, rows: usize) {
        for values in [&mut self.hidden, &mut self.cells] {
            values.clear();
            values.resize(rows * padded(recurrence.hidden), 0.0);
        }
    }

    /// One step of the rows whose gates already hold the sums of their inputs.
    fn advance(&mut self, recurrence: &Recurrence, step: usize) {
        let (hidden, width) = (recurrence.hidden, recurrence.recurrent.width());
        let stride = padded(hidden);
        if step > 0 {
            let rows = self.gates.len() / width;
            recurrence
                .recurrent
                .add_product(&self.hidden[..rows * stride], stride, &mut self.gates);
        }
        let states = self
            .hidden
            .chunks_exact_mut(stride)
            .zip(self.cells.chunks_exact_mut(stride));
        for (gates, (state, cells)) in self.gates.chunks_exact(width).zip(states) {
            let (input, rest) = gates.split_at(hidden);
            let (output, rest) = rest.split_at(hidden);
            let (forget, rest) = rest.split_at(hidden);
            let (candidate, state, cells) = (&rest[..hidden], &mut state[..hidden], &mut cells[..hidden]);
            for unit in 0..hidden {
                let kept = sigmoid(forget[unit]) * cells[unit];
                cells[unit] = kept + sigmoid(input[unit]) * tanh(candidate[unit]);
                state[unit] = sigmoid(output[unit]) * tanh(cells[unit]);
            }
        }
    }
}

/// `rows` copies of a row.
fn fill(values: &mut Vec<f32>, row: &[f32], rows: usize) {
    values.clear();
    values.reserve(rows * row.len());
    for _ in 0..rows {
        values.extend_from_slice(row);
    }
}

/// The numbers of the windows, the longest first, otherwise in their order.
fn sort_by_length(windows: &[Window], order: &mut Vec<u32>) {
    let mut next = [0_usize; WINDOW + 1];
    for window in windows {
        next[WINDOW - usize::from(window.length)] += 1;
    }
    let mut first = 0;
    for count in &mut next {
        first += std::mem::replace(count, first);
    }
    order.clear();
    order.resize(windows.len(), 0);
    for (row, window) in (0..).zip(windows) {
        let place = &mut next[WINDOW - usize::from(window.length)];
        order[*place] = row;
        *place += 1;
    }
}
