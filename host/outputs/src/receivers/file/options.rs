//! What a file output is made of.

use std::io;
use std::path::PathBuf;

use netsage_messages::Format;
use serde::Deserialize;

use crate::quantity::{ByteSize, Time};
use crate::receivers::writing;

/// Most rotated files that are kept.
const MOST_KEPT: usize = 10_000;

/// The options of a file output, as its table in the settings file has them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileOptions {
    /// The file that is written to.
    pub path: PathBuf,
    /// How messages are written: `json`, `ecs`, `ocsf` or `cef`.
    #[serde(default = "writing::usual", deserialize_with = "writing::by_name")]
    pub format: Format,
    /// Most bytes of a line, from 1KiB: a message that is longer is shortened or becomes several lines.
    #[serde(default = "mebibyte")]
    pub max_line: ByteSize,
    /// The size at which another file is begun; a file holds one message even where that is larger. From 1KiB.
    #[serde(default = "hundred_mebibytes")]
    pub rotate_size: ByteSize,
    /// How long a file is written to: another is begun when a multiple of this time since 1970 (UTC) has passed, so that `1d`
    /// begins one at midnight. Without it time alone begins none. From 1s.
    pub rotate_every: Option<Time>,
    /// How rotated files are named.
    #[serde(default)]
    pub names: Names,
    /// How many rotated files are kept; older ones are deleted. 1 to 10,000.
    #[serde(default = "ten")]
    pub keep: usize,
    /// Whether rotated files are packed.
    #[serde(default)]
    pub gzip: bool,
}

/// How rotated files are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// `alerts.jsonl.1` is the newest one, and each number rises at every rotation.
    #[default]
    Numbered,
    /// `alerts.jsonl.20240131T120000Z` was rotated at that time; the name stays.
    Dated,
}

fn hundred_mebibytes() -> ByteSize {
    ByteSize(100 << 20)
}

fn mebibyte() -> ByteSize {
    ByteSize(1 << 20)
}

fn ten() -> usize {
    10
}

/// Why a file output does not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A number is outside of its range.
    #[error("`{option}` is to be {range}")]
    Range {
        /// The option.
        option: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The format is for other receivers.
    #[error("`format`: {0} is for webhooks; a file takes json, ecs, ocsf or cef")]
    Format(Format),
    /// The path is no file's.
    #[error("`path`: {} names no file", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// Something failed on the disk.
    #[error("{}: {doing}: {error}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl FileOptions {
    /// Looks at what needs no disk.
    ///
    /// # Errors
    /// When a number is outside of its range.
    pub(super) fn check(&self) -> Result<(), FileError> {
        let range = |option, range| Err(FileError::Range { option, range });
        if self.rotate_size.0 < 1 << 10 {
            return range("rotate-size", "1KiB and more");
        }
        if self.max_line.0 < 1 << 10 {
            return range("max-line", "1KiB and more");
        }
        if matches!(self.format, Format::Slack | Format::Teams) {
            return Err(FileError::Format(self.format));
        }
        if self.rotate_every.is_some_and(|every| every.0.as_secs() < 1) {
            return range("rotate-every", "1s and more");
        }
        if !(1..=MOST_KEPT).contains(&self.keep) {
            return range("keep", "1 to 10000");
        }
        Ok(())
    }
}
