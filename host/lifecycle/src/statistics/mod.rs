//! What scores and times say about a detector: counted without locks while it scores, judged by pure functions.
//!
//! [`Tally`] is what a generation counts, from any thread. [`Measured`] is a copy of it at one moment; differences of
//! two copies say what happened in between. [`distance`], [`rank`] and [`guard`] are functions of such copies and do
//! nothing else, so that each can be checked by hand.

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
