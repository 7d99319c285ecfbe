//! The gateway's API as its callers meet it, without a program and without a network.

// Tests state their expectations by panicking.
#![allow(clippy::unwrap_used)]

mod access;
mod attacks;
mod document;
mod keys;
mod outputs;
mod series;
mod storing;
