//! The periodic work: the thread `netsage-control`.

use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never, select};
use netsage_api_types::{Stage, Step};

use super::watched_folder::WatchedFolder;
use super::{Lifecycle, now};
use crate::error::LifecycleError;
use crate::generation::Generation;
use crate::lineup::LineupEvent;
use crate::plan::{Planner, Wish};

/// Time between two rounds of the periodic work.
const TICK: Duration = Duration::from_millis(250);

/// Starts the thread. It ends when it is told to, or the life of detectors ends.
pub(super) fn start(
    lifecycle: &Arc<Lifecycle>,
    stopped: Receiver<()>,
) -> Result<JoinHandle<()>, LifecycleError> {
    let watched = lifecycle.config.watched_folder.clone().map(WatchedFolder::new);
    let events = lifecycle.roster.events();
    let lifecycle = Arc::downgrade(lifecycle);
    let thread = thread::Builder::new().name("netsage-control".to_owned());
    thread
        .spawn(move || run(&lifecycle, &stopped, events, watched))
        .map_err(LifecycleError::Thread)
}

fn run(
    lifecycle: &Weak<Lifecycle>,
    stopped: &Receiver<()>,
    mut events: Receiver<LineupEvent>,
    mut watched: Option<WatchedFolder>,
) {
    let mut saved = Instant::now();
    loop {
        let woken = select! {
            recv(stopped) -> _ => Woken::Stopped,
            recv(events) -> event => event.map_or(Woken::NoEvents, |event| Woken::Event(Box::new(event))),
            default(TICK) => Woken::Tick,
        };
        let Some(lifecycle) = lifecycle.upgrade() else {
            return;
        };
        match woken {
            Woken::Stopped => {
                lifecycle.save_all();
                return;
            }
            Woken::Event(event) => lifecycle.take_event(&event),
            // The scoring side has gone with its roster.
            Woken::NoEvents => events = never(),
            Woken::Tick => {
                lifecycle.look_after();
                if let Some(folder) = watched.as_mut().filter(|_| lifecycle.has_begun()) {
                    folder.look(&lifecycle);
                }
            }
        }
        if saved.elapsed() >= lifecycle.config.save_interval {
            lifecycle.save_all();
            saved = Instant::now();
        }
    }
}

enum Woken {
    Stopped,
    Event(Box<LineupEvent>),
    NoEvents,
    Tick,
}

impl Lifecycle {
    /// Writes an event of the scoring side, which has already acted, into the journal.
    fn take_event(&self, event: &LineupEvent) {
        let (generation, reason, step) = match event {
            LineupEvent::RollBack { generation, reason } => (generation, reason, Step::Rollback),
            LineupEvent::EndShadow { generation, reason } => (generation, reason, Step::Warm),
            LineupEvent::Quarantine { generation, reason } => (generation, reason, Step::Quarantine),
            LineupEvent::Drift { generation, notice } => return self.note_drift(generation, notice),
        };
        let digest = generation.reference.digest.as_str();
        let still_scores = {
            let desk = self.desk();
            let current = desk.held.get(digest).and_then(|held| held.generation.as_ref());
            let stage = desk.book.state.packages.get(digest).map(|known| known.stage);
            // A retired one keeps its generation, to be brought back.
            let at_work = matches!(stage, Some(Stage::Shadow | Stage::Canary | Stage::Active));
            at_work && current.is_some_and(|current| Arc::ptr_eq(current, generation))
        };
        if !still_scores {
            // Somebody was faster.
            return;
        }
        let wish = self.own_wish(step, reason.to_string());
        tracing::warn!(detector = %generation.reference.name, digest, %reason, ?step, "detector taken out");
        let done = self.move_to(digest, step, &wish).or_else(|error| match error {
            // It misbehaves, and there is nothing to roll back to.
            LifecycleError::Impossible { .. } if step == Step::Rollback => {
                self.move_to(digest, Step::Quarantine, &wish)
            }
            error => Err(error),
        });
        if let Err(error) = done {
            tracing::error!(digest, %error, "a detector that was taken out is not written down; it scores again after a restart");
        }
    }

    /// Writes down that flows left the reference distributions of a detector, or came back to them.
    fn note_drift(&self, generation: &Generation, notice: &str) {
        let digest = generation.reference.digest.as_str();
        tracing::warn!(detector = %generation.reference.name, digest, notice, "drift");
        let wish = self.own_wish(Step::Drift, notice);
        let mut pen = self.pen();
        let note = |planner: &mut Planner| {
            planner.note(digest, Step::Drift, &wish);
            Ok(())
        };
        let written = self
            .plan(note, digest)
            .and_then(|transaction| self.commit(&mut pen, &transaction));
        if let Err(error) = written {
            tracing::warn!(digest, %error, "a notice of drift is not in the history");
        }
    }

    /// Advances rollouts and ends probations.
    fn look_after(&self) {
        if self.has_begun() {
            for (digest, step, wish) in self.who_goes_on() {
                if let Err(error) = self.move_to(&digest, step, &wish) {
                    tracing::warn!(%digest, %error, "detector package does not go on");
                }
            }
        }
        let is_over = {
            let (desk, lineup) = (self.desk(), self.roster.lineup());
            let next = desk.lineup(&self.config, &lineup);
            let probations = |slots: &[crate::lineup::Slot]| -> Vec<bool> {
                slots.iter().map(|slot| slot.probation.is_some()).collect()
            };
            (probations(&lineup.slots) != probations(&next.slots)).then_some(next)
        };
        if is_over.is_some() {
            // Whoever moves something now publishes too: the pen keeps the order.
            let _pen = self.pen();
            let desk = self.desk();
            self.roster
                .publish(desk.lineup(&self.config, &self.roster.lineup()));
        }
        self.roster.sweep();
    }

    /// Shadows and canaries that have met the conditions for their next stage.
    fn who_goes_on(&self) -> Vec<(String, Step, Wish)> {
        let rollout = self.config.rollout;
        let on_trial: Vec<(String, Stage, i64)> = {
            let desk = self.desk();
            let packages = desk.book.state.packages.iter();
            packages
                .filter(|(_, known)| matches!(known.stage, Stage::Shadow | Stage::Canary))
                .filter(|(_, known)| known.until > known.stage)
                .map(|(digest, known)| (digest.clone(), known.stage, known.since))
                .collect()
        };
        let time = i64::try_from(rollout.time.as_millis()).unwrap_or(i64::MAX);
        let ready = on_trial.into_iter().filter_map(|(digest, stage, since)| {
            if now().saturating_sub(since) < time {
                return None;
            }
            let comparison = self.roster.comparison(&digest);
            let flows = match &comparison {
                Some(comparison) => comparison.flows,
                // Without an active one there is nothing to compare with, and nobody who would be replaced.
                None => rollout.flows,
            };
            if flows < rollout.flows {
                return None;
            }
            let step = if stage == Stage::Shadow {
                Step::Canary
            } else {
                Step::Promote
            };
            let seconds = now().saturating_sub(since) / 1000;
            let why = format!("scored {flows} flows in {seconds} s without a reason to stop");
            Some((digest, step, self.own_wish(step, why)))
        });
        ready.collect()
    }

    /// Saves the memory of the detectors that score.
    fn save_all(&self) {
        let lineup = self.roster.lineup();
        for slot in &lineup.slots {
            let canary = slot.canary.as_ref().map(|canary| &canary.generation);
            for generation in slot.active.iter().chain(canary) {
                self.save(&generation.loaded);
            }
        }
    }
}
