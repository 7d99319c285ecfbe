//! The summary of a report as a table for documents.

use std::fmt::Write as _;

use super::{Columns, Condition, Kind, Outcome, Report, shown_count};
use crate::metrics::OperatingPoint;

impl Report {
    /// The summary as a Markdown table: "all columns / without TTL" in each cell, three digits. Speeds are left out:
    /// they differ from run to run.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            text.write_fmt(arguments).expect("a string takes every write");
            text.push('\n');
        };
        let data = &self.data;
        line(format_args!(
            "On `{}`: {} rows, {} of them attacks; {} distinct rows, {} of them attacks.\n",
            data.file,
            shown_count(data.rows as f64),
            shown_count(data.attacks as f64),
            shown_count(data.distinct_rows as f64),
            shown_count(data.distinct_attacks as f64)
        ));
        line(format_args!(
            "| detector | AUROC | on distinct rows | AUPRC | TPR at FPR 5 % | at 1 % | at 0.1 % | F1 (FPR) at p95 | F1 (FPR) at p99 |"
        ));
        line(format_args!("|---|---|---|---|---|---|---|---|---|"));
        for result in &self.results {
            let auroc = |distinct: bool| {
                both(result, |condition| {
                    let figures = if distinct {
                        &condition.distinct
                    } else {
                        &condition.all
                    };
                    let interval = figures.intervals.get("auroc");
                    let half = interval.map_or_else(String::new, |[low, high]| {
                        format!(" ±{}", short((high - low) / 2.0))
                    });
                    format!("{}{half}", short(figures.evaluation.auroc))
                })
            };
            let figure = |of: fn(&crate::metrics::Evaluation) -> f64| {
                both(result, |condition| short(of(&condition.all.evaluation)))
            };
            let fixed = |of: fn(&crate::metrics::Evaluation) -> Option<OperatingPoint>| {
                both(result, |condition| match of(&condition.all.evaluation) {
                    Some(point) => format!("{} ({})", short(point.f1), short(point.fpr)),
                    None => "-".to_owned(),
                })
            };
            line(format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                name(result),
                auroc(false),
                auroc(true),
                figure(|evaluation| evaluation.auprc),
                figure(|evaluation| evaluation.at_fpr_5.tpr),
                figure(|evaluation| evaluation.at_fpr_1.tpr),
                figure(|evaluation| evaluation.at_fpr_0_1.tpr),
                fixed(|evaluation| evaluation.at_p95),
                fixed(|evaluation| evaluation.at_p99),
            ));
        }
        if self.results.iter().any(|result| result.steered.is_some()) {
            line(format_args!(
                "\n(*) Labelled rows steered a choice, as its card declares; figures of the others owe nothing to labels."
            ));
        }
        text
    }
}

fn name(result: &Outcome) -> String {
    let mark = if result.steered.is_some() { " (*)" } else { "" };
    match result.kind {
        Kind::Detector => format!("`{}`{mark}", result.name),
        Kind::Fused => format!("**{}**{mark}", result.name),
        Kind::Baseline => format!("*{}*{mark}", result.name),
    }
}

/// A cell: the figure with all columns, and that without some, where there is one.
fn both(result: &Outcome, show: impl Fn(&Condition) -> String) -> String {
    let of = |columns: Columns| {
        result
            .conditions
            .iter()
            .find(|condition| condition.columns == columns)
            .map(&show)
    };
    match (of(Columns::All), of(Columns::WithoutTtl)) {
        (Some(all), Some(without)) => format!("{all} / {without}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "-".to_owned(),
    }
}

/// Three digits without the zero before the point.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.strip_prefix('0').map_or_else(|| text.clone(), str::to_owned)
}
