//! `netsage-parity`: the comparison with Argus for captures that the user names; `cargo xtask parity` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program reports on the terminal"
)]

use std::path::PathBuf;

use clap::Parser;
use netsage_parity::{Agreement, Comparison, ParityError, Report, argus, cases, ours};

/// Compares the rows of the meter with those of Argus, column by column, and both schemas with each other.
#[derive(Debug, Parser)]
#[command(
    name = "netsage-parity",
    after_help = "Example:\n  netsage-parity --list 20 capture.pcap"
)]
struct Arguments {
    /// Captures (pcap or pcapng)
    #[arg(required_unless_present = "generated")]
    files: Vec<PathBuf>,
    /// Adds the generated captures of cases that real captures rarely show; they are kept in this folder
    #[arg(long, value_name = "FOLDER")]
    generated: Option<PathBuf>,
    /// Meters what tunnels carry instead of the tunnels, as Argus does with GRE
    #[arg(long)]
    decapsulate: bool,
    /// Lists up to that many unequal cells and unpaired records of each side
    #[arg(long, value_name = "N", default_value_t = 0)]
    list: usize,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if let Some(folder) = &arguments.generated {
        arguments.files.extend(cases::write_all(folder)?);
    }
    if argus::is_installed() {
        compare(&arguments)?;
    } else {
        println!("skipped: argus-server and argus-client are not installed");
    }
    let mut agreement = Agreement::default();
    for path in &arguments.files {
        agreement.add(path, arguments.decapsulate)?;
    }
    print!("{agreement}");
    Ok(())
}

/// Prints the records of the meter beside those of Argus.
fn compare(arguments: &Arguments) -> anyhow::Result<()> {
    let mut comparison = Comparison::new();
    for path in &arguments.files {
        let theirs = match argus::records(path) {
            Err(error @ ParityError::Unreadable { .. }) => {
                println!("skipped: {error}");
                continue;
            }
            other => other?,
        };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        comparison.add(&name, &theirs, &ours::records(path, arguments.decapsulate)?);
    }
    print!(
        "{}",
        Report {
            comparison: &comparison,
            listed: arguments.list
        }
    );
    Ok(())
}
