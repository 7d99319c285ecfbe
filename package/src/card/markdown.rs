//! The card for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{DISTINCT, ModelCard, WITHOUT_TTL};

impl ModelCard {
    /// The card for people, in Markdown.
    pub fn to_markdown(&self, title: &str) -> String {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("a string takes every write");
            text.push('\n');
        };
        line(format_args!("# {title}\n"));
        line(format_args!("| | |\n|---|---|"));
        line(format_args!("| Schema | {} |", self.schema));
        line(format_args!("| Data | {} |", self.data));
        line(format_args!("| Training rows | {} |", self.rows));
        line(format_args!("| Seed | {} |", self.seed));
        line(format_args!("| Date | {} |", self.date));
        let threshold = self
            .threshold
            .map_or_else(|| "none".to_owned(), |threshold| threshold.to_string());
        line(format_args!(
            "| Threshold | {threshold}: {} |",
            self.threshold_rule
        ));
        line(format_args!(
            "\nColumns ({}): {}\n",
            self.columns.len(),
            self.columns.join(", ")
        ));
        if !self.figures.is_empty() {
            line(format_args!(
                "## Figures\n\n{}",
                figures(&self.figures).trim_end()
            ));
        }
        if !self.notes.is_empty() {
            line(format_args!("\n## Notes\n"));
            for note in &self.notes {
                line(format_args!("- {note}"));
            }
        }
        text
    }
}

/// One row for each figure, one column for each condition that has any.
fn figures(figures: &BTreeMap<String, f64>) -> String {
    let conditions = [
        ("value", String::new()),
        ("without TTL", WITHOUT_TTL.to_owned()),
        ("distinct rows", DISTINCT.to_owned()),
        ("distinct rows, without TTL", format!("{DISTINCT}{WITHOUT_TTL}")),
    ];
    let mut rows: BTreeMap<&str, [Option<f64>; 4]> = BTreeMap::new();
    for (name, &value) in figures {
        // The longest ending that fits: every name ends with nothing.
        let (at, base) = (0..4)
            .filter_map(|at| Some((at, name.strip_suffix(conditions[at].1.as_str())?)))
            .min_by_key(|(_, base)| base.len())
            .unwrap_or((0, name));
        rows.entry(base).or_default()[at] = Some(value);
    }
    let used: Vec<usize> = (0..4)
        .filter(|&at| rows.values().any(|values| values[at].is_some()))
        .collect();
    let mut text = String::from("| figure |");
    for &at in &used {
        text += &format!(" {} |", conditions[at].0);
    }
    text += &format!("\n|---|{}\n", "---|".repeat(used.len()));
    for (name, values) in rows {
        text += &format!("| {name} |");
        for &at in &used {
            text += &values[at].map_or_else(|| " |".to_owned(), |value| format!(" {value:.4} |"));
        }
        text.push('\n');
    }
    text
}
