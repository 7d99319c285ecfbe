//! What the cells of `label` and `attack_cat` say, in the spellings that files have, and whether that can be.

use std::collections::BTreeMap;

use crate::value::truth;

/// Name of what is no attack.
const NORMAL: &str = "Normal";

/// Most spellings that are told apart; a file with more is not labelled in any useful sense.
const MOST_SPELLINGS: usize = 256;

/// Whether a cell says attack (1) or not (0); `None` when it says neither.
pub(super) fn parse(cell: &str) -> Option<bool> {
    match cell {
        "0" => return Some(false),
        "1" => return Some(true),
        _ => {}
    }
    match cell.parse::<f64>() {
        Ok(0.0) => return Some(false),
        Ok(1.0) => return Some(true),
        _ => {}
    }
    match &*cell.to_ascii_lowercase() {
        "normal" | "benign" => Some(false),
        "attack" | "anomaly" | "malicious" => Some(true),
        word => truth(word),
    }
}

/// What labels have said so far.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Rows whose label cannot be read, and the first of them.
    unreadable: u64,
    first_unreadable: Option<(u64, String)>,
    /// Rows whose label and category contradict each other, and the first of them.
    contradictory: u64,
    first_contradictory: Option<(u64, String, bool)>,
    /// Attacks without a kind, where others have one.
    unnamed: u64,
    named: bool,
    /// Cells and what each was read as; a file has few kinds and many rows.
    cells: Vec<(String, String)>,
    /// The spelling that stands for all spellings of a kind, and the others.
    spellings: BTreeMap<String, (String, Vec<String>)>,
}

impl Labels {
    /// Reads a label; `None` when it cannot be read.
    pub(super) fn label(&mut self, line: u64, cell: &str) -> Option<bool> {
        let label = parse(cell);
        if label.is_none() {
            self.unreadable += 1;
            self.first_unreadable
                .get_or_insert_with(|| (line, cell.chars().take(40).collect()));
        }
        label
    }

    /// Writes the name of a kind into `name`: empty for none, [`NORMAL`] for no attack, otherwise in the spelling in which
    /// the kind came first.
    pub(super) fn category(&mut self, cell: &str, name: &mut String) {
        name.clear();
        // The usual case, without a word about it.
        if cell == NORMAL {
            name.push_str(NORMAL);
            return;
        }
        if let Some((_, known)) = self.cells.iter().find(|(known, _)| known == cell) {
            name.push_str(known);
            return;
        }
        self.spell(cell, name);
        if self.cells.len() < MOST_SPELLINGS {
            self.cells.push((cell.to_owned(), name.clone()));
        }
    }

    /// Writes the name of the kind that a cell has in a spelling that was not met before.
    fn spell(&mut self, cell: &str, name: &mut String) {
        let folded: String = cell
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        match &*folded {
            "" | "-" | "nan" | "none" | "null" | "0" => return,
            "normal" | "benign" => {
                name.push_str(NORMAL);
                return;
            }
            _ => {}
        }
        let key = folded.strip_suffix('s').unwrap_or(&folded).to_owned();
        let count = self.spellings.len();
        match self.spellings.get_mut(&key) {
            Some((first, others)) => {
                if cell != first && others.len() < MOST_SPELLINGS && !others.iter().any(|known| known == cell)
                {
                    others.push(cell.to_owned());
                }
                name.push_str(first);
            }
            None => {
                name.push_str(cell);
                if count < MOST_SPELLINGS {
                    self.spellings.insert(key, (cell.to_owned(), Vec::new()));
                }
            }
        }
    }

    /// Compares the label of a row with its kind.
    pub(super) fn compare(&mut self, line: u64, label: Option<bool>, category: &str) {
        let says = match category {
            "" => {
                self.unnamed += u64::from(label == Some(true));
                return;
            }
            NORMAL => false,
            _ => true,
        };
        self.named |= says;
        if let Some(label) = label
            && label != says
        {
            self.contradictory += 1;
            self.first_contradictory
                .get_or_insert_with(|| (line, category.to_owned(), label));
        }
    }

    /// What is doubtful about the labels, one sentence each.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let Some((line, cell)) = &self.first_unreadable {
            doubts.push(format!(
                "{} no label that can be read, first in line {line}: `{cell}` is not 0 or 1",
                rows(self.unreadable, "has", "have")
            ));
        }
        if let Some((line, category, label)) = &self.first_contradictory {
            doubts.push(format!(
                "{}, first in line {line}: `{category}` with label {}; the label was taken",
                rows(self.contradictory, "contradicts itself", "contradict themselves"),
                u8::from(*label)
            ));
        }
        if self.unnamed > 0 && self.named {
            doubts.push(format!(
                "{} whose kind is not named",
                rows(self.unnamed, "is an attack", "are attacks")
            ));
        }
        for (first, others) in self.spellings.values().filter(|(_, others)| !others.is_empty()) {
            let others: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
            doubts.push(format!("{} taken for the kind `{first}`", others.join(", ")));
        }
        doubts
    }
}

fn rows(count: u64, one: &str, more: &str) -> String {
    if count == 1 {
        format!("1 row {one}")
    } else {
        format!("{count} rows {more}")
    }
}
