//! Tests of the sources: the contract suite, and its members.

// Tests state their expectations by panicking.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod contract;
mod follow;
#[cfg(feature = "kafka")]
mod kafka;
mod kinds;
mod members;
mod records;
mod streams;
