//! Servers from packages of Debian that a test does not want installed: a log daemon would take the place of the machine's.
//! They are unpacked into the folder of tools, for all runs to come.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::server::{run, tools};

/// Programs of some packages, and the libraries that the system does not have.
pub(crate) struct Unpacked {
    root: PathBuf,
}

impl Unpacked {
    /// Packages, with what they need and the system does not have, unpacked in a folder of this name.
    pub(crate) fn new(name: &str, packages: &[&str]) -> Result<Self, String> {
        let (tools, _lock) = tools(name)?;
        let root = tools.join(name);
        if !root.exists() {
            unpack(packages, &tools, &root)?;
        }
        Ok(Self { root })
    }

    /// A program, wherever it is; its command finds its libraries.
    pub(crate) fn command(&self, program: &str) -> Result<Command, String> {
        let path = env::var_os("PATH").unwrap_or_default();
        let unpacked = ["usr/sbin", "usr/bin"].map(|folder| self.root.join(folder));
        let usual = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
        let found = (unpacked.into_iter().chain(usual).chain(env::split_paths(&path)))
            .map(|folder| folder.join(program))
            .find(|path| path.is_file());
        let mut command = Command::new(found.ok_or_else(|| format!("there is no {program}"))?);
        command.env("LD_LIBRARY_PATH", self.library_path()?);
        Ok(command)
    }

    /// The folder that has a file whose name begins so: of the packages, or where they are installed of the system.
    pub(crate) fn folder_of(&self, begin: &str) -> Option<PathBuf> {
        let has_it = |folder: &PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            (entries.map(|entry| entry.file_name())).any(|name| name.to_string_lossy().starts_with(begin))
        };
        let places = [self.root.join("usr/lib"), PathBuf::from("/usr/lib")];
        places
            .iter()
            .find_map(|place| folders(place).into_iter().find(has_it))
    }

    fn library_path(&self) -> Result<OsString, String> {
        let folders = ["lib", "usr/lib"].map(|folder| folders(&self.root.join(folder)));
        env::join_paths(folders.concat()).map_err(|error| error.to_string())
    }
}

/// A folder and those in it.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut next = vec![folder.to_owned()];
    while let Some(folder) = next.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        next.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        all.push(folder);
    }
    all.retain(|folder| folder.is_dir());
    all
}

fn unpack(packages: &[&str], tools: &Path, root: &Path) -> Result<(), String> {
    let missing = match missing(packages) {
        Ok(missing) => missing,
        // The lists of packages are old, or not there.
        Err(_) => {
            run(Command::new("apt-get").arg("update"))?;
            missing(packages)?
        }
    };
    let folder = TempDir::new_in(tools).map_err(|error| format!("no temporary folder: {error}"))?;
    let unpacked = folder.path().join("root");
    fs::create_dir(&unpacked).map_err(|error| format!("no folder: {error}"))?;
    if !missing.is_empty() {
        let download = || {
            run(Command::new("apt-get")
                .args(["download", "-q"])
                .args(["-o", "APT::Sandbox::User=root"])
                .args(&missing)
                .current_dir(folder.path()))
        };
        if download().is_err() {
            run(Command::new("apt-get").arg("update"))?;
            download()?;
        }
    }
    let files = fs::read_dir(folder.path()).map_err(|error| error.to_string())?;
    for file in files.flatten().map(|entry| entry.path()) {
        if file.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
        }
    }
    // Whole or not at all.
    fs::rename(&unpacked, root).map_err(|error| format!("cannot keep what was unpacked: {error}"))
}

/// What would be installed with these packages.
fn missing(packages: &[&str]) -> Result<Vec<String>, String> {
    let output = Command::new("apt-get")
        .args(["install", "-s", "--no-install-recommends"])
        .args(packages)
        .output()
        .map_err(|error| format!("apt-get: {error}"))?;
    if !output.status.success() {
        return Err(format!("no packages {}", packages.join(", ")));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let installed = said.lines().filter_map(|line| line.strip_prefix("Inst "));
    Ok(installed
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}
