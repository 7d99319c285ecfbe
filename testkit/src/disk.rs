//! A small file system of its own, which can be filled.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

/// A file system in memory, gone when it is dropped.
pub struct SmallDisk {
    path: PathBuf,
    bytes: u64,
}

impl SmallDisk {
    /// Mounts one of this size in a new folder.
    ///
    /// # Errors
    /// Why this machine has none.
    pub fn new(path: PathBuf, bytes: u64) -> Result<Self, String> {
        if !geteuid().is_root() {
            return Err("a file system of a test needs root".to_owned());
        }
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let disk = Self { path, bytes };
        disk.mount(&format!("mode=0700,size={bytes}"))?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no room beyond what is used.
    pub fn fill(&self) {
        // What is written between the question and the answer makes the size too small, which is refused.
        for _ in 0..1_000 {
            let used = run(Command::new("df").args(["-B1", "--output=used"]).arg(&self.path)).unwrap();
            let used: u64 = used.lines().last().unwrap().trim().parse().unwrap();
            // A size of nothing means any.
            if self.mount(&format!("remount,size={}", used.max(4096))).is_ok() {
                return;
            }
        }
        panic!("{} does not become full", self.path.display());
    }

    /// Gives it its size again.
    pub fn free(&self) {
        self.mount(&format!("remount,size={}", self.bytes)).unwrap();
    }

    fn mount(&self, options: &str) -> Result<(), String> {
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs"];
        run(Command::new("mount").args(arguments).arg(&self.path)).map(drop)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At the end of a test there is nobody to tell.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

/// Runs a command to its end, and gives what it printed.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("`{name}` does not start: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "`{name}`: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
