//! `netsage flows`: the features of the flows of a capture, or of records.

use std::io::{BufWriter, StdoutLock, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::{mem, thread};

use anyhow::anyhow;
use netsage_capture::MeterConfig;
use netsage_console::output::{Format, stdout};
use netsage_console::say;
use netsage_console::{Failure, progress};
use netsage_gateway::config::{InterfaceArgs, MeterArgs, Settings};
use netsage_schema::{FlowBatch, RECORD_V1, Schema, csv, json_lines};
use netsage_sources::{Input, Progress, Source, SourceError, open_with, read_all};

use crate::reading::How;
use crate::{stats, unused};

/// Batches of rows that may wait to be printed.
const BATCHES_TO_PRINT: usize = 4;

/// Prints one row of features per flow.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  netsage flows capture.pcap --schema flow-v1 --stats > flows.csv
  netsage flows conn.log.gz --stats > flows.csv
  netsage flows --interface eth0 --format jsonl")]
pub struct FlowsArgs {
    /// Capture (pcap, pcapng) or flow records (Zeek, Suricata, Argus, JSON), also compressed by gzip, zstd or lz4
    #[arg(required_unless_present = "interface", conflicts_with = "interface")]
    file: Option<PathBuf>,
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print counters on standard error at the end: packets, packets not metered by reason, flows ended early; or records,
    /// those passed over and those refused by reason
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    meter: MeterArgs,
}

/// Prints the flows of a file or of interfaces to standard output.
///
/// # Errors
/// When the source cannot be read, or the rows cannot be printed.
pub fn run(args: &FlowsArgs, file: &Settings) -> Result<(), Failure> {
    let how = How::of(&args.meter, file)?;
    match (&args.file, args.interfaces.settings()?) {
        #[cfg(feature = "live")]
        (_, Some(interfaces)) => live::run(args, &interfaces, &how.meter),
        (Some(path), _) => read(args, path, &how),
        (None, _) => Err(Failure::Usage(
            "name a capture or records, or an interface with --interface".to_owned(),
        )),
    }
}

fn read(args: &FlowsArgs, path: &Path, how: &How) -> Result<(), Failure> {
    match open_with(path, &how.records) {
        Ok((Input::Capture(capture), read)) => {
            let mut source = capture.metered(&how.meter);
            let damage = print(args, &mut source, &read)?;
            if args.stats {
                say!("{}", stats::shown(source.metered(), args.format).trim_end());
            }
            unused::of_source(&source, damage)
        }
        Ok((Input::Records(records), read)) => {
            let mut source = records.into_source(&RECORD_V1)?;
            let damage = print(args, &mut source, &read)?;
            if args.stats {
                say!("{}", stats::of_records(&source, args.format).trim_end());
            }
            unused::of_source(&source, damage)
        }
        Ok((Input::Table(_), _)) | Err(SourceError::Table { .. }) => Err(SourceError::NotACapture {
            name: path.display().to_string(),
        }
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// Reads on this thread and prints on another: turning numbers into text takes a fifth of the time of both. Gives what
/// ended the source early.
fn print(args: &FlowsArgs, source: &mut dyn Source, read: &Progress) -> Result<Option<SourceError>, Failure> {
    let bar = progress::reading(read, "reading");
    let (format, schema) = (args.format, source.schema());
    let (full, to_print) = mpsc::sync_channel::<FlowBatch>(BATCHES_TO_PRINT);
    let (printed, empty) = mpsc::channel::<FlowBatch>();
    let (metered, outcome) = thread::scope(|scope| {
        let printing = scope.spawn(move || {
            let mut printer = Printer::new(format, schema)?;
            for mut batch in to_print {
                printer.print(&batch)?;
                batch.clear();
                // The send fails once the meter has ended, which then needs no batch.
                let _ = printed.send(batch);
            }
            printer.out.flush()
        });
        let metered = read_all(source, |batch| {
            bar.set_position(read.read());
            let next = empty.try_recv().unwrap_or_else(|_| FlowBatch::new(schema));
            full.send(mem::replace(batch, next))
                .map_err(|_| anyhow!("the rows could not be printed"))
        });
        drop(full);
        (metered, printing.join())
    });
    // An error of the printer comes first, because it also ends the metering.
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let damage = metered?;
    bar.finish_and_clear();
    Ok(damage)
}

/// Writes rows to standard output.
struct Printer {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
    schema: &'static Schema,
}

impl Printer {
    fn new(format: Format, schema: &'static Schema) -> std::io::Result<Self> {
        let mut out = stdout();
        if format == Format::Csv {
            writeln!(out, "{}", csv::header(schema))?;
        }
        Ok(Self { out, format, schema })
    }

    fn print(&mut self, batch: &FlowBatch) -> std::io::Result<()> {
        for (row, identity) in batch.rows.iter().zip(&batch.identities) {
            match self.format {
                Format::Csv => {
                    csv::write_fields(&mut self.out, self.schema, identity, row)?;
                    self.out.write_all(b"\n")?;
                }
                Format::Jsonl => json_lines::write_line(&mut self.out, self.schema, identity, row)?,
            }
        }
        Ok(())
    }
}

#[cfg(feature = "live")]
mod live {
    use std::sync::atomic::Ordering;

    use super::*;
    use netsage_console::{capturing, interrupt};
    use netsage_gateway::config::InterfaceSettings;
    use netsage_gateway::opening::open_interfaces;
    use netsage_gateway::pipeline::{gap_summary, interface_health, interface_summary};
    use netsage_sources::Reading;

    /// Prints flows as they end, and those that are left when the user asks to stop.
    pub(super) fn run(
        args: &FlowsArgs,
        source: &InterfaceSettings,
        config: &MeterConfig,
    ) -> Result<(), Failure> {
        // Before the capture announces itself: a caller that waits for the announcement may send the signal at once.
        let stop = interrupt::flag()?;
        let interfaces = open_interfaces(source, args.interfaces.user.as_deref(), capturing)?;
        let mut source = interfaces.metered(config);
        let mut printer = Printer::new(args.format, config.schema)?;
        printer.out.flush()?;
        let mut batch = FlowBatch::new(config.schema);
        while source.read(&mut batch)? != Reading::End {
            // What was on the wire before is still printed; then the interfaces end.
            if stop.load(Ordering::Acquire) {
                source.stop();
            }
            if !batch.is_empty() {
                printer.print(&batch)?;
                printer.out.flush()?;
                batch.clear();
            }
        }
        for interface in source.interfaces() {
            say!("{}", interface_summary(&interface_health(interface)));
        }
        let counted = source.metered();
        if let Some(gaps) = gap_summary(counted.tcp_gaps, counted.tcp_gap_bytes) {
            say!("{gaps}");
        }
        if args.stats {
            say!("{}", stats::shown(counted, args.format).trim_end());
        }
        Ok(())
    }
}
