//! What foreign code can do to the host: nothing but fail.

// Helpers state their expectations by panicking, like the tests that call them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bundled;
mod costs;
mod frozen;
mod golden;
mod hostile;
mod learning;
mod limits;
mod loading;
mod planted;
mod scoring;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use netsage_package::Package;
use netsage_runtime::{Detector, LoadError, Runtime, RuntimeConfig};
use netsage_schema::{Rows, UNSW_NB15};

/// Small limits, so that what must end ends soon.
fn config() -> RuntimeConfig {
    RuntimeConfig {
        workers: 2,
        memory_limit: 16 << 20,
        call_budget: Duration::from_millis(500),
        open_budget: Duration::from_secs(2),
        row_budget: Duration::from_micros(100),
        tick: Duration::from_millis(5),
        ..RuntimeConfig::default()
    }
}

fn load(package: &Package) -> Result<Arc<Detector>, LoadError> {
    load_within(config(), package)
}

fn load_within(config: RuntimeConfig, package: &Package) -> Result<Arc<Detector>, LoadError> {
    Runtime::new(config).unwrap().load(package, &UNSW_NB15)
}

/// Rows whose `dur` is 0, 1, 2, ...
fn rows(count: usize) -> Rows {
    let mut rows = Rows::with_capacity(&UNSW_NB15, count);
    for number in 0..count {
        let mut row = [1.0; 42];
        row[0] = number as f64;
        rows.push(&row);
    }
    rows
}

/// The scores that the well-behaved recipe gives to `rows(count)`.
fn expected(count: usize) -> Vec<f32> {
    (0..count).map(|number| number as f32).collect()
}
