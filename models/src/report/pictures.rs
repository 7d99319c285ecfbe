//! The pictures of the page.

use super::svg::{Axis, Chart, escape};
use super::{Columns, Condition, Histogram, Kind, Outcome, Report, shown, shown_score};
use crate::metrics::wilson;

/// Lines that have a colour of their own; further ones begin anew.
const COLOURS: usize = 9;

/// The class of the line of a result: detectors and verdicts in colour, baselines grey.
fn class(report: &Report, index: usize) -> String {
    let result = &report.results[index];
    let before = report.results[..index].iter();
    if result.kind == Kind::Baseline {
        let number = before.filter(|other| other.kind == Kind::Baseline).count();
        return format!("base b{}", number % 2);
    }
    let number = before.filter(|other| other.kind != Kind::Baseline).count();
    let fused = if result.kind == Kind::Fused { " fused" } else { "" };
    format!("c{}{fused}", number % COLOURS)
}

/// The two ROC curves, linear and with a logarithmic axis, and the precision-recall curve of all results, for a choice
/// of columns.
pub(super) fn overview(report: &Report, columns: Columns) -> String {
    let shown_results: Vec<(usize, &Outcome, &Condition)> = (0..)
        .zip(&report.results)
        .filter_map(|(index, result)| {
            let condition = result
                .conditions
                .iter()
                .find(|condition| condition.columns == columns)?;
            Some((index, result, condition))
        })
        .collect();
    let false_positives = "false-positive rate";
    let mut roc = Chart::new(
        Axis::shares(false_positives),
        Axis::shares("true-positive rate"),
        420.0,
        360.0,
    );
    roc.line("chance", "chance", [(0.0, 0.0), (1.0, 1.0)].into_iter());
    let axis = Axis::small_shares(&format!("{false_positives}, logarithmic"));
    let mut low = Chart::new(axis, Axis::shares("true-positive rate"), 420.0, 360.0);
    let mut precision = Chart::new(Axis::shares("recall"), Axis::shares("precision"), 420.0, 360.0);
    let base = report.data.attacks as f64 / report.data.rows.max(1) as f64;
    precision.line("chance", "chance", [(0.0, base), (1.0, base)].into_iter());
    let mut legend = String::new();
    for &(index, result, condition) in &shown_results {
        let class = class(report, index);
        let points = || condition.curves.points.iter();
        roc.line(&class, &result.name, points().map(|point| (point.fpr, point.tpr)));
        // Steps stay steps where the axis is stretched.
        let steps = points().zip(points().skip(1));
        let corners =
            steps.flat_map(|(from, to)| [(from.fpr, from.tpr), (to.fpr, from.tpr), (to.fpr, to.tpr)]);
        low.line(&class, &result.name, corners);
        let found = points().filter(|point| point.tpr > 0.0);
        precision.line(
            &class,
            &result.name,
            found.map(|point| (point.tpr, point.precision)),
        );
        legend.push_str(&format!(
            "<li><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><path class=\"line {class}\" d=\"M0 4H26\"/></svg>{} \
             <b>{}</b></li>\n",
            escape(&result.name),
            shown(condition.all.evaluation.auroc)
        ));
    }
    let words = columns.words();
    format!(
        "<figure>\n<ul class=\"legend\">\n{legend}</ul>\n<div class=\"charts\">\n{}{}{}</div>\n<figcaption>{words}, all \
         rows: ROC curve, the same with a logarithmic axis (where a sensor has to work), and precision against recall. \
         The legend has the AUROC; dotted is chance.</figcaption>\n</figure>\n",
        roc.finish(&format!("ROC curves, {words}")),
        low.finish(&format!("ROC curves with a logarithmic axis, {words}")),
        precision.finish(&format!("Precision-recall curves, {words}")),
    )
}

/// ROC with all columns and without some, and the spread of the scores.
pub(super) fn of_result(result: &Outcome) -> String {
    let axis = Axis::small_shares("false-positive rate, logarithmic");
    let mut roc = Chart::new(axis, Axis::shares("true-positive rate"), 420.0, 300.0);
    for condition in &result.conditions {
        let class = match condition.columns {
            Columns::All => "c0",
            Columns::WithoutTtl => "c0 dashed",
        };
        let points = || condition.curves.points.iter();
        let steps = points().zip(points().skip(1));
        let corners =
            steps.flat_map(|(from, to)| [(from.fpr, from.tpr), (to.fpr, from.tpr), (to.fpr, to.tpr)]);
        roc.line(class, condition.columns.words(), corners);
    }
    let mut pictures = roc.finish(&format!("ROC curve of {}", result.name));
    if let Some(condition) = result.conditions.first() {
        pictures.push_str(&spread(result, condition));
    }
    let dashed = if result.conditions.len() > 1 {
        "; dashed without TTL"
    } else {
        ""
    };
    format!(
        "<figure><div class=\"charts\">\n{pictures}</div>\n<figcaption>Left: ROC curve, all rows{dashed}. Right: how the \
         scores spread, <span class=\"key ordinary\">ordinary flows</span> and <span class=\"key attacks\">attacks</span>, \
         each as shares of its own class; lines mark thresholds fixed beforehand.</figcaption></figure>\n"
    )
}

fn spread(result: &Outcome, condition: &Condition) -> String {
    let histogram: &Histogram = &condition.curves.histogram;
    let highest = histogram
        .ordinary
        .iter()
        .chain(&histogram.attacks)
        .fold(0.0, |a: f64, &b| a.max(b));
    let ticks = (0..=4).map(|step| f64::from(step) / 4.0);
    let x = Axis {
        low: 0.0,
        high: 1.0,
        logarithmic: false,
        ticks: ticks
            .map(|tick| (tick, shown_score(histogram.score(tick))))
            .collect(),
        label: if histogram.logarithmic {
            "score, logarithmic"
        } else {
            "score"
        }
        .to_owned(),
    };
    // The root keeps small bars visible beside large ones.
    let top = highest.max(0.01).sqrt();
    let ticks = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0_f64]
        .into_iter()
        .filter(|tick| tick.sqrt() <= top);
    let y = Axis {
        low: 0.0,
        high: top,
        logarithmic: false,
        ticks: ticks
            .map(|tick| (tick.sqrt(), format!("{} %", tick * 100.0)))
            .collect(),
        label: "share of the class, root scale".to_owned(),
    };
    let mut chart = Chart::new(x, y, 420.0, 300.0);
    let roots = |shares: &[f64]| -> Vec<f64> { shares.iter().map(|share| share.sqrt()).collect() };
    chart.area("ordinary", "ordinary flows", &roots(&histogram.ordinary));
    chart.area("attacks", "attacks", &roots(&histogram.attacks));
    let evaluation = &condition.all.evaluation;
    for (point, name, line) in [(evaluation.at_p95, "p95", 0), (evaluation.at_p99, "p99", 1)] {
        if let Some(point) = point {
            chart.mark(histogram.position(point.threshold), name, line);
        }
    }
    chart.finish(&format!("Scores of {}", result.name))
}

/// Bars of recall by kind of attack, as a table whose cells are drawn: it is read aloud, copied and printed as such.
pub(super) fn recall_bar(share: f64, rows: usize) -> String {
    let [low, high] = wilson(share, rows);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" \
         width=\"100\" height=\"10\"/><rect class=\"share\" width=\"{:.1}\" height=\"10\"/><rect class=\"reach\" \
         x=\"{:.1}\" y=\"4\" width=\"{:.1}\" height=\"2\"/></svg>",
        share * 100.0,
        low * 100.0,
        (high - low) * 100.0
    )
}
