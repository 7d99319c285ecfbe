//! From where packages stand to who scores.

use std::sync::Arc;

use netsage_api_types::Stage;

use super::{Desk, now};
use crate::config::LifecycleConfig;
use crate::generation::{Generation, Loaded};
use crate::lineup::{Canary, Lineup, Probation, Shadow, Slot};
use crate::state::Transaction;
use crate::transition::is_warm;

impl Desk {
    /// Applies the moves of a transaction to the loaded packages. Returns packages that are no longer needed, for the
    /// caller to free outside of the lock.
    pub(super) fn follow(&mut self, transaction: &Transaction) -> Vec<Arc<Loaded>> {
        for a_move in &transaction.moves {
            let entry = &a_move.entry;
            if entry.from == Some(entry.to) {
                continue;
            }
            let held = self.held.entry(entry.digest.clone()).or_default();
            let number = match entry.to {
                Stage::Shadow => Some(0),
                Stage::Canary | Stage::Active => entry.generation,
                // It may be needed again, by the number it had.
                Stage::Retired => continue,
                _ => None,
            };
            held.generation = number
                .zip(held.loaded.clone())
                .map(|(number, loaded)| Arc::new(Generation::new(number, loaded)));
        }
        for digest in &transaction.removed {
            self.held.remove(digest);
        }
        self.release()
    }

    /// Unloads packages that are neither warm, nor the target of a rollback, nor being worked on.
    pub(super) fn release(&mut self) -> Vec<Arc<Loaded>> {
        let Self { book, held, .. } = self;
        let mut released = Vec::new();
        for (digest, held) in held.iter_mut().filter(|(_, held)| held.under_way.is_none()) {
            let stage = book.state.packages.get(digest).map(|known| known.stage);
            if stage.is_some_and(is_warm) || book.state.is_previous(digest) {
                continue;
            }
            held.generation = None;
            if let Some(loaded) = held.loaded.take() {
                let stats = loaded.detector.stats();
                let counted = [
                    stats.scored_rows,
                    stats.failed_rows,
                    stats.replaced_instances,
                    stats.failed_explanations,
                ];
                held.before
                    .iter_mut()
                    .zip(counted)
                    .for_each(|(sum, count)| *sum += count);
                released.push(loaded);
            }
        }
        released
    }

    /// The slots of the line-up: every name with a package that scores, in the order of first activations; names
    /// without an activation come last. Running trials are taken over from the line-up before.
    pub(super) fn lineup(&self, config: &LifecycleConfig, before: &Lineup) -> Lineup {
        self.set_thresholds(config);
        let state = &self.book.state;
        let mut names: Vec<&str> = state.names.iter().map(String::as_str).collect();
        for known in state.packages.values() {
            let scores = matches!(known.stage, Stage::Canary | Stage::Shadow);
            if let Some(name) = known
                .name
                .as_deref()
                .filter(|name| scores && !names.contains(name))
            {
                names.push(name);
            }
        }
        let slots = names.into_iter().filter_map(|name| {
            let last = before.slots.iter().find(|slot| slot.name == name);
            let slot = self.slot(config, name, last);
            (slot.scores() || !slot.shadows.is_empty()).then_some(slot)
        });
        Lineup {
            slots: slots.collect(),
            fused: self.fused_threshold(config),
        }
    }

    fn slot(&self, config: &LifecycleConfig, name: &str, last: Option<&Slot>) -> Slot {
        let state = &self.book.state;
        let mut slot = Slot::new(name, config.on_failure_of(name));
        slot.active = state.active(name).and_then(|digest| self.generation(digest));
        let active = slot.active.as_ref();
        // Trials compare with the active one, so that all of them begin anew with another.
        let last = last.filter(|last| match (&last.active, active) {
            (Some(last), Some(active)) => Arc::ptr_eq(last, active),
            (None, None) => true,
            _ => false,
        });
        slot.canary = state.canary(name).and_then(|digest| {
            let generation = self.generation(digest)?;
            let same = |canary: &&Canary| Arc::ptr_eq(&canary.generation, &generation);
            let goes_on = last.and_then(|last| last.canary.as_ref()).filter(same).cloned();
            Some(goes_on.unwrap_or_else(|| Canary::new(generation, self.share(digest), active)))
        });
        let shadows = state.at(name, Stage::Shadow).filter_map(|digest| {
            let generation = self.generation(digest)?;
            let same = |shadow: &&Shadow| Arc::ptr_eq(&shadow.generation, &generation);
            let goes_on = last.and_then(|last| last.shadows.iter().find(same)).cloned();
            Some(goes_on.unwrap_or_else(|| Shadow::new(generation, self.share(digest), active)))
        });
        slot.shadows = shadows.collect();
        slot.probation = active.and_then(|active| {
            let previous = self.on_probation(config, name)?;
            let same = |probation: &&Probation| Arc::ptr_eq(&probation.previous, &previous);
            let goes_on = last.and_then(|last| last.probation.as_ref()).filter(same);
            Some(
                goes_on
                    .cloned()
                    .unwrap_or_else(|| Probation::new(active, previous)),
            )
        });
        slot
    }

    /// The generation before the active one, while the active one is on probation.
    fn on_probation(&self, config: &LifecycleConfig, name: &str) -> Option<Arc<Generation>> {
        let state = &self.book.state;
        let active = state.packages.get(state.active(name)?)?;
        let time = i64::try_from(config.guard.probation.as_millis()).unwrap_or(i64::MAX);
        let is_over = now() >= active.since.saturating_add(time);
        let previous = self.generation(state.previous(name)?)?;
        // One that was taken out is no help.
        (!is_over && !previous.is_suspended()).then_some(previous)
    }

    fn generation(&self, digest: &str) -> Option<Arc<Generation>> {
        self.held.get(digest)?.generation.clone()
    }

    fn share(&self, digest: &str) -> f64 {
        let known = self.book.state.packages.get(digest);
        known.and_then(|known| known.share).unwrap_or(1.0)
    }
}
