//! The program for a gateway alone, built with the feature `gateway` and no other, and what it must not contain.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// The workbench: its commands, the trainers that a gateway does not learn with, the generator the transpiler, and Kafka.
const LEFT_OUT: [&str; 10] = [
    "netsage-workbench",
    "netsage-synth",
    "netsage-browser-glue",
    "js-component-bindgen",
    "netsage-context-knn",
    "netsage-dbscan",
    "netsage-lstm-autoencoder",
    "netsage-onnx",
    "netsage-onnx-format",
    "rdkafka",
];

/// A line for each of these crates that a gateway's program would link.
pub(super) fn complaints(workspace: &Workspace) -> Result<Vec<String>> {
    let crates = linked(workspace, &["--no-default-features", "--features", "gateway"])?;
    let found = LEFT_OUT.iter().filter(|name| crates.contains(**name));
    Ok(found
        .map(|name| format!("`netsage` with the feature `gateway` alone depends on {name}"))
        .collect())
}

/// The names of the crates that `netsage` links when it is built with these arguments.
fn linked(workspace: &Workspace, features: &[&str]) -> Result<BTreeSet<String>> {
    let mut command = workspace.cargo(&["tree", "--offline", "--locked", "--package", "netsage"]);
    command.args(features);
    command.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let output = command.output().context("cannot start cargo tree")?;
    if !output.status.success() {
        bail!(
            "`cargo tree` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_program_has_what_a_gateway_lacks() {
        let crates = linked(&Workspace::find().unwrap(), &[]).unwrap();
        for name in LEFT_OUT {
            assert!(crates.contains(name), "there is no {name} to leave out");
        }
    }
}
