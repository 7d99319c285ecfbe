//! `netsage store`: what can be done with the file of a store while no gateway uses the file.

use std::path::PathBuf;

use netsage_console::{Failure, say};
use netsage_store::{Recovered, recover};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum StoreCommand {
    /// Salvage what a damaged SQLite store still gives into a new one
    Recover(RecoverArgs),
}

/// Reads every page of a damaged store and its log, and writes the flows and alerts that are whole into a new store. The
/// damaged files stay as they are.
///
/// A gateway that meets a damaged store gives it another name, with `.damaged` at its end, and begins a new one. To work
/// with what was salvaged, name the new file with --store.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  netsage store recover /var/lib/netsage/netsage.sqlite.damaged\n  netsage store recover netsage.sqlite.damaged --into salvaged.sqlite\n  netsage run --store netsage.sqlite.damaged.recovered"
)]
pub(crate) struct RecoverArgs {
    /// The damaged file; its log is expected beside it, with `-wal` at the end of its name
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The new store, which must not be there yet [default: FILE with `.recovered` at its end]
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

pub(crate) fn run(command: StoreCommand) -> Result<(), Failure> {
    let StoreCommand::Recover(RecoverArgs { file, into }) = command;
    let recovered = recover(&file, into.as_deref())?;
    say!("{}", summary(&recovered));
    Ok(())
}

fn summary(recovered: &Recovered) -> String {
    let Recovered {
        target,
        flows,
        flows_lost,
        alerts,
        alerts_lost,
        ..
    } = recovered;
    let flows_lost = flows_lost.map_or_else(
        || "nobody knows how many flows".to_owned(),
        |lost| format!("{lost} flows"),
    );
    format!(
        "salvaged {flows} flows and {alerts} alerts, lost {flows_lost} and {alerts_lost} alerts; the new store is {}",
        target.display()
    )
}
