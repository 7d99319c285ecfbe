//! Writing models.

use prost::Message as _;

use crate::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    attribute_type, data_type,
};
use crate::{IR_VERSION, OPSET};

/// A value in a graph that is being built: an input, a weight or what a node gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// Its name in the graph.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// One dimension of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// Known now.
    Fixed(usize),
    /// Known when the model runs; equal names stand for equal numbers.
    Symbol(&'static str),
}

/// Functions of one number, each a node of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(0, x)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// Options of [`GraphBuilder::gemm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gemm {
    /// Whether the weights are `[outputs, inputs]`, as PyTorch keeps them, and not `[inputs, outputs]`.
    pub transpose_weights: bool,
}

/// Inputs of [`GraphBuilder::lstm`], one direction, gates in ONNX's order: input, output, forget, cell.
#[derive(Debug, Clone, Copy)]
pub struct Lstm<'a> {
    /// Width of the state.
    pub hidden: usize,
    /// `[steps, rows, inputs]`.
    pub sequence: &'a Value,
    /// `[1, 4 * hidden, inputs]`.
    pub input_weights: &'a Value,
    /// `[1, 4 * hidden, hidden]`.
    pub recurrent_weights: &'a Value,
    /// `[1, 8 * hidden]`: those of the input weights, then those of the recurrent ones. None stands for 0.
    pub bias: Option<&'a Value>,
    /// `[rows]`, whole numbers of 32 bits: how many steps count. None stands for all.
    pub lengths: Option<&'a Value>,
    /// `[1, rows, hidden]`. None stands for 0.
    pub initial_hidden: Option<&'a Value>,
    /// `[1, rows, hidden]`. None stands for 0.
    pub initial_cell: Option<&'a Value>,
}

/// What [`GraphBuilder::lstm`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LstmOutputs {
    /// `[steps, 1, rows, hidden]`: the state after each step.
    pub all: Value,
    /// `[1, rows, hidden]`: after the last.
    pub hidden: Value,
    /// `[1, rows, hidden]`: the cells after the last.
    pub cell: Value,
}

/// Builds a graph node by node. Values can only be used after they were made, so the nodes are always in an order in
/// which they can run. Shapes are not checked here; `onnx.checker` and whatever runs the model do.
///
/// ```
/// use netsage_onnx_format::{Activation, Dim, Gemm, GraphBuilder};
///
/// let mut graph = GraphBuilder::new("layer");
/// let rows = graph.input("rows", &[Dim::Symbol("batch"), Dim::Fixed(2)]);
/// let weights = graph.floats("weights", &[2, 1], &[1.0, -1.0]);
/// let bias = graph.floats("bias", &[1], &[0.5]);
/// let sum = graph.gemm(&rows, &weights, Some(&bias), Gemm::default());
/// let score = graph.activation(Activation::Relu, &sum);
/// graph.output("score", &score, &[Dim::Symbol("batch"), Dim::Fixed(1)]);
/// let bytes = graph.encode();
/// assert_eq!(netsage_onnx_format::Model::decode(&bytes).unwrap().graph.nodes.len(), 3);
/// ```
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    graph: GraphProto,
    metadata: Vec<StringStringEntryProto>,
    description: Option<String>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self {
            graph: GraphProto {
                name: Some(name.to_owned()),
                ..GraphProto::default()
            },
            metadata: Vec::new(),
            description: None,
        }
    }

    /// Says in words what the model is.
    pub fn describe(&mut self, text: &str) {
        self.description = Some(text.to_owned());
    }

    /// Adds a property of the model for those who read it.
    pub fn metadata(&mut self, key: &str, value: &str) {
        self.metadata.push(StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        });
    }

    /// An input of `f32`.
    pub fn input(&mut self, name: &str, shape: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, data_type::FLOAT, shape));
        Value(name.to_owned())
    }

    /// An input of whole numbers of 32 bits.
    pub fn integer_input(&mut self, name: &str, shape: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, data_type::INT32, shape));
        Value(name.to_owned())
    }

    /// Makes a value an output of `f32` under this name.
    pub fn output(&mut self, name: &str, value: &Value, shape: &[Dim]) {
        self.push("Identity", &[value.name()], vec![name.to_owned()], Vec::new());
        self.graph.output.push(value_info(name, data_type::FLOAT, shape));
    }

    /// Weights.
    ///
    /// # Panics
    /// When the values are not as many as the shape says: that is a mistake of the code that builds the graph.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, data_type::FLOAT, shape, values.len(), raw)
    }

    /// Whole numbers, such as axes and bounds.
    ///
    /// # Panics
    /// As [`GraphBuilder::floats`].
    pub fn integers(&mut self, name: &str, shape: &[usize], values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, data_type::INT64, shape, values.len(), raw)
    }

    fn tensor(&mut self, name: &str, kind: i32, shape: &[usize], count: usize, raw: Vec<u8>) -> Value {
        assert_eq!(shape.iter().product::<usize>(), count, "{name} has another shape");
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|&length| dimension(length)).collect(),
            data_type: Some(kind),
            name: Some(name.to_owned()),
            raw_data: Some(raw),
            ..TensorProto::default()
        });
        Value(name.to_owned())
    }

    /// `rows x weights + bias`, for two dimensions.
    pub fn gemm(&mut self, rows: &Value, weights: &Value, bias: Option<&Value>, options: Gemm) -> Value {
        let mut attributes = Vec::new();
        if options.transpose_weights {
            attributes.push(int("transB", 1));
        }
        let inputs: Vec<&str> = [rows, weights].into_iter().chain(bias).map(Value::name).collect();
        self.node("Gemm", &inputs, attributes)
    }

    /// The matrix product over the last two dimensions.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a.name(), b.name()], Vec::new())
    }

    /// `a + b`; dimensions of length 1 are stretched.
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a.name(), b.name()], Vec::new())
    }

    /// `a - b`.
    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Sub", &[a.name(), b.name()], Vec::new())
    }

    /// `a * b`, value by value.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Mul", &[a.name(), b.name()], Vec::new())
    }

    /// `a / b`, value by value.
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Div", &[a.name(), b.name()], Vec::new())
    }

    /// The square root of each value.
    pub fn sqrt(&mut self, value: &Value) -> Value {
        self.node("Sqrt", &[value.name()], Vec::new())
    }

    /// A function of each value.
    pub fn activation(&mut self, activation: Activation, value: &Value) -> Value {
        let operator = match activation {
            Activation::Relu => "Relu",
            Activation::Tanh => "Tanh",
            Activation::Sigmoid => "Sigmoid",
        };
        self.node(operator, &[value.name()], Vec::new())
    }

    /// The values one after the other along an axis.
    pub fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        let inputs: Vec<&str> = values.iter().map(|value| value.name()).collect();
        self.node("Concat", &inputs, vec![int("axis", axis)])
    }

    /// The part from `start` to before `end` along an axis; negative numbers count from the end.
    pub fn slice(&mut self, value: &Value, axis: i64, start: i64, end: i64) -> Value {
        let name = self.fresh("Slice");
        let starts = self.integers(&format!("{name}_starts"), &[1], &[start]);
        let ends = self.integers(&format!("{name}_ends"), &[1], &[end]);
        let axes = self.integers(&format!("{name}_axes"), &[1], &[axis]);
        let inputs = [value.name(), starts.name(), ends.name(), axes.name()];
        self.node("Slice", &inputs, Vec::new())
    }

    /// The mean over axes.
    pub fn reduce_mean(&mut self, value: &Value, axes: &[i64], keep: bool) -> Value {
        let attributes = vec![ints("axes", axes), int("keepdims", i64::from(keep))];
        self.node("ReduceMean", &[value.name()], attributes)
    }

    /// The sum over axes.
    pub fn reduce_sum(&mut self, value: &Value, axes: &[i64], keep: bool) -> Value {
        let name = self.fresh("ReduceSum");
        let axes = self.integers(&format!("{name}_axes"), &[axes.len()], axes);
        let attributes = vec![int("keepdims", i64::from(keep))];
        self.node("ReduceSum", &[value.name(), axes.name()], attributes)
    }

    /// Leaves out dimensions of length 1.
    pub fn squeeze(&mut self, value: &Value, axes: &[i64]) -> Value {
        let name = self.fresh("Squeeze");
        let axes = self.integers(&format!("{name}_axes"), &[axes.len()], axes);
        self.node("Squeeze", &[value.name(), axes.name()], Vec::new())
    }

    /// Puts in dimensions of length 1.
    pub fn unsqueeze(&mut self, value: &Value, axes: &[i64]) -> Value {
        let name = self.fresh("Unsqueeze");
        let axes = self.integers(&format!("{name}_axes"), &[axes.len()], axes);
        self.node("Unsqueeze", &[value.name(), axes.name()], Vec::new())
    }

    /// Another order of the dimensions.
    pub fn transpose(&mut self, value: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[value.name()], vec![ints("perm", order)])
    }

    /// Another shape of the same values; one length may be -1, and 0 keeps a length.
    pub fn reshape(&mut self, value: &Value, shape: &[i64]) -> Value {
        let name = self.fresh("Reshape");
        let shape = self.integers(&format!("{name}_shape"), &[shape.len()], shape);
        self.node("Reshape", &[value.name(), shape.name()], Vec::new())
    }

    /// A long short-term memory, one direction, forwards.
    pub fn lstm(&mut self, lstm: &Lstm<'_>) -> LstmOutputs {
        let optional = |value: Option<&Value>| value.map_or_else(String::new, |value| value.0.clone());
        let mut inputs = vec![
            lstm.sequence.0.clone(),
            lstm.input_weights.0.clone(),
            lstm.recurrent_weights.0.clone(),
            optional(lstm.bias),
            optional(lstm.lengths),
            optional(lstm.initial_hidden),
            optional(lstm.initial_cell),
        ];
        // An empty name stands for an absent input only before one that is there.
        while inputs.last().is_some_and(String::is_empty) {
            inputs.pop();
        }
        let name = self.fresh("LSTM");
        let outputs = ["all", "hidden", "cell"].map(|output| format!("{name}_{output}"));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![int("hidden_size", dimension(lstm.hidden))];
        self.push("LSTM", &inputs, outputs.to_vec(), attributes);
        let [all, hidden, cell] = outputs.map(Value);
        LstmOutputs { all, hidden, cell }
    }

    /// Any other operator of the default domain with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Value {
        let name = self.fresh(operator);
        self.push(operator, inputs, vec![name.clone()], attributes);
        Value(name)
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: Vec<String>,
        attributes: Vec<AttributeProto>,
    ) {
        let name = self.fresh(operator);
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: outputs,
            name: Some(name),
            op_type: Some(operator.to_owned()),
            attribute: attributes,
            domain: None,
        });
    }

    /// A name that no node has so far.
    fn fresh(&self, operator: &str) -> String {
        format!("{operator}_{}", self.graph.node.len())
    }

    /// The model as bytes. The same graph gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("netsage".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            doc_string: self.description.clone(),
            graph: Some(self.graph.clone()),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPSET),
            }],
            metadata_props: self.metadata.clone(),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }
}

fn value_info(name: &str, kind: i32, shape: &[Dim]) -> ValueInfoProto {
    let lengths = shape.iter().map(|dim| match dim {
        Dim::Fixed(length) => (Some(dimension(*length)), None),
        Dim::Symbol(name) => (None, Some((*name).to_owned())),
    });
    let dim = lengths
        .map(|(dim_value, dim_param)| DimensionProto { dim_value, dim_param })
        .collect();
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(kind),
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
        doc_string: None,
    }
}

fn dimension(length: usize) -> i64 {
    i64::try_from(length).expect("memory holds fewer values than 2^63")
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(attribute_type::INT),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        ints: values.to_vec(),
        r#type: Some(attribute_type::INTS),
        ..AttributeProto::default()
    }
}
