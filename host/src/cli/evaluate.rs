//! `netsage evaluate`: how well detectors do on labelled rows.

use std::io::{self, Write};
use std::path::PathBuf;

use netsage_api_types::DetectorRef;
use netsage_models::metrics::Evaluation;
use serde::Serialize;

use super::Failure;
use super::detectors::DetectorArgs;
use super::labelled::Labelled;
use super::output::{BadRows, stdout};
use crate::assets;
use crate::config::{MeterArgs, Settings};

/// Measures detectors on labelled rows or flows: AUROC, AUPRC, recall at 1 % false positives, per kind of attack.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage evaluate dev.csv.gz\n  netsage evaluate dev.csv.gz --detector my.wasm --json\n  netsage synth --out demo.pcap && netsage evaluate demo.pcap"
)]
pub(super) struct EvaluateArgs {
    /// CSV with the columns of a schema (as UNSW-NB15) and a `label` column, or capture with a label file; also gzipped
    file: PathBuf,
    /// Label file of a capture, as `netsage synth` writes it [default: FILE.labels.csv]
    #[arg(long, value_name = "CSV")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    detectors: DetectorArgs,
    #[command(flatten)]
    meter: MeterArgs,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The figures of one detector.
#[derive(Serialize)]
struct Report {
    detector: DetectorRef,
    #[serde(flatten)]
    evaluation: Evaluation,
}

pub(super) fn run(args: &EvaluateArgs, file: &Settings) -> Result<(), Failure> {
    let mut bad = BadRows::default();
    let labelled = Labelled::read(
        &args.file,
        args.labels.as_ref(),
        args.meter.config(file)?,
        &mut bad,
    )?;
    let bundled = if labelled.metered {
        assets::IFOREST_GENERATED
    } else {
        assets::IFOREST_UNSW_NB15
    };
    let detectors = args.detectors.load(bundled, labelled.rows.schema(), file)?;
    let mut reports = Vec::with_capacity(detectors.len());
    for loaded in &detectors {
        let threshold = loaded.card.as_ref().map(|card| card.threshold);
        reports.push(Report {
            detector: loaded.reference.clone(),
            evaluation: labelled.evaluate(loaded, threshold)?,
        });
    }
    let mut out = stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &reports).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        for report in &reports {
            print_table(&mut out, report)?;
        }
    }
    out.flush()?;
    Ok(bad.finish(labelled.rows.len() as u64)?)
}

fn print_table(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Report { detector, evaluation } = report;
    let digest = detector.digest.get(..12).unwrap_or(&detector.digest);
    writeln!(out, "{} {} ({digest})", detector.name, detector.version)?;
    writeln!(out, "  rows            {:>9}", evaluation.rows)?;
    writeln!(out, "  attacks         {:>9}", evaluation.attacks)?;
    writeln!(out, "  AUROC           {:>9.4}", evaluation.auroc)?;
    writeln!(out, "  AUPRC           {:>9.4}", evaluation.auprc)?;
    writeln!(out, "  TPR at FPR 1 %  {:>9.4}", evaluation.at_fpr_1.tpr)?;
    writeln!(out, "  TPR at FPR 5 %  {:>9.4}", evaluation.at_fpr_5.tpr)?;
    if let Some(point) = &evaluation.at_threshold {
        writeln!(
            out,
            "  at its threshold {:.4}: TPR {:.4}, FPR {:.4}, precision {:.4}, F1 {:.4}",
            point.threshold, point.tpr, point.fpr, point.precision, point.f1
        )?;
    }
    if !evaluation.categories.is_empty() {
        writeln!(
            out,
            "  {:<20} {:>8}  {:>12}  {:>12}",
            "kind of attack", "rows", "TPR at 1 %", "at threshold"
        )?;
    }
    for category in &evaluation.categories {
        let at_threshold = category
            .recall_at_threshold
            .map_or_else(|| "-".to_owned(), |recall| format!("{recall:.4}"));
        writeln!(
            out,
            "  {:<20} {:>8}  {:>12.4}  {:>12}",
            category.category, category.rows, category.recall_at_fpr_1, at_threshold
        )?;
    }
    Ok(())
}
