//! `cargo xtask bench`: figures as JSON, one object a line, so that they can be kept and compared.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::build;
use crate::command::openly;
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo xtask bench runtime\n  cargo xtask bench all > figures.jsonl")]
pub(crate) struct BenchArguments {
    /// What to measure.
    subject: Subject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Detectors in wasmtime: cold and cached load, rows per second.
    Runtime,
    /// Stores: alerts and flows written per second.
    Store,
    /// The meter: packets per second, memory per flow.
    Meter,
    /// All of them.
    All,
}

/// Builds what the subject needs and measures it.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let steps = Steps::new(build::STEPS);
    build::all(&workspace, &steps, Purpose::Build, false)?;
    steps.finish();
    for (subject, package, example) in [
        (Subject::Runtime, "netsage-runtime", "bench"),
        (Subject::Store, "netsage-store", "bench_store"),
        (Subject::Meter, "netsage-capture", "bench"),
    ] {
        if arguments.subject == Subject::All || arguments.subject == subject {
            openly(workspace.cargo(&[
                "run",
                "--quiet",
                "--release",
                "--package",
                package,
                "--example",
                example,
            ]))?;
        }
    }
    Ok(())
}
