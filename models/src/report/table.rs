//! The report for a terminal.

use std::fmt::Write as _;

use super::{Condition, Figures, Outcome, Report, shown, shown_count, shown_score};
use crate::metrics::OperatingPoint;

/// What figures are called, by name.
pub(super) fn title(name: &str) -> String {
    let point = |suffix: &str| match suffix {
        "p95" => "95th percentile".to_owned(),
        "p99" => "99th percentile".to_owned(),
        _ => "its threshold".to_owned(),
    };
    match name {
        "auroc" => "AUROC".to_owned(),
        "auprc" => "AUPRC".to_owned(),
        "tpr_at_fpr_0_1" => "TPR at FPR 0.1 %".to_owned(),
        "tpr_at_fpr_1" => "TPR at FPR 1 %".to_owned(),
        "tpr_at_fpr_5" => "TPR at FPR 5 %".to_owned(),
        _ => match name.split_once("_at_") {
            Some(("f1", suffix)) => format!("F1 at {}", point(suffix)),
            Some(("precision", suffix)) => format!("precision at {}", point(suffix)),
            Some((rate, suffix)) => format!("{} at {}", rate.to_uppercase(), point(suffix)),
            None => name.to_owned(),
        },
    }
}

/// The operating points of figures, by the name that false alerts have.
pub(super) fn points(figures: &Figures) -> Vec<(&'static str, OperatingPoint)> {
    let evaluation = &figures.evaluation;
    let by_rate = [
        ("fpr_0_1", evaluation.at_fpr_0_1),
        ("fpr_1", evaluation.at_fpr_1),
        ("fpr_5", evaluation.at_fpr_5),
    ];
    by_rate.into_iter().chain(evaluation.at_fixed()).collect()
}

/// What an operating point is called.
pub(super) fn point_title(name: &str) -> &'static str {
    match name {
        "fpr_0_1" => "FPR 0.1 %",
        "fpr_1" => "FPR 1 %",
        "fpr_5" => "FPR 5 %",
        "p95" => "95th percentile",
        "p99" => "99th percentile",
        _ => "its threshold",
    }
}

impl Report {
    /// The report as text, for a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            text.write_fmt(arguments).expect("a string takes every write");
            text.push('\n');
        };
        let data = &self.data;
        line(format_args!(
            "{}: {} rows, {} attacks; {} distinct rows, {} attacks ({} vectors have both labels)",
            data.file,
            shown_count(data.rows as f64),
            shown_count(data.attacks as f64),
            shown_count(data.distinct_rows as f64),
            shown_count(data.distinct_attacks as f64),
            data.with_both_labels
        ));
        for result in &self.results {
            line(format_args!("\n{}", heading(result)));
            for (what, note) in [("steered", &result.steered), ("", &result.not_without_ttl)] {
                if let Some(note) = note {
                    let separator = if what.is_empty() { "" } else { ": " };
                    line(format_args!("  {what}{separator}{note}"));
                }
            }
            figures(&mut line, result, self.flows_per_day);
            categories(&mut line, result);
        }
        if self.bootstrap.samples > 0 {
            line(format_args!(
                "\n± is half of the 95 % interval of {} bootstrap samples (seed {}).",
                self.bootstrap.samples, self.bootstrap.seed
            ));
        }
        text
    }
}

fn heading(result: &Outcome) -> String {
    let version = result.detector.as_ref().map_or_else(String::new, |detector| {
        let digest = detector.digest.get(..12).unwrap_or(&detector.digest);
        format!(" {} ({digest})", detector.version)
    });
    let speed = result
        .conditions
        .first()
        .and_then(|condition| condition.rows_per_second)
        .map_or_else(String::new, |speed| format!(", {} rows/s", shown_count(speed)));
    format!("{}{version}: {}{speed}", result.name, result.about)
}

fn figures(line: &mut impl FnMut(std::fmt::Arguments<'_>), result: &Outcome, flows_per_day: f64) {
    let conditions: Vec<&Condition> = result.conditions.iter().collect();
    let columns: Vec<&Figures> = conditions
        .iter()
        .flat_map(|condition| [&condition.all, &condition.distinct])
        .collect();
    let heads = conditions.iter().fold(String::new(), |head, condition| {
        head + &format!("  {:<31}", condition.columns.words())
    });
    line(format_args!("  {:<28}{}", "", heads.trim_end()));
    let heads = conditions.iter().fold(String::new(), |head, _| {
        head + &format!("  {:<14}  {:<14}", "all rows", "distinct rows")
    });
    line(format_args!("  {:<28}{}", "", heads.trim_end()));
    let Some(first) = columns.first() else { return };
    let named: Vec<Vec<(String, f64)>> = columns.iter().map(|figures| figures.evaluation.named()).collect();
    for (name, _) in first.evaluation.named() {
        let cells = columns
            .iter()
            .zip(&named)
            .fold(String::new(), |cells, (figures, named)| {
                let value = named
                    .iter()
                    .find(|(other, _)| *other == name)
                    .map(|(_, value)| *value);
                let half = figures.intervals.get(&name).map(|[low, high]| (high - low) / 2.0);
                let cell = match (value, half) {
                    (Some(value), Some(half)) => format!("{} ±{}", shown(value), shown(half)),
                    (Some(value), None) => shown(value),
                    (None, _) => "-".to_owned(),
                };
                cells + &format!("  {cell:<14}")
            });
        line(format_args!("  {:<28}{}", title(&name), cells.trim_end()));
    }
    line(format_args!(
        "  {:<28}  {:>12}  {:>18}  at {} ordinary flows a day",
        "Operating point",
        "score above",
        "false alerts a day",
        shown_count(flows_per_day)
    ));
    for (name, point) in points(first) {
        let alerts = first.false_alerts_per_day.get(name).copied().unwrap_or_default();
        line(format_args!(
            "  {:<28}  {:>12}  {:>18}",
            point_title(name),
            shown_score(point.threshold),
            shown_count(alerts)
        ));
    }
}

fn categories(line: &mut impl FnMut(std::fmt::Arguments<'_>), result: &Outcome) {
    for condition in &result.conditions {
        let kinds = &condition.all.evaluation.categories;
        if kinds.is_empty() {
            continue;
        }
        line(format_args!(
            "  {:<28}  {:>7}  {:>9}  {:>9}  {:>9}  {:>9}",
            format!("Recall, {}", condition.columns.words()),
            "rows",
            "FPR 1 %",
            "95th pct.",
            "99th pct.",
            "threshold"
        ));
        for kind in kinds {
            let optional = |recall: Option<f64>| recall.map_or_else(|| "-".to_owned(), shown);
            line(format_args!(
                "  {:<28}  {:>7}  {:>9}  {:>9}  {:>9}  {:>9}",
                kind.category,
                kind.rows,
                shown(kind.recall_at_fpr_1),
                optional(kind.recall_at_p95),
                optional(kind.recall_at_p99),
                optional(kind.recall_at_threshold)
            ));
        }
    }
}
