//! `netsage train`: a model from ordinary traffic.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use jiff::Zoned;
use netsage_capture::{Meter, MeterConfig};
use netsage_models::iforest::{self, TrainOptions};
use netsage_models::{Common, Trained, card};
use netsage_runtime::{Package, package};
use netsage_schema::Rows;
use netsage_schema::csv::Record;

use super::detectors::start_runtime;
use super::labelled::Labelled;
use super::output::BadRows;
use super::{Failure, progress};
use crate::assets;
use crate::catalog::load;
use crate::config::{MeterArgs, Settings};
use crate::input::{Input, meter_file, open};

/// Detectors that can be trained.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TrainCommand {
    /// Isolation forest
    Iforest(IforestArgs),
}

/// Trains an isolation forest on ordinary flows. Rows labelled as attacks are left out.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes ARTIFACT and beside it the model card, for programs (ARTIFACT with the ending .card.json) and for people (.card.md).\n\nExample:\n  netsage train iforest --from train-normal.csv.gz --evaluate dev.csv.gz --out my.artifact --seed 7\n  netsage detector pack --artifact my.artifact --out my.wasm"
)]
pub(super) struct IforestArgs {
    /// CSV with the columns of a schema (as UNSW-NB15) or capture, also gzipped; may be repeated
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    from: Vec<PathBuf>,
    /// File for the trained model
    #[arg(long, value_name = "ARTIFACT")]
    out: PathBuf,
    /// Seed of every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of trees [default: 100]
    #[arg(long, value_name = "N")]
    trees: Option<usize>,
    /// Training rows per tree [default: 20000]
    #[arg(long, value_name = "N")]
    subsample: Option<usize>,
    /// Greatest height of a tree [default: by the rows per tree]
    #[arg(long, value_name = "N")]
    height_limit: Option<u32>,
    /// Count repeated rows as often as they occur; otherwise once, which makes more of rare kinds of flow
    #[arg(long)]
    keep_duplicates: bool,
    /// Quantile of held-out ordinary scores that becomes the threshold [default: of the trainer]
    #[arg(long, value_name = "QUANTILE")]
    threshold_quantile: Option<f64>,
    /// Column not to read; may be repeated
    #[arg(long, value_name = "COLUMN")]
    exclude: Vec<String>,
    /// What the data is and under which licence, for the model card [default: the names of the files]
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// Labelled CSV or capture (its labels in FILE.labels.csv) to measure the model on; the figures go into the card
    #[arg(long, value_name = "FILE")]
    evaluate: Option<PathBuf>,
    #[command(flatten)]
    meter: MeterArgs,
}

pub(super) fn run(command: TrainCommand, file: &Settings) -> Result<(), Failure> {
    match command {
        TrainCommand::Iforest(args) => train_iforest(&args, file),
    }
}

fn train_iforest(args: &IforestArgs, file: &Settings) -> Result<(), Failure> {
    let config = args.meter.config(file)?;
    let mut rows = None;
    let mut bad = BadRows::default();
    let mut attacks = 0;
    for path in &args.from {
        attacks += read_rows(path, &config, &mut rows, &mut bad)?;
    }
    let rows = rows.unwrap_or_else(|| Rows::new(config.schema));
    if attacks > 0 {
        eprintln!("left out {attacks} rows that are labelled as attacks");
    }
    let defaults = TrainOptions::default();
    let names = || {
        args.from
            .iter()
            .map(|path| file_name(path))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let options = TrainOptions {
        trees: args.trees.unwrap_or(defaults.trees),
        subsample: args.subsample.unwrap_or(defaults.subsample),
        height_limit: args.height_limit.or(defaults.height_limit),
        remove_duplicates: !args.keep_duplicates,
        common: Common {
            threshold_quantile: args
                .threshold_quantile
                .unwrap_or(defaults.common.threshold_quantile),
            exclude: args.exclude.clone(),
            seed: args.seed,
            data: args.data.clone().unwrap_or_else(names),
            date: Zoned::now().strftime("%Y-%m-%d").to_string(),
            ..defaults.common
        },
    };
    let bar = progress::counted(0, "growing trees");
    let mut trained = iforest::train(&rows, &options, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if let Some(path) = &args.evaluate {
        measure(&mut trained, path, config, file, &mut bad)?;
    }
    let card_path = card_path(&args.out);
    let page_path = args.out.with_extension("card.md");
    let title = args.out.file_stem().unwrap_or_default().to_string_lossy();
    write(&args.out, &trained.artifact)?;
    write(
        &card_path,
        card::to_json(&trained.card)
            .map_err(std::io::Error::from)?
            .as_bytes(),
    )?;
    write(&page_path, card::to_markdown(&title, &trained.card).as_bytes())?;
    eprintln!(
        "trained on {} rows; wrote {} ({} bytes), {} and {}",
        trained.card.rows,
        args.out.display(),
        trained.artifact.len(),
        card_path.display(),
        page_path.display()
    );
    Ok(bad.finish(rows.len() as u64)?)
}

/// Measures the model the way a host runs it, and notes the figures in its card.
fn measure(
    trained: &mut Trained,
    path: &Path,
    config: MeterConfig,
    file: &Settings,
    bad: &mut BadRows,
) -> Result<(), Failure> {
    let labelled = Labelled::read(path, None, config, bad)?;
    let component = assets::iforest_component().ok_or_else(|| {
        anyhow!(
            "the bundled isolation forest, which --evaluate runs, is missing: {}",
            assets::HOW_TO_BUILD
        )
    })?;
    let package = Package::from_bytes(package::pack(component, &trained.artifact, None, None)?)?;
    let runtime = start_runtime(None, file)?;
    let loaded = load(&runtime, labelled.rows.schema(), "the trained model", &package)?;
    let evaluation = labelled.evaluate(&loaded, Some(trained.card.threshold))?;
    card::add_figures(&mut trained.card, "", &evaluation);
    let (rows, attacks) = (evaluation.rows, evaluation.attacks);
    trained.card.notes.push(format!(
        "Figures are measured on {}: {rows} rows, {attacks} of them attacks.",
        file_name(path)
    ));
    Ok(())
}

/// Where the card of an artifact lies: `my.artifact` has `my.card.json`.
pub(super) fn card_path(artifact: &Path) -> PathBuf {
    artifact.with_extension("card.json")
}

/// Writes a file; the error names it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Appends the ordinary rows of a file and gives the number of attacks in it. The first file decides on the
/// schema of all.
fn read_rows(
    path: &Path,
    config: &MeterConfig,
    rows: &mut Option<Rows>,
    bad: &mut BadRows,
) -> Result<u64, Failure> {
    let mut attacks = 0;
    let input = open(path)?;
    let schema = match &input {
        Input::Capture(_) => config.schema,
        Input::Table(table) => table.schema(),
    };
    let rows = rows.get_or_insert_with(|| Rows::new(schema));
    if rows.schema() != schema {
        return Err(Failure::Usage(format!(
            "{}: gives rows of schema {}, the files before it gave {}; train on one schema",
            path.display(),
            schema.id,
            rows.schema().id
        )));
    }
    match input {
        Input::Capture(mut capture) => {
            let bar = progress::reading(&capture.progress(), "reading");
            let read = capture.progress();
            let mut meter = Meter::new(config.clone());
            let metered = meter_file(&mut capture, &mut meter, |batch| {
                bar.set_position(read.read());
                for row in batch.rows.iter() {
                    rows.push(row);
                }
                Ok::<(), std::convert::Infallible>(())
            });
            bar.finish_and_clear();
            // A model of half a capture is a model of something else.
            if let Ok((_, Some(damage))) = metered {
                return Err(damage.into());
            }
        }
        Input::Table(mut table) => {
            let bar = progress::reading(&table.progress(), "reading");
            let read = table.progress();
            let mut record = Record::default();
            while let Some(result) = table.read(&mut record) {
                match result {
                    Ok(()) if record.label == Some(true) => attacks += 1,
                    Ok(()) => rows.push(&record.values),
                    Err(error) => bad.report(&error),
                }
                if rows.len().is_multiple_of(1024) {
                    bar.set_position(read.read());
                }
            }
            bar.finish_and_clear();
        }
    }
    Ok(attacks)
}
