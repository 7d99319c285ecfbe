//! Rhythm: hosts that visit another host at regular times, as beacons do, or send far more than is usual.
//!
//! A *visit* is the first flow from a source to a destination after a pause. People and most programs visit at times
//! that are as irregular as a Poisson process, or come in bursts; a program that asks for orders keeps time. The
//! detector takes the gaps between the last visits of a pair and asks how likely gaps as regular as these are by
//! chance: Moran's statistic for exponential gaps (P. Moran, "The random division of an interval, part II", JRSS B 13,
//! 1951; with the correction of M. Bartlett, 1937) against its chi-square distribution. The score is the negative
//! decimal logarithm of that probability, less the largest that ordinary flows of the same protocol and service
//! reached.
//!
//! One flow of a beacon is an ordinary flow, so no detector that looks at single flows can see a beacon. Nor does a
//! single flow show a source that sends a little, again and again or in the records of one long connection. So the
//! detector also adds up the bytes that a source sends a destination, and halves the sum every hour. Above the largest
//! sum of ordinary flows of the same protocol and service each tenfold counts as much as a tenth of a probability: what
//! hosts transfer has a tail about as heavy as that (M. Crovella and A. Bestavros, "Self-similarity in World Wide Web
//! traffic", IEEE/ACM Transactions on Networking 5, 1997: Pareto with an index a little above 1). The score is the
//! larger one of the two.
//!
//! It must never panic on an artifact or a row, whatever their bytes, and its scores must not depend on the machine:
//! logarithms come from the crate `libm`, and sums have a fixed order.
//!
//! Start with [`Scorer`]; `visits` holds the visits of pairs, `state` saves them, `chance` computes the statistic,
//! [`Columns`] names what is read, [`artifact`] reads and writes the model, [`component`] makes a NetSage detector of the
//! scorer.

pub mod artifact;
mod chance;
mod columns;
pub mod component;
mod scorer;
mod state;
#[cfg(test)]
mod tests;
mod visits;

pub use artifact::{ArtifactError, Ceiling, Model};
pub use columns::{Columns, WIDTH};
pub use netsage_detector_sdk::Contexts;
pub use scorer::{Measured, Scorer, blocks};
pub use state::StateError;
