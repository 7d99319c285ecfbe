//! The architecture test: `ARCHITECTURE.md` and the other documents against the code.
//!
//! It fails on a dependency that the table of crates does not allow, on a part of the workbench in the program for a
//! gateway alone, on a name between backticks that does not exist, on a link of any document that leads nowhere, and on
//! a crate whose opening lines lack its purpose, its prohibitions or where to start reading.

use std::fs;

use anyhow::{Context as _, Result, bail};

mod edge;
mod graph;
mod names;
mod table;

pub(crate) use graph::Graph;
#[cfg(test)]
pub(crate) use graph::{Crate, Edge};
pub(crate) use names::Files;
use table::Table;

use crate::workspace::Workspace;

/// The document with the table of crates.
const ARCHITECTURE: &str = "ARCHITECTURE.md";
/// Documents whose names of code are looked up; of all others only links are followed.
const DOCUMENTS: [&str; 3] = [ARCHITECTURE, "CONTRIBUTING.md", "docs/decisions.md"];

/// What the opening lines of a crate must say beside what the crate is, with the words by which the test recognises
/// each statement.
const OPENING: [(&str, &[&str]); 2] = [
    ("what it must never do", &["must never"]),
    ("where to start reading", &["start with", "start at"]),
];

/// Compares documents and code.
///
/// # Errors
/// When they contradict each other, with a line for each contradiction.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let graph = Graph::of(workspace)?;
    let files = Files::of(&workspace.root)?;
    let read = |path: &str| {
        fs::read_to_string(workspace.root.join(path)).with_context(|| format!("cannot read {path}"))
    };
    let mut complaints = Table::read(&read(ARCHITECTURE)?).complaints(&graph);
    for document in DOCUMENTS {
        complaints.extend(names::complaints(document, &read(document)?, &files, &graph));
    }
    for document in files.documents() {
        complaints.extend(names::broken_links(document, &read(document)?, &files));
    }
    for (name, found) in &graph.crates {
        complaints.extend(opening(name, &found.opening, &read(&found.opening)?));
    }
    complaints.extend(edge::complaints(workspace)?);
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    Ok(())
}

/// What a crate does not say about itself where its first file begins.
fn opening(name: &str, path: &str, source: &str) -> Option<String> {
    let said: Vec<&str> = source
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    let said = said.join(" ").to_lowercase();
    let mut lacks: Vec<&str> = Vec::new();
    if said.is_empty() {
        lacks.push("what it is");
    }
    lacks.extend(
        OPENING
            .iter()
            .filter(|(_, told_by)| !told_by.iter().any(|words| said.contains(words)))
            .map(|(what, _)| *what),
    );
    (!lacks.is_empty()).then(|| format!("{path}: the opening lines of `{name}` lack {}", lacks.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_code_agree() {
        if let Err(error) = check(&Workspace::find().unwrap()) {
            panic!("{error}");
        }
    }

    #[test]
    fn a_crate_introduces_itself() {
        let check = |source: &str, expected: Option<&str>| {
            let expected =
                expected.map(|lacks| format!("a/src/lib.rs: the opening lines of `a` lack {lacks}"));
            assert_eq!(opening("a", "a/src/lib.rs", source), expected, "{source}");
        };
        check(
            "//! Counts.\n//!\n//! It must\n//! never guess. Start with [`Count`].\n",
            None,
        );
        check("//! Counts. Start with [`Count`].", Some("what it must never do"));
        check(
            "use std::fmt;\n//! Too late: must never. Start with this.",
            Some("what it is, what it must never do, where to start reading"),
        );
    }
}
