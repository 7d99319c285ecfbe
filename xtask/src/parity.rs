//! `cargo xtask parity`: the rows of the flow meter beside those of Argus, for any capture.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::command::openly;
use crate::setup::{self, Purpose};
use crate::steps::Steps;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask parity capture.pcap\n  cargo xtask parity --list 20 *.pcap\n  cargo xtask parity --generated"
)]
pub(crate) struct ParityArguments {
    /// Captures (pcap or pcapng).
    #[arg(required_unless_present = "generated")]
    files: Vec<PathBuf>,
    /// Adds the captures that the project generates for what real ones rarely show.
    #[arg(long)]
    generated: bool,
    /// Meters what tunnels carry instead of the tunnels, as Argus does with GRE.
    #[arg(long)]
    decapsulate: bool,
    /// Lists up to that many unequal cells and unpaired records of each side.
    #[arg(long, value_name = "N", default_value_t = 0)]
    list: usize,
}

/// Builds the comparison and runs it.
pub(crate) fn run(arguments: &ParityArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let steps = Steps::new(1);
    steps.run("Looking for Argus", |line| {
        setup::ensure(&workspace, Purpose::Parity, line)
    })?;
    steps.finish();
    // No package is named: all default members together share the dependencies of the program.
    let mut command = workspace.cargo(&["run", "--quiet", "--release", "--bin", "netsage-parity", "--"]);
    if arguments.generated {
        command
            .arg("--generated")
            .arg(workspace.target.join("netsage-parity-cases"));
    }
    if arguments.decapsulate {
        command.arg("--decapsulate");
    }
    command.arg("--list").arg(arguments.list.to_string());
    for file in &arguments.files {
        // The command runs in the clone, wherever it was given.
        command.arg(std::path::absolute(file)?);
    }
    openly(command)
}
