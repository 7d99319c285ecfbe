//! Where things lie: the clone, the target folder, what is shipped, and the caches.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The folders that every command works with.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The clone.
    pub(crate) root: PathBuf,
    /// Cargo's target folder for everything that is started from here.
    pub(crate) target: PathBuf,
    /// What the program embeds.
    pub(crate) dist: PathBuf,
    /// What is worth keeping between clones and has nothing to do with Cargo.
    pub(crate) cache: PathBuf,
}

impl Workspace {
    /// Finds the folders. The target folder is `CARGO_TARGET_DIR`, otherwise one that all clones of a user share:
    /// the dependencies take most of the time, and they are the same in each clone.
    pub(crate) fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("xtask does not lie in a folder of the clone")?
            .to_path_buf();
        let cache = cache_folder(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"))
            .context("neither HOME nor XDG_CACHE_HOME says where caches go; set one of them")?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => std::path::absolute(folder)
                .context("CARGO_TARGET_DIR does not name a folder; set it to one, or unset it")?,
            _ => cache.join("target"),
        };
        Ok(Self {
            dist: target.join("netsage-dist"),
            root,
            target,
            cache,
        })
    }

    /// A program that runs in the clone and sees the same folders.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("NETSAGE_DIST");
        // What `cargo run` says of this program. Build scripts of dependencies look at it, so that a build from here and one
        // from a shell would each compile anew what the other has compiled.
        for (name, _) in env::vars_os() {
            let shown = name.to_string_lossy();
            if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Cargo, with the arguments given.
    ///
    /// Host code is always selected the same way, by the workspace's default members: another selection would
    /// unify the features of shared dependencies differently and compile them a second time.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = self.command(cargo);
        command.args(arguments);
        command
    }

    /// A program that cargo built with the release profile.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// A module that cargo built for wasm32.
    pub(crate) fn wasm(&self, profile: &str, name: &str) -> PathBuf {
        self.target
            .join("wasm32-unknown-unknown")
            .join(profile)
            .join(name)
    }
}

fn cache_folder(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The specification of XDG_CACHE_HOME says that a relative path is to be ignored.
    let xdg = xdg.map(PathBuf::from).filter(|folder| folder.is_absolute());
    let base = xdg.or_else(|| {
        home.filter(|folder| !folder.is_empty())
            .map(|home| Path::new(&home).join(".cache"))
    });
    base.map(|base| base.join("netsage"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_xdg_variable() {
        let check = |xdg: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let found = cache_folder(xdg.map(OsString::from), home.map(OsString::from));
            assert_eq!(found, expected.map(PathBuf::from), "{xdg:?} {home:?}");
        };
        check(Some("/var/cache"), Some("/home/ada"), Some("/var/cache/netsage"));
        check(
            Some("relative"),
            Some("/home/ada"),
            Some("/home/ada/.cache/netsage"),
        );
        check(None, Some("/home/ada"), Some("/home/ada/.cache/netsage"));
        check(None, Some(""), None);
        check(None, None, None);
    }
}
