//! What the dashboard computes: scales of charts, figures of an evaluation, the list of alerts, the life of detectors,
//! thresholds and drift,
//! numbers and times as text.
//!
//! Pure functions of their arguments: this library must never know the page, the network or the clock, so that all of
//! it is tested on any machine. The pages themselves are the program beside it (`main.rs`).
//!
//! Start with [`evaluation`] for the Lab's figures and [`scale`] for the charts.

pub mod evaluation;
pub mod format;
pub mod judgement;
pub mod life;
pub mod listing;
pub mod scale;
