//! `cargo xtask check`: what a change can have broken, before the whole of `cargo xtask test`.
//!
//! Format, lints and the architecture test always run. Tests run for the crates that the change touches and for those
//! that depend on one of them directly: the tests of a crate check its promises, and the tests of its direct users
//! check the uses. Whoever is farther away is compiled and linted, and tested by `cargo xtask test` or `--all`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;

use crate::architecture::{self, Files, Graph};
use crate::build;
use crate::setup::{self, Purpose};
use crate::steps::Steps;
use crate::test::{self, Summary};
use crate::workspace::Workspace;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask check\n  cargo xtask check --base HEAD~3\n  cargo xtask check --dry-run"
)]
pub(crate) struct CheckArguments {
    /// The commit since which something has changed [default: where this branch left `main`]; what is not committed
    /// counts as changed
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Tests every crate that depends on a changed one, however indirectly
    #[arg(long)]
    all: bool,
    /// Says what would be tested and why, and does nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which versions of other people's crates are built.
const LOCK: &str = "Cargo.lock";
/// Files that the build of every crate reads.
const FOR_ALL: [&str; 3] = ["Cargo.toml", LOCK, ".cargo/config.toml"];
/// What the program embeds is made of these folders; tests of the host read it.
const EMBEDDED: [&str; 4] = ["detectors/", "wit/", "models/artifacts/", "web/"];

/// Checks a change.
pub(crate) fn run(arguments: &CheckArguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let graph = Graph::of(&workspace)?;
    let base = base(&workspace, arguments.base.as_deref())?;
    let changed = changed(&workspace, &base)?;
    let files = Files::of(&workspace.root)?;
    let tested = tested(&graph, &files, &changed, arguments.all);
    eprintln!("{} files have changed since {base}", changed.len());
    for (name, why) in &tested {
        eprintln!("  tests of {name}: {why}");
    }
    if arguments.dry_run {
        return Ok(ExitCode::SUCCESS);
    }

    let embeds = changed
        .iter()
        .any(|path| EMBEDDED.iter().any(|folder| path.starts_with(folder)));
    let builds = embeds || !workspace.dist.join("packages").is_dir();
    let native: Vec<&str> = names(&tested, |name| !graph.crates[name].left_out);
    let other: Vec<&str> = names(&tested, |name| graph.crates[name].left_out);
    let groups = [
        ("Rust tests", native),
        ("Rust tests of browser code and tools", other),
    ];
    let groups: Vec<_> = groups
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .collect();
    let steps = Steps::new(test::CHECKS + 2 + groups.len() as u64 + if builds { build::STEPS } else { 0 });
    steps.run("Checking this machine", |line| {
        setup::ensure(&workspace, Purpose::Check, line)
    })?;
    let mut summary = Summary::default();
    let documents = steps.run("Comparing documents and code", |_| {
        architecture::check(&workspace)
    });
    summary.add_check("architecture", documents);
    if builds {
        build::all(&workspace, &steps, Purpose::Build)?;
    }
    test::checks(&workspace, &steps, &mut summary);
    let python = Err(anyhow!(
        "`cargo xtask check` starts no Python, `cargo xtask test` does"
    ));
    for (title, names) in groups {
        let packages: Vec<&str> = names.iter().flat_map(|name| ["--package", name]).collect();
        let outcome = steps.run(title, |line| {
            test::rust_tests(&workspace, &steps, &python, &packages, None, false, line)
        });
        summary.add_tests(title, outcome);
    }
    Ok(summary.finish(steps))
}

fn names(tested: &BTreeMap<String, String>, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    let names = tested.keys().map(String::as_str);
    names.filter(|name| wanted(name)).collect()
}

/// The crates whose tests run, each with the reason.
fn tested(graph: &Graph, files: &Files, changed: &[String], all: bool) -> BTreeMap<String, String> {
    let mut tested: BTreeMap<String, String> = BTreeMap::new();
    for path in changed {
        if FOR_ALL.contains(&path.as_str()) {
            for name in graph.crates.keys() {
                add(&mut tested, name, || format!("{path} has changed"));
            }
        } else if let Some(name) = graph.owner(path) {
            add(&mut tested, name, || format!("{path} has changed"));
        } else {
            // A file of no crate matters to those that name it: a contract, a document that a test reads.
            let file = path.rsplit('/').next().unwrap_or(path);
            for source in files.with_text(file) {
                if let Some(name) = graph.owner(source) {
                    add(&mut tested, name, || {
                        format!("{path} has changed, which {source} names")
                    });
                }
            }
        }
    }
    let mut reached: BTreeSet<String> = tested.keys().cloned().collect();
    while !reached.is_empty() {
        let mut next = BTreeSet::new();
        for name in &reached {
            for dependent in graph.dependents(name) {
                if !tested.contains_key(dependent) {
                    next.insert(dependent.to_owned());
                    add(&mut tested, dependent, || format!("it depends on {name}"));
                }
            }
        }
        reached = if all { next } else { BTreeSet::new() };
    }
    tested
}

fn add(tested: &mut BTreeMap<String, String>, name: &str, why: impl FnOnce() -> String) {
    if !tested.contains_key(name) {
        tested.insert(name.to_owned(), why());
    }
}

/// The commit that changes are counted from.
fn base(workspace: &Workspace, named: Option<&str>) -> Result<String> {
    if let Some(named) = named {
        return Ok(git(workspace, &["rev-parse", "--short", named])?
            .trim()
            .to_owned());
    }
    for main in ["origin/main", "main"] {
        if let Ok(found) = git(workspace, &["merge-base", "HEAD", main]) {
            return Ok(git(workspace, &["rev-parse", "--short", found.trim()])?
                .trim()
                .to_owned());
        }
    }
    bail!("there is no branch `main` to compare with; name a commit with --base")
}

/// The files that differ from a commit, those that git does not know yet included. `Cargo.lock` is among them only when
/// a crate of other people is of another version: what it says of the workspace's crates follows from their `Cargo.toml`.
fn changed(workspace: &Workspace, base: &str) -> Result<Vec<String>> {
    let tracked = git(workspace, &["diff", "--name-only", "--no-renames", base])?;
    let new = git(workspace, &["ls-files", "--others", "--exclude-standard"])?;
    let mut files: BTreeSet<&str> = tracked.lines().chain(new.lines()).collect();
    if files.contains(LOCK) {
        let before = git(workspace, &["show", &format!("{base}:{LOCK}")])?;
        let now = fs::read_to_string(workspace.root.join(LOCK)).context("cannot read Cargo.lock")?;
        if foreign(&before) == foreign(&now) {
            files.remove(LOCK);
        }
    }
    Ok(files.into_iter().map(str::to_owned).collect())
}

/// The entries of a `Cargo.lock` that come from elsewhere.
fn foreign(lock: &str) -> BTreeSet<&str> {
    let entries = lock.split("\n\n").map(str::trim_end);
    entries.filter(|entry| entry.contains("\nsource = ")).collect()
}

fn git(workspace: &Workspace, arguments: &[&str]) -> Result<String> {
    let output = workspace
        .command("git")
        .args(arguments)
        .output()
        .context("cannot start git, which says what has changed")?;
    if !output.status.success() {
        bail!(
            "`git {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{Crate, Edge};

    #[test]
    fn a_lock_differs_by_what_comes_from_elsewhere() {
        let own = |dependency: &str| {
            format!(
                "[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\n \"{dependency}\",\n]\n"
            )
        };
        let other = |version: &str| {
            format!("[[package]]\nname = \"other\"\nversion = \"{version}\"\nsource = \"registry\"\n")
        };
        let lock = |parts: [String; 2]| format!("version = 4\n\n{}", parts.join("\n"));
        let before = lock([own("one"), other("1.0.0")]);
        for (now, is_same) in [
            (lock([own("two"), other("1.0.0")]), true),
            (lock([other("1.0.0"), own("one")]), true),
            (lock([own("one"), other("1.0.1")]), false),
        ] {
            assert_eq!(foreign(&before) == foreign(&now), is_same, "{now}");
        }
    }

    #[test]
    fn a_change_reaches_the_crates_that_it_touches_and_their_users() {
        let krate = |folder: &str, dependencies: &[&str]| Crate {
            folder: folder.to_owned(),
            dependencies: dependencies
                .iter()
                .map(|name| ((*name).to_owned(), Edge::Build))
                .collect(),
            ..Crate::default()
        };
        let graph = Graph {
            crates: [
                ("bottom", krate("bottom", &[])),
                ("middle", krate("middle", &["bottom"])),
                ("top", krate("top", &["middle"])),
                ("aside", krate("aside", &[])),
            ]
            .map(|(name, found)| (name.to_owned(), found))
            .into(),
        };
        let mut files = Files::default();
        files.add(
            "aside/src/lib.rs",
            "include_str!(\"../../wit/contract.wit\")".to_owned(),
        );
        let check = |changed: &[&str], all: bool, expected: &[&str]| {
            let changed: Vec<String> = changed.iter().map(|path| (*path).to_owned()).collect();
            let tested = tested(&graph, &files, &changed, all);
            let names: Vec<&str> = tested.keys().map(String::as_str).collect();
            assert_eq!(names, expected, "{changed:?}");
        };
        check(&[], false, &[]);
        check(&["top/src/lib.rs"], false, &["top"]);
        check(&["bottom/src/lib.rs"], false, &["bottom", "middle"]);
        check(&["bottom/src/lib.rs"], true, &["bottom", "middle", "top"]);
        check(&["wit/contract.wit"], false, &["aside"]);
        check(&["README.md"], false, &[]);
        check(&["Cargo.lock"], false, &["aside", "bottom", "middle", "top"]);
    }
}
