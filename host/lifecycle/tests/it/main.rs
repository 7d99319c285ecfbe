//! What both sides promise, whatever the detectors do.

// Helpers state their expectations by panicking, like the tests that call them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod alone;
mod life;
mod lineup;
mod rollback;
mod thresholds;
mod trust;
