//! `cargo deny`: which crates the project may depend on, under which licences, from where; and, where a database of
//! advisories is given, whether one of them has a known fault.
//!
//! The tool is compiled once for the user's clones, as the tests' other tools are installed. Where that cannot be done (no
//! network) the summary of the tests says so.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::quietly;
use crate::files;
use crate::workspace::Workspace;

/// The release that `deny.toml` is written for.
const VERSION: &str = "0.20.2";
/// Names a folder with a clone of the advisory database, as `cargo deny fetch` leaves it.
const DATABASE: &str = "NETSAGE_ADVISORY_DB";

/// The tool, which is compiled at the first call.
pub(crate) fn program(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let tools = workspace.cache.join("tools");
    files::make_folder(&tools)?;
    // Clones share the folder: one installs, the others wait for it.
    let lock_path = tools.join("cargo-deny.lock");
    let lock = File::create(&lock_path)
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {}", lock_path.display()))?;
    let root = tools.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        let mut command = workspace.cargo(&[
            "install",
            "cargo-deny",
            "--locked",
            "--version",
            VERSION,
            "--root",
        ]);
        command.arg(&root);
        quietly(command, on_line).context("cannot install cargo-deny")?;
    }
    drop(lock);
    Ok(program)
}

/// Holds the dependencies to `deny.toml`: bans, licences and sources.
pub(crate) fn check(workspace: &Workspace, program: &Path, on_line: &mut dyn FnMut(&str)) -> Result<()> {
    // The tool looks at the dependencies of every platform, and may not fetch; a build fetches those of its own.
    quietly(workspace.cargo(&["fetch", "--locked"]), &mut *on_line)?;
    run(
        workspace,
        program,
        &workspace.root.join("deny.toml"),
        &["bans", "licenses", "sources"],
        on_line,
    )
}

/// Looks the dependencies up among the advisories; `None` where no database of them is given.
pub(crate) fn advisories(
    workspace: &Workspace,
    program: &Path,
    on_line: &mut dyn FnMut(&str),
) -> Option<Result<()>> {
    let database = env::var_os(DATABASE).filter(|path| !path.is_empty())?;
    Some(look_up(workspace, program, Path::new(&database), on_line))
}

fn look_up(
    workspace: &Workspace,
    program: &Path,
    database: &Path,
    on_line: &mut dyn FnMut(&str),
) -> Result<()> {
    if !database.is_dir() {
        bail!("{DATABASE} names {}, which is no folder", database.display());
    }
    let config = workspace.target.join("netsage-advisories.toml");
    let toml = format!("[advisories]\ndb-path = {:?}\n", database.display().to_string());
    fs::write(&config, toml).with_context(|| format!("cannot write {}", config.display()))?;
    run(workspace, program, &config, &["advisories"], on_line)
}

fn run(
    workspace: &Workspace,
    program: &Path,
    config: &Path,
    checks: &[&str],
    on_line: &mut dyn FnMut(&str),
) -> Result<()> {
    let mut command = workspace.command(program);
    command
        .args(["--offline", "--all-features", "--config"])
        .arg(config)
        .arg("check")
        .args(checks);
    quietly(command, on_line)
}

/// How the summary names what was not looked up.
pub(crate) const WITHOUT_DATABASE: &str =
    "advisories: skipped, no database of them is given (NETSAGE_ADVISORY_DB names a folder with one)";
