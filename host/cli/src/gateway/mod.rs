//! The commands that run a gateway; those that ask a running one are in [`super::detector`].

mod baseline;
mod run;

use clap::ArgMatches;
use clap::parser::ValueSource;
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

pub(super) fn run(command: GatewayCommand, matches: &ArgMatches, file: Settings) -> Result<(), Failure> {
    let settle = |settings: &mut Settings| match matches.subcommand() {
        Some((_, matches)) => settle_source(settings, matches),
        None => Ok(()),
    };
    match command {
        GatewayCommand::Run(mut args) => {
            settle(&mut args.settings)?;
            run::run(args.settings.or(file))
        }
        GatewayCommand::Baseline(mut args) => {
            settle(&mut args.settings)?;
            baseline::run(*args, file)
        }
    }
}

/// Drops an environment variable that names one kind of source when a flag names the other kind.
fn settle_source(settings: &mut Settings, matches: &ArgMatches) -> Result<(), Failure> {
    if settings.pcap.is_none() || settings.interface.is_none() {
        return Ok(());
    }
    let is_flag = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    match (is_flag("pcap"), is_flag("interface")) {
        (true, false) => settings.interface = None,
        (false, true) => settings.pcap = None,
        _ => {
            return Err(Failure::Usage(
                "traffic comes from --pcap or --interface, not both".to_owned(),
            ));
        }
    }
    Ok(())
}
