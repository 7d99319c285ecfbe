//! `netsage evaluate`: how well detectors do on labelled rows.
//!
//! [`models`] scores with detectors and trains them again, [`fused`] combines scores of several detectors,
//! [`baselines`] are simple methods that a detector has to beat; the figures, the table and the page are made by
//! `netsage_models`.

mod baselines;
mod fused;
mod models;
mod one_class;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use jiff::Zoned;
use netsage_console::Failure;
use netsage_console::detectors::DetectorArgs;
use netsage_console::output::{BadRows, stdout};
use netsage_console::say;
use netsage_gateway::assets;
use netsage_gateway::catalog::{check_writable, write_whole};
use netsage_gateway::config::{MeterArgs, Settings};
use netsage_models::metrics::{Bootstrap, Distinct};
use netsage_models::report::{DataSummary, Judge, Report, known_artefacts};

use crate::labelled::Labelled;
use crate::reading::How;
use crate::train::flows::{Ordinary, Taken};

/// Flows a day of a small office, for tables, which do not say how long they took to collect.
const FLOWS_PER_DAY: f64 = 100_000.0;

/// The page of a report.
const PAGE: &str = "report.html";

/// Measures detectors on labelled rows or flows, with intervals: ranking, detection at few false alarms, and detection
/// at the thresholds, for each kind of attack, on all rows and on distinct rows.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage evaluate dev.csv.gz\n  netsage evaluate dev.csv.gz --detector my.wasm --json\n  netsage evaluate dev.csv.gz --detector iforest-unsw-nb15 --detector my.wasm --from train-normal.csv.gz --ablate --report report\n  netsage synth --out demo.pcap && netsage evaluate demo.pcap\n  netsage evaluate conn.log.labeled.gz"
)]
pub struct EvaluateArgs {
    /// CSV with the columns of a schema (as UNSW-NB15) and a `label` column, log of Zeek with one, or capture or records with
    /// a label file; also compressed
    file: PathBuf,
    /// Label file of a capture or of records, as `netsage synth` writes it [default: FILE.labels.csv]
    #[arg(long, value_name = "CSV")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    detectors: DetectorArgs,
    /// The ordinary rows that the detectors were trained on, CSV, capture or records, also compressed: baselines learn from
    /// them, and --ablate trains on them
    #[arg(long, num_args = 1.., value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Also train each detector again without the columns that give the label away in UNSW-NB15 (sttl, dttl,
    /// ct_state_ttl), by the recipe in its card, and measure that
    #[arg(long, requires = "from")]
    ablate: bool,
    /// Bootstrap samples for the intervals; 0 for no intervals
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    bootstrap: u32,
    /// Ordinary flows a day for which false alerts are stated [default: that of a capture or of records, 100,000 for a table]
    #[arg(long, value_name = "N")]
    flows_per_day: Option<f64>,
    #[command(flatten)]
    meter: MeterArgs,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Also write report.html, a page with pictures, and report.json and report.md into this folder
    #[arg(long, value_name = "DIR", env = "NETSAGE_REPORT")]
    report: Option<PathBuf>,
}

/// Measures detectors on labelled rows, prints the figures and writes the report.
///
/// # Errors
/// When a file cannot be read or written, or a detector fails.
pub fn run(args: &EvaluateArgs, file: &Settings) -> Result<(), Failure> {
    if args
        .flows_per_day
        .is_some_and(|flows| !(flows > 0.0 && flows.is_finite()))
    {
        return Err(Failure::Usage(
            "--flows-per-day takes a number above 0".to_owned(),
        ));
    }
    if let Some(folder) = &args.report {
        fs::create_dir_all(folder)
            .map_err(|error| anyhow!("cannot make the folder {}: {error}", folder.display()))?;
        check_writable(&folder.join(PAGE))?;
    }
    let mut bad = BadRows::default();
    let how = How::of(&args.meter, file)?;
    let labelled = Labelled::read(&args.file, args.labels.as_ref(), &how, &mut bad)?;
    let schema = labelled.rows.schema();
    let ordinary = if args.from.is_empty() {
        None
    } else {
        let read = Ordinary::read(&args.from, &how, &Taken::Label(false), &mut bad)?;
        if read.rows.schema() != schema {
            return Err(Failure::Usage(format!(
                "--from gives rows of schema {}, {} gives {}; give rows of one schema",
                read.rows.schema().id,
                args.file.display(),
                schema.id
            )));
        }
        Some(read)
    };
    let distinct = Distinct::of(&labelled.rows, &labelled.attack);
    let judge = Judge {
        attack: &labelled.attack,
        categories: labelled.named_categories(),
        distinct: &distinct,
        bootstrap: Bootstrap {
            samples: args.bootstrap,
            ..Bootstrap::default()
        },
        flows_per_day: args.flows_per_day.unwrap_or_else(|| flows_per_day(&labelled)),
    };
    let bundled = if labelled.metered {
        assets::defaults(schema)
    } else {
        assets::table_defaults(schema)
    };
    let runtime = args.detectors.runtime(file)?;
    let detectors = args.detectors.load_into(&runtime, bundled, schema)?;
    if labelled.rows.is_empty() {
        bad.finish(0)?;
    }
    if !labelled.has_both_classes() {
        one_class::print(args.json, &labelled, &detectors)?;
        return Ok(bad.finish(labelled.rows.len() as u64)?);
    }
    let session = models::Session {
        runtime: &runtime,
        labelled: &labelled,
        judge: &judge,
        ordinary: ordinary.as_ref(),
        ablate: args.ablate,
    };
    let (mut results, scored) = session.detectors(&detectors)?;
    results.extend(fused::outcomes(&session, &scored)?);
    if let Some(ordinary) = &ordinary {
        results.extend(baselines::outcomes(&session, &ordinary.rows)?);
    }
    let report = Report {
        made_by: format!("netsage {}", env!("CARGO_PKG_VERSION")),
        date: Zoned::now().strftime("%Y-%m-%d").to_string(),
        command: command_line(),
        data: DataSummary {
            file: file_name(&args.file),
            schema: schema.to_string(),
            rows: labelled.rows.len(),
            attacks: count(&labelled.attack),
            distinct_rows: distinct.rows.len(),
            distinct_attacks: count(&distinct.select(&labelled.attack)),
            with_both_labels: distinct.with_both_labels,
            categories: judge.category_rows(),
        },
        training: args.from.iter().map(|path| file_name(path)).collect(),
        bootstrap: judge.bootstrap,
        flows_per_day: judge.flows_per_day,
        artefacts: known_artefacts(schema),
        results,
    };
    write(args, &report)?;
    Ok(bad.finish(labelled.rows.len() as u64)?)
}

fn write(args: &EvaluateArgs, report: &Report) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    let mut out = stdout();
    if args.json {
        out.write_all(json.as_bytes())?;
    } else {
        out.write_all(report.table().as_bytes())?;
    }
    out.flush()?;
    let Some(folder) = &args.report else { return Ok(()) };
    for (name, text) in [
        (PAGE, report.html()),
        ("report.json", json),
        ("report.md", report.markdown()),
    ] {
        write_whole(&folder.join(name), text.as_bytes())?;
    }
    say!("wrote {}", folder.join(PAGE).display());
    Ok(())
}

/// Ordinary flows a day: of a capture as many as in its own time, otherwise those of a small office.
fn flows_per_day(labelled: &Labelled) -> f64 {
    const DAY_NS: f64 = 86_400e9;
    let identities = &labelled.identities;
    let first = identities.iter().map(|identity| identity.start_ns).min();
    let last = identities.iter().map(|identity| identity.end_ns).max();
    let ordinary = labelled.attack.len() - count(&labelled.attack);
    match first.zip(last) {
        Some((first, last)) if labelled.metered && last > first => {
            ordinary as f64 * DAY_NS / (last - first) as f64
        }
        _ => FLOWS_PER_DAY,
    }
}

fn count(attack: &[bool]) -> usize {
    attack.iter().filter(|&&attack| attack).count()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// The command that runs, as one would type it.
fn command_line() -> String {
    let mut text = "netsage".to_owned();
    for argument in std::env::args_os().skip(1) {
        let argument = argument.to_string_lossy();
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:,@%+".contains(character);
        if !argument.is_empty() && argument.chars().all(plain) {
            text += &format!(" {argument}");
        } else {
            text += &format!(" '{}'", argument.replace('\'', r"'\''"));
        }
    }
    text
}
