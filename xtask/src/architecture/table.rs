//! The table of crates in `ARCHITECTURE.md`: where each lies, and what it may depend on.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Crate, Edge, Graph};

/// The start of a crate's name that the column of dependencies leaves out.
const PREFIX: &str = "netsage-";
/// Parts what a crate may depend on from what only its tests may.
const TESTS: &str = "tests:";

/// A row of the table.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Row {
    folder: String,
    may: BTreeSet<String>,
    tests_may: BTreeSet<String>,
}

/// What the document says about crates.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<String, Row>,
    /// Libraries from outside that only these crates may be built with.
    walls: BTreeMap<String, BTreeSet<String>>,
}

impl Table {
    /// Finds the tables by their first column: `crate` and `library`.
    pub(super) fn read(document: &str) -> Self {
        let mut table = Self::default();
        let mut header: Vec<String> = Vec::new();
        for line in document.lines() {
            let Some(cells) = cells(line) else {
                header.clear();
                continue;
            };
            if header.is_empty() {
                header = cells;
                continue;
            }
            let cell = |column: &str| {
                let place = header.iter().position(|name| name == column);
                place
                    .and_then(|place| cells.get(place))
                    .map_or("", String::as_str)
            };
            if cells[0].starts_with("--") {
                continue;
            }
            match header[0].as_str() {
                "crate" => {
                    let depends = cell("may depend on");
                    let (may, tests_may) = depends.split_once(TESTS).unwrap_or((depends, ""));
                    let row = Row {
                        folder: code(cell("folder")).trim_end_matches('/').to_owned(),
                        may: names(may),
                        tests_may: names(tests_may),
                    };
                    // Two crates that share a row share what is allowed.
                    for name in cells[0].split(',') {
                        table.rows.insert(code(name).to_owned(), row.clone());
                    }
                }
                "library" => {
                    for library in cells[0].split(',') {
                        table
                            .walls
                            .insert(code(library).to_owned(), names(cell("only in")));
                    }
                }
                _ => {}
            }
        }
        table
    }

    /// Where graph and table contradict each other.
    pub(super) fn complaints(&self, graph: &Graph) -> Vec<String> {
        let mut complaints = Vec::new();
        for name in self.rows.keys().filter(|name| !graph.crates.contains_key(*name)) {
            complaints.push(format!(
                "the table of crates names `{name}`, which the workspace does not have"
            ));
        }
        for (of, allowed) in self
            .rows
            .iter()
            .map(|(name, row)| (name, row.may.union(&row.tests_may)))
        {
            for name in allowed.filter(|name| !graph.crates.iter().any(|(to, found)| means(name, to, found)))
            {
                complaints.push(format!(
                    "the table lets `{of}` depend on `{name}`, which the workspace does not have"
                ));
            }
        }
        for (name, found) in &graph.crates {
            match self.rows.get(name) {
                None => complaints.push(format!(
                    "the table of crates lacks `{name}` in `{}`",
                    found.folder
                )),
                Some(row) => self.judge(name, found, row, graph, &mut complaints),
            }
        }
        complaints
    }

    fn judge(&self, name: &str, found: &Crate, row: &Row, graph: &Graph, complaints: &mut Vec<String>) {
        if row.folder != found.folder {
            complaints.push(format!(
                "the table puts `{name}` into `{}`, but it lies in `{}`",
                row.folder, found.folder
            ));
        }
        let allows = |names: &BTreeSet<String>, to: &str| {
            let target = graph.crates.get(to);
            target.is_some_and(|target| names.iter().any(|allowed| means(allowed, to, target)))
        };
        for (to, edge) in &found.dependencies {
            let allowed = allows(&row.may, to) || (*edge == Edge::Test && allows(&row.tests_may, to));
            if !allowed {
                let what = match edge {
                    Edge::Build => "depends",
                    Edge::Test => "depends in its tests",
                };
                complaints.push(format!(
                    "`{name}` {what} on `{to}`, which the table of crates does not allow"
                ));
            }
        }
        for library in &found.libraries {
            if let Some(only) = self.walls.get(library).filter(|only| !allows(only, name)) {
                let only: Vec<_> = only.iter().map(String::as_str).collect();
                complaints.push(format!(
                    "`{name}` depends on the library `{library}`, which only these may: {}",
                    only.join(", ")
                ));
            }
        }
    }
}

/// Whether a word of a column means a crate: its name without the prefix, or the folder above it as `folder/*`.
fn means(word: &str, name: &str, found: &Crate) -> bool {
    match word.strip_suffix("/*") {
        Some(folder) => found.folder.starts_with(&format!("{folder}/")),
        None => name == word || name.strip_prefix(PREFIX) == Some(word),
    }
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect())
}

/// The names of a cell, between commas.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split([',', ';'])
        .map(|name| code(name).to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim().trim_matches('`')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
Text.

| crate | folder | may depend on | never |
|---|---|---|---|
| `netsage-base` | `base/` | | anything |
| `netsage-top` | `top/` | base; tests: tools/* | anything |
| `tool` | `tools/tool/` | base | anything |

| library | only in |
|---|---|
| `engine` | top |
";

    /// Name, folder, dependencies and libraries of a crate.
    type Described<'a> = (&'a str, &'a str, &'a [(&'a str, Edge)], &'a [&'a str]);

    fn graph(edges: &[Described<'_>]) -> Graph {
        let crates = edges.iter().map(|(name, folder, dependencies, libraries)| {
            let found = Crate {
                folder: (*folder).to_owned(),
                dependencies: dependencies
                    .iter()
                    .map(|(to, edge)| ((*to).to_owned(), *edge))
                    .collect(),
                libraries: libraries.iter().map(|name| (*name).to_owned()).collect(),
                ..Crate::default()
            };
            ((*name).to_owned(), found)
        });
        Graph {
            crates: crates.collect(),
        }
    }

    #[test]
    fn what_the_table_does_not_allow_is_refused() {
        let check = |edges: &[Described<'_>], expected: &[&str]| {
            let found = Table::read(DOCUMENT).complaints(&graph(edges));
            assert_eq!(found, expected);
        };
        let base = ("netsage-base", "base", &[][..], &["serde"][..]);
        let tool = (
            "tool",
            "tools/tool",
            &[("netsage-base", Edge::Build)][..],
            &[][..],
        );
        let top = (
            "netsage-top",
            "top",
            &[("netsage-base", Edge::Build), ("tool", Edge::Test)][..],
            &["engine"][..],
        );
        check(&[base, tool, top], &[]);
        // Upwards.
        check(
            &[
                ("netsage-base", "base", &[("netsage-top", Edge::Build)], &[]),
                tool,
                top,
            ],
            &["`netsage-base` depends on `netsage-top`, which the table of crates does not allow"],
        );
        // What tests may, the crate itself may not.
        check(
            &[base, tool, ("netsage-top", "top", &[("tool", Edge::Build)], &[])],
            &["`netsage-top` depends on `tool`, which the table of crates does not allow"],
        );
        check(
            &[
                base,
                ("tool", "tools/tool", &[("netsage-top", Edge::Test)], &["engine"]),
                top,
            ],
            &[
                "`tool` depends in its tests on `netsage-top`, which the table of crates does not allow",
                "`tool` depends on the library `engine`, which only these may: top",
            ],
        );
        // Moved, removed, new.
        check(
            &[
                ("netsage-base", "elsewhere", &[], &[]),
                ("netsage-new", "new", &[], &[]),
                top,
            ],
            &[
                "the table of crates names `tool`, which the workspace does not have",
                "the table lets `netsage-top` depend on `tools/*`, which the workspace does not have",
                "the table puts `netsage-base` into `base`, but it lies in `elsewhere`",
                "the table of crates lacks `netsage-new` in `new`",
                "`netsage-top` depends in its tests on `tool`, which the table of crates does not allow",
            ],
        );
    }
}
