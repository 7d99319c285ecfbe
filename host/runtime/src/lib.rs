//! Runs detector packages in wasmtime: checks them, loads them, pools their instances.
//!
//! A detector is foreign code. Nothing it does may end this process, hold a thread for longer than its budget, use more
//! memory than its limit, or return a value that breaks the contract: every call runs under a deadline, and every
//! returned value is checked before other code sees it.
//!
//! This crate must never give a detector an import, never load compiled code that it did not write itself,
//! and never read flows or packets: it knows feature rows and bytes.
//!
//! Start with [`Runtime::load`], which turns a package ([`netsage_package`]) into a [`Detector`].
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use netsage_package::Package;
//! use netsage_runtime::{Runtime, RuntimeConfig};
//! use netsage_schema::{Rows, UNSW_NB15};
//!
//! let runtime = Runtime::new(RuntimeConfig::default())?;
//! let package = Package::from_bytes(std::fs::read("iforest.wasm")?)?;
//! let detector = runtime.load(&package, &UNSW_NB15)?;
//! let mut rows = Rows::new(&UNSW_NB15);
//! rows.push(&[0.0; 42]);
//! let mut scores = Vec::new();
//! detector.score(&rows, None, 0..rows.len(), &mut scores)?;
//! # Ok(())
//! # }
//! ```

mod bindings;
pub mod check;
mod code;
mod columns;
mod description;
mod detector;
mod engine;
mod error;
mod exports;
pub mod fuel;
mod instance;
mod pool;
mod runtime;
mod statistics;

pub use check::{CheckError, CodeLimits};
pub use code::compiler::{self, Compiler};
pub use columns::{ColumnContribution, InputColumn};
pub use description::{Description, StateKey};
pub use detector::{Detector, Judging, MOST_FAILED_EXPLANATIONS};
pub use error::{GoldenError, GuestFailure, LoadError, PackError, RuntimeError, ScoreError};
pub use runtime::{LoadOptions, Runtime, RuntimeConfig};
pub use statistics::DetectorStats;
