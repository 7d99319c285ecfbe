//! `netsage detector`: packages as files, and their life in a running program.

mod inspect;
#[cfg(feature = "gateway")]
mod life;

use netsage_console::Failure;
use netsage_gateway::config::Settings;
#[cfg(feature = "workbench")]
use netsage_workbench::pack;

/// What to do with packages.
#[derive(Debug, clap::Subcommand)]
pub(super) enum DetectorCommand {
    /// Make a package of a component, its trained model and its model card
    #[cfg(feature = "workbench")]
    Pack(Box<pack::PackArgs>),
    /// Say what a package file is and whether this program would take it, without a running one
    Inspect(inspect::InspectArgs),
    #[cfg(feature = "gateway")]
    #[command(flatten)]
    Life(life::LifeCommand),
}

pub(super) fn run(command: DetectorCommand, file: &Settings) -> Result<(), Failure> {
    match command {
        #[cfg(feature = "workbench")]
        DetectorCommand::Pack(args) => pack::run(&args, file),
        DetectorCommand::Inspect(args) => inspect::inspect(&args, file),
        #[cfg(feature = "gateway")]
        DetectorCommand::Life(command) => life::run(command, file),
    }
}
