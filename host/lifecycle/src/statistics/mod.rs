//! Statistics of scores and times: counted without locks while detectors score, judged by pure functions.
//!
//! [`Tally`] is what a generation counts, from any thread. [`Measured`] is a snapshot of the counters; the difference
//! of two snapshots covers the time between them. [`distance`], [`rank`] and [`guard`] are pure functions of snapshots,
//! so that each can be checked by hand.

pub mod distance;
mod drift;
pub mod guard;
pub mod histogram;
pub mod rank;
mod tally;
mod trial;

pub use drift::DriftMonitor;
pub use guard::RollbackReason;
pub use tally::{FailureKind, Measured, Tally};
pub use trial::Trial;
