//! Model cards: what a model is, where it comes from and how good it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use netsage_api_types::ModelCard;

use crate::metrics::Evaluation;

/// How the names of figures end that are measured on rows of which equal ones count once.
pub const DISTINCT: &str = "_distinct";
/// How the names of figures end that belong to a model trained without the columns that give the label away.
pub const WITHOUT_TTL: &str = "_without_ttl";

/// Adds the figures of an evaluation to a card. `suffix` tells the conditions apart: [`DISTINCT`], [`WITHOUT_TTL`] or
/// both in this order; it is empty for the model itself on all rows. Figures of the same name are replaced.
pub fn add_figures(card: &mut ModelCard, suffix: &str, evaluation: &Evaluation) {
    let mut add = |name: &str, value: f64| {
        card.figures.insert(format!("{name}{suffix}"), value);
    };
    for (name, value) in evaluation.named() {
        add(&name, value);
    }
    for category in &evaluation.categories {
        let name = category.category.to_lowercase().replace([' ', '-'], "_");
        add(&format!("recall_at_fpr_1_{name}"), category.recall_at_fpr_1);
    }
}

/// How a note begins that says that labelled rows steered a choice, e.g. that of the columns.
pub const STEERED: &str = "Steered: ";

/// What labelled rows steered, when the card declares it: the note that begins with [`STEERED`], without that word.
pub fn steered(card: &ModelCard) -> Option<&str> {
    card.notes.iter().find_map(|note| note.strip_prefix(STEERED))
}

/// The card as JSON, the form that travels in a package.
///
/// # Errors
/// When a number of the card is not finite, which JSON cannot write.
pub fn to_json(card: &ModelCard) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(card).map(|json| on_one_line(&json))
}

/// Puts every list of numbers on one line: a card has hundreds of them, and people read it.
fn on_one_line(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut lines = json.lines().peekable();
    while let Some(line) = lines.next() {
        text.push_str(line);
        let is_number = |line: &&str| {
            line.trim_start()
                .starts_with(|first: char| first == '-' || first.is_ascii_digit())
        };
        if line.ends_with('[') && lines.peek().is_some_and(is_number) {
            while let Some(number) = lines.next_if(is_number) {
                text.push_str(number.trim_start());
                text.push_str(if number.ends_with(',') { " " } else { "" });
            }
            // The bracket that ends the list.
            text.push_str(lines.next().unwrap_or_default().trim_start());
        }
        text.push('\n');
    }
    text
}

/// Reads a card from JSON.
///
/// # Errors
/// When the text is not a card.
pub fn from_json(json: &[u8]) -> Result<ModelCard, serde_json::Error> {
    serde_json::from_slice(json)
}

/// The card for people, in Markdown.
pub fn to_markdown(title: &str, card: &ModelCard) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes every write");
        text.push('\n');
    };
    line(format_args!("# {title}\n"));
    line(format_args!("| | |\n|---|---|"));
    line(format_args!("| Schema | {} |", card.schema));
    line(format_args!("| Data | {} |", card.data));
    line(format_args!("| Training rows | {} |", card.rows));
    line(format_args!("| Seed | {} |", card.seed));
    line(format_args!("| Date | {} |", card.date));
    line(format_args!(
        "| Threshold | {}: {} |",
        card.threshold, card.threshold_rule
    ));
    line(format_args!(
        "\nColumns ({}): {}\n",
        card.columns.len(),
        card.columns.join(", ")
    ));
    if !card.figures.is_empty() {
        line(format_args!("## Figures\n\n{}", figures(card).trim_end()));
    }
    if !card.notes.is_empty() {
        line(format_args!("\n## Notes\n"));
        for note in &card.notes {
            line(format_args!("- {note}"));
        }
    }
    text
}

/// One row for each figure, one column for each condition that has any.
fn figures(card: &ModelCard) -> String {
    let conditions = [
        ("value", String::new()),
        ("without TTL", WITHOUT_TTL.to_owned()),
        ("distinct rows", DISTINCT.to_owned()),
        ("distinct rows, without TTL", format!("{DISTINCT}{WITHOUT_TTL}")),
    ];
    let mut rows: BTreeMap<&str, [Option<f64>; 4]> = BTreeMap::new();
    for (name, &value) in &card.figures {
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
