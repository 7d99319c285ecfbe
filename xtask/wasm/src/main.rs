//! Turns wasm32 builds into what NetSage ships: detector components and the files of the dashboard.
//!
//! A program of its own, apart from `xtask`, because its dependencies take minutes to compile and most
//! commands of `xtask` do not need them. It reads and writes the files that its arguments name; it must never start
//! another program or reach the network.
//!
//! Start with [`Command`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod component;
mod semver;
mod web;

#[derive(Debug, Parser)]
#[command(
    name = "xtask-wasm",
    about = "Turns wasm32 builds into detector components and dashboard files"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a detector component from a core module built with the detector SDK.
    ///
    /// Fails when the result does not export `netsage:detector/detector` or imports anything at all.
    #[command(
        after_help = "Example: xtask-wasm component target/wasm32-unknown-unknown/guest/netsage_iforest.wasm iforest.wasm"
    )]
    Component {
        /// The core module that cargo made.
        input: PathBuf,
        /// Where the component goes.
        output: PathBuf,
    },
    /// Checks that the detector contract is still compatible with the last released one.
    #[command(
        after_help = "Example: xtask-wasm semver-check --released wit/released/detector-1.0.0.wit --current wit/detector.wit"
    )]
    SemverCheck {
        /// The contract as released.
        #[arg(long, default_value = "wit/released/detector-1.0.0.wit")]
        released: PathBuf,
        /// The contract as it stands.
        #[arg(long, default_value = "wit/detector.wit")]
        current: PathBuf,
    },
    /// Makes the JavaScript module and the WebAssembly file of a program for browsers.
    #[command(after_help = "Example: xtask-wasm web netsage_web.wasm dist/web --name netsage-web")]
    Web {
        /// The module that cargo made for wasm32-unknown-unknown.
        input: PathBuf,
        /// The folder that gets NAME.js and NAME_bg.wasm; made when absent.
        output: PathBuf,
        /// Name of the module, without extension.
        #[arg(long)]
        name: String,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Component { input, output } => component::make(&input, &output),
        Command::SemverCheck { released, current } => semver::check(&released, &current),
        Command::Web { input, output, name } => web::make(&input, &output, &name),
    };
    #[expect(clippy::print_stderr, reason = "a command-line program reports here")]
    match outcome {
        Ok(report) => {
            eprintln!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
