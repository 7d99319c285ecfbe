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

pub mod autoencoder;
pub mod baselines;
pub mod context_knn;
pub mod dbscan;
pub mod foreign;
mod grow;
pub mod half_space_trees;
pub mod iforest;
pub mod lstm_autoencoder;
pub mod metrics;
mod preparation;
pub mod report;
pub mod rhythm;
mod traffic;
mod training;
mod watch;

/// The form in which networks are kept.
pub use netsage_onnx_format as onnx;
pub use preparation::{Common, TrainError, Trained};
pub use training::{Flows, Training};
pub use watch::{Unwatched, Watch};
