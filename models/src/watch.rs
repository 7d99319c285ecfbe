//! Progress, interruption and resumption of a training.

use std::fmt;

/// Who watches a training. The training calls it every few milliseconds to seconds.
pub trait Watch {
    /// `done` of `total` steps are done; `figure` is a word for people, e.g. `epoch 3, loss 0.0123`.
    fn step(&mut self, done: u64, total: u64, figure: fmt::Arguments<'_>);

    /// Whether the training shall end with [`TrainError::Interrupted`](crate::TrainError::Interrupted).
    fn interrupted(&self) -> bool {
        false
    }

    /// Offers a snapshot, from which an interrupted training resumes through [`Watch::kept`]. A watch may decline; only a
    /// watch that keeps the snapshot calls `state`.
    fn keep(&mut self, state: &dyn Fn() -> Vec<u8>) {
        let _ = state;
    }

    /// The state that an interrupted training of the same rows and options kept last.
    fn kept(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn step(&mut self, _done: u64, _total: u64, _figure: fmt::Arguments<'_>) {}
}
