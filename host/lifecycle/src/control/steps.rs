//! The moves themselves.

use std::sync::Arc;

use netsage_api_types::{Stage, Step};
use netsage_runtime::StateKey;

use super::Lifecycle;
use crate::checks::{CheckFailure, Kept, Ready};
use crate::error::LifecycleError;
use crate::generation::Loaded;
use crate::journal::Journal;
use crate::plan::{Impossible, Planner, Wish, check_downgrade, short, successor};
use crate::state::{About, Transaction};
use crate::transition::is_warm;

impl Lifecycle {
    /// Does a step with a package that is loaded where it must be.
    pub(super) fn move_to(&self, digest: &str, step: Step, wish: &Wish) -> Result<(), LifecycleError> {
        let mut pen = self.pen();
        self.load_successor(&mut pen, digest, step)?;
        if matches!(step, Step::Canary | Step::Promote) {
            self.hand_over(digest)?;
        }
        if matches!(step, Step::Canary | Step::Promote) {
            self.check_downgrade(digest, step, wish)?;
        }
        let mut transaction = self.plan(|planner| planner.step(digest, step, wish), digest)?;
        self.note_signatures(&mut transaction);
        for a_move in &transaction.moves {
            if is_warm(a_move.entry.to) && self.loaded(&a_move.entry.digest).is_none() {
                // It was released by another move since it was loaded.
                return Err(LifecycleError::Busy {
                    digest: short(&a_move.entry.digest).to_owned(),
                    step,
                });
            }
        }
        self.commit(&mut pen, &transaction)?;
        drop(pen);
        self.write_remarks()
    }

    /// Loads the package that becomes active again by this step. A package that cannot be loaded is quarantined, and
    /// the package before it is tried.
    fn load_successor(&self, pen: &mut Journal, digest: &str, step: Step) -> Result<(), LifecycleError> {
        loop {
            let next = {
                let desk = self.desk();
                let next = successor(&desk.book.state, digest, step).map(str::to_owned);
                next.filter(|next| desk.held.get(next).is_none_or(|held| held.loaded.is_none()))
            };
            let Some(next) = next else { return Ok(()) };
            match self.load_kept(&next, None)? {
                Ok(ready) => self.put_ready(&next, ready),
                Err(failure) => {
                    self.refuse(pen, &next, Step::Warm, &self.own_wish(Step::Warm, ""), &failure)?;
                }
            }
        }
    }

    /// Hands the active detector's learned state to its successor. What the active detector learns between the saving of
    /// its state and the swap, some milliseconds, is lost. A promoted canary keeps the state that the canary has learned.
    fn hand_over(&self, digest: &str) -> Result<(), LifecycleError> {
        let (from, to) = {
            let desk = self.desk();
            let state = &desk.book.state;
            let known = state
                .packages
                .get(digest)
                .filter(|known| known.stage != Stage::Canary);
            let name = known.and_then(|known| known.name.as_deref());
            let active = name
                .and_then(|name| state.active(name))
                .filter(|active| *active != digest);
            let loaded = |digest: &str| desk.held.get(digest).and_then(|held| held.loaded.clone());
            (active.and_then(loaded), loaded(digest))
        };
        let (Some(from), Some(to)) = (from, to) else {
            return Ok(());
        };
        if !to.detector.description().remembers {
            return Ok(());
        }
        let Some(learned) = self.save(&from) else {
            return Ok(());
        };
        match self.load_kept(digest, Some(learned))? {
            Ok(ready) => self.put_ready(digest, ready),
            // It was loaded a moment ago and goes on as it was.
            Err(error) => {
                tracing::warn!(%digest, %error, "what the active detector learned is not handed over");
            }
        }
        Ok(())
    }

    /// Saves a detector's learned state and returns the state. A failure costs what was learned since the last saving, so
    /// a failure is only logged.
    pub(super) fn save(&self, loaded: &Loaded) -> Option<Vec<u8>> {
        let digest = &loaded.reference.digest;
        let state = match loaded.detector.save() {
            Ok(state) => state?,
            Err(error) => {
                tracing::warn!(%digest, %error, "a detector does not say what it learned");
                return None;
            }
        };
        if let Err(error) = self.directory.keep_state(digest, &state) {
            tracing::warn!(%digest, %error, "what a detector learned is not saved");
        }
        Some(state)
    }

    /// `staged` to `checked`, or to `quarantined`. Takes as long as compiling takes.
    pub(super) fn check(&self, digest: &str, wish: &Wish) -> Result<(), LifecycleError> {
        let outcome = self.checker().check(self.kept(digest)?);
        let mut pen = self.pen();
        match outcome {
            Ok(loaded) => {
                let description = loaded.detector.description();
                let about = About {
                    version: description.version.clone(),
                    summary: description.summary.clone(),
                    licence: description.licence.clone(),
                    explains: description.explains,
                    learns: description.learns,
                    columns: loaded
                        .detector
                        .columns()
                        .iter()
                        .map(|column| column.name.to_owned())
                        .collect(),
                };
                let name = loaded.reference.name.clone();
                let mut transaction = self.plan(|planner| planner.step(digest, Step::Check, wish), digest)?;
                for a_move in &mut transaction.moves {
                    a_move.entry.name = Some(name.clone());
                    a_move.about = Some(about.clone());
                }
                // It need not be loaded again when it is made warm next.
                self.put(digest, Arc::new(loaded));
                self.commit(&mut pen, &transaction)
            }
            Err(failure) => {
                self.refuse(&mut pen, digest, Step::Check, wish, &failure)?;
                Err(refused(digest, failure))
            }
        }
    }

    /// `checked` or `retired` to `warm`: loads it and has its instances ready.
    pub(super) fn warm(&self, digest: &str, wish: &Wish) -> Result<(), LifecycleError> {
        self.load(digest, wish)?;
        let mut pen = self.pen();
        let transaction = self.plan(|planner| planner.step(digest, Step::Warm, wish), digest)?;
        self.commit(&mut pen, &transaction)
    }

    /// Loads a package with its instances and with what it learned. One that cannot be loaded is quarantined.
    pub(super) fn load(&self, digest: &str, wish: &Wish) -> Result<(), LifecycleError> {
        let ready = match self.loaded(digest) {
            // As the check left it: it has not been given what it learned.
            Some(loaded) if !loaded.detector.description().remembers => loaded
                .detector
                .warm(self.instances(digest))
                .map_err(CheckFailure::Load),
            _ => self
                .load_kept(digest, None)?
                .map(|ready| self.put_ready(digest, ready)),
        };
        match ready {
            Ok(()) => self.write_remarks(),
            Err(failure) => {
                let mut pen = self.pen();
                self.refuse(&mut pen, digest, Step::Warm, wish, &failure)?;
                Err(refused(digest, failure))
            }
        }
    }

    /// Loads the stored package, with its own saved memory or the memory that is `handed` over.
    pub(super) fn load_kept(
        &self,
        digest: &str,
        handed: Option<Vec<u8>>,
    ) -> Result<Result<Ready, CheckFailure>, LifecycleError> {
        let is_own = handed.is_none();
        let state = match handed {
            Some(state) => Some(state),
            None => self.directory.state(digest)?,
        };
        let load = |state: Option<&[u8]>| {
            let kept = self.kept(digest)?;
            Ok::<_, LifecycleError>(self.checker().load(kept, state, self.instances(digest)))
        };
        let mut ready = load(state.as_deref())?;
        // What was saved is of hosts that another program may have seen since, and of which enough is read again.
        let forgets = self.config.forgets_sources && is_own && state.is_some();
        if forgets
            && let Ok(found) = &ready
            && found.loaded.detector.description().state_key == StateKey::Source
        {
            ready = load(None)?;
        }
        if ready.as_ref().is_ok_and(|ready| ready.refused_state.is_some()) {
            self.directory.forget_state(digest);
        }
        Ok(ready)
    }

    /// Instances to have ready. A package that takes over from another needs an instance for every thread that scores,
    /// so that no thread waits; a package that takes over from none gets further instances as threads ask for them, so
    /// that an idle host saves the memory.
    fn instances(&self, digest: &str) -> usize {
        let desk = self.desk();
        let state = &desk.book.state;
        let known = state.packages.get(digest);
        let active = known.and_then(|known| state.active(known.name.as_deref()?));
        match active {
            Some(active) if active != digest => self.config.workers,
            _ => 1,
        }
    }

    fn kept<'a>(&self, digest: &'a str) -> Result<Kept<'a>, LifecycleError> {
        let built_in = {
            let desk = self.desk();
            desk.book
                .state
                .packages
                .get(digest)
                .is_some_and(|known| known.built_in)
        };
        Ok(Kept {
            digest,
            bytes: self.directory.package(digest)?,
            signature: self.directory.signature(digest)?,
            built_in,
        })
    }

    /// Quarantines a package that failed.
    pub(super) fn refuse(
        &self,
        pen: &mut Journal,
        digest: &str,
        step: Step,
        wish: &Wish,
        failure: &CheckFailure,
    ) -> Result<(), LifecycleError> {
        let wish = Wish {
            why: failure.to_string(),
            ..wish.clone()
        };
        let transaction = self.plan(
            |planner| {
                planner.fail(digest, step, &wish);
                Ok(())
            },
            digest,
        )?;
        self.commit(pen, &transaction)
    }

    /// Plans moves from the state of this moment; the caller holds the pen, so that it stays that state.
    pub(super) fn plan(
        &self,
        make: impl FnOnce(&mut Planner) -> Result<(), Impossible>,
        digest: &str,
    ) -> Result<Transaction, LifecycleError> {
        let mut planner = Planner::new(&self.desk().book.state);
        make(&mut planner).map_err(|source| impossible(digest, source))?;
        Ok(Transaction {
            moves: planner.finish(),
            ..Transaction::default()
        })
    }

    /// Refuses to put a package in the place of one that was signed later.
    pub(super) fn check_downgrade(
        &self,
        digest: &str,
        step: Step,
        wish: &Wish,
    ) -> Result<(), LifecycleError> {
        let loaded = self.loaded(digest);
        let signed = loaded.as_ref().and_then(|loaded| loaded.signed.as_ref());
        let state = &self.desk().book.state;
        check_downgrade(state, digest, step, wish, signed).map_err(|source| impossible(digest, source))
    }

    /// Notes of the packages that become active by whom and when they were signed.
    pub(super) fn note_signatures(&self, transaction: &mut Transaction) {
        let moves = transaction.moves.iter_mut();
        for a_move in moves.filter(|a_move| a_move.entry.to == Stage::Active) {
            let loaded = self.loaded(&a_move.entry.digest);
            a_move.signed = loaded.and_then(|loaded| loaded.signed.clone());
        }
    }

    /// Puts a loaded package on the desk.
    pub(super) fn put(&self, digest: &str, loaded: Arc<Loaded>) {
        let mut desk = self.desk();
        let held = desk.held.entry(digest.to_owned()).or_default();
        held.card.clone_from(&loaded.card);
        held.size = loaded.package().bytes().len() as u64;
        held.loaded = Some(loaded);
    }

    fn put_ready(&self, digest: &str, ready: Ready) {
        self.put(digest, Arc::new(ready.loaded));
        if let Some(held) = self.desk().held.get_mut(digest) {
            held.remark = ready.refused_state;
        }
    }

    /// Writes down which learned states were refused.
    pub(super) fn write_remarks(&self) -> Result<(), LifecycleError> {
        let remarks: Vec<(String, String)> = {
            let mut desk = self.desk();
            let held = desk.held.iter_mut();
            held.filter_map(|(digest, held)| Some((digest.clone(), held.remark.take()?)))
                .collect()
        };
        let mut pen = self.pen();
        for (digest, reason) in remarks {
            let why = format!("it begins without what was learned, which it refused: {reason}");
            let wish = self.own_wish(Step::Warm, why);
            let note = |planner: &mut Planner| {
                planner.note(&digest, Step::Warm, &wish);
                Ok(())
            };
            let transaction = self.plan(note, &digest)?;
            self.commit(&mut pen, &transaction)?;
        }
        Ok(())
    }

    /// The stage of a package.
    pub(super) fn stage_of(&self, digest: &str) -> Option<Stage> {
        self.desk()
            .book
            .state
            .packages
            .get(digest)
            .map(|known| known.stage)
    }
}

fn impossible(digest: &str, source: Impossible) -> LifecycleError {
    LifecycleError::Impossible {
        digest: short(digest).to_owned(),
        source,
    }
}

fn refused(digest: &str, source: CheckFailure) -> LifecycleError {
    LifecycleError::Refused {
        origin: short(digest).to_owned(),
        source,
    }
}
