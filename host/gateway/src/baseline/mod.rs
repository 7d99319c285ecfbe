//! What is normal on a network: learned from its flows, and turned into detectors.
//!
//! [`Spool`] keeps the flows of a baseline on the disk, so that an interrupted one goes on; [`learn_and_arm`] fills it
//! from interfaces, [`learn_from_capture`] from a file, and [`arm`] trains on it and says what the new detectors would
//! have raised. An [`Observer`] is told how it goes: nothing here writes to a terminal.

mod arm;
mod capture;
#[cfg(feature = "live")]
mod live;
mod seen;
mod spool;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use netsage_models::{Flows, NoCallbacks, Trained, Training};
use netsage_sources::Progress;

use crate::config::ConfigError;

pub use arm::{Arming, arm};
pub use capture::learn_from_capture;
#[cfg(feature = "live")]
pub use live::learn_and_arm;
pub use spool::Spool;

/// Fewer flows say nothing about what is normal.
const FEWEST_FLOWS: u64 = 200;

/// Follows the learning of a baseline, e.g. to show it on a terminal.
pub trait Observer: Send {
    /// Hears what happens, in sentences.
    fn tell(&mut self, sentence: &str);

    /// Hears every few seconds how much of `goal` has been learned; `seen` says from what.
    fn learned(&mut self, learned: Duration, goal: Duration, seen: &str) {
        let _ = (learned, goal, seen);
    }

    /// Hears how far a capture file has been read.
    fn read(&mut self, progress: &Progress) {
        let _ = progress;
    }

    /// Whether the learning shall end.
    fn interrupted(&self) -> bool {
        false
    }

    /// Trains; `path` is where the package will lie. An observer with [`Callbacks`](netsage_models::Callbacks) of its
    /// own passes them here.
    ///
    /// # Errors
    /// [`TrainError`](netsage_models::TrainError), and what the observer itself cannot do.
    fn train(&mut self, training: &Training, flows: Flows<'_>, path: &Path) -> anyhow::Result<Trained> {
        let _ = path;
        Ok(training.run(flows, &mut NoCallbacks)?)
    }

    /// Hears that the package of the last training is written, so that nothing needs to be kept to go on with it.
    fn packed(&mut self) {}
}

/// The folder of the baseline of a source, in a data folder.
pub fn folder(data_dir: &Path, source: &str) -> PathBuf {
    data_dir.join("baseline").join(in_a_file_name(source))
}

/// Whether so many flows are enough.
fn enough(flows: u64, advice: &str) -> anyhow::Result<()> {
    if flows >= FEWEST_FLOWS {
        return Ok(());
    }
    Err(anyhow!(
        "the baseline has {flows} flows, and at least {FEWEST_FLOWS} are needed; {advice}"
    ))
}

/// A name with what a file name cannot have, or should not, replaced.
fn in_a_file_name(name: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = name
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '_' })
        .collect();
    // Neither `.` nor `..` nor a hidden file.
    format!("of-{name}")
}

/// A time for people, in its two largest units.
pub fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A path as settings name it.
fn text(path: &Path) -> Result<String, ConfigError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        ConfigError::value(
            "data-dir",
            format!("{} is not UTF-8; name another", path.display()),
        )
    })
}

/// Where the package of a method lies.
fn package_path(spool: &Spool, training: &Training) -> PathBuf {
    spool.folder().join(format!("{}.wasm", training.method()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(shown(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn names_of_sources_stay_in_their_folder() {
        for (name, expected) in [
            ("eth0", "of-eth0"),
            ("..", "of-.."),
            ("../a b", "of-.._a_b"),
            ("eth0,eth1", "of-eth0_eth1"),
        ] {
            assert_eq!(in_a_file_name(name), expected);
        }
    }
}
