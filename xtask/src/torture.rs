//! `cargo xtask torture`: the built program under everything that can be done to it at once.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::build;
use crate::command::{line_by_line, openly};
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Seconds in the tests, and in those of `--long`.
const SHORT: u64 = 90;
const LONG: u64 = 30 * 60;
/// The seed of the tests, which change nothing from run to run; those of `--long` have another one each time.
const SHORT_SEED: u64 = 3;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask torture --seconds 90\n  cargo xtask torture --seconds 1800 --seed 7\n\nAs root on Linux; what the machine does not allow is skipped by name. Prints a JSON object per program that was disturbed."
)]
pub(crate) struct TortureArguments {
    /// For how long, from 30.
    #[arg(long, value_name = "N", default_value_t = SHORT)]
    seconds: u64,
    /// Decides what is sent and what is disturbed when; another one each time when absent.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Builds the program and disturbs it.
pub(crate) fn run(arguments: &TortureArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let steps = Steps::new(build::STEPS);
    let program = build::all(&workspace, &steps, Purpose::Build)?;
    steps.finish();
    openly(command(&workspace, &program, arguments.seconds, arguments.seed))
}

/// Disturbs a program as one of the tests; what was not tried is counted as skipped.
pub(crate) fn test(
    workspace: &Workspace,
    steps: &Steps,
    program: &Path,
    long: bool,
    on_line: &mut dyn FnMut(&str),
) -> Result<Tally> {
    let (seconds, seed) = if long {
        (LONG, None)
    } else {
        (SHORT, Some(SHORT_SEED))
    };
    let mut skipped = 0;
    let ended = line_by_line(command(workspace, program, seconds, seed), |line| {
        skipped += u64::from(line.contains("skipped: "));
        if line.starts_with('{') || line.contains("--seed") || line.contains("FAULT") {
            steps.print(line);
        } else {
            on_line(line);
        }
    })?;
    if !ended.success {
        bail!("what is printed above says what was found, and how to do it again");
    }
    Ok(Tally {
        passed: 1,
        skipped,
        ..Tally::default()
    })
}

fn command(workspace: &Workspace, program: &Path, seconds: u64, seed: Option<u64>) -> Command {
    // No package is named: all default members together share the dependencies of the program.
    let mut command = workspace.cargo(&["run", "--quiet", "--release", "--example", "torture", "--"]);
    command.arg(program).arg("--seconds").arg(seconds.to_string());
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    // The server of the other store is installed there once.
    command.env("NETSAGE_TOOLS", workspace.cache.join("tools"));
    command
}
