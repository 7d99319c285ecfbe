//! What a training calls while it runs: progress, interruption, checkpoints.

use std::fmt;

/// Functions that a training calls every few milliseconds to seconds.
pub trait Callbacks {
    /// `done` of `total` steps are done; `figure` is a word for people, e.g. `epoch 3, loss 0.0123`.
    fn step(&mut self, done: u64, total: u64, figure: fmt::Arguments<'_>);

    /// Whether the training shall end with [`TrainError::Interrupted`](crate::TrainError::Interrupted).
    fn interrupted(&self) -> bool {
        false
    }

    /// Offers a checkpoint, from which an interrupted training resumes through [`Callbacks::last_checkpoint`]. An
    /// implementation may decline: only one that saves the checkpoint calls `state`.
    fn save_checkpoint(&mut self, state: &dyn Fn() -> Vec<u8>) {
        let _ = state;
    }

    /// The last checkpoint of an interrupted training of the same rows and options.
    fn last_checkpoint(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// Shows nothing, never interrupts, saves no checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCallbacks;

impl Callbacks for NoCallbacks {
    fn step(&mut self, _done: u64, _total: u64, _figure: fmt::Arguments<'_>) {}
}
