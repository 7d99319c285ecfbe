//! The `netsage` program: its arguments, and which library function each command is.
//!
//! A command that runs a gateway, or asks a running one, has its file here; a command that makes or measures detectors
//! has its arguments and its work in `netsage-workbench`. This crate must never do anything that a program without a
//! command line would want too. Start with `Command`.
//!
//! Data goes to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 wrong
//! usage. A reader that closes the pipe early ends a command quietly.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator;
#[cfg(feature = "gateway")]
mod client;
mod detector;
#[cfg(feature = "gateway")]
mod gateway;
#[cfg(feature = "gateway")]
mod kafka;
#[cfg(feature = "gateway")]
mod output;
#[cfg(feature = "gateway")]
mod store;
mod variables;
#[cfg(feature = "workbench")]
mod workbench;

use std::env;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::mem;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use netsage_console::output::printable;
use netsage_console::say;
use netsage_console::{Failure, compile_detector, interrupt, stderr};
use netsage_gateway::config::Settings;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// The command line of the program.
#[derive(Debug, Parser)]
#[command(
    name = "netsage",
    version,
    about = "Anomaly scoring at the network edge",
    long_about = "NetSage turns packets into flows, scores them with detectors that are WebAssembly components, keeps the alerts and serves them.",
    after_help = "Settings of `run` also come from NETSAGE_* variables and a TOML file; see netsage.example.toml.\n\nExample:\n  netsage run --pcap capture.pcap",
    disable_help_subcommand = true
)]
struct Cli {
    /// Settings file [default: ./netsage.toml if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "NETSAGE_CONFIG")]
    config: Option<PathBuf>,
    /// What to log to standard error, e.g. `info` or `netsage_gateway=debug` [default: warn]
    #[arg(long, global = true, value_name = "FILTER", env = "NETSAGE_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "gateway")]
    #[command(flatten)]
    Gateway(gateway::GatewayCommand),
    #[cfg(feature = "workbench")]
    #[command(flatten)]
    Workbench(Box<workbench::WorkbenchCommand>),
    /// Make detector packages, and guide their life in a running program
    #[command(subcommand)]
    Detector(Box<detector::DetectorCommand>),
    /// Look after the file of a store
    #[cfg(feature = "gateway")]
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Ask a running program that reads a topic of Kafka
    #[cfg(feature = "gateway")]
    #[command(subcommand)]
    Kafka(kafka::KafkaCommand),
    /// Ask a running program where its alerts go
    #[cfg(feature = "gateway")]
    #[command(subcommand)]
    Output(output::OutputCommand),
    /// Compile a detector for the process that started this one
    #[command(name = compile_detector::NAME, hide = true)]
    CompileDetector,
}

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    allocator::fix_mmap_threshold();
    if let Err(error) = interrupt::survive_hangup() {
        return Failure::from(error).exit_code();
    }
    let mut command = command();
    let matches = command.get_matches_mut();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    if let Err(message) = start_log(cli.log.as_deref()) {
        say!("netsage: {message}");
        return ExitCode::from(2);
    }
    if !matches!(cli.command, Command::CompileDetector) {
        for complaint in variables::complaints(&command) {
            say!("netsage: {complaint}");
        }
    }
    // Its thousands of parts go with the process, which is quicker than giving each of them back.
    mem::forget(command);
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit_code(),
    }
}

/// The command line, with adaptations that clap's derive cannot express.
fn command() -> clap::Command {
    let command = Cli::command();
    #[cfg(feature = "gateway")]
    let command = gateway::adapt(command);
    command
}

fn execute(cli: Cli) -> Result<(), Failure> {
    let file = Settings::from_file(cli.config.as_deref())?;
    match cli.command {
        #[cfg(feature = "gateway")]
        Command::Gateway(command) => gateway::run(command, file),
        #[cfg(feature = "workbench")]
        Command::Workbench(command) => workbench::run(*command, &file),
        Command::Detector(command) => detector::run(*command, &file),
        #[cfg(feature = "gateway")]
        Command::Store(command) => store::run(command),
        #[cfg(feature = "gateway")]
        Command::Kafka(command) => kafka::run(command, &file),
        #[cfg(feature = "gateway")]
        Command::Output(command) => output::run(command, &file),
        Command::CompileDetector => compile_detector::run(),
    }
}

fn start_log(filter: Option<&str>) -> Result<(), String> {
    let filter = filter.unwrap_or("warn");
    // Lines of the access log are written only where the setting asks for them, and are then to be seen.
    #[cfg(feature = "gateway")]
    let directives = format!("{}=info,{filter}", netsage_gateway::api::access_log::TARGET);
    #[cfg(not(feature = "gateway"))]
    let directives = filter;
    let parsed = EnvFilter::try_new(directives)
        .map_err(|error| format!("`{filter}` is not a log filter: {error}; try `info`"))?;
    // A file, or the journal of a service, is to be searched and not to be looked at in colours.
    let has_colours =
        io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(has_colours)
        .fmt_fields(debug_fn(write_field).delimited(" "))
        .with_writer(|| stderr::Log)
        .init();
    Ok(())
}

/// Writes a field of a log line without the control characters in it: texts that people send, and names of files, could
/// forge lines, or make a terminal do things.
fn write_field(line: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(line, "{}=", field.name())?;
    }
    write!(line, "{}", printable(&format!("{value:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            // What is hidden is not for people.
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                let path = format!("{path} {}", sub.get_name());
                if sub.has_subcommands() {
                    check(sub, &path);
                } else {
                    let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(help.contains("Example"), "{path} --help has no example");
                }
            }
        }
        check(&command(), "netsage");
    }
}
