//! Reading models.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::proto::{ModelProto, TensorProto, ValueInfoProto, attribute_type, data_type};

/// Why a model cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are not of the format.
    #[error("this is no ONNX model, or it is damaged or cut off ({0}); export it again")]
    Encoding(String),
    /// There is no graph.
    #[error("the ONNX model holds no graph; export it again")]
    NoGraph,
    /// A tensor is not whole.
    #[error("the tensor {name} of the ONNX model {problem}; export the model again, with its weights inside")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor that is needed is not there.
    #[error("the ONNX model has no tensor {0}")]
    Missing(String),
}

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Version of the format.
    pub ir_version: i64,
    /// Version of the operators of each domain; the empty name is ONNX's own.
    pub opsets: BTreeMap<String, i64>,
    /// Properties, by key.
    pub metadata: BTreeMap<String, String>,
    /// What it computes.
    pub graph: Graph,
}

/// What a model computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Inputs that must be given: those that have no initial value.
    pub inputs: Vec<Input>,
    /// Outputs.
    pub outputs: Vec<Input>,
    /// Nodes in an order in which they can run, if the model is sound.
    pub nodes: Vec<Node>,
    /// Weights and other constants, by name.
    pub initializers: BTreeMap<String, Tensor>,
}

/// An input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Type of its values, one of [`data_type`]; 0 when it is no tensor.
    pub data_type: i32,
    /// Its lengths; those that are only known when the model runs are absent. None when the shape is not known at all.
    pub shape: Option<Vec<Option<usize>>>,
}

/// One application of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name, which may be empty.
    pub name: String,
    /// The operator, e.g. `Gemm`.
    pub operator: String,
    /// Domain of the operator; empty for ONNX's own.
    pub domain: String,
    /// Names of what it needs; empty where an optional input is absent.
    pub inputs: Vec<String>,
    /// Names of what it gives.
    pub outputs: Vec<String>,
    /// Attributes that are one whole number.
    pub ints: BTreeMap<String, i64>,
    /// Attributes that are one number.
    pub floats: BTreeMap<String, f32>,
    /// Attributes that are a text.
    pub strings: BTreeMap<String, String>,
    /// Attributes that are whole numbers.
    pub int_lists: BTreeMap<String, Vec<i64>>,
    /// Attributes that are numbers.
    pub float_lists: BTreeMap<String, Vec<f32>>,
    /// Attributes that are texts.
    pub string_lists: BTreeMap<String, Vec<String>>,
    /// Attributes that are a tensor.
    pub tensors: BTreeMap<String, Tensor>,
    /// Names of attributes of other kinds.
    pub others: Vec<String>,
}

/// A constant tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its lengths; empty for a single number.
    pub shape: Vec<usize>,
    /// Its values, row-major; as many as the shape says.
    pub data: TensorData,
}

/// Values of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// Of `f32`, or of 16 bits; values of `f64` are rounded.
    Float(Vec<f32>),
    /// Whole numbers of 32 or 64 bits.
    Integer(Vec<i64>),
    /// True or false.
    Truth(Vec<bool>),
    /// Of another type, whose number `TensorProto.DataType` explains. They are not read.
    Other(i32),
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// [`OnnxError`], whatever the bytes are; nothing panics, and no more memory is taken than some times their length.
    pub fn decode(bytes: &[u8]) -> Result<Self, OnnxError> {
        let model = ModelProto::decode(bytes).map_err(|error| OnnxError::Encoding(error.to_string()))?;
        let graph = model.graph.ok_or(OnnxError::NoGraph)?;
        let mut initializers = BTreeMap::new();
        for tensor in graph.initializer {
            let name = tensor.name.clone().unwrap_or_default();
            initializers.insert(name, read_tensor(tensor)?);
        }
        // One by one: to collect into a map would bring a sort into every component that reads a model.
        let (mut opsets, mut metadata) = (BTreeMap::new(), BTreeMap::new());
        for opset in model.opset_import {
            // `ai.onnx` is another name of the default domain.
            let domain = opset
                .domain
                .filter(|domain| domain != "ai.onnx")
                .unwrap_or_default();
            opsets.insert(domain, opset.version.unwrap_or_default());
        }
        for entry in model.metadata_props {
            metadata.insert(entry.key.unwrap_or_default(), entry.value.unwrap_or_default());
        }
        let inputs = graph.input.into_iter().map(input);
        Ok(Self {
            ir_version: model.ir_version.unwrap_or_default(),
            opsets,
            metadata,
            graph: Graph {
                // Before version 4 of the format every weight was an input as well.
                inputs: inputs
                    .filter(|input| !initializers.contains_key(&input.name))
                    .collect(),
                outputs: graph.output.into_iter().map(input).collect(),
                nodes: graph.node.into_iter().map(node).collect::<Result<_, _>>()?,
                initializers,
            },
        })
    }
}

impl Graph {
    /// The weights of this name.
    ///
    /// # Errors
    /// [`OnnxError::Missing`], and [`OnnxError::Tensor`] when they have another shape or type.
    pub fn weights(&self, name: &str, shape: &[usize]) -> Result<&[f32], OnnxError> {
        let tensor = self
            .initializers
            .get(name)
            .ok_or_else(|| OnnxError::Missing(name.to_owned()))?;
        if tensor.shape != shape {
            return Err(OnnxError::Tensor {
                name: name.to_owned(),
                problem: format!("has the shape {:?} instead of {shape:?}", tensor.shape),
            });
        }
        tensor.floats().ok_or_else(|| OnnxError::Tensor {
            name: name.to_owned(),
            problem: "holds no floating-point numbers".to_owned(),
        })
    }
}

impl Tensor {
    /// The values when they are floating-point numbers.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::Float(values) => Some(values),
            _ => None,
        }
    }

    /// The values when they are whole numbers.
    pub fn integers(&self) -> Option<&[i64]> {
        match &self.data {
            TensorData::Integer(values) => Some(values),
            _ => None,
        }
    }
}

fn input(value: ValueInfoProto) -> Input {
    let tensor = value.r#type.and_then(|kind| kind.tensor_type);
    Input {
        name: value.name.unwrap_or_default(),
        data_type: tensor
            .as_ref()
            .and_then(|tensor| tensor.elem_type)
            .unwrap_or_default(),
        shape: tensor.and_then(|tensor| tensor.shape).map(|shape| {
            let length = |value: i64| usize::try_from(value).ok().filter(|&length| length > 0);
            shape
                .dim
                .iter()
                .map(|dim| dim.dim_value.and_then(length))
                .collect()
        }),
    }
}

fn node(proto: crate::proto::NodeProto) -> Result<Node, OnnxError> {
    let domain = proto.domain.unwrap_or_default();
    let mut node = Node {
        name: proto.name.unwrap_or_default(),
        operator: proto.op_type.unwrap_or_default(),
        domain: if domain == "ai.onnx" {
            String::new()
        } else {
            domain
        },
        inputs: proto.input,
        outputs: proto.output,
        ints: BTreeMap::new(),
        floats: BTreeMap::new(),
        strings: BTreeMap::new(),
        int_lists: BTreeMap::new(),
        float_lists: BTreeMap::new(),
        string_lists: BTreeMap::new(),
        tensors: BTreeMap::new(),
        others: Vec::new(),
    };
    for attribute in proto.attribute {
        let name = attribute.name.unwrap_or_default();
        match attribute.r#type.unwrap_or_default() {
            attribute_type::INT => {
                node.ints.insert(name, attribute.i.unwrap_or_default());
            }
            attribute_type::FLOAT => {
                node.floats.insert(name, attribute.f.unwrap_or_default());
            }
            attribute_type::STRING => {
                node.strings.insert(name, text(&attribute.s.unwrap_or_default()));
            }
            attribute_type::INTS => {
                node.int_lists.insert(name, attribute.ints);
            }
            attribute_type::FLOATS => {
                node.float_lists.insert(name, attribute.floats);
            }
            attribute_type::STRINGS => {
                let texts = attribute.strings.iter().map(|bytes| text(bytes)).collect();
                node.string_lists.insert(name, texts);
            }
            attribute_type::TENSOR => {
                let tensor = read_tensor(attribute.t.unwrap_or_default())?;
                node.tensors.insert(name, tensor);
            }
            _ => node.others.push(name),
        }
    }
    Ok(node)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_tensor(tensor: TensorProto) -> Result<Tensor, OnnxError> {
    let name = tensor.name.clone().unwrap_or_default();
    let problem = |problem: String| OnnxError::Tensor {
        name: name.clone(),
        problem,
    };
    if tensor.is_external() {
        return Err(problem("lies in another file".to_owned()));
    }
    let shape = tensor
        .dims
        .iter()
        .map(|&length| usize::try_from(length).ok())
        .collect::<Option<Vec<usize>>>();
    let count = shape.as_ref().and_then(|shape| {
        let product = |count: usize, &length: &usize| count.checked_mul(length);
        shape.iter().try_fold(1, product)
    });
    let (Some(shape), Some(count)) = (shape, count) else {
        return Err(problem(format!("has the impossible shape {:?}", tensor.dims)));
    };
    let raw = tensor.raw_data.as_deref();
    let data = match tensor.data_type.unwrap_or_default() {
        data_type::FLOAT => TensorData::Float(match raw {
            Some(raw) => numbers(raw, f32::from_le_bytes).map_err(problem)?,
            None => tensor.float_data,
        }),
        data_type::DOUBLE => {
            let values = match raw {
                Some(raw) => numbers(raw, f64::from_le_bytes).map_err(problem)?,
                None => tensor.double_data,
            };
            TensorData::Float(values.into_iter().map(|value| value as f32).collect())
        }
        kind @ (data_type::FLOAT16 | data_type::BFLOAT16) => {
            let bits = match raw {
                Some(raw) => numbers(raw, u16::from_le_bytes).map_err(problem)?,
                // One value in the lower half of each.
                None => tensor.int32_data.iter().map(|&value| value as u16).collect(),
            };
            let widen = if kind == data_type::FLOAT16 {
                from_half
            } else {
                |bits| f32::from_bits(u32::from(bits) << 16)
            };
            TensorData::Float(bits.into_iter().map(widen).collect())
        }
        data_type::INT64 => TensorData::Integer(match raw {
            Some(raw) => numbers(raw, i64::from_le_bytes).map_err(problem)?,
            None => tensor.int64_data,
        }),
        data_type::INT32 => {
            let values = match raw {
                Some(raw) => numbers(raw, i32::from_le_bytes).map_err(problem)?,
                None => tensor.int32_data,
            };
            TensorData::Integer(values.into_iter().map(i64::from).collect())
        }
        data_type::BOOL => TensorData::Truth(match raw {
            Some(raw) => raw.iter().map(|&byte| byte != 0).collect(),
            None => tensor.int32_data.iter().map(|&value| value != 0).collect(),
        }),
        other => TensorData::Other(other),
    };
    let found = match &data {
        TensorData::Float(values) => values.len(),
        TensorData::Integer(values) => values.len(),
        TensorData::Truth(values) => values.len(),
        TensorData::Other(_) => count,
    };
    if found != count {
        return Err(problem(format!(
            "holds {found} values instead of the {count} of its shape {shape:?}"
        )));
    }
    Ok(Tensor { shape, data })
}

/// The value of the 16 bits of an IEEE 754 half.
fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let rest = u32::from(bits & 0x7fff);
    if rest >= 0x7c00 {
        return f32::from_bits(sign | 0x7f80_0000 | (rest & 0x03ff) << 13);
    }
    // By 2^112, the distance of the two biases; exact, also for what has no leading one.
    let scale = f32::from_bits((127 + 112) << 23);
    f32::from_bits(sign | (f32::from_bits(rest << 13) * scale).to_bits())
}

fn numbers<T, const SIZE: usize>(raw: &[u8], read: fn([u8; SIZE]) -> T) -> Result<Vec<T>, String> {
    let (whole, rest) = raw.as_chunks::<SIZE>();
    if !rest.is_empty() {
        return Err(format!("holds {} bytes, which are no whole numbers", raw.len()));
    }
    Ok(whole.iter().map(|&bytes| read(bytes)).collect())
}
