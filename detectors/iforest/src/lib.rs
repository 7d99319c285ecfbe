//! Isolation forest (Liu, Ting and Zhou, 2008): rows that random splits set apart early are anomalous.
//!
//! The score of a row is `2^(-E[h] / c(psi))`: `E[h]` is the mean depth at which the trees isolate it, and `c(psi)` the
//! depth expected in a tree over `psi` rows. The score lies between 0 and 1; a higher score means more anomalous. Trees
//! know nothing of values beyond the range of training, so the path of a row with such values is shortened: at every
//! step a split of such a column may isolate the row.
//!
//! Splits are by one column, or by a weighted sum of several (Hariri, Kind and Brunner, 2019). The forest comes from the artifact; this crate grows none (that is `netsage-models`).
//!
//! It must never panic on an artifact or a row, whatever their bytes, and its scores must not depend on
//! the machine: sums have a fixed order, and no function of a platform's maths library is called.
//!
//! Start with [`Forest`]; [`component`] makes a NetSage detector of it.

mod artifact;
pub mod component;
mod forest;
mod maths;
#[cfg(test)]
mod tests;
mod trees;

pub use artifact::{ArtifactError, InputColumn, LEAF, Model, Planes, Term, TreeShape};
pub use forest::Forest;
pub use maths::{expected_path_length, scaled};
pub use netsage_detector_sdk::RowError;
