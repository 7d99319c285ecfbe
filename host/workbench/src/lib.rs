//! The workbench: trains detectors, measures them, prints flows and scores, generates traffic, sends flows to a topic, makes
//! packages.
//!
//! Each module is one command of `netsage`, its arguments beside its work: an option and its effect change together,
//! and only a command line calls them. This crate must never be needed by a gateway that scores traffic, and must never
//! run a detector in another way than a gateway does. Start with [`train`].

pub mod evaluate;
pub mod flows;
mod labelled;
mod labels;
pub mod pack;
#[cfg(feature = "kafka")]
pub mod produce;
mod reading;
pub mod score;
mod stats;
pub mod synth;
pub mod train;
mod unused;
