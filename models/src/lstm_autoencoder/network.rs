//! The network while it learns: forwards, and backwards through time (Werbos 1990).

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use netsage_detector_sdk::maths::{sigmoid, tanh};
use netsage_lstm_autoencoder::{Layer, Memory};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Widths of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) features: usize,
    pub(super) embedding: usize,
    pub(super) encoder: usize,
    pub(super) code: usize,
    pub(super) decoder: usize,
}

/// The arrays of weights, in the order in which they lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    EmbeddingWeights,
    EmbeddingBias,
    EncoderInput,
    EncoderBias,
    EncoderRecurrent,
    CodeWeights,
    CodeBias,
    DecoderInput,
    DecoderBias,
    DecoderRecurrent,
    OutputWeights,
    OutputBias,
}

impl Part {
    const ALL: [Self; 12] = [
        Self::EmbeddingWeights,
        Self::EmbeddingBias,
        Self::EncoderInput,
        Self::EncoderBias,
        Self::EncoderRecurrent,
        Self::CodeWeights,
        Self::CodeBias,
        Self::DecoderInput,
        Self::DecoderBias,
        Self::DecoderRecurrent,
        Self::OutputWeights,
        Self::OutputBias,
    ];
}

impl Shape {
    /// Rows and columns of an array of weights.
    fn size(self, part: Part) -> [usize; 2] {
        let Self {
            features,
            embedding,
            encoder,
            code,
            decoder,
        } = self;
        match part {
            Part::EmbeddingWeights => [features, embedding],
            Part::EmbeddingBias => [1, embedding],
            Part::EncoderInput => [embedding, 4 * encoder],
            Part::EncoderBias => [1, 4 * encoder],
            Part::EncoderRecurrent => [encoder, 4 * encoder],
            Part::CodeWeights => [encoder, code],
            Part::CodeBias => [1, code],
            Part::DecoderInput => [code, 4 * decoder],
            Part::DecoderBias => [1, 4 * decoder],
            Part::DecoderRecurrent => [decoder, 4 * decoder],
            Part::OutputWeights => [decoder, features],
            Part::OutputBias => [1, features],
        }
    }

    fn range(self, part: Part) -> Range<usize> {
        let length = |part: &Part| self.size(*part).iter().product::<usize>();
        let start = Part::ALL
            .iter()
            .take_while(|other| **other != part)
            .map(length)
            .sum();
        start..start + length(&part)
    }

    /// Number of all weights.
    pub(super) fn weights(self) -> usize {
        self.range(Part::OutputBias).end
    }

    fn matrix(self, values: &[f32], part: Part) -> ArrayView2<'_, f32> {
        let [rows, columns] = self.size(part);
        ArrayView2::from_shape((rows, columns), &values[self.range(part)]).expect("the range has that length")
    }

    fn matrix_mut(self, values: &mut [f32], part: Part) -> ArrayViewMut2<'_, f32> {
        let [rows, columns] = self.size(part);
        ArrayViewMut2::from_shape((rows, columns), &mut values[self.range(part)])
            .expect("the range has that length")
    }

    /// Weights to begin with: even between bounds by the widths (Glorot and Bengio 2010), biases 0, and 1 for forget
    /// gates, so that memories begin by remembering (Jozefowicz et al. 2015).
    pub(super) fn begin(self, random: &mut ChaCha8Rng) -> Vec<f32> {
        let mut values = vec![0.0; self.weights()];
        for part in Part::ALL {
            let [inputs, outputs] = self.size(part);
            if inputs == 1 {
                continue;
            }
            let is_gates = outputs == 4 * self.encoder || outputs == 4 * self.decoder;
            let outputs = if is_gates { outputs / 4 } else { outputs };
            let bound = (6.0 / (inputs + outputs) as f32).sqrt();
            for value in &mut values[self.range(part)] {
                *value = random.random_range(-bound..bound);
            }
        }
        for (part, hidden) in [
            (Part::EncoderBias, self.encoder),
            (Part::DecoderBias, self.decoder),
        ] {
            self.matrix_mut(&mut values, part)
                .slice_mut(s![.., 2 * hidden..3 * hidden])
                .fill(1.0);
        }
        values
    }

    /// The trained layers: embedding, encoder, code, decoder, output.
    pub(super) fn layers(self, values: &[f32]) -> (Layer, Memory, Layer, Memory, Layer) {
        let layer = |weights: Part, bias: Part| {
            let [inputs, outputs] = self.size(weights);
            Layer {
                inputs,
                outputs,
                weights: values[self.range(weights)].to_vec(),
                bias: values[self.range(bias)].to_vec(),
            }
        };
        let memory = |hidden: usize, input: Part, bias: Part, recurrent: Part| Memory {
            hidden,
            input: layer(input, bias),
            recurrent: values[self.range(recurrent)].to_vec(),
        };
        (
            layer(Part::EmbeddingWeights, Part::EmbeddingBias),
            memory(
                self.encoder,
                Part::EncoderInput,
                Part::EncoderBias,
                Part::EncoderRecurrent,
            ),
            layer(Part::CodeWeights, Part::CodeBias),
            memory(
                self.decoder,
                Part::DecoderInput,
                Part::DecoderBias,
                Part::DecoderRecurrent,
            ),
            layer(Part::OutputWeights, Part::OutputBias),
        )
    }
}

/// Windows side by side: `steps` blocks of as many rows as there are windows, the oldest rows first.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) steps: usize,
    /// What goes in.
    pub(super) input: Array2<f32>,
    /// What should come out.
    pub(super) target: Array2<f32>,
    /// For each row whether it counts.
    pub(super) counts: Vec<bool>,
}

/// A dense layer: `rows x weights + bias`.
fn dense(
    rows: &ArrayView2<'_, f32>,
    weights: &ArrayView2<'_, f32>,
    bias: &ArrayView2<'_, f32>,
) -> Array2<f32> {
    let size = (rows.nrows(), weights.ncols());
    let mut out = bias.broadcast(size).expect("one bias for each column").to_owned();
    general_mat_mul(1.0, rows, weights, 1.0, &mut out);
    out
}

/// What a memory did along its windows; rows as in [`Batch`].
struct Run {
    /// After their functions: input, output, forget, candidate.
    gates: Array2<f32>,
    cells: Array2<f32>,
    cell_tanh: Array2<f32>,
    hidden: Array2<f32>,
}

impl Run {
    /// `gates` hold what the inputs say.
    fn forwards(mut gates: Array2<f32>, recurrent: &ArrayView2<'_, f32>, steps: usize) -> Self {
        let (rows, units) = (gates.nrows(), recurrent.nrows());
        let batch = rows / steps;
        let [mut cells, mut cell_tanh, mut hidden] = [(); 3].map(|()| Array2::<f32>::zeros((rows, units)));
        for step in 0..steps {
            let now = step * batch..(step + 1) * batch;
            if step > 0 {
                let before = hidden.slice(s![(step - 1) * batch..step * batch, ..]);
                let mut gates = gates.slice_mut(s![now.clone(), ..]);
                general_mat_mul(1.0, &before, recurrent, 1.0, &mut gates);
            }
            for row in now {
                let before = if step > 0 {
                    cells.row(row - batch).to_vec()
                } else {
                    vec![0.0; units]
                };
                let mut gates = gates.row_mut(row);
                let gates = gates.as_slice_mut().expect("rows are contiguous");
                let (input, rest) = gates.split_at_mut(units);
                let (output, rest) = rest.split_at_mut(units);
                let (forget, candidate) = rest.split_at_mut(units);
                let [mut cells, mut cell_tanh, mut hidden] =
                    [cells.row_mut(row), cell_tanh.row_mut(row), hidden.row_mut(row)];
                let [cells, cell_tanh, hidden] = [&mut cells, &mut cell_tanh, &mut hidden]
                    .map(|row| row.as_slice_mut().expect("rows are contiguous"));
                let (before, output) = (&before[..units], &mut output[..units]);
                for unit in 0..units {
                    input[unit] = sigmoid(input[unit]);
                    output[unit] = sigmoid(output[unit]);
                    forget[unit] = sigmoid(forget[unit]);
                    candidate[unit] = tanh(candidate[unit]);
                    cells[unit] = forget[unit] * before[unit] + input[unit] * candidate[unit];
                    cell_tanh[unit] = tanh(cells[unit]);
                    hidden[unit] = output[unit] * cell_tanh[unit];
                }
            }
        }
        Self {
            gates,
            cells,
            cell_tanh,
            hidden,
        }
    }

    /// From the gradient of the states to that of the gates before their functions; adds that of the recurrence.
    fn backwards(
        &self,
        mut by_hidden: Array2<f32>,
        recurrent: &ArrayView2<'_, f32>,
        by_recurrent: &mut ArrayViewMut2<'_, f32>,
        steps: usize,
    ) -> Array2<f32> {
        let (rows, units) = self.hidden.dim();
        let batch = rows / steps;
        let mut by_gates = Array2::<f32>::zeros((rows, 4 * units));
        let mut by_cells = Array2::<f32>::zeros((batch, units));
        for step in (0..steps).rev() {
            for row in 0..batch {
                let at = step * batch + row;
                let gates = self.gates.row(at);
                let mut by_gates = by_gates.row_mut(at);
                for unit in 0..units {
                    let [input, output, forget, candidate] =
                        [0, 1, 2, 3].map(|gate| gates[gate * units + unit]);
                    let (tanh, by_hidden) = (self.cell_tanh[[at, unit]], by_hidden[[at, unit]]);
                    let by_cell = by_cells[[row, unit]] + by_hidden * output * (1.0 - tanh * tanh);
                    let before = if step > 0 {
                        self.cells[[at - batch, unit]]
                    } else {
                        0.0
                    };
                    by_gates[unit] = by_cell * candidate * input * (1.0 - input);
                    by_gates[units + unit] = by_hidden * tanh * output * (1.0 - output);
                    by_gates[2 * units + unit] = by_cell * before * forget * (1.0 - forget);
                    by_gates[3 * units + unit] = by_cell * input * (1.0 - candidate * candidate);
                    by_cells[[row, unit]] = by_cell * forget;
                }
            }
            if step > 0 {
                let by_gates = by_gates.slice(s![step * batch..(step + 1) * batch, ..]);
                let mut by_before = by_hidden.slice_mut(s![(step - 1) * batch..step * batch, ..]);
                general_mat_mul(1.0, &by_gates, &recurrent.t(), 1.0, &mut by_before);
            }
        }
        if steps > 1 {
            let before = self.hidden.slice(s![..rows - batch, ..]);
            general_mat_mul(
                1.0,
                &before.t(),
                &by_gates.slice(s![batch.., ..]),
                1.0,
                by_recurrent,
            );
        }
        by_gates
    }
}

/// What the network says of a batch, with what was on the way.
struct Forwards {
    embedded: Array2<f32>,
    encoder: Run,
    codes: Array2<f32>,
    decoder: Run,
    output: Array2<f32>,
}

impl Shape {
    fn forwards(self, values: &[f32], input: &ArrayView2<'_, f32>, steps: usize) -> Forwards {
        let part = |part: Part| self.matrix(values, part);
        let mut embedded = dense(input, &part(Part::EmbeddingWeights), &part(Part::EmbeddingBias));
        embedded.mapv_inplace(tanh);
        let gates = dense(
            &embedded.view(),
            &part(Part::EncoderInput),
            &part(Part::EncoderBias),
        );
        let encoder = Run::forwards(gates, &part(Part::EncoderRecurrent), steps);
        let codes = dense(
            &encoder.hidden.view(),
            &part(Part::CodeWeights),
            &part(Part::CodeBias),
        );
        let gates = dense(&codes.view(), &part(Part::DecoderInput), &part(Part::DecoderBias));
        let decoder = Run::forwards(gates, &part(Part::DecoderRecurrent), steps);
        let output = dense(
            &decoder.hidden.view(),
            &part(Part::OutputWeights),
            &part(Part::OutputBias),
        );
        Forwards {
            embedded,
            encoder,
            codes,
            decoder,
            output,
        }
    }

    /// The sum of the squared errors of the rows that count; `by_number` gets its part of each number.
    pub(super) fn loss(self, values: &[f32], batch: &Batch, by_number: &mut [f64]) -> f64 {
        let output = self.forwards(values, &batch.input.view(), batch.steps).output;
        let mut sum = 0.0;
        for ((output, target), _) in output
            .rows()
            .into_iter()
            .zip(batch.target.rows())
            .zip(&batch.counts)
            .filter(|(_, counts)| **counts)
        {
            for ((output, target), by_number) in output.iter().zip(target).zip(&mut *by_number) {
                let squared = f64::from(output - target).powi(2);
                *by_number += squared;
                sum += squared;
            }
        }
        sum
    }

    /// Adds the gradient of half the sum of the squared errors to `gradient` and gives that sum.
    pub(super) fn learn(self, values: &[f32], batch: &Batch, gradient: &mut [f32]) -> f64 {
        let steps = batch.steps;
        let forwards = self.forwards(values, &batch.input.view(), steps);
        let mut by_output = &forwards.output - &batch.target;
        for (mut row, _) in by_output
            .rows_mut()
            .into_iter()
            .zip(&batch.counts)
            .filter(|(_, counts)| !**counts)
        {
            row.fill(0.0);
        }
        let sum = by_output
            .rows()
            .into_iter()
            .map(|row| f64::from(row.dot(&row)))
            .sum();
        let part = |part: Part| self.matrix(values, part);
        let decoder = &forwards.decoder;
        self.add_layer(
            gradient,
            &decoder.hidden,
            &by_output,
            Part::OutputWeights,
            Part::OutputBias,
        );
        let by_hidden = by_output.dot(&part(Part::OutputWeights).t());
        let by_gates = decoder.backwards(
            by_hidden,
            &part(Part::DecoderRecurrent),
            &mut self.matrix_mut(gradient, Part::DecoderRecurrent),
            steps,
        );
        self.add_layer(
            gradient,
            &forwards.codes,
            &by_gates,
            Part::DecoderInput,
            Part::DecoderBias,
        );
        let by_codes = by_gates.dot(&part(Part::DecoderInput).t());
        let encoder = &forwards.encoder;
        self.add_layer(
            gradient,
            &encoder.hidden,
            &by_codes,
            Part::CodeWeights,
            Part::CodeBias,
        );
        let by_hidden = by_codes.dot(&part(Part::CodeWeights).t());
        let by_gates = encoder.backwards(
            by_hidden,
            &part(Part::EncoderRecurrent),
            &mut self.matrix_mut(gradient, Part::EncoderRecurrent),
            steps,
        );
        self.add_layer(
            gradient,
            &forwards.embedded,
            &by_gates,
            Part::EncoderInput,
            Part::EncoderBias,
        );
        let mut by_embedded = by_gates.dot(&part(Part::EncoderInput).t());
        by_embedded.zip_mut_with(&forwards.embedded, |by, &embedded| {
            *by *= 1.0 - embedded * embedded;
        });
        self.add_layer(
            gradient,
            &batch.input,
            &by_embedded,
            Part::EmbeddingWeights,
            Part::EmbeddingBias,
        );
        sum
    }

    fn add_layer(
        self,
        gradient: &mut [f32],
        input: &Array2<f32>,
        by_output: &Array2<f32>,
        weights: Part,
        bias: Part,
    ) {
        general_mat_mul(
            1.0,
            &input.t(),
            by_output,
            1.0,
            &mut self.matrix_mut(gradient, weights),
        );
        let mut by_bias = self.matrix_mut(gradient, bias);
        by_bias += &by_output.sum_axis(Axis(0)).insert_axis(Axis(0));
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    /// The gradient against differences of the loss, along random directions.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let shape = Shape {
            features: 5,
            embedding: 6,
            encoder: 4,
            code: 3,
            decoder: 4,
        };
        for steps in [1, 3] {
            let mut random = ChaCha8Rng::seed_from_u64(4);
            let values = shape.begin(&mut random);
            let input = Array2::from_shape_simple_fn((2 * steps, 5), || random.random_range(-1.0..1.0f32));
            let mut counts = vec![true; 2 * steps];
            counts[1] = false;
            let batch = Batch {
                steps,
                target: input.clone(),
                input,
                counts,
            };
            let mut gradient = vec![0.0; shape.weights()];
            let sum = shape.learn(&values, &batch, &mut gradient);
            assert!((sum - shape.loss(&values, &batch, &mut [0.0; 5])).abs() < 1e-4);
            for part in Part::ALL {
                let range = shape.range(part);
                let direction: Vec<f32> = range.clone().map(|_| random.random_range(-1.0..1.0)).collect();
                let at = |step: f32| {
                    let mut moved = values.clone();
                    for (value, direction) in moved[range.clone()].iter_mut().zip(&direction) {
                        *value += step * direction;
                    }
                    shape.loss(&moved, &batch, &mut [0.0; 5]) / 2.0
                };
                let step = 1e-2;
                let found = (at(step) - at(-step)) / f64::from(2.0 * step);
                let pairs = gradient[range.clone()].iter().zip(&direction);
                let expected: f32 = pairs.map(|(gradient, direction)| gradient * direction).sum();
                let error = (found - f64::from(expected)).abs();
                assert!(
                    error < 2e-3 * (1.0 + found.abs()),
                    "{part:?} in {steps} steps: {found} instead of {expected}"
                );
            }
        }
    }
}
