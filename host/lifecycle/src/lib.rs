//! The life of detector packages, and the line-up of those that score right now.
//!
//! ```text
//! staged -> checked -> warm -> shadow -> canary -> active -> retired        quarantined, from anywhere
//! ```
//!
//! Two sides meet here and share one thing only, the [`Roster`]. The control side ([`Lifecycle`]) moves packages from
//! stage to stage, writes every move into a journal before it takes effect, and publishes a new [`Lineup`] by one
//! atomic exchange. The scoring side takes the [`Lineup`] of the moment for a block of flows and scores all of the
//! block with it. Neither waits for the other: a swap costs the scoring side the reading of one pointer.
//!
//! Invariants, each with its test:
//!
//! * A flow is scored for alerts at most once per detector name, by one [`Generation`].
//! * What is not in the journal has not happened; what is in it has happened, also after SIGKILL.
//! * Whatever a canary or a shadow does, the flow has the score of the active detector, or that of the canary.
//!
//! This crate must never read packets, know HTTP or a store, or decide what an alert looks like.
//!
//! Start with [`transition`], then [`lineup`] with [`statistics`], then [`Lifecycle`]: `control/mod.rs`, which names the
//! rest of the control side.

mod checks;
mod config;
mod control;
mod directory;
mod error;
mod generation;
mod journal;
pub mod lineup;
mod plan;
mod set_aside;
mod state;
pub mod statistics;
pub mod transition;
mod trust;

pub use checks::CheckFailure;
pub use config::{GuardLimits, LifecycleConfig, Rollout, TrustPolicy};
pub use control::{Lifecycle, NewPackage, Origin, Start, ThresholdQuestion};
pub use directory::DirectoryError;
pub use error::LifecycleError;
pub use generation::{Generation, Loaded};
pub use journal::JournalError;
pub use lineup::{Lineup, LineupEvent, Roster, Scorer, Verdicts};
pub use plan::Impossible;
pub use set_aside::SetAside;
pub use statistics::RollbackReason;
pub use trust::{TrustError, check_key};
