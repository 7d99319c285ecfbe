//! The Python programs that the tests compare with: scikit-learn, onnxruntime and their like, in an environment
//! of their own.
//!
//! The project itself needs no Python. Where this environment cannot be made (no network, another Python), the
//! tests that compare say that they were skipped, and why.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::quietly;
use crate::files;
use crate::workspace::Workspace;

/// The interpreter that the tests are to use.
pub(crate) const INTERPRETER: &str = "NETSAGE_PYTHON";
/// Why there is none, when there is none.
pub(crate) const WHY_NOT: &str = "NETSAGE_PYTHON_WHY_NOT";

/// What is installed, with its versions.
const REQUIREMENTS: &str = include_str!("../python-peers.txt");

/// The interpreter of the environment, which is made on the first call; `NETSAGE_PYTHON` when that is set.
pub(crate) fn interpreter(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    if let Some(own) = env::var_os(INTERPRETER).filter(|own| !own.is_empty()) {
        return Ok(PathBuf::from(own));
    }
    let tools = workspace.cache.join("tools");
    files::make_folder(&tools)?;
    // Clones share the folder: one makes the environment, the others wait for it.
    let lock_path = tools.join("python-peers.lock");
    let lock = File::create(&lock_path)
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {}", lock_path.display()))?;
    let folder = tools.join("python-peers");
    let python = folder.join("bin/python");
    if !is_complete(&folder, &python) {
        make(workspace, &folder, &python, on_line)?;
    }
    drop(lock);
    Ok(python)
}

/// Whether everything that is wanted was installed here to the end.
fn is_complete(folder: &Path, python: &Path) -> bool {
    python.exists() && fs::read_to_string(stamp(folder)).is_ok_and(|installed| installed == REQUIREMENTS)
}

fn stamp(folder: &Path) -> PathBuf {
    folder.join("netsage-installed.txt")
}

fn make(workspace: &Workspace, folder: &Path, python: &Path, on_line: &mut dyn FnMut(&str)) -> Result<()> {
    let mut command = workspace.command("python3");
    command.args(["-m", "venv", "--clear"]).arg(folder);
    quietly(command, &mut *on_line)?;
    let mut command = workspace.command(python);
    // Without a network this should end soon: there is nothing to wait for.
    command
        .args(["-m", "pip", "install", "--disable-pip-version-check"])
        .args(["--only-binary=:all:", "--retries", "1", "--timeout", "20", "-r"])
        .arg(workspace.root.join("xtask/python-peers.txt"));
    quietly(command, on_line).context("cannot install what the tests compare with")?;
    // Last, so that an installation that was cut short is done again.
    files::write_if_changed(&stamp(folder), REQUIREMENTS.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned() {
        let lines = REQUIREMENTS
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let mut count = 0;
        for line in lines {
            let (name, version) = line.split_once("==").expect(line);
            assert!(
                !name.is_empty() && version.starts_with(|digit: char| digit.is_ascii_digit()),
                "{line}"
            );
            count += 1;
        }
        assert!(count >= 5, "{count}");
    }

    #[test]
    fn an_installation_that_was_cut_short_does_not_count() {
        let folder = env::temp_dir().join(format!("netsage-xtask-peers-{}", std::process::id()));
        let python = folder.join("bin/python");
        files::write_if_changed(&python, b"").unwrap();
        assert!(!is_complete(&folder, &python));
        files::write_if_changed(&stamp(&folder), b"numpy==1.0").unwrap();
        assert!(!is_complete(&folder, &python));
        files::write_if_changed(&stamp(&folder), REQUIREMENTS.as_bytes()).unwrap();
        assert!(is_complete(&folder, &python));
        fs::remove_dir_all(folder).unwrap();
    }
}
