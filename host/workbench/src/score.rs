//! `netsage score`: the scores of flows or rows.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use netsage_console::detectors::{DetectorArgs, column_names};
use netsage_console::output::{BadRows, Format, identity_csv, identity_json, stdout};
use netsage_console::{Failure, progress};
use netsage_gateway::assets;
use netsage_gateway::config::{MeterArgs, Settings};
use netsage_gateway::pipeline::{BLOCK_ROWS, score_rows};
use netsage_lifecycle::Loaded;
use netsage_schema::csv::{CsvRow, IDENTITY_COLUMNS};
use netsage_schema::{AddressKey, Contexts, Identity, RECORD_V1, Rows};
use netsage_sources::{Content, Input, Progress, Source, Table, open_with, read_all};

use crate::reading::How;
use crate::unused;

/// Prints one line per flow or row: addresses (or the number of the row), one score per detector, label.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage score capture.pcap\n  netsage score rows.csv.gz --detector my.wasm --format jsonl"
)]
pub struct ScoreArgs {
    /// Capture (pcap, pcapng), CSV with the columns of a schema (as UNSW-NB15), or flow records (Zeek, Suricata, Argus,
    /// JSON), also compressed by gzip, zstd or lz4
    file: PathBuf,
    #[command(flatten)]
    detectors: DetectorArgs,
    /// How to print the scores
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    meter: MeterArgs,
}

/// Prints the scores of flows or rows to standard output.
///
/// # Errors
/// When the file or a detector cannot be read, or a detector fails.
pub fn run(args: &ScoreArgs, file: &Settings) -> Result<(), Failure> {
    let how = How::of(&args.meter, file)?;
    let (input, progress) = open_with(&args.file, &how.records)?;
    match input {
        Input::Capture(capture) => {
            score_source(args, file, &how, &mut capture.metered(&how.meter), &progress)
        }
        Input::Records(records) => {
            score_source(args, file, &how, &mut records.into_source(&RECORD_V1)?, &progress)
        }
        Input::Table(table) => score_table(args, file, table, &progress),
    }
}

fn score_source(
    args: &ScoreArgs,
    file: &Settings,
    how: &How,
    source: &mut dyn Source,
    read: &Progress,
) -> Result<(), Failure> {
    let schema = source.schema();
    let detectors = args.detectors.load(assets::defaults(schema), schema, file)?;
    let bar = progress::reading(read, "scoring");
    let mut printer = Printer::new(args.format, detectors, true, false)?;
    let mut contexts = Contexts::new();
    let damage = read_all(source, |batch| {
        bar.set_position(read.read());
        how.records.site.mark(batch, 0);
        contexts.clear();
        contexts.extend_of(batch, &AddressKey::OF_FILES);
        printer.print(&batch.rows, Some(&contexts), |index| Line {
            number: 0,
            identity: batch.identities.get(index),
            label: None,
        })
    })?;
    printer.finish()?;
    bar.finish_and_clear();
    unused::of_source(source, damage)
}

fn score_table(
    args: &ScoreArgs,
    file: &Settings,
    mut table: Table<Content<'static>>,
    read: &Progress,
) -> Result<(), Failure> {
    let schema = table.schema();
    let detectors = args
        .detectors
        .load(assets::table_defaults(schema), schema, file)?;
    let bar = progress::reading(read, "scoring");
    let mut printer = Printer::new(args.format, detectors, table.has_identity(), table.has_label())?;
    let mut contexts = Contexts::new();
    let has_identity = table.has_identity();
    let mut rows = Rows::with_capacity(schema, BLOCK_ROWS);
    let mut lines: Vec<(u64, Option<bool>)> = Vec::with_capacity(BLOCK_ROWS);
    let mut identities: Vec<Identity> = Vec::new();
    let mut bad = BadRows::default();
    let (mut good, mut position) = (0, 0);
    let mut row = CsvRow::default();
    loop {
        let more = match table.read(&mut row) {
            Some(Ok(())) => {
                position += 1;
                good += 1;
                rows.push(&row.values);
                lines.push((position, row.label));
                identities.extend(row.identity);
                true
            }
            Some(Err(error)) => {
                position += 1;
                bad.report(&error);
                true
            }
            None => false,
        };
        if rows.len() == BLOCK_ROWS || (!more && !rows.is_empty()) {
            bar.set_position(read.read());
            contexts.clear();
            contexts.extend(&identities, &AddressKey::OF_FILES);
            printer.print(&rows, has_identity.then_some(&contexts), |index| Line {
                number: lines[index].0,
                identity: identities.get(index),
                label: lines[index].1,
            })?;
            rows.clear();
            lines.clear();
            identities.clear();
        }
        if !more {
            break;
        }
    }
    printer.finish()?;
    bar.finish_and_clear();
    unused::of_table(&table);
    Ok(bad.finish(good)?)
}

/// What stands beside the scores of a row.
struct Line<'a> {
    /// Number of the row, from 1; used where there is no identity.
    number: u64,
    identity: Option<&'a Identity>,
    label: Option<bool>,
}

struct Printer {
    out: std::io::BufWriter<std::io::StdoutLock<'static>>,
    format: Format,
    detectors: Vec<Arc<Loaded>>,
    names: Vec<String>,
    has_label: bool,
}

impl Printer {
    fn new(
        format: Format,
        detectors: Vec<Arc<Loaded>>,
        has_identity: bool,
        has_label: bool,
    ) -> std::io::Result<Self> {
        let names = column_names(&detectors);
        let mut out = stdout();
        if format == Format::Csv {
            let first = if has_identity {
                IDENTITY_COLUMNS.join(",")
            } else {
                "row".to_owned()
            };
            let label = if has_label { ",label" } else { "" };
            writeln!(out, "{first},{}{label}", names.join(","))?;
        }
        Ok(Self {
            out,
            format,
            detectors,
            names,
            has_label,
        })
    }

    fn print<'a>(
        &mut self,
        rows: &Rows,
        contexts: Option<&Contexts>,
        line: impl Fn(usize) -> Line<'a>,
    ) -> anyhow::Result<()> {
        let mut scores = Vec::with_capacity(self.detectors.len());
        for loaded in &self.detectors {
            scores.push(score_rows(&loaded.detector, rows, contexts)?);
        }
        for index in 0..rows.len() {
            match self.format {
                Format::Csv => self.csv_line(&line(index), &scores, index)?,
                Format::Jsonl => self.json_line(&line(index), &scores, index)?,
            }
        }
        Ok(())
    }

    fn csv_line(&mut self, line: &Line<'_>, scores: &[Vec<f32>], index: usize) -> std::io::Result<()> {
        match line.identity {
            Some(identity) => identity_csv(&mut self.out, identity)?,
            None => write!(self.out, "{}", line.number)?,
        }
        for column in scores {
            write!(self.out, ",{}", column[index])?;
        }
        if self.has_label {
            match line.label {
                Some(label) => write!(self.out, ",{}", u8::from(label))?,
                None => write!(self.out, ",")?,
            }
        }
        writeln!(self.out)
    }

    fn json_line(&mut self, line: &Line<'_>, scores: &[Vec<f32>], index: usize) -> std::io::Result<()> {
        write!(self.out, "{{")?;
        match line.identity {
            Some(identity) => identity_json(&mut self.out, identity)?,
            None => write!(self.out, "\"row\":{}", line.number)?,
        }
        // Names of detectors are letters, digits and hyphens.
        for (name, column) in self.names.iter().zip(scores) {
            write!(self.out, ",\"{name}\":{}", column[index])?;
        }
        if let Some(label) = line.label {
            write!(self.out, ",\"label\":{}", u8::from(label))?;
        }
        writeln!(self.out, "}}")
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
