//! `netsage evaluate`: how well detectors do on labelled rows.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::anyhow;
use netsage_api_types::DetectorRef;
use netsage_models::metrics::{self, Evaluation};
use netsage_schema::csv::Record;
use netsage_schema::{Rows, UNSW_NB15};
use serde::Serialize;

use super::detectors::DetectorArgs;
use super::output::{BadRows, stdout};
use super::{Failure, progress};
use crate::assets::Bundled;
use crate::config::Settings;
use crate::input::{TableFile, open_table};
use crate::pipeline::score_rows;

/// Measures detectors on a labelled CSV: AUROC, AUPRC, recall at 1 % false positives, per kind of attack.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage evaluate dev.csv.gz\n  netsage evaluate dev.csv.gz --detector my.wasm --json"
)]
pub(super) struct EvaluateArgs {
    /// CSV in the format of UNSW-NB15 with a `label` column, also gzipped
    file: PathBuf,
    #[command(flatten)]
    detectors: DetectorArgs,
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
    let mut table = open_table(&args.file)?;
    if !table.has_label() {
        return Err(anyhow!(
            "{}: there is no column `label`, so nothing can be measured",
            args.file.display()
        )
        .into());
    }
    let detectors = args.detectors.load(Bundled::IforestUnswNb15.name(), file)?;
    let mut bad = BadRows::default();
    let labelled = read(&mut table, &mut bad);
    let good = labelled.rows.len() as u64;
    let mut reports = Vec::with_capacity(detectors.len());
    for loaded in &detectors {
        let scores = score_rows(loaded, &labelled.rows, None)?;
        let threshold = loaded.card.as_ref().map(|card| card.threshold);
        let categories = labelled.categories.iter().any(|category| !category.is_empty());
        let evaluation = metrics::evaluate(
            &scores,
            &labelled.attack,
            categories.then_some(labelled.categories.as_slice()),
            threshold,
        )?;
        reports.push(Report {
            detector: loaded.reference.clone(),
            evaluation,
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
    Ok(bad.finish(good)?)
}

struct Labelled {
    rows: Rows,
    attack: Vec<bool>,
    categories: Vec<String>,
}

fn read(table: &mut TableFile, bad: &mut BadRows) -> Labelled {
    let bar = progress::reading(&table.progress(), "reading");
    let read = table.progress();
    let mut labelled = Labelled {
        rows: Rows::new(&UNSW_NB15),
        attack: Vec::new(),
        categories: Vec::new(),
    };
    let mut record = Record::default();
    while let Some(result) = table.read(&mut record) {
        match result {
            Ok(()) => {
                labelled.rows.push(&record.values);
                labelled.attack.push(record.label.unwrap_or_default());
                labelled.categories.push(record.attack_cat.clone());
            }
            Err(error) => bad.report(&error),
        }
        if labelled.rows.len().is_multiple_of(1024) {
            bar.set_position(read.read());
        }
    }
    bar.finish_and_clear();
    labelled
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
            "  {:<16} {:>8}  {:>12}  {:>12}",
            "attack_cat", "rows", "TPR at 1 %", "at threshold"
        )?;
    }
    for category in &evaluation.categories {
        let at_threshold = category
            .recall_at_threshold
            .map_or_else(|| "-".to_owned(), |recall| format!("{recall:.4}"));
        writeln!(
            out,
            "  {:<16} {:>8}  {:>12.4}  {:>12}",
            category.category, category.rows, category.recall_at_fpr_1, at_threshold
        )?;
    }
    Ok(())
}
