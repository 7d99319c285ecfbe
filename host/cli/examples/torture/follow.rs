//! The gateway of the program with a source that is acknowledged. No source of the program itself is: captures and tables
//! are read again from their beginning, and an interface has no earlier place.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use netsage_console::Failure;
use netsage_console::interrupt::{interrupted, survive_hangup};
use netsage_gateway::config::{Resolved, Settings};
use netsage_gateway::gateway::Gateway;
use netsage_gateway::opening::Opened;
use netsage_testkit::toy::ToyLog;

/// The first argument of a process that is such a gateway.
pub(crate) const NAME: &str = "follow";

/// Follows a log.
#[derive(Debug, Parser)]
struct Arguments {
    log: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

/// Serves until a signal ends the process.
pub(crate) fn main() -> ExitCode {
    match run(Arguments::parse_from(std::env::args_os().skip(1))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit_code(),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    survive_hangup()?;
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let settings = Resolved::new(arguments.settings)?;
    let opened = Opened {
        sources: vec![Box::new(ToyLog::follow(&arguments.log))],
        name: arguments.log.display().to_string(),
        progress: None,
        inbox: None,
        senders: Default::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupted = std::pin::pin!(interrupted());
        let mut gateway = tokio::select! {
            started = Gateway::start(settings, opened) => started?,
            () = &mut interrupted => return Ok(()),
        };
        eprintln!("serving on http://{}", gateway.address());
        let outcome = tokio::select! {
            ended = gateway.ended() => ended,
            () = &mut interrupted => gateway.end().await,
        };
        gateway.shutdown().await;
        Ok(outcome?)
    })
}
