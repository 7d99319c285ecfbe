//! The start: what was active is active again, and what the command line names becomes active.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netsage_api_types::{Stage, Step, StepRequest};

use netsage_package::{Digest, Package};

use super::background::JobKind;
use super::requests::{NewPackage, Origin};
use super::{Held, Lifecycle};
use crate::checks::{CheckFailure, Ready};
use crate::error::LifecycleError;
use crate::generation::Generation;
use crate::plan::{Wish, short};
use crate::transition::is_warm;

/// How long a start waits for what the background does with a package: compiling ends within its budget.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The packages of a start.
#[derive(Debug, Default)]
pub struct Start {
    /// Packages that the command line names.
    pub named: Vec<NewPackage>,
    /// Packages to activate when the command line names none and none was active.
    pub defaults: Vec<NewPackage>,
    /// Packages that are not used yet.
    pub available: Vec<NewPackage>,
    /// Whether these are checked now, in the background: they are quick to use later, and each costs the time to compile
    /// it.
    pub checks_available: bool,
}

impl Lifecycle {
    /// Reads every package that the journal knows, and loads those that score. Nobody else is here yet.
    pub(super) fn restore(&self, spare: &[&NewPackage]) -> Result<(), LifecycleError> {
        let known: Vec<(String, Stage, Option<u64>)> = {
            let desk = self.desk();
            let packages = desk.book.state.packages.iter();
            packages
                .map(|(digest, known)| (digest.clone(), known.stage, known.generation))
                .collect()
        };
        self.directory
            .sweep(&known.iter().map(|(digest, ..)| digest.as_str()).collect());
        let mut failed: Vec<(String, Stage, CheckFailure)> = Vec::new();
        for (digest, stage, generation) in known {
            let Some(bytes) = self.whole_or_spare(&digest, spare)? else {
                if stage != Stage::Quarantined {
                    let lost = short(&digest);
                    self.directory.set_aside().tell(format!(
                        "the file of package {lost} is missing or damaged, so it is quarantined; bring it again, and release it"
                    ));
                    failed.push((digest, stage, CheckFailure::Lost));
                }
                continue;
            };
            let size = bytes.len() as u64;
            let card = Package::from_bytes(bytes)
                .ok()
                .and_then(|package| package.model_card().ok()?);
            let mut held = Held {
                size,
                card,
                ..Held::default()
            };
            if is_warm(stage) && stage != Stage::Warm {
                match self.load_kept(&digest, None)? {
                    Ok(Ready {
                        loaded,
                        refused_state,
                    }) => {
                        let loaded = Arc::new(loaded);
                        held.remark = refused_state;
                        let number = generation.filter(|_| stage != Stage::Shadow).unwrap_or(0);
                        held.generation = Some(Arc::new(Generation::new(number, Arc::clone(&loaded))));
                        held.loaded = Some(loaded);
                    }
                    Err(failure) => failed.push((digest.clone(), stage, failure)),
                }
            }
            self.desk().held.insert(digest, held);
        }
        // Who may be rolled back to comes first, so that no move leads to one that is lost.
        failed.sort_by_key(|(_, stage, _)| *stage == Stage::Active);
        for (digest, _, failure) in failed {
            if self.stage_of(&digest) == Some(Stage::Quarantined) {
                // It was to be rolled back to, and failed then.
                continue;
            }
            let wish = self.own_wish(Step::Quarantine, failure.to_string());
            self.move_to(&digest, Step::Quarantine, &wish)?;
        }
        self.write_remarks()?;
        let desk = self.desk();
        self.roster
            .publish(desk.lineup(&self.config, &self.roster.lineup()));
        Ok(())
    }

    /// The bytes of a package; they are written again from the spare ones when they are missing or damaged.
    fn whole_or_spare(&self, digest: &str, spare: &[&NewPackage]) -> Result<Option<Vec<u8>>, LifecycleError> {
        if let Some(bytes) = self.directory.package(digest)? {
            return Ok(Some(bytes));
        }
        let is_it = |new: &&&NewPackage| Digest::of(&new.bytes).to_string() == digest;
        let Some(spare) = spare.iter().find(is_it) else {
            return Ok(None);
        };
        self.directory
            .keep(digest, &spare.bytes, spare.signature.as_deref())?;
        Ok(Some(spare.bytes.clone()))
    }

    /// Loads packages that are warm without scoring, and continues unfinished rollouts.
    pub(super) fn load_the_others(&self) {
        let others: Vec<(String, JobKind)> = {
            let desk = self.desk();
            let state = &desk.book.state;
            let kind = |(digest, known): (&String, &crate::state::Known)| {
                let goes_on = known.stage <= Stage::Warm && known.until > known.stage;
                let is_needed = known.stage == Stage::Warm || state.is_previous(digest);
                match (goes_on, is_needed) {
                    // The same job loads it first.
                    (_, true) => Some((digest.clone(), JobKind::Load)),
                    (true, false) => Some((digest.clone(), JobKind::Advance)),
                    (false, false) => None,
                }
            };
            state.packages.iter().filter_map(kind).collect()
        };
        for (digest, kind) in others {
            self.queue(
                &digest,
                kind,
                self.own_wish(Step::Warm, "the program was started"),
            );
        }
    }

    /// Applies the packages of a start. When the command line names the same packages as at the last start, all changes
    /// since then stay. When it names other packages, these become active in one move and all others are retired. When
    /// it names none, the active packages stay active; where none was active, the defaults become active.
    ///
    /// # Errors
    /// When a named package is refused, or two packages of one name are named.
    pub fn begin(&self, start: Start) -> Result<(), LifecycleError> {
        let Start {
            mut named,
            defaults,
            available,
            checks_available,
        } = start;
        let by_flags = !named.is_empty();
        if !by_flags && self.active().is_empty() {
            named.extend(defaults);
        }
        let request = StepRequest::default();
        let mut digests = Vec::new();
        for new in &named {
            digests.push((self.keep(new, &request, Stage::Warm)?, new));
        }
        let set: BTreeSet<String> = digests.iter().map(|(digest, _)| digest.clone()).collect();
        let set: Vec<String> = set.into_iter().collect();
        let is_same = by_flags && self.desk().book.state.named.as_ref() == Some(&set);
        if !named.is_empty() && !is_same {
            self.activate_named(&digests, set)?;
        }
        let until = match checks_available {
            true => Stage::Checked,
            false => Stage::Staged,
        };
        for new in &available {
            self.stage(new, &request, until)?;
        }
        self.begun.store(true, Ordering::Release);
        self.runtime.give_way();
        Ok(())
    }

    fn activate_named(
        &self,
        named: &[(String, &NewPackage)],
        set: Vec<String>,
    ) -> Result<(), LifecycleError> {
        let mut names = BTreeSet::new();
        for (digest, new) in named {
            let wish = self.wish(&StepRequest::default(), new.origin, "named at the start")?;
            self.make_ready(digest, &wish).map_err(|error| match error {
                LifecycleError::Refused { source, .. } => LifecycleError::Refused {
                    origin: new.label.clone(),
                    source,
                },
                other => other,
            })?;
            let name = {
                let desk = self.desk();
                let known = desk.book.state.packages.get(digest);
                known.and_then(|known| known.name.clone()).unwrap_or_default()
            };
            if !names.insert(name.clone()) {
                return Err(LifecycleError::SameName {
                    origin: new.label.clone(),
                    name,
                });
            }
        }
        let mut pen = self.pen();
        let (active, others): (Vec<String>, Vec<String>) = {
            let desk = self.desk();
            let state = &desk.book.state;
            let is_active = |digest: &&String| {
                state
                    .packages
                    .get(*digest)
                    .is_some_and(|known| known.stage == Stage::Active)
            };
            let active = set.iter().filter(is_active).cloned().collect();
            let others = state.packages.iter().filter(|(digest, known)| {
                let replaced = known.name.as_ref().is_some_and(|name| names.contains(name));
                known.stage == Stage::Active && !set.contains(digest) && !replaced
            });
            (active, others.map(|(digest, _)| digest.clone()).collect())
        };
        let mut transaction = self.plan(
            |planner| {
                for (digest, new) in named.iter().filter(|(digest, _)| !active.contains(digest)) {
                    planner.step(
                        digest,
                        Step::Promote,
                        &self.start_wish(new.origin, "named at the start"),
                    )?;
                }
                for digest in &others {
                    let wish = self.start_wish(Origin::CommandLine, "not named at the start");
                    planner.step(digest, Step::Retire, &wish)?;
                }
                Ok(())
            },
            set.first().map_or("", String::as_str),
        )?;
        self.note_signatures(&mut transaction);
        // Defaults are not named: a start without names keeps what is active.
        let by_flags = named.iter().any(|(_, new)| new.origin == Origin::CommandLine);
        transaction.named = by_flags.then_some(set);
        self.commit(&mut pen, &transaction)
    }

    fn start_wish(&self, origin: Origin, why: &str) -> Wish {
        Wish {
            by: origin.word().to_owned(),
            ..self.own_wish(Step::Promote, why)
        }
    }

    /// Checks and loads a package, whatever its stage: naming a quarantined or retired package asks for it again.
    fn make_ready(&self, digest: &str, wish: &Wish) -> Result<(), LifecycleError> {
        // A start that was killed may have left it on its way: it goes on in the background already.
        self.wait_until_idle(digest, PATIENCE)?;
        if self.stage_of(digest) == Some(Stage::Quarantined) {
            self.move_to(digest, Step::Release, wish)?;
        }
        if self.stage_of(digest) == Some(Stage::Staged) {
            self.work(digest, JobKind::Check, wish)?;
        }
        let kind = if self.stage_of(digest) == Some(Stage::Checked) {
            JobKind::Warm
        } else {
            JobKind::Load
        };
        self.work(digest, kind, wish)
    }
}
