//! DBSCAN (Ester, Kriegel, Sander and Xu, 1996) fitted on ordinary flows: a flow is the more anomalous the farther it
//! lies from the nearest core point, in units of `eps`.
//!
//! A core point is a row with many others within `eps` of it. What lies within `eps` of one would have joined a cluster
//! in training; what does not would have been noise. So a score up to 1 is ordinary in the sense of DBSCAN. Core points
//! are condensed: of those that crowd within a part of `eps` one stands for all.
//!
//! The search for the nearest one, scales and explanations are those of [`netsage_context_knn`]. It must never panic on
//! an artifact or a row, whatever their bytes, and its scores must not depend on the machine. It clusters nothing (that
//! is `netsage-models`).
//!
//! Start with [`Scorer`]; [`component`] makes a NetSage detector of it.

mod artifact;
pub mod component;
mod scorer;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactError, Model};
pub use scorer::Scorer;
