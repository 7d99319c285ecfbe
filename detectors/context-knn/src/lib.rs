//! Nearest neighbours per group of columns, with weighted nominal context: a flow is anomalous when, in several
//! respects at once, no ordinary flow of its kind is like it.
//!
//! Columns are parted into groups (sizes, times, rates, ...). In each group a row has a distance: the mean distance to
//! its nearest ordinary neighbours, where another protocol, service or state counts as so far apart; or, for a
//! Gaussian mixture, its distance from what the mixture expects. Distances of different groups cannot be compared, so
//! each becomes the share `p` of held-out ordinary rows that lie at least as far, and the score is the sum of `-ln p`
//! (Fisher's method of combining p-values, 1925, without the claim that the groups are independent).
//!
//! It must never panic on an artifact or a row, whatever their bytes, and its scores must not depend on the machine:
//! sums have a fixed order, and no function of a platform's maths library is called. Training is done by
//! `netsage-models`.
//!
//! Start with [`Scorer`]; [`artifact`] says what is stored, [`index`] finds neighbours, [`component`] makes a NetSage
//! detector of it.

pub mod artifact;
mod check;
pub mod component;
mod explain;
pub mod index;
pub mod maths;
mod mixture;
mod scorer;
mod surprise;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactError, Component, Group, InputColumn, Method, Model, Points, Scale};
pub use mixture::Mixture;
pub use netsage_detector_sdk::RowError;
pub use scorer::Scorer;
pub use surprise::Surprise;
