//! The part of the ONNX format (<https://onnx.ai/onnx/repo-docs/IR.html>) that NetSage's networks need: a builder of
//! graphs and a reader of their nodes and weights.
//!
//! Models are written for opset 17 of the default domain and version 8 of the format, which `onnx.checker` of ONNX
//! 1.12 and later accepts and onnxruntime 1.12 and later runs. What is read may be of any version: names, attributes
//! and weights mean the same in all of them.
//!
//! This crate runs nothing and does no I/O. It must never panic on bytes, whatever they are: what a damaged or hostile
//! model claims is checked before memory is taken for it.
//!
//! Start with [`GraphBuilder`] to write and with [`Model::decode`] to read; [`embed`] brings weights from other files
//! into a model; [`proto`] is the wire format.

mod builder;
mod external;
pub mod proto;
mod reader;
#[cfg(test)]
mod tests;

pub use builder::{Activation, Dim, Gemm, GraphBuilder, Lstm, LstmOutputs, Value};
pub use external::{External, embed};
pub use reader::{Graph, Input, Model, Node, OnnxError, Tensor, TensorData};

/// Version of the operators that [`GraphBuilder`] writes.
pub const OPSET: i64 = 17;

/// Version of the format that [`GraphBuilder`] writes.
pub const IR_VERSION: i64 = 8;
