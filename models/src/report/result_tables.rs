//! The tables of one result on the page.

use std::fmt::Write as _;

use super::html::Page;
use super::svg::escape;
use super::table::{point_title, points, title};
use super::{Figures, Outcome, pictures, shown, shown_count, shown_score};

/// Every figure with its interval: a line for each, a column for each choice of columns and rows.
pub(super) fn figures(page: &mut Page, result: &Outcome) {
    let mut heads = String::new();
    for condition in &result.conditions {
        for rows in ["all rows", "distinct rows"] {
            write!(
                heads,
                "<th>{}<small>{rows}</small></th>",
                condition.columns.words()
            )
            .expect("a string takes every write");
        }
    }
    page.add(format_args!(
        "<div class=\"scroll\">\n<table>\n<thead><tr><th class=\"word\">figure</th>{heads}</tr></thead>\n<tbody>"
    ));
    let columns: Vec<&Figures> = result
        .conditions
        .iter()
        .flat_map(|condition| [&condition.all, &condition.distinct])
        .collect();
    let names = columns
        .first()
        .map(|figures| figures.evaluation.named())
        .unwrap_or_default();
    for (name, _) in names {
        let mut cells = String::new();
        for figures in &columns {
            let named = figures.evaluation.named();
            let value = named.iter().find(|(other, _)| *other == name);
            let text = value.map_or_else(|| "-".to_owned(), |(_, value)| shown(*value));
            let interval = figures
                .intervals
                .get(&name)
                .map_or_else(String::new, |[low, high]| {
                    format!("<small>{} to {}</small>", shown(*low), shown(*high))
                });
            write!(cells, "<td>{text}{interval}</td>").expect("a string takes every write");
        }
        let title = escape(&title(&name));
        page.add(format_args!("<tr><td class=\"word\">{title}</td>{cells}</tr>"));
    }
    page.add(format_args!("</tbody>\n</table>\n</div>"));
}

/// Thresholds and what they cost.
pub(super) fn operating_points(page: &mut Page, result: &Outcome, flows_per_day: f64) {
    page.add(format_args!(
        "<div class=\"scroll\">\n<table>\n<caption>Operating points; false alerts a day at {} ordinary flows a \
         day.</caption>\n<thead><tr><th class=\"word\">at</th><th class=\"word\">columns</th><th \
         class=\"word\">rows</th><th>score above</th><th>TPR</th><th>FPR</th><th>precision</th><th>F1</th><th>false \
         alerts a day</th></tr></thead>\n<tbody>",
        shown_count(flows_per_day)
    ));
    for condition in &result.conditions {
        for (rows, figures) in [("all", &condition.all), ("distinct", &condition.distinct)] {
            for (name, point) in points(figures) {
                let alerts = figures
                    .false_alerts_per_day
                    .get(name)
                    .copied()
                    .unwrap_or_default();
                page.add(format_args!(
                    "<tr><td class=\"word\">{}</td><td class=\"word\">{}</td><td \
                     class=\"word\">{rows}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                    point_title(name),
                    condition.columns.words(),
                    shown_score(point.threshold),
                    shown(point.tpr),
                    shown(point.fpr),
                    shown(point.precision),
                    shown(point.f1),
                    shown_count(alerts)
                ));
            }
        }
    }
    page.add(format_args!("</tbody>\n</table>\n</div>"));
}

pub(super) fn recalls(page: &mut Page, result: &Outcome) {
    for condition in &result.conditions {
        let kinds = &condition.all.evaluation.categories;
        if kinds.is_empty() {
            continue;
        }
        page.add(format_args!(
            "<div class=\"scroll\">\n<table>\n<caption>Recall of each kind of attack, {}; below it on distinct rows. The bar \
             is the recall at FPR 1 % on all rows, with its 95 % interval.</caption>\n<thead><tr><th class=\"word\">kind of \
             attack</th><th>rows</th><th>at FPR 1 %</th><th></th><th>95th percentile</th><th>99th percentile</th><th>its \
             threshold</th></tr></thead>\n<tbody>",
            condition.columns.words()
        ));
        for kind in kinds {
            let distinct = condition.distinct.evaluation.categories.iter();
            let distinct = distinct.into_iter().find(|other| other.category == kind.category);
            let cell = |of: fn(&crate::metrics::CategoryRecall) -> Option<f64>| {
                let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
                format!(
                    "<td>{}<small>{}</small></td>",
                    text(of(kind)),
                    text(distinct.and_then(of))
                )
            };
            page.add(format_args!(
                "<tr><td class=\"word\">{}</td><td>{}<small>{}</small></td>{}<td>{}</td>{}{}{}</tr>",
                escape(&kind.category),
                shown_count(kind.rows as f64),
                shown_count(distinct.map_or(0.0, |kind| kind.rows as f64)),
                cell(|kind| Some(kind.recall_at_fpr_1)),
                pictures::recall_bar(kind.recall_at_fpr_1, kind.rows),
                cell(|kind| kind.recall_at_p95),
                cell(|kind| kind.recall_at_p99),
                cell(|kind| kind.recall_at_threshold),
            ));
        }
        page.add(format_args!("</tbody>\n</table>\n</div>"));
    }
}
