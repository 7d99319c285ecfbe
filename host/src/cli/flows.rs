//! `netsage flows`: the features of the flows of a capture.

use std::io::Write as _;
use std::path::PathBuf;

use netsage_capture::{Meter, MeterConfig};
use netsage_schema::{UNSW_NB15, csv, json_lines};

use super::output::{Format, stdout};
use super::{Failure, progress};
use crate::config::Settings;
use crate::input::{meter_file, open_capture};

/// Prints one row of features per flow.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  netsage flows capture.pcap > flows.csv")]
pub(super) struct FlowsArgs {
    /// Capture (pcap or pcapng, also gzipped)
    file: PathBuf,
    /// Which features
    #[arg(long, default_value = "unsw-nb15", value_parser = ["unsw-nb15"])]
    schema: String,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Flows the meter tracks at once [default: 262144]
    #[arg(long, value_name = "N", env = "NETSAGE_FLOW_LIMIT")]
    flow_limit: Option<usize>,
}

pub(super) fn run(args: &FlowsArgs, file: &Settings) -> Result<(), Failure> {
    let mut capture = open_capture(&args.file)?;
    let mut meter = Meter::new(meter_config(args.flow_limit, file));
    let bar = progress::reading(&capture.progress(), "reading");
    let read = capture.progress();
    let mut out = stdout();
    if args.format == Format::Csv {
        writeln!(out, "{}", csv::header(&UNSW_NB15))?;
    }
    let (_, damage) = meter_file(&mut capture, &mut meter, |batch| {
        bar.set_position(read.read());
        for (row, identity) in batch.rows.iter().zip(&batch.identities) {
            match args.format {
                Format::Csv => {
                    csv::write_fields(&mut out, &UNSW_NB15, identity, row)?;
                    out.write_all(b"\n")?;
                }
                Format::Jsonl => json_lines::write_line(&mut out, &UNSW_NB15, identity, row)?,
            }
        }
        std::io::Result::Ok(())
    })?;
    out.flush()?;
    bar.finish_and_clear();
    damage.map_or(Ok(()), |error| Err(error.into()))
}

/// The meter's configuration from a flag or the settings file.
pub(super) fn meter_config(flow_limit: Option<usize>, file: &Settings) -> MeterConfig {
    let default = MeterConfig::default();
    MeterConfig {
        max_flows: flow_limit.or(file.flow_limit).unwrap_or(default.max_flows).max(1),
        ..default
    }
}
