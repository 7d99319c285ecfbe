//! What a detector costs in the runtime, as one JSON object on standard output: `bench PACKAGE.wasm [NETSAGE]`.
//!
//! `cargo xtask bench runtime` runs it on the bundled isolation forest and on the program. Ratios are against the
//! native build of the same forest, measured in the same run, in turns, since others may want the processor too.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod call;
mod hostile;
mod load;
mod memory;
mod rows;

use netsage_package::Package;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (package, program) = match arguments.as_slice() {
        [package] => (package, None),
        [package, program] => (package, Some(Path::new(program))),
        _ => {
            eprintln!("usage: bench PACKAGE.wasm [NETSAGE]");
            return ExitCode::from(2);
        }
    };
    match measure(package.as_ref(), program) {
        Ok(figures) => {
            println!("{figures:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(package: &Path, program: Option<&Path>) -> Result<serde_json::Value, Failure> {
    let package = Package::from_bytes(std::fs::read(package)?)?;
    Ok(serde_json::json!({
        "package_bytes": package.bytes().len(),
        "code_bytes": package.code().len(),
        "load": load::measure(&package)?,
        "call": call::measure(&package)?,
        "beside_a_hostile_detector": hostile::measure(&package)?,
        "idle": program.map(|program| memory::measure(&package, program)).transpose()?,
    }))
}

/// How long something takes.
fn time<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(Duration, T), Failure> {
    let started = Instant::now();
    let done = work()?;
    Ok((started.elapsed(), done))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Milliseconds, to the microsecond.
fn milliseconds(time: f64) -> f64 {
    (time * 1e6).round() / 1e3
}

/// To three digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
