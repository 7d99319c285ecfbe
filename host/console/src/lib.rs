//! What the commands of `netsage` share on a terminal: how they fail, print, show progress, are interrupted, and load
//! detectors without a server.
//!
//! Data goes to standard output, everything else to standard error. This crate must never hold the work of a command.
//! Start with [`Failure`], which every command returns.

pub mod compile_detector;
pub mod detectors;
pub mod interrupt;
pub mod output;
pub mod progress;
pub mod stderr;
pub mod training;

use std::io;
use std::process::ExitCode;

use netsage_gateway::config::ConfigError;

use output::printable;

/// Why a command failed, and with which exit status.
#[derive(Debug)]
pub enum Failure {
    /// Exit status 2.
    Usage(String),
    /// Exit status 1.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        match error.downcast::<ConfigError>() {
            Ok(config) => Self::Usage(config.to_string()),
            Err(error) => Self::Failed(error),
        }
    }
}

impl Failure {
    /// Says on standard error what went wrong, and gives the exit status. A reader that closed the pipe early is no
    /// failure.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                crate::say!("netsage: {}", by_line(message));
                ExitCode::from(2)
            }
            Self::Failed(error) if is_broken_pipe(error) => ExitCode::SUCCESS,
            Self::Failed(error) => {
                crate::say!("netsage: {}", by_line(&error.to_string()));
                ExitCode::FAILURE
            }
        }
    }
}

/// A message that may have several lines, as a terminal may be sent it.
fn by_line(message: &str) -> String {
    let lines: Vec<_> = message.lines().map(printable).collect();
    lines.join("\n")
}

/// Says that capture has begun on an interface.
pub fn capturing(interface: &str) {
    crate::say!("capturing on {interface}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
