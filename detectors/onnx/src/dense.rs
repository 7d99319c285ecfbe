//! Chains of dense layers, which most autoencoders are, without a general runtime.
//!
//! Eight outputs of four rows are summed at a time, each sum in the order of the inputs, whatever the number of rows:
//! so a row has the same result in every block and on every machine. The layout is one that compilers turn into
//! vector instructions by themselves.

use netsage_onnx_format::proto::data_type::{DOUBLE, FLOAT};
use netsage_onnx_format::{Graph, Model, Node, Tensor};

use crate::kernel::{LANES, ROWS, accumulate};
use crate::maths::{sigmoid, tanh};

/// Widest layer.
const MAX_WIDTH: usize = 4_096;
/// Most layers.
const MAX_LAYERS: usize = 64;

/// `value` rounded up to whole lanes.
pub(crate) const fn padded(value: usize) -> usize {
    value.next_multiple_of(LANES)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Relu,
    Tanh,
    Sigmoid,
}

#[derive(Debug, Clone)]
struct Layer {
    inputs: usize,
    outputs: usize,
    /// For each eight outputs the weights of each input, one input after the other.
    weights: Vec<[f32; LANES]>,
    /// Of each eight outputs.
    bias: Vec<[f32; LANES]>,
    activations: Vec<Activation>,
}

/// A chain of dense layers, ready to run.
#[derive(Debug, Clone)]
pub struct Dense {
    layers: Vec<Layer>,
    /// Input and output of the current layer.
    buffers: [Vec<f32>; 2],
    /// Four rows, number by number.
    packed: Vec<[f32; ROWS]>,
}

impl Dense {
    /// Reads a model whose graph is a chain of dense layers and activations.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn new(model: &Model) -> Result<Self, String> {
        let graph = &model.graph;
        let ([input], [output]) = (graph.inputs.as_slice(), graph.outputs.as_slice()) else {
            return Err(format!(
                "{} inputs and {} outputs instead of one each",
                graph.inputs.len(),
                graph.outputs.len()
            ));
        };
        if ![FLOAT, DOUBLE].contains(&input.data_type) {
            return Err("its input is not of floating-point numbers of 32 or 64 bits".to_owned());
        }
        let mut layers: Vec<Layer> = Vec::new();
        let mut current = input.name.as_str();
        for node in &graph.nodes {
            if !node.domain.is_empty() || node.outputs.len() != 1 {
                return Err(format!("it has the operator {} of another kind", node.operator));
            }
            append(&mut layers, graph, node, current)?;
            current = &node.outputs[0];
        }
        if current != output.name || layers.is_empty() {
            return Err("its nodes do not lead from its input to its output".to_owned());
        }
        let stated = input
            .shape
            .as_ref()
            .and_then(|shape| shape.last().copied().flatten());
        if stated.is_some_and(|width| width != layers[0].inputs) {
            return Err("its input has another width than its first layer".to_owned());
        }
        if layers.windows(2).any(|pair| pair[0].outputs != pair[1].inputs) {
            return Err("its layers do not fit each other".to_owned());
        }
        if layers.len() > MAX_LAYERS {
            return Err(format!("it has more than {MAX_LAYERS} layers"));
        }
        Ok(Self {
            layers,
            buffers: [Vec::new(), Vec::new()],
            packed: Vec::new(),
        })
    }

    /// Numbers that a row has.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Numbers that a row becomes.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// Multiplications for a row.
    pub fn multiplications(&self) -> usize {
        self.layers.iter().map(|layer| layer.inputs * layer.outputs).sum()
    }

    /// What `rows` rows become. Rows are padded to whole lanes, here and there; what stands in the padding of the
    /// values does not matter.
    pub(crate) fn run(&mut self, values: &[f32], rows: usize) -> &[f32] {
        let [read, written] = &mut self.buffers;
        for (index, layer) in self.layers.iter().enumerate() {
            std::mem::swap(read, written);
            written.resize(rows * padded(layer.outputs), 0.0);
            let source = if index == 0 { values } else { read.as_slice() };
            layer.run(source, &mut self.packed, written);
        }
        written
    }
}

impl Layer {
    fn run(&self, values: &[f32], packed: &mut Vec<[f32; ROWS]>, written: &mut [f32]) {
        let (from, to) = (padded(self.inputs), padded(self.outputs));
        packed.resize(self.inputs, [0.0; ROWS]);
        for (values, out) in values.chunks(ROWS * from).zip(written.chunks_mut(ROWS * to)) {
            for (row, values) in values.chunks_exact(from).enumerate() {
                for (packed, value) in packed.iter_mut().zip(values) {
                    packed[row] = *value;
                }
            }
            let panels = self.weights.chunks_exact(self.inputs).zip(&self.bias);
            for (panel, (weights, bias)) in panels.enumerate() {
                // Of fewer than four rows the last sums are of no row, and stay unused.
                let sums = accumulate(packed, weights, *bias);
                for (out, sums) in out.chunks_exact_mut(to).zip(&sums) {
                    out[panel * LANES..][..LANES].copy_from_slice(sums);
                }
            }
        }
        for activation in &self.activations {
            activate(*activation, written);
        }
    }
}

fn activate(activation: Activation, values: &mut [f32]) {
    // Rows are whole lanes, so nothing is left over.
    let (lanes, _) = values.as_chunks_mut::<LANES>();
    for lane in lanes {
        *lane = match activation {
            // What is no number stays none.
            Activation::Relu => lane.map(|value| if value < 0.0 { 0.0 } else { value }),
            Activation::Tanh => lane.map(tanh),
            Activation::Sigmoid => lane.map(sigmoid),
        };
    }
}

/// Adds a node that reads `current` to the layers.
fn append(layers: &mut Vec<Layer>, graph: &Graph, node: &Node, current: &str) -> Result<(), String> {
    let operator = node.operator.as_str();
    let other = |position: usize| node.inputs.get(position).map(String::as_str).unwrap_or_default();
    let constant = |position: usize| {
        graph
            .initializers
            .get(other(position))
            .ok_or_else(|| format!("{operator} needs {:?}, which is no weight", other(position)))
    };
    let reads = |position: usize| other(position) == current;
    match operator {
        "Gemm" if reads(0) => {
            let flag = |name: &str| node.ints.get(name).copied().unwrap_or_default();
            let factor = |name: &str| node.floats.get(name).copied().unwrap_or(1.0);
            if flag("transA") != 0 || factor("alpha") != 1.0 || factor("beta") != 1.0 {
                return Err("a Gemm scales or transposes its rows".to_owned());
            }
            layers.push(layer(constant(1)?, flag("transB") != 0)?);
            if other(2).is_empty() {
                Ok(())
            } else {
                add_bias(layers, constant(2)?)
            }
        }
        "MatMul" if reads(0) => {
            layers.push(layer(constant(1)?, false)?);
            Ok(())
        }
        "Add" if reads(0) => add_bias(layers, constant(1)?),
        "Add" if reads(1) => add_bias(layers, constant(0)?),
        "Relu" if reads(0) => push_activation(layers, Activation::Relu),
        "Tanh" if reads(0) => push_activation(layers, Activation::Tanh),
        "Sigmoid" if reads(0) => push_activation(layers, Activation::Sigmoid),
        "Identity" if reads(0) => Ok(()),
        // To the shape that it has; or at the end to one column, as skl2onnx exports what has several. The order of the
        // numbers stays the same.
        "Reshape" if reads(0) => {
            let outputs = layers.last().and_then(|layer| i64::try_from(layer.outputs).ok());
            let is_last = graph
                .outputs
                .iter()
                .any(|output| node.outputs.contains(&output.name));
            match (constant(1)?.integers(), outputs) {
                (Some([-1 | 0, width]), Some(outputs)) if *width == outputs => Ok(()),
                (Some([-1, 1]), Some(_)) if is_last => Ok(()),
                (shape, _) => Err(format!("it reshapes rows to {shape:?}")),
            }
        }
        // To the type that it has.
        "Cast" if reads(0) && node.ints.get("to") == Some(&1) => Ok(()),
        _ => Err(format!(
            "it has the operator {operator}, or one that is used in another way"
        )),
    }
}

fn layer(weights: &Tensor, transposed: bool) -> Result<Layer, String> {
    let (&[first, second], Some(values)) = (weights.shape.as_slice(), weights.floats()) else {
        return Err(format!("weights of the shape {:?}, or no numbers", weights.shape));
    };
    let (inputs, outputs) = if transposed {
        (second, first)
    } else {
        (first, second)
    };
    if !(1..=MAX_WIDTH).contains(&inputs) || !(1..=MAX_WIDTH).contains(&outputs) {
        return Err(format!(
            "a layer from {inputs} to {outputs} numbers instead of 1 to {MAX_WIDTH}"
        ));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err("a weight is not finite".to_owned());
    }
    let panels = padded(outputs) / LANES;
    let weight = |input: usize, output: usize| {
        if output >= outputs {
            0.0
        } else if transposed {
            values[output * inputs + input]
        } else {
            values[input * outputs + output]
        }
    };
    Ok(Layer {
        inputs,
        outputs,
        weights: (0..panels * inputs)
            .map(|place| std::array::from_fn(|lane| weight(place % inputs, place / inputs * LANES + lane)))
            .collect(),
        bias: vec![[0.0; LANES]; panels],
        activations: Vec::new(),
    })
}

fn add_bias(layers: &mut [Layer], bias: &Tensor) -> Result<(), String> {
    let Some(layer) = layers.last_mut().filter(|layer| layer.activations.is_empty()) else {
        return Err("an Add that follows no multiplication".to_owned());
    };
    let values = bias.floats().unwrap_or_default();
    if values.len() != layer.outputs || values.iter().any(|value| !value.is_finite()) {
        return Err(format!(
            "a bias of the shape {:?} for {} outputs",
            bias.shape, layer.outputs
        ));
    }
    for (output, value) in values.iter().enumerate() {
        layer.bias[output / LANES][output % LANES] += value;
    }
    Ok(())
}

fn push_activation(layers: &mut [Layer], activation: Activation) -> Result<(), String> {
    let layer = layers.last_mut().ok_or("an activation before any layer")?;
    layer.activations.push(activation);
    Ok(())
}
