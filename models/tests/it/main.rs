//! The crate as its users call it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests state their expectations by panicking"
)]

mod autoencoder;
mod baselines;
mod context_knn;
mod day;
mod dbscan;
mod documents;
mod foreign;
mod lstm_autoencoder;
mod metrics;
mod operators;
mod peers;
mod report;
mod scikit_forest;
mod scikit_learn;
mod train;
mod unsw_nb15;
