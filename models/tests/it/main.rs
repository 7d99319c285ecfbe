//! The crate as its users call it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests state their expectations by panicking"
)]

mod metrics;
mod train;
mod unsw_nb15;
