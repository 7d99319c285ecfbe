//! Names between backticks in a document: each must be found in the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use super::graph::Graph;

/// Words that are followed by the name of what they declare.
const DECLARES: [&str; 9] = [
    "struct",
    "enum",
    "trait",
    "type",
    "fn",
    "mod",
    "const",
    "static",
    "macro_rules!",
];
/// Ends of file names that tell a path without a slash from other words.
const ENDINGS: [&str; 10] = [
    ".rs", ".md", ".toml", ".wit", ".js", ".mjs", ".json", ".css", ".html", ".txt",
];
/// Files whose text names may stand in; documents are not among them, since they must not confirm each other.
const SOURCES: [&str; 7] = ["rs", "toml", "wit", "js", "mjs", "html", "service"];
/// Folders that are no part of the project's code.
const PASSED_OVER: [&str; 4] = [".git", "target", "node_modules", "corpus"];
/// This check, whose tests name what does not exist.
const ITSELF: &str = "xtask/src/architecture";

/// The files of a clone, and what stands in them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Every file and folder, below the root.
    paths: BTreeSet<String>,
    /// The files that declare a name.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// The text of all sources, by path.
    texts: BTreeMap<String, String>,
}

impl Files {
    /// Reads a clone.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut files = Self::default();
        files.read_folder(root, "")?;
        Ok(files)
    }

    fn read_folder(&mut self, folder: &Path, below: &str) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let shown = if below.is_empty() {
                name.to_owned()
            } else {
                format!("{below}/{name}")
            };
            if path.is_dir() {
                if shown != ITSELF && !PASSED_OVER.contains(&name) {
                    self.read_folder(&path, &shown)?;
                }
                self.paths.insert(shown);
            } else if SOURCES.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                self.add(&shown, String::from_utf8_lossy(&bytes).into_owned());
            } else {
                self.paths.insert(shown);
            }
        }
        Ok(())
    }

    /// Adds a source.
    pub(crate) fn add(&mut self, path: &str, text: String) {
        self.paths.insert(path.to_owned());
        let words = text.split_whitespace();
        for (keyword, name) in words.clone().zip(words.skip(1)) {
            if !path.ends_with(".rs") || !DECLARES.contains(&keyword) {
                continue;
            }
            let end = name.find(|next: char| !is_word(next)).unwrap_or(name.len());
            let files = self.declared.entry(name[..end].to_owned()).or_default();
            files.insert(path.to_owned());
        }
        self.texts.insert(path.to_owned(), text);
    }

    /// The documents, below the root.
    pub(super) fn documents(&self) -> impl Iterator<Item = &str> {
        let paths = self.paths.iter().map(String::as_str);
        paths.filter(|path| path.ends_with(".md"))
    }

    /// The sources in which a text stands.
    pub(crate) fn with_text<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a str> {
        self.texts
            .iter()
            .filter(move |(_, text)| text.contains(wanted))
            .map(|(path, _)| path.as_str())
    }

    /// Why a name in a document is wrong. `near` is the folder of the last path in the same paragraph, which later ones
    /// may leave out.
    fn complaint(&self, name: &str, graph: &Graph, near: &mut String) -> Option<String> {
        let fails = |holds: bool, why: &str| (!holds).then(|| format!("`{name}` {why}"));
        if let Some((folder, _)) = name.split('<').next().and_then(|start| start.rsplit_once('/'))
            && name.contains('<')
        {
            // A pattern for files of a folder.
            folder.clone_into(near);
            return fails(
                self.paths.contains(folder),
                "is for files of no folder of the project",
            );
        }
        if name.contains(['<', '*', '$']) || name.starts_with("netsage ") {
            // A pattern, or a command of the program, whose own tests know it.
            return None;
        }
        if let Some(arguments) = name.strip_prefix("cargo xtask ") {
            let words = ["cargo xtask"].into_iter().chain(arguments.split(' '));
            // Arguments may be left out, and so may those that a command needs.
            let wrong = crate::Arguments::try_parse_from(words).is_err_and(|error| {
                error.use_stderr() && error.kind() != clap::error::ErrorKind::MissingRequiredArgument
            });
            return fails(!wrong, "is no command of xtask");
        }
        if name.contains(' ') {
            return None;
        }
        if let Some(flag) = name.strip_prefix("--") {
            return fails(self.has_word(&flag.replace('-', "_")), "is no flag of anything");
        }
        let is_path = (name.contains('/') && !name.starts_with('/') && !name.contains(':'))
            || ENDINGS.iter().any(|ending| name.ends_with(ending));
        if is_path {
            let path = name.trim_end_matches('/');
            let places = [path.to_owned(), format!("{near}/{path}")];
            let Some(found) = places.iter().find(|place| self.paths.contains(*place)) else {
                return fails(false, "is no path of the project");
            };
            *near = found
                .rsplit_once('/')
                .map_or(String::new(), |(folder, _)| folder.to_owned());
            return None;
        }
        let plain = name.trim_end_matches("()");
        if plain.contains("::") {
            return fails(self.has_item(plain, graph), "is declared nowhere");
        }
        let is_type = plain.starts_with(|first: char| first.is_ascii_uppercase())
            && plain.contains(|letter: char| letter.is_ascii_lowercase())
            && plain.chars().all(is_word);
        if is_type {
            let variant = format!("::{plain}");
            let exists = self.declared.contains_key(plain) || self.with_text(&variant).next().is_some();
            return fails(exists, "is declared nowhere");
        }
        fails(self.with_text(name).next().is_some(), "stands in no source")
    }

    /// Whether `krate::module::Item` exists: the item is declared in the crate, or, where the path begins with a module,
    /// anywhere together with each part before it.
    fn has_item(&self, path: &str, graph: &Graph) -> bool {
        let mut parts: Vec<&str> = path.split("::").collect();
        let name = parts[0].replace('_', "-");
        let found = [&name, &format!("netsage-{name}")]
            .into_iter()
            .find_map(|name| graph.crates.get(name));
        let folder = found.map_or(String::new(), |found| format!("{}/", found.folder));
        if found.is_some() {
            parts.remove(0);
        }
        parts.iter().all(|part| {
            let files = self.declared.get(*part);
            files.is_some_and(|files| files.iter().any(|file| file.starts_with(&folder)))
        })
    }

    fn has_word(&self, word: &str) -> bool {
        self.texts.values().any(|text| {
            text.match_indices(word).any(|(place, _)| {
                let before = text[..place].chars().next_back();
                let after = text[place + word.len()..].chars().next();
                !before.is_some_and(is_word) && !after.is_some_and(is_word)
            })
        })
    }
}

/// Names in a document that do not exist. `document` is its path below the root.
pub(super) fn complaints(document: &str, text: &str, files: &Files, graph: &Graph) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut fenced = false;
    let mut near = String::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if line.is_empty() {
            near.clear();
        }
        if fenced {
            let wrong = paths(line).filter(|path| !files.paths.contains(path.trim_end_matches('/')));
            complaints.extend(wrong.map(|path| {
                format!(
                    "{document}:{}: {path} in the drawing is no path of the project",
                    number + 1
                )
            }));
            continue;
        }
        // Commands.
        if line.starts_with("    ") {
            continue;
        }
        let wrong = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(|name| files.complaint(name, graph, &mut near));
        complaints.extend(wrong.map(|wrong| format!("{document}:{}: {wrong}", number + 1)));
    }
    complaints
}

/// What looks like a path in a line of a drawing.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| is_word(letter) || "/-.".contains(letter);
    line.split(move |letter| !is_part(letter)).filter(|word| {
        let word = word.trim_end_matches('/');
        word.contains('/')
            && word
                .split('/')
                .all(|part| part.starts_with(|first: char| first.is_ascii_lowercase()))
    })
}

/// Links of a document that lead nowhere.
pub(super) fn broken_links(document: &str, text: &str, files: &Files) -> Vec<String> {
    let lines = text.lines().zip(1..);
    lines
        .flat_map(|(line, number)| links(line).map(move |link| (link, number)))
        .filter_map(|(link, number)| {
            let wrong = broken(document, link, files)?;
            Some(format!("{document}:{number}: {wrong}"))
        })
        .collect()
}

/// Where the links of a line lead.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
}

fn broken(document: &str, link: &str, files: &Files) -> Option<String> {
    let path = link.split('#').next().unwrap_or_default();
    if path.is_empty() || path.contains("://") {
        return None;
    }
    let mut place: Vec<&str> = document.split('/').collect();
    place.pop();
    for part in path.split('/') {
        match part {
            ".." => {
                place.pop();
            }
            "." | "" => {}
            part => place.push(part),
        }
    }
    let place = place.join("/");
    (!files.paths.contains(&place)).then(|| format!("the link to {link} leads nowhere"))
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::super::graph::Crate;
    use super::*;

    fn graph() -> Graph {
        let meter = Crate {
            folder: "meter".to_owned(),
            ..Crate::default()
        };
        Graph {
            crates: [("netsage-meter".to_owned(), meter)].into(),
        }
    }

    fn files() -> Files {
        let mut files = Files::default();
        files.add(
            "meter/src/lib.rs",
            "pub mod table;\npub struct Meter<'a> {}\nfn drain(){}\nlet dry_run = \"GET /metrics\";"
                .to_owned(),
        );
        files.add("meter/src/table.rs", "enum Cell { Free }".to_owned());
        files.add("host/src/lib.rs", "trait Host {}".to_owned());
        files
            .paths
            .extend(["meter", "meter/src", "docs/meter.md"].map(str::to_owned));
        files
    }

    #[test]
    fn a_name_must_exist() {
        let check = |text: &str, expected: &[&str]| {
            let found = complaints("docs/it.md", text, &files(), &graph());
            assert_eq!(found, expected, "{text}");
        };
        check(
            "`Meter` fills a `meter::table::Cell`, `meter::drain()`, `table::Cell`",
            &[],
        );
        check("`Gauge`", &["docs/it.md:1: `Gauge` is declared nowhere"]);
        // Of another crate.
        check(
            "`meter::Host`",
            &["docs/it.md:1: `meter::Host` is declared nowhere"],
        );
        check(
            "`shelf::Cell`",
            &["docs/it.md:1: `shelf::Cell` is declared nowhere"],
        );
        check("`meter/src/lib.rs`, `table.rs` beside it, `meter/src/`", &[]);
        check(
            "`meter/src/lib.rs`\n\n`table.rs`\n`host/pipeline`",
            &[
                "docs/it.md:3: `table.rs` is no path of the project",
                "docs/it.md:4: `host/pipeline` is no path of the project",
            ],
        );
        check(
            "`cargo xtask test --no-browser`, `cargo xtask test --help`, `cargo xtask bench`",
            &[],
        );
        check(
            "`cargo xtask polish`",
            &["docs/it.md:1: `cargo xtask polish` is no command of xtask"],
        );
        check("`--dry-run` `/metrics`", &[]);
        check(
            "`--run` `/metric2`",
            &[
                "docs/it.md:1: `--run` is no flag of anything",
                "docs/it.md:1: `/metric2` stands in no source",
            ],
        );
        check("`meter/src/<name>.rs`, `lib.rs` beside it", &[]);
        check(
            "`metre/src/<name>.rs`",
            &["docs/it.md:1: `metre/src/<name>.rs` is for files of no folder of the project"],
        );
        // Of a drawing the paths; commands and patterns are not names.
        check(
            "```\nGauge -->|in/out of| meter/src\n```\n    `Gauge`\n`<data>/x/y` `netsage gauge`",
            &["docs/it.md:2: in/out in the drawing is no path of the project"],
        );
    }

    #[test]
    fn a_link_must_lead_somewhere() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(broken_links("docs/it.md", text, &files()), expected, "{text}");
        };
        check(
            "[a](meter.md#rows) [b](../meter/src/lib.rs) [c](https://example.org/) [d](#here)",
            &[],
        );
        check(
            "line\n[a](gauge.md)",
            &["docs/it.md:2: the link to gauge.md leads nowhere"],
        );
    }
}
