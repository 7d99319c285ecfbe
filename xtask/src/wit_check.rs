//! `cargo xtask wit-check`: a detector built for the released contract must go on working.

use anyhow::{Context as _, Result};

use crate::build::{tools, wasm_tool};
use crate::files;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Builds the tool and checks.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::find()?;
    let steps = Steps::new(2);
    steps.run("Building the tools", |line| tools(&workspace, line))?;
    steps.run("Comparing the detector contract with the released one", |_| {
        check(&workspace)
    })?;
    steps.finish();
    Ok(())
}

/// Compares the contract with the last one in `wit/released`.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let released = files::list(&workspace.root.join("wit/released"))?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .max_by_key(|path| version(&path.file_stem().unwrap_or_default().to_string_lossy()))
        .context("wit/released holds no contract; put the last released one there")?;
    let current = workspace.root.join("wit/detector.wit");
    wasm_tool(
        workspace,
        &[&"semver-check", &"--released", &released, &"--current", &current],
    )
}

/// The numbers of `detector-1.10.0`, so that 1.10 comes after 1.9.
fn version(name: &str) -> Vec<u32> {
    name.split(['-', '.'])
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(version("detector-1.10.0") > version("detector-1.9.3"));
        assert!(version("detector-2.0.0") > version("detector-1.10.0"));
    }
}
