//! The callbacks of a training on the command line: progress bar, Ctrl-C, checkpoints.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use netsage_models::{Callbacks, Training};
use netsage_schema::Rows;
use sha2::{Digest as _, Sha256};

use crate::{interrupt, progress, say};

/// Least time between two checkpoints.
const BETWEEN_SAVINGS: Duration = Duration::from_secs(5);

/// The callbacks of a training on the command line: a progress bar, Ctrl-C, and checkpoints in a file.
pub struct TrainingProgress {
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
    /// File of the last checkpoint, beside the package that the training will write.
    path: PathBuf,
    /// File of the checkpoint before it.
    previous: PathBuf,
    /// Digest of rows and options: a checkpoint of others is ignored.
    fingerprint: [u8; 32],
    saved: Instant,
}

impl TrainingProgress {
    /// The callbacks of the training whose package will lie at `out`.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn start(out: &Path, training: &Training, rows: &Rows) -> anyhow::Result<Self> {
        let beside = |end: &str| {
            let mut name = out.file_name().unwrap_or_default().to_os_string();
            name.push(end);
            out.with_file_name(name)
        };
        Ok(Self {
            bar: progress::counted(0, training.method()),
            interrupted: interrupt::flag()?,
            path: beside(".training"),
            previous: beside(".training.previous"),
            fingerprint: fingerprint(training, rows)?,
            saved: Instant::now(),
        })
    }

    /// The training is done: clears the bar and removes the checkpoints.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        for path in [&self.path, &self.previous] {
            // A short training has none.
            let _ = fs::remove_file(path);
        }
    }

    /// Says a line, also where standard error is no terminal and so has no bar.
    fn say(&self, line: fmt::Arguments<'_>) {
        self.bar.suspend(|| say!("{line}"));
    }

    fn write(&self, state: &[u8]) -> io::Result<()> {
        let staging = self.path.with_extension("training.part");
        let content = [&self.fingerprint[..], state].concat();
        fs::write(&staging, [&Sha256::digest(&content)[..], &content].concat())?;
        match fs::rename(&self.path, &self.previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::rename(&staging, &self.path),
        }
    }

    fn read(&self, path: &Path) -> Checkpoint {
        let Ok(bytes) = fs::read(path) else {
            return Checkpoint::None;
        };
        let content = bytes
            .split_at_checked(DIGEST)
            .and_then(|(digest, content)| (Sha256::digest(content)[..] == *digest).then_some(content));
        match content.map(|content| content.strip_prefix(&self.fingerprint)) {
            Some(Some(state)) => Checkpoint::Whole(state.to_vec()),
            Some(None) => Checkpoint::None,
            None => Checkpoint::Damaged,
        }
    }
}

/// Bytes of a SHA-256.
const DIGEST: usize = 32;

/// What a file has to go on from.
#[derive(Debug, PartialEq)]
enum Checkpoint {
    Whole(Vec<u8>),
    /// Nothing, or the checkpoint of other rows or options.
    None,
    Damaged,
}

impl Callbacks for TrainingProgress {
    fn step(&mut self, done: u64, total: u64, figure: fmt::Arguments<'_>) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(figure.to_string());
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    fn save_checkpoint(&mut self, state: &dyn Fn() -> Vec<u8>) {
        if self.saved.elapsed() < BETWEEN_SAVINGS && !self.interrupted() {
            return;
        }
        self.saved = Instant::now();
        if let Err(error) = self.write(&state()) {
            // The training goes on; only its resumption is lost.
            let path = self.path.display();
            self.say(format_args!(
                "cannot write the checkpoint of the training to {path}: {error}"
            ));
        }
    }

    fn last_checkpoint(&mut self) -> Option<Vec<u8>> {
        let mut is_damaged = false;
        for path in [&self.path, &self.previous] {
            let shown = path.display();
            match self.read(path) {
                Checkpoint::Whole(state) => {
                    self.say(format_args!("going on with the training in {shown}"));
                    return Some(state);
                }
                Checkpoint::Damaged => {
                    is_damaged = true;
                    self.say(format_args!("the checkpoint {shown} is damaged and is not used"));
                }
                Checkpoint::None => {}
            }
        }
        if is_damaged {
            self.say(format_args!("the training begins anew"));
        }
        None
    }
}

fn fingerprint(training: &Training, rows: &Rows) -> anyhow::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(training)?);
    for row in rows.iter() {
        for value in row {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use netsage_models::iforest::TrainOptions;
    use netsage_schema::UNSW_NB15;

    use super::*;

    fn start(out: &Path, trees: usize) -> TrainingProgress {
        let training = Training::Iforest(TrainOptions {
            trees,
            ..TrainOptions::default()
        });
        let progress = TrainingProgress::start(out, &training, &Rows::new(&UNSW_NB15)).unwrap();
        // Every checkpoint is taken.
        progress.interrupted.store(true, Ordering::Release);
        progress
    }

    #[test]
    fn a_damaged_checkpoint_gives_way_to_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("model.wasm");
        let [last, previous] =
            ["training", "training.previous"].map(|end| out.with_extension(format!("wasm.{end}")));
        let resumed = || start(&out, 10).last_checkpoint();
        let mut progress = start(&out, 10);
        assert_eq!(resumed(), None);
        let mut kept = Vec::new();
        for state in ["first", "second"] {
            progress.save_checkpoint(&|| state.as_bytes().to_vec());
            assert_eq!(resumed(), Some(state.as_bytes().to_vec()));
            kept.push(fs::read(&last).unwrap());
        }
        assert_eq!(fs::read(&previous).unwrap(), kept[0]);
        // Of other options, which is no damage.
        assert_eq!(start(&out, 11).last_checkpoint(), None);
        assert_eq!(progress.read(&last), Checkpoint::Whole(b"second".to_vec()));
        let whole = kept.remove(1);
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        let flipped = (0..whole.len()).map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            flipped
        });
        for damaged in cut.chain(flipped) {
            fs::write(&last, &damaged).unwrap();
            assert_eq!(progress.read(&last), Checkpoint::Damaged, "{damaged:?}");
            assert_eq!(resumed(), Some(b"first".to_vec()), "{damaged:?}");
        }
        // A program that is killed between two renamings leaves only the one before.
        fs::remove_file(&last).unwrap();
        assert_eq!(resumed(), Some(b"first".to_vec()));
        fs::write(&previous, b"something").unwrap();
        assert_eq!(resumed(), None);
        progress.finish();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
