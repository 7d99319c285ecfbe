//! Rhythm: hosts that visit another one at regular times, as beacons do, or send it far more than is usual.
//!
//! A *visit* is the first flow from a source to a destination after a pause. People and most programs visit at times
//! that are as irregular as a Poisson process, or come in bursts; a program that asks for orders keeps time. Of the last
//! visits of a pair the detector takes the gaps between them and asks how likely so regular ones are by chance: Moran's
//! statistic for exponential gaps (P. Moran, "The random division of an interval, part II", JRSS B 13, 1951; with the
//! correction of M. Bartlett, 1937) against its chi-square distribution. The score is the negative decimal logarithm of
//! that probability, less the largest that ordinary flows of the same protocol and service reached.
//!
//! One flow of a beacon is an ordinary flow, so no detector that looks at flows one by one can see it. Nor can it see
//! who sends a little, again and again or in the records of one long connection. So the detector also adds up what a
//! source sends a destination, and forgets half of it every hour. Above the largest sum of ordinary flows of the same
//! protocol and service each tenfold counts as much as a tenth of a probability: what hosts transfer has a tail about as
//! heavy as that (M. Crovella and A. Bestavros, "Self-similarity in World Wide Web traffic", IEEE/ACM Transactions on
//! Networking 5, 1997: Pareto with an index a little above 1). The score is the larger one of the two.
//!
//! It must never panic on an artifact or a row, whatever their bytes, and its scores must not depend on the machine:
//! logarithms come from the crate `libm`, and sums have a fixed order.
//!
//! Start with [`Scorer`]; `visits` is its memory, `state` what is saved of that, `chance` the statistic, [`artifact`] what is stored, [`component`]
//! makes a NetSage detector of it.

pub mod artifact;
mod chance;
pub mod component;
mod scorer;
mod state;
#[cfg(test)]
mod tests;
mod visits;

pub use artifact::{ArtifactError, Ceiling, Model};
pub use netsage_detector_sdk::Contexts;
pub use scorer::{COLUMNS, Measured, Scorer, blocks};
pub use state::StateError;
