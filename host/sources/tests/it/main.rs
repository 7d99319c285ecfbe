//! Tests of the sources: the contract suite, and its members.

// Tests state their expectations by panicking.
#![allow(clippy::unwrap_used)]

mod contract;
mod follow;
mod kinds;
mod members;
mod records;
mod streams;
