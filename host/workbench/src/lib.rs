//! The workbench: trains detectors, measures them, prints flows and scores, generates traffic, makes packages.
//!
//! Each module is one command of `netsage`, its arguments beside its work: what a training can be told and what it does
//! with that change together, and nothing but a command line calls it. This crate must never be needed by a gateway that
//! scores traffic, nor judge a detector otherwise than a gateway runs it. Start with [`train`].

// One of the places that write to the terminal.
#![allow(clippy::print_stderr)]

pub mod evaluate;
pub mod flows;
mod labelled;
mod labels;
pub mod pack;
pub mod score;
mod stats;
pub mod synth;
pub mod train;
