//! The callbacks of a training on the command line: progress bar, Ctrl-C, checkpoints.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use netsage_models::{Callbacks, Training};
use netsage_schema::Rows;
use sha2::{Digest as _, Sha256};

use crate::{interrupt, progress};

/// Least time between two checkpoints.
const BETWEEN_SAVINGS: Duration = Duration::from_secs(5);

/// The callbacks of a training on the command line: a progress bar, Ctrl-C, and checkpoints in a file.
pub struct TrainingProgress {
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
    /// File of the checkpoint, beside the package that the training will write.
    path: PathBuf,
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
        let mut name = out.file_name().unwrap_or_default().to_os_string();
        name.push(".training");
        Ok(Self {
            bar: progress::counted(0, training.method()),
            interrupted: interrupt::flag()?,
            path: out.with_file_name(name),
            fingerprint: fingerprint(training, rows)?,
            saved: Instant::now(),
        })
    }

    /// The training is done: clears the bar and removes the checkpoint.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        // A short training has no checkpoint.
        let _ = fs::remove_file(&self.path);
    }
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
        let mut bytes = self.fingerprint.to_vec();
        bytes.extend(state());
        let staging = self.path.with_extension("training.part");
        let kept = fs::write(&staging, bytes).and_then(|()| fs::rename(&staging, &self.path));
        if let Err(error) = kept {
            // The training goes on; only its resumption is lost.
            self.bar.println(format!(
                "cannot write the checkpoint of the training to {}: {error}",
                self.path.display()
            ));
        }
    }

    fn last_checkpoint(&mut self) -> Option<Vec<u8>> {
        let bytes = fs::read(&self.path).ok()?;
        let state = bytes.strip_prefix(&self.fingerprint)?;
        self.bar
            .println(format!("going on with the training in {}", self.path.display()));
        Some(state.to_vec())
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
