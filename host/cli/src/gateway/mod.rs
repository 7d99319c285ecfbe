//! The commands that run a gateway; those that ask a running one are in [`super::detector`].

mod baseline;
mod run;

use netsage_console::Failure;
use netsage_gateway::config::Settings;

#[derive(Debug, clap::Subcommand)]
pub(super) enum GatewayCommand {
    /// Score traffic as it comes, keep what is found, serve API and dashboard
    Run(Box<run::RunArgs>),
    /// Learn what is normal here, then arm: train on live traffic or a capture, and score what comes
    Baseline(Box<baseline::BaselineArgs>),
}

/// Adapts `baseline`, which takes every setting of `run`: there `--detector` names methods to train, not packages.
pub(super) fn adapt(command: clap::Command) -> clap::Command {
    command.mut_subcommand("baseline", |baseline| {
        baseline.mut_arg("detector", |detector| {
            detector
                .value_name("METHOD")
                .env(None)
                .help_heading("Baseline")
                .help("Method to train, as `netsage train` names them; may be repeated [default: iforest and rhythm]")
        })
    })
}

pub(super) fn run(command: GatewayCommand, file: Settings) -> Result<(), Failure> {
    match command {
        GatewayCommand::Run(args) => run::run(args.settings.or(file)),
        GatewayCommand::Baseline(args) => baseline::run(*args, file),
    }
}
