//! The crates of the workspace and what each depends on, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// Why a crate depends on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Edge {
    /// To be built: ordinary and build dependencies, optional ones too.
    Build,
    /// For tests, examples and benchmarks only.
    Test,
}

/// A crate of the workspace.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Crate {
    /// Its folder below the root; empty for the root itself.
    pub(crate) folder: String,
    /// The file whose opening lines introduce the crate, below the root: that of the library, or of its only program.
    pub(crate) opening: String,
    /// Crates of the workspace that it depends on.
    pub(crate) dependencies: BTreeSet<(String, Edge)>,
    /// Crates from outside that it depends on to be built.
    pub(crate) libraries: BTreeSet<String>,
    /// Whether commands that name no crate leave it out: it is for the browser, or a heavy tool.
    pub(crate) left_out: bool,
}

/// The crates of a workspace by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) crates: BTreeMap<String, Crate>,
}

impl Graph {
    /// Asks cargo, which reads manifests and nothing else.
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let output = workspace
            .cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .output()
            .context("cannot start cargo metadata")?;
        if !output.status.success() {
            bail!(
                "`cargo metadata` failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Self::parse(&output.stdout)
    }

    /// Reads the answer of `cargo metadata --no-deps`.
    pub(crate) fn parse(metadata: &[u8]) -> Result<Self> {
        let metadata: Value = serde_json::from_slice(metadata).context("cargo metadata wrote no JSON")?;
        let root = PathBuf::from(text(&metadata["workspace_root"])?);
        let below = |path: &str| -> Result<String> {
            let path = Path::new(path).strip_prefix(&root);
            Ok(path
                .context("a crate lies outside of the workspace")?
                .display()
                .to_string())
        };
        let left_in: BTreeSet<&str> = list(&metadata["workspace_default_members"])
            .filter_map(Value::as_str)
            .collect();
        let mut graph = Self::default();
        for package in list(&metadata["packages"]) {
            let manifest = Path::new(text(&package["manifest_path"])?);
            let folder = manifest.parent().unwrap_or(&root).display().to_string();
            let mut found = Crate {
                folder: below(&folder)?,
                left_out: !left_in.contains(text(&package["id"])?),
                ..Crate::default()
            };
            let targets = ["lib", "cdylib", "bin"].into_iter().flat_map(|wanted| {
                list(&package["targets"])
                    .filter(move |target| list(&target["kind"]).any(|kind| kind.as_str() == Some(wanted)))
            });
            if let Some(first) = targets.into_iter().next() {
                found.opening = below(text(&first["src_path"])?)?;
            }
            for dependency in list(&package["dependencies"]) {
                let edge = match dependency["kind"].as_str() {
                    Some("dev") => Edge::Test,
                    _ => Edge::Build,
                };
                let name = text(&dependency["name"])?.to_owned();
                if dependency["path"].is_string() {
                    found.dependencies.insert((name, edge));
                } else if edge == Edge::Build {
                    found.libraries.insert(name);
                }
            }
            graph.crates.insert(text(&package["name"])?.to_owned(), found);
        }
        Ok(graph)
    }

    /// The crate that a file lies in, by its path below the root.
    pub(crate) fn owner(&self, path: &str) -> Option<&str> {
        let lies_in = |folder: &str| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/') || folder.is_empty())
        };
        self.crates
            .iter()
            .filter(|(_, found)| lies_in(&found.folder))
            .max_by_key(|(_, found)| found.folder.len())
            .map(|(name, _)| name.as_str())
    }

    /// The crates that depend on this one directly, tests included.
    pub(crate) fn dependents(&self, name: &str) -> BTreeSet<&str> {
        self.crates
            .iter()
            .filter(|(_, found)| found.dependencies.iter().any(|(to, _)| to == name))
            .map(|(dependent, _)| dependent.as_str())
            .collect()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Result<&str> {
    value
        .as_str()
        .context("cargo metadata left something out that this program reads")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_edges_and_owners_are_read() {
        let graph = Graph::parse(
            br#"{
            "workspace_root": "/clone",
            "workspace_default_members": ["id-a"],
            "packages": [
                {"name": "a", "id": "id-a", "manifest_path": "/clone/a/Cargo.toml",
                 "targets": [{"kind": ["bin"], "src_path": "/clone/a/src/main.rs"},
                             {"kind": ["lib"], "src_path": "/clone/a/src/lib.rs"}],
                 "dependencies": [{"name": "b", "path": "/clone/a/b", "kind": null},
                                  {"name": "b", "path": "/clone/a/b", "kind": "dev"},
                                  {"name": "serde", "kind": "build"}, {"name": "proptest", "kind": "dev"}]},
                {"name": "b", "id": "id-b", "manifest_path": "/clone/a/b/Cargo.toml",
                 "targets": [{"kind": ["bin"], "src_path": "/clone/a/b/src/main.rs"}], "dependencies": []}
            ]}"#,
        )
        .unwrap();
        let (a, b) = (&graph.crates["a"], &graph.crates["b"]);
        assert_eq!(
            (a.folder.as_str(), a.opening.as_str(), a.left_out),
            ("a", "a/src/lib.rs", false)
        );
        assert_eq!((b.opening.as_str(), b.left_out), ("a/b/src/main.rs", true));
        let edges = [Edge::Build, Edge::Test].map(|edge| ("b".to_owned(), edge));
        assert_eq!(a.dependencies, BTreeSet::from(edges));
        assert_eq!(a.libraries, BTreeSet::from(["serde".to_owned()]));
        assert_eq!(graph.dependents("b"), BTreeSet::from(["a"]));
        let check = |path: &str, expected: Option<&str>| assert_eq!(graph.owner(path), expected, "{path}");
        check("a/src/lib.rs", Some("a"));
        check("a/b/src/main.rs", Some("b"));
        check("ab/src/main.rs", None);
        check("Cargo.toml", None);
    }
}
