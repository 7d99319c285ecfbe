//! The network: forwards, backwards, and a step of Adam (Kingma and Ba, 2015).

use netsage_onnx_format::{Activation, Dim, Gemm, GraphBuilder};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::matrix::{Matrix, Packing, View};

/// Adam's constants, those of the paper.
const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// The parameters of a layer, or what belongs to each of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) inputs: usize,
    /// `[inputs, outputs]`.
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Dense layers with a rectifier behind each but the narrowest and the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    pub(super) layers: Vec<Layer>,
    pub(super) rectified: Vec<bool>,
}

/// What Adam remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Adam {
    first: Vec<Layer>,
    second: Vec<Layer>,
    /// The decays to the power of the number of steps.
    powers: [f32; 2],
}

/// Memory for a batch.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// What each layer gives; the first is the batch.
    pub(super) values: Vec<Matrix>,
    error: Matrix,
    before: Matrix,
    gradient: Matrix,
    packing: Packing,
}

impl Layer {
    fn view(&self) -> View<'_> {
        View::new(&self.weights, self.bias.len())
    }

    fn like(&self) -> Self {
        Self {
            inputs: self.inputs,
            weights: vec![0.0; self.weights.len()],
            bias: vec![0.0; self.bias.len()],
        }
    }
}

impl Network {
    /// A network with these widths, from input to output, its weights drawn evenly from plus and minus
    /// `sqrt(6 / (inputs + outputs))` (Glorot and Bengio, 2010).
    pub(super) fn new(widths: &[usize], random: &mut ChaCha8Rng) -> Self {
        let layers: Vec<Layer> = widths
            .windows(2)
            .map(|pair| {
                let (inputs, outputs) = (pair[0], pair[1]);
                let reach = (6.0 / (inputs + outputs) as f32).sqrt();
                let mut draw = || {
                    let unit = (random.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
                    (2.0 * unit - 1.0) * reach
                };
                Layer {
                    inputs,
                    weights: (0..inputs * outputs).map(|_| draw()).collect(),
                    bias: vec![0.0; outputs],
                }
            })
            .collect();
        let narrowest = widths[1..].iter().copied().min().unwrap_or_default();
        let last = layers.len() - 1;
        let rectified = (0..layers.len()).map(|index| index != last && widths[index + 1] != narrowest);
        Self {
            rectified: rectified.collect(),
            layers,
        }
    }

    /// Whether it has these widths and nothing but numbers.
    pub(super) fn fits(&self, widths: &[usize]) -> bool {
        let layers = self.layers.iter().zip(widths.windows(2));
        self.layers.len() + 1 == widths.len()
            && self.rectified.len() == self.layers.len()
            && layers.into_iter().all(|(layer, pair)| {
                layer.inputs == pair[0]
                    && layer.bias.len() == pair[1]
                    && layer.weights.len() == pair[0] * pair[1]
                    && layer
                        .weights
                        .iter()
                        .chain(&layer.bias)
                        .all(|value| value.is_finite())
            })
    }

    /// Puts a batch of rows where [`Network::forward`] reads it.
    pub(super) fn load<'a>(&self, workspace: &mut Workspace, rows: impl Iterator<Item = &'a [f32]>) {
        workspace
            .values
            .resize_with(self.layers.len() + 1, Matrix::default);
        let batch = &mut workspace.values[0];
        batch.columns = self.layers[0].inputs;
        batch.values.clear();
        for row in rows {
            batch.values.extend_from_slice(row);
        }
    }

    /// Runs the batch that stands in the first of the workspace's values.
    pub(super) fn forward(&self, workspace: &mut Workspace) {
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = workspace.values.split_at_mut(index + 1);
            let packing = &mut workspace.packing;
            after[0].set_product(before[index].view(), layer.view(), Some(&layer.bias), packing);
            if self.rectified[index] {
                for value in &mut after[0].values {
                    *value = value.max(0.0);
                }
            }
        }
    }

    /// The sum of the squared errors of the reconstruction, after [`Network::forward`].
    pub(super) fn loss(workspace: &Workspace) -> f64 {
        let (Some(seen), Some(given)) = (workspace.values.first(), workspace.values.last()) else {
            return 0.0;
        };
        let rows = given
            .values
            .chunks(given.columns)
            .zip(seen.values.chunks(given.columns));
        rows.map(|(given, seen)| {
            let errors = given
                .iter()
                .zip(seen)
                .map(|(given, seen)| (given - seen) * (given - seen));
            f64::from(errors.sum::<f32>())
        })
        .sum()
    }

    /// A step of Adam against the squared errors of the reconstruction, after [`Network::forward`].
    pub(super) fn step(&mut self, adam: &mut Adam, workspace: &mut Workspace, rate: f32) {
        let Workspace {
            values,
            error,
            before,
            gradient,
            packing,
        } = workspace;
        let given = &values[self.layers.len()];
        let factor = 2.0 / given.rows() as f32;
        error.resize(given.rows(), given.columns);
        let pairs = given.values.iter().zip(&values[0].values);
        for (error, (given, seen)) in error.values.iter_mut().zip(pairs) {
            *error = (given - seen) * factor;
        }
        adam.powers = [adam.powers[0] * FIRST_DECAY, adam.powers[1] * SECOND_DECAY];
        let corrections = adam.powers.map(|power| 1.0 - power);
        for index in (0..self.layers.len()).rev() {
            gradient.set_product(values[index].view().turned(), error.view(), None, packing);
            let mut bias = vec![0.0f32; error.columns];
            for row in error.values.chunks_exact(error.columns) {
                for (sum, value) in bias.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            let layer = &mut self.layers[index];
            if index > 0 {
                before.set_product(error.view(), layer.view().turned(), None, packing);
                if self.rectified[index - 1] {
                    for (error, given) in before.values.iter_mut().zip(&values[index].values) {
                        if *given <= 0.0 {
                            *error = 0.0;
                        }
                    }
                }
            }
            let (first, second) = (&mut adam.first[index], &mut adam.second[index]);
            update(
                &mut layer.weights,
                &gradient.values,
                &mut first.weights,
                &mut second.weights,
                corrections,
                rate,
            );
            update(
                &mut layer.bias,
                &bias,
                &mut first.bias,
                &mut second.bias,
                corrections,
                rate,
            );
            std::mem::swap(error, before);
        }
    }

    /// The network as ONNX.
    pub(super) fn to_onnx(&self) -> Vec<u8> {
        let mut graph = GraphBuilder::new("autoencoder");
        graph.describe(
            "Dense autoencoder of encoded flows; the error of its reconstruction is the anomaly score.",
        );
        let batch = Dim::Symbol("rows");
        let width = Dim::Fixed(self.layers.first().map_or(0, |layer| layer.inputs));
        let mut value = graph.input("encoded", &[batch, width]);
        for (index, layer) in self.layers.iter().enumerate() {
            let weights = graph.floats(
                &format!("weights_{index}"),
                &[layer.inputs, layer.bias.len()],
                &layer.weights,
            );
            let bias = graph.floats(&format!("bias_{index}"), &[layer.bias.len()], &layer.bias);
            value = graph.gemm(&value, &weights, Some(&bias), Gemm::default());
            if self.rectified[index] {
                value = graph.activation(Activation::Relu, &value);
            }
        }
        graph.output("reconstruction", &value, &[batch, width]);
        graph.encode()
    }
}

impl Adam {
    pub(super) fn new(network: &Network) -> Self {
        let zeros = || network.layers.iter().map(Layer::like).collect::<Vec<_>>();
        Self {
            first: zeros(),
            second: zeros(),
            powers: [1.0; 2],
        }
    }

    /// Whether it belongs to a network of this shape.
    pub(super) fn fits(&self, network: &Network) -> bool {
        let like = |layers: &[Layer]| {
            layers.len() == network.layers.len()
                && layers.iter().zip(&network.layers).all(|(own, layer)| {
                    own.weights.len() == layer.weights.len() && own.bias.len() == layer.bias.len()
                })
        };
        like(&self.first) && like(&self.second)
    }
}

fn update(
    parameters: &mut [f32],
    gradients: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    corrections: [f32; 2],
    rate: f32,
) {
    let moments = first.iter_mut().zip(second);
    for ((parameter, &gradient), (first, second)) in parameters.iter_mut().zip(gradients).zip(moments) {
        *first = FIRST_DECAY * *first + (1.0 - FIRST_DECAY) * gradient;
        *second = SECOND_DECAY * *second + (1.0 - SECOND_DECAY) * gradient * gradient;
        let spread = (*second / corrections[1]).sqrt() + EPSILON;
        *parameter -= rate * (*first / corrections[0]) / spread;
    }
}
