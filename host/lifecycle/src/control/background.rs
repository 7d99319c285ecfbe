//! What takes long, one after another, on the thread `netsage-warm`.

use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use netsage_api_types::{Stage, Step};

use super::Lifecycle;
use crate::error::LifecycleError;
use crate::plan::Wish;

/// Something to be done.
pub(super) struct Job {
    digest: String,
    kind: JobKind,
    wish: Wish,
    /// Who waits for it.
    reply: Option<Sender<Result<(), LifecycleError>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobKind {
    Check,
    Warm,
    /// Loads a package without moving it.
    Load,
    /// As far as it shall go by itself.
    Advance,
}

/// Starts the thread. It ends when the life of detectors does.
pub(super) fn start(
    lifecycle: &Arc<Lifecycle>,
    to_do: Receiver<Job>,
) -> Result<JoinHandle<()>, LifecycleError> {
    let lifecycle = Arc::downgrade(lifecycle);
    let run = move || run(&lifecycle, &to_do);
    let thread = thread::Builder::new().name("netsage-warm".to_owned()).spawn(run);
    thread.map_err(LifecycleError::Thread)
}

fn run(lifecycle: &Weak<Lifecycle>, to_do: &Receiver<Job>) {
    for job in to_do {
        let Some(lifecycle) = lifecycle.upgrade() else {
            return;
        };
        let outcome = lifecycle.work(&job.digest, job.kind, &job.wish);
        match job.reply {
            Some(reply) => {
                // Who waited may have gone.
                let _ = reply.send(outcome);
            }
            None => {
                if let Err(error) = outcome {
                    tracing::warn!(digest = %job.digest, %error, "detector package does not go on");
                }
            }
        }
    }
}

impl Lifecycle {
    /// Has something done in the background.
    pub(super) fn queue(&self, digest: &str, kind: JobKind, wish: Wish) {
        self.send(digest, kind, wish, None);
    }

    /// The same, and waits for it.
    pub(super) fn queue_and_wait(
        &self,
        digest: &str,
        kind: JobKind,
        wish: Wish,
    ) -> Result<(), LifecycleError> {
        let (reply, outcome) = bounded(1);
        self.send(digest, kind, wish, Some(reply));
        outcome.recv().unwrap_or(Err(LifecycleError::Ending))
    }

    fn send(
        &self,
        digest: &str,
        kind: JobKind,
        wish: Wish,
        reply: Option<Sender<Result<(), LifecycleError>>>,
    ) {
        let first = match kind {
            JobKind::Check => Step::Check,
            JobKind::Warm | JobKind::Load => Step::Warm,
            JobKind::Advance if self.stage_of(digest) == Some(Stage::Staged) => Step::Check,
            JobKind::Advance => Step::Warm,
        };
        if let Some(held) = self.desk().held.get_mut(digest) {
            held.under_way = Some(first);
        }
        // The queue holds one job per call that waits, and one per package that was brought.
        let _ = self.jobs.send(Job {
            digest: digest.to_owned(),
            kind,
            wish,
            reply,
        });
    }

    /// Does it now, on this thread.
    pub(super) fn work(&self, digest: &str, kind: JobKind, wish: &Wish) -> Result<(), LifecycleError> {
        let outcome = match kind {
            JobKind::Check => self.doing(digest, Step::Check, |life| life.check(digest, wish)),
            JobKind::Warm => self.doing(digest, Step::Warm, |life| life.warm(digest, wish)),
            JobKind::Load => self.doing(digest, Step::Warm, |life| life.load(digest, wish)),
            JobKind::Advance => self.advance(digest, wish),
        };
        let released = {
            let mut desk = self.desk();
            if let Some(held) = desk.held.get_mut(digest) {
                held.under_way = None;
            }
            // Somebody waits for a package that he had loaded; he will move it, or the next move releases it.
            if kind == JobKind::Load {
                Vec::new()
            } else {
                desk.release()
            }
        };
        drop(released);
        self.moved.notify_all();
        outcome
    }

    fn doing(
        &self,
        digest: &str,
        step: Step,
        work: impl FnOnce(&Self) -> Result<(), LifecycleError>,
    ) -> Result<(), LifecycleError> {
        if let Some(held) = self.desk().held.get_mut(digest) {
            held.under_way = Some(step);
        }
        work(self)
    }

    /// From where it stands as far as it shall go by itself; beyond a shadow or a canary the control thread leads it.
    fn advance(&self, digest: &str, wish: &Wish) -> Result<(), LifecycleError> {
        loop {
            let Some((stage, until, first_of_name)) = self.way(digest) else {
                return Ok(());
            };
            match stage {
                Stage::Staged if until > stage => {
                    self.doing(digest, Step::Check, |life| life.check(digest, wish))?;
                }
                Stage::Checked if until > stage => {
                    self.doing(digest, Step::Warm, |life| life.warm(digest, wish))?;
                }
                Stage::Warm if first_of_name => {
                    let wish = self.own_wish(Step::Promote, "no other detector of its name is active");
                    return self.move_to(digest, Step::Promote, &wish);
                }
                Stage::Warm if until > stage => {
                    let wish = self.own_wish(Step::Shadow, "goes on by itself");
                    // It could only be a shadow for ever.
                    self.check_downgrade(digest, Step::Promote, &wish)?;
                    return self.move_to(digest, Step::Shadow, &wish);
                }
                _ => return Ok(()),
            }
        }
    }

    /// The stage of a package, the stage it shall reach, and whether it shall become active because no package of its
    /// name is.
    fn way(&self, digest: &str) -> Option<(Stage, Stage, bool)> {
        let desk = self.desk();
        let state = &desk.book.state;
        let known = state.packages.get(digest)?;
        let first = known.promotes_first
            && known
                .name
                .as_deref()
                .is_some_and(|name| state.active(name).is_none());
        Some((known.stage, known.until, first))
    }
}
