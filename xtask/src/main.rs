//! The commands of the project: `cargo xtask build`, `demo`, `test` and the rest.
//!
//! `cargo xtask` has to start within seconds on a new clone, so this crate uses little but the standard library,
//! the argument parser and the progress bar. What needs heavy dependencies (components, browser bindings) is
//! `xtask-wasm`, and what needs the runtime is a program of the runtime; both are started from here.
//! It must never install anything without saying so, and never print anything but results on standard output.
//!
//! Start with [`Command`]; [`build`] is what most commands begin with.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program reports on the terminal"
)]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod against;
mod architecture;
mod bench;
mod build;
mod check;
mod command;
mod demo;
mod deny;
mod faulty_receivers;
mod figures;
mod files;
mod fuzz;
mod paired;
mod parity;
mod peers;
mod record_figures;
mod screenshots;
mod serve;
mod setup;
mod steps;
mod tally;
mod test;
mod torture;
mod train;
mod wit_check;
mod workspace;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The commands of the NetSage project"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds detectors, dashboard and program; the last line on standard output is the program's path.
    Build(build::BuildArguments),
    /// Sets up, builds, makes a capture, runs it through and serves the dashboard until Ctrl-C.
    Demo(demo::DemoArguments),
    /// Checks a change: format, lints, documents, and the tests of the crates that it touches.
    Check(check::CheckArguments),
    /// Sets up, builds and runs every test.
    Test(test::TestArguments),
    /// Measures, and prints figures as JSON on standard output.
    Bench(bench::BenchArguments),
    /// Fuzzes the file readers, the decoder and the meter.
    Fuzz(fuzz::FuzzArguments),
    /// Disturbs the built program from a seed while 2,000 flows a second come, and checks that nothing is lost in silence.
    Torture(torture::TortureArguments),
    /// Takes the screenshots in docs/ with a real browser, against the traffic of the demo.
    #[command(after_help = "Example: cargo xtask screenshots")]
    Screenshots,
    /// Trains the bundled models again, into models/artifacts.
    TrainBundled(train::TrainArguments),
    /// Measures the bundled detectors again, into docs/detection.md and the reports beside it.
    Figures(figures::FiguresArguments),
    /// Trains and measures detectors on labelled logs of Zeek, into docs/detection-records.md.
    RecordFigures(record_figures::RecordFiguresArguments),
    /// Compares the rows of the flow meter with those of Argus, column by column.
    Parity(parity::ParityArguments),
    /// Checks that the detector contract is still compatible with the last released one.
    #[command(after_help = "Example: cargo xtask wit-check")]
    WitCheck,
    /// Waits for the replay of the demo to end and prints where to look; started by `demo` itself.
    #[command(hide = true)]
    Announce(demo::AnnounceArguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Build(arguments) => build::run(&arguments)?,
        Command::Demo(arguments) => demo::run(&arguments)?,
        Command::Check(arguments) => return check::run(&arguments),
        Command::Test(arguments) => return test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments)?,
        Command::Fuzz(arguments) => fuzz::run(&arguments)?,
        Command::Torture(arguments) => torture::run(&arguments)?,
        Command::Screenshots => screenshots::run()?,
        Command::TrainBundled(arguments) => train::run(&arguments)?,
        Command::Figures(arguments) => figures::run(&arguments)?,
        Command::RecordFigures(arguments) => record_figures::run(&arguments)?,
        Command::Parity(arguments) => parity::run(&arguments)?,
        Command::WitCheck => wit_check::run()?,
        Command::Announce(arguments) => demo::announce(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}
