//! Training, and the metrics by which detectors are judged.
//!
//! Training learns from ordinary flows alone: no label enters a fit or a threshold. Metrics are the only
//! place that reads labels.
//!
//! This crate must never do I/O, ask a clock (the caller gives the date) or take random numbers from elsewhere than its
//! seed: the same rows, options and seed give the same artifact.
//!
//! Start with [`Training`], which knows every method; all share `preparation`. Then [`metrics::evaluate`];
//! [`metrics::add_figures`] puts what it finds into the model card.
//!
//! Without the feature `workbench` it trains what a gateway learns with (isolation forest, half-space trees, rhythm) and
//! measures nothing.

#[cfg(feature = "workbench")]
pub mod autoencoder;
#[cfg(feature = "workbench")]
pub mod baselines;
mod callbacks;
#[cfg(feature = "workbench")]
pub mod context_knn;
#[cfg(feature = "workbench")]
pub mod dbscan;
#[cfg(feature = "workbench")]
pub mod foreign;
mod grow;
pub mod half_space_trees;
pub mod iforest;
#[cfg(feature = "workbench")]
pub mod lstm_autoencoder;
#[cfg(feature = "workbench")]
pub mod metrics;
mod preparation;
#[cfg(feature = "workbench")]
pub mod report;
pub mod rhythm;
mod traffic;
mod training;

pub use callbacks::{Callbacks, NoCallbacks};
/// The form in which networks are kept.
#[cfg(feature = "workbench")]
pub use netsage_onnx_format as onnx;
pub use preparation::{Common, TrainError, Trained};
pub use training::{Flows, Training};
