//! Networks kept as ONNX, as a NetSage detector: reconstruction error or score.
//!
//! A model holds the columns, what their values become before the network gets them, and the network as ONNX. It is run
//! by code of this crate, to the same bits on every machine and without the megabytes that a general runtime adds:
//! chains of dense layers by a loop of their own, which is faster, and any other graph operator by operator.
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
mod graph;
pub mod kernel;
mod maths;
mod scorer;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactError, Encoding, Function, InputColumn, Model, Network, Output};
pub use dense::Dense;
pub use encoder::Encoder;
pub use graph::Program;
pub use scorer::{RowError, Scorer};

/// The operators that networks may have, for people to read.
pub fn operators() -> String {
    graph::operators()
}
