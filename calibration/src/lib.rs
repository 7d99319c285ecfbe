//! The calibrated scale: one scale for the scores of all detectors, by the cards of their models, and the judgements on
//! that scale.
//!
//! * [`Scale`] says of a raw score how rare it is among ordinary flows. Host, evaluation and browser use this one
//!   definition.
//! * [`Rule`] is a threshold as a person gives it (alerts per day, false-positive rate, percentile, score).
//! * [`severity`] follows the scale.
//! * [`fused`] puts several detectors together.
//! * [`drift`] tells how far traffic has moved away from the rows of the training.
//!
//! This crate must never do I/O or know a store or a detector. Logarithms come from the crate `libm`, so that host and
//! browser agree to the last bit.
//!
//! Start with [`Scale`]; everything else reads it.

pub mod drift;
pub mod fused;
mod rule;
mod scale;
mod severity;

pub use rule::{Rule, RuleError};
pub use scale::{Scale, fit_tail};
pub use severity::severity;

#[cfg(test)]
mod tests;
