//! What both sides promise, whatever the detectors do.

// Helpers state their expectations by panicking, like the tests that call them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod alone;
mod guests;
mod life;
mod lineup;
#[allow(
    dead_code,
    reason = "shared with the tests of the runtime, which need more of it"
)]
#[path = "../../../runtime/tests/it/recipe.rs"]
mod recipe;
mod rollback;
mod thresholds;
