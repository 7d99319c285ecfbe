//! LSTM autoencoder: a network learns to reconstruct ordinary flows, each after the flows of its source before it; a
//! flow that is reconstructed badly is anomalous.
//!
//! Encoder and decoder are long short-term memories (Hochreiter and Schmidhuber 1997; as autoencoders Srivastava et al.
//! 2015, for anomalies Malhotra et al. 2016). Both run along a window: at most eight flows of one source, the scored
//! flow last. Encoder and decoder are joined by a code of few numbers per flow; what earlier flows of the window
//! already told the decoder needs no place in that code. A window may hold the scored flow alone. The score is the
//! weighted error of the reconstruction of the last flow.
//!
//! The model is stored as ONNX. This crate reads the weights from the ONNX file and computes the graph itself: a
//! runtime for any ONNX model takes sixteen times the space and a multiple of the time.
//!
//! It must never panic on an artifact or a row, whatever their bytes; its scores must not depend on the machine nor on
//! how rows are cut into blocks: no function of a platform's maths library is called, and sums have a fixed order.
//!
//! Start with [`Autoencoder`], which owns a [`Network`](network) and the [`Histories`](histories) of the sources;
//! [`artifact`] says what is stored, [`component`] makes a NetSage detector of it.

pub mod artifact;
mod autoencoder;
pub mod component;
mod graph;
mod histories;
mod network;
mod product;
mod reader;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactError, Encoding, InputColumn, Layer, Memory, Model, WINDOW};
pub use autoencoder::Autoencoder;
pub use netsage_detector_sdk::RowError;
