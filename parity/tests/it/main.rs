//! The rows of the meter beside those of Argus, on real captures and on generated ones.

#![allow(clippy::unwrap_used, reason = "a test states its expectations by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "a test that skips says so, and the figures are of interest"
)]

mod agreement;
mod argus;
mod cases;
