//! DBSCAN (Ester, Kriegel, Sander and Xu, 1996) fitted on ordinary flows: a flow is the more anomalous the farther it
//! lies from the nearest core point, in units of `eps`.
//!
//! A core point is a row with many other rows within `eps`. A row within `eps` of a core point would have joined a
//! cluster in training; any other row would have been noise. So a score up to 1 is ordinary in the sense of DBSCAN.
//! Core points are condensed: one core point stands for all that crowd within a part of `eps`.
//!
//! Nearest-neighbour search, scales and explanations are those of [`netsage_context_knn`]. It must never panic on an
//! artifact or a row, whatever their bytes, and its scores must not depend on the machine. It clusters nothing (that is
//! `netsage-models`).
//!
//! Start with [`Scorer`]; [`component`] makes a NetSage detector of it.

mod artifact;
pub mod component;
mod scorer;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactError, Model};
pub use scorer::Scorer;
