//! The package: one file with a detector's code, its trained model, its card and its golden vectors.
//!
//! Reads and writes the file, its card and its golden vectors; the gateway, the command line, the training code, the
//! dashboard and the browser's Lab all read packages with this crate.
//!
//! This crate must never do I/O, run a detector, or panic on bytes; it compiles to wasm.
//!
//! Start with [`Package`] (the file), then [`ModelCard`] and [`Golden`] (what is inside).

pub mod card;
pub mod file;
pub mod golden;
mod name;

pub use card::{
    CalibrationTail, CardError, ColumnDistribution, ModelCard, ReferenceDistributions, TailPoint,
};
pub use file::{Digest, Package, PackageError, SCHEMA_PROPERTY, pack, strip};
pub use golden::{Golden, GoldenMismatch};
pub use name::{is_detector_name, is_semantic_version};

/// The most rows that one call into a detector takes (a promise of the contract).
pub const MAX_BLOCK_ROWS: usize = 1024;
/// The most columns that a detector may ask for (a promise of the contract).
pub const MAX_COLUMNS: usize = 256;
