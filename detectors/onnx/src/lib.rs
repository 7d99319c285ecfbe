//! Networks kept as ONNX, as a NetSage detector: reconstruction error or score.
//!
//! A model holds the columns, what their values become before the network gets them, and the network: an ONNX model
//! that is a chain of dense layers and activations. It is run by code of this crate: several times as fast as a general
//! runtime, to the same bits on every machine, and without the ten megabytes that such a runtime adds.
//!
//! It must never panic on an artifact or a row, whatever their bytes, and its scores must not depend on the machine:
//! no function of a platform's maths library is called, and sums have a fixed order.
//!
//! Start with [`Scorer`]; [`artifact`] says what is stored, [`component`] makes a NetSage detector of it.

pub mod artifact;
pub mod component;
mod dense;
mod encoder;
mod engine;
pub mod kernel;
mod maths;
mod scorer;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactError, Encoding, Function, InputColumn, Model, Network, Output};
pub use dense::Dense;
pub use encoder::Encoder;
pub use scorer::{RowError, Scorer};
