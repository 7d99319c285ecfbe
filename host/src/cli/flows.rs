//! `netsage flows`: the features of the flows of a capture.

use std::io::Write as _;
use std::path::PathBuf;

use netsage_capture::{Meter, MeterConfig};
use netsage_schema::{Schema, csv, json_lines};

use super::output::{Format, stdout};
use super::{Failure, progress};
use crate::config::{MeterArgs, Settings};
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
    #[command(flatten)]
    meter: MeterArgs,
}

pub(super) fn run(args: &FlowsArgs, file: &Settings) -> Result<(), Failure> {
    let mut capture = open_capture(&args.file)?;
    let schema = Schema::by_id(&args.schema).expect("the argument parser knows the schemas there are");
    let mut meter = Meter::new(MeterConfig {
        schema,
        ..args.meter.config(file)?
    });
    let bar = progress::reading(&capture.progress(), "reading");
    let read = capture.progress();
    let mut out = stdout();
    if args.format == Format::Csv {
        writeln!(out, "{}", csv::header(schema))?;
    }
    let (_, damage) = meter_file(&mut capture, &mut meter, |batch| {
        bar.set_position(read.read());
        for (row, identity) in batch.rows.iter().zip(&batch.identities) {
            match args.format {
                Format::Csv => {
                    csv::write_fields(&mut out, schema, identity, row)?;
                    out.write_all(b"\n")?;
                }
                Format::Jsonl => json_lines::write_line(&mut out, schema, identity, row)?,
            }
        }
        std::io::Result::Ok(())
    })?;
    out.flush()?;
    bar.finish_and_clear();
    damage.map_or(Ok(()), |error| Err(error.into()))
}
