//! Tests of the sources: the contract suite, and its members.

// Tests state their expectations by panicking.
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that skips says so"
)]

#[cfg(target_os = "linux")]
mod agreement;
mod contract;
mod follow;
#[cfg(feature = "kafka")]
mod kafka;
mod kinds;
mod members;
#[cfg(target_os = "linux")]
mod netflow;
mod records;
mod streams;
#[cfg(target_os = "linux")]
mod transports;
