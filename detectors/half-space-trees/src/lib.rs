//! Half-space trees (Tan, Ting and Liu, 2011): space is halved at random, without looking at data, and a row is
//! anomalous where few ordinary rows were seen. The detector learns while scoring, in one pass and fixed memory.
//!
//! Of a row that ends in a node at depth `k`, which holds `m` of `n` ordinary rows, a tree says
//! `-log2((m + 1) / (n + 1) * 2^k)`: by how many halvings the place is emptier than if the rows lay evenly. The score
//! is the mean over the trees. (The paper adds up `m * 2^k` itself; one crowded node then drowns all others.)
//!
//! The halvings know nothing of values beyond the range of ordinary rows, so a row with such values is scored as if
//! halvings had separated the row in those columns (`reach`).
//!
//! It must never panic on an artifact, a state or a row, whatever their bytes, and its scores must not depend on the
//! machine: no function of a platform's maths library is called, and sums have a fixed order.
//!
//! Start with [`Forest`]; [`artifact`] says what is stored, [`component`] makes a NetSage detector of it.

pub mod artifact;
pub mod component;
mod forest;
mod layout;
mod maths;
mod reach;
mod shape;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactError, InputColumn, Model, Scale};
pub use forest::Forest;
pub use netsage_detector_sdk::RowError;
