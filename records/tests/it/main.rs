//! Tests of the crate through what it exports.
#![allow(clippy::unwrap_used, reason = "a test states its expectations by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that skips says so"
)]

mod formats;
mod identity;
mod naive;
mod netflow;
mod order;
mod real;
mod rows;
mod traffic;
