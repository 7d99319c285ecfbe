//! Requests: new packages and steps.

use std::time::{Duration, Instant};

use netsage_api_types::{DetectorInfo, Stage, Step, StepRequest};
use netsage_package::{Package, file::MAX_PACKAGE_BYTES};

use super::background::JobKind;
use super::{Lifecycle, now};
use crate::error::LifecycleError;
use crate::plan::{Planner, Wish, short};
use crate::state::{Known, Transaction};
use crate::transition::{after, is_warm};

/// Longest texts of a request, characters.
const MOST_BY: usize = 128;
const MOST_WHY: usize = 1024;
/// How long a step waits for an earlier step of the same package.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A call of the API.
    Api,
    /// The command line of the program.
    CommandLine,
    /// The watched folder.
    Directory,
    /// The program itself.
    Netsage,
}

impl Origin {
    /// The word for it in the history.
    pub fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::CommandLine => "command line",
            Self::Directory => "directory",
            Self::Netsage => "netsage",
        }
    }
}

/// A package to stage, with its origin.
#[derive(Debug, Clone)]
pub struct NewPackage {
    /// The file.
    pub bytes: Vec<u8>,
    /// The content of its `.minisig` file.
    pub signature: Option<String>,
    /// Where the package comes from.
    pub origin: Origin,
    /// The package is bundled, and trusted like the program.
    pub built_in: bool,
    /// The name of the package at its origin, for messages: a file name or the name of a bundled package.
    pub label: String,
}

impl NewPackage {
    /// A package that is sent to the API, without a signature.
    pub fn from_api(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            signature: None,
            origin: Origin::Api,
            built_in: false,
            label: "the uploaded package".to_owned(),
        }
    }
}

impl Lifecycle {
    /// Stores a package as `staged`. Its rollout continues in the background up to the stage `until`, at most `active`;
    /// stages after `warm` ask for the flows and times of [`crate::Rollout`]. A known package continues from its
    /// present stage. A package from the command line or the watched folder becomes active by itself when its name has
    /// no active package.
    ///
    /// # Errors
    /// When the bytes are not a package or its card is not for the schema that runs (nothing is stored then), there is
    /// no room, or the disk fails.
    pub fn stage(
        &self,
        new: &NewPackage,
        request: &StepRequest,
        until: Stage,
    ) -> Result<DetectorInfo, LifecycleError> {
        let digest = self.keep(new, request, until)?;
        self.queue(
            &digest,
            JobKind::Advance,
            self.wish(request, new.origin, "goes on by itself")?,
        );
        self.info(&digest)
    }

    /// Keeps the bytes and writes that into the journal; gives the digest.
    pub(super) fn keep(
        &self,
        new: &NewPackage,
        request: &StepRequest,
        until: Stage,
    ) -> Result<String, LifecycleError> {
        if !(Stage::Staged..=Stage::Active).contains(&until) {
            return Err(LifecycleError::Request {
                what: "until",
                reason: format!(
                    "`{}` is not a stage that a package reaches by itself; give staged, checked, warm, shadow, canary or active",
                    until.name()
                ),
            });
        }
        let why = format!("{}, {} bytes", new.label, new.bytes.len());
        let wish = self.wish(request, new.origin, &why)?;
        // Somebody who sends a film shall not wait until it was hashed.
        let refused = |source| LifecycleError::Package {
            origin: new.label.clone(),
            source,
        };
        let package = Package::from_bytes(new.bytes.as_slice()).map_err(refused)?;
        let card = package.check(self.schema).map_err(refused)?;
        debug_assert!(new.bytes.len() <= MAX_PACKAGE_BYTES);
        let digest = package.digest().to_string();
        let mut pen = self.pen();
        let known = self.desk().book.state.packages.get(&digest).cloned();
        let is_whole = || matches!(self.directory.package(&digest), Ok(Some(_)));
        if known.is_none() || new.signature.is_some() || !is_whole() {
            self.directory
                .keep(&digest, &new.bytes, new.signature.as_deref())?;
        }
        let built_in = new.built_in;
        let transaction = {
            let desk = self.desk();
            let mut planner = Planner::new(&desk.book.state);
            let removed = match &known {
                None => self.make_room(&desk)?,
                Some(_) => Vec::new(),
            };
            let from = known.as_ref().map(|known| known.stage);
            let has_news = known.as_ref().is_none_or(|known| {
                let goes_further = until > known.until && known.stage != Stage::Quarantined;
                goes_further || (built_in && !known.built_in)
            });
            if has_news {
                let staged = planner.push(&digest, Step::Stage, from.unwrap_or(Stage::Staged), &wish);
                staged.until = Some(until.max(known.map_or(Stage::Staged, |known| known.until)));
                staged.built_in = built_in;
                staged.promotes_first = matches!(new.origin, Origin::CommandLine | Origin::Directory);
            }
            Transaction {
                moves: planner.finish(),
                removed,
                ..Transaction::default()
            }
        };
        {
            let mut desk = self.desk();
            let held = desk.held.entry(digest.clone()).or_default();
            held.size = new.bytes.len() as u64;
            held.card = card;
        }
        self.commit(&mut pen, &transaction)?;
        Ok(digest)
    }

    /// Which packages must go so that there is room for one more. Packages that were refused before anything was known of
    /// them go first, so that whoever brings many of those pushes out nothing else; then the one that has been out of use
    /// the longest. A quarantine that somebody asked for is never forgotten, and takes no room.
    fn make_room(&self, desk: &super::Desk) -> Result<Vec<String>, LifecycleError> {
        let state = &desk.book.state;
        let counted = state.packages.values().filter(|known| !known.kept_out).count();
        let surplus = (counted + 1).saturating_sub(self.config.most_packages.max(2));
        let is_idle = |digest: &str, known: &Known| {
            let idle =
                matches!(known.stage, Stage::Retired | Stage::Quarantined) && !state.is_previous(digest);
            idle && !known.kept_out && desk.held.get(digest).is_none_or(|held| held.under_way.is_none())
        };
        let mut idle: Vec<(bool, u64, &String)> = state
            .packages
            .iter()
            .filter(|(digest, known)| is_idle(digest, known))
            .map(|(digest, known)| (!known.is_junk(), known.moved, digest))
            .collect();
        idle.sort_unstable();
        if idle.len() < surplus {
            return Err(LifecycleError::Full {
                most: self.config.most_packages,
            });
        }
        Ok(idle
            .into_iter()
            .take(surplus)
            .map(|(.., digest)| digest.clone())
            .collect())
    }

    /// Does a step and returns when it is done. `given` is a digest, 8 or more of its first digits, or a name. For a
    /// rollback or a promotion a name means the canary, otherwise the active package, or else the only package of that
    /// name with which the step can be done.
    ///
    /// # Errors
    /// When there is no such package, the step cannot be done with it now, or it fails; a package that fails a check
    /// is quarantined.
    pub fn step(
        &self,
        given: &str,
        step: Step,
        request: &StepRequest,
    ) -> Result<DetectorInfo, LifecycleError> {
        let mut wish = self.wish(request, Origin::Api, "asked for")?;
        wish.asked = true;
        let digest = self.find(given, Some(step))?;
        if let Some(share) = request.share {
            if !(share > 0.0 && share <= 1.0) {
                return Err(LifecycleError::Request {
                    what: "share",
                    reason: format!("{share} is not above 0 and at most 1"),
                });
            }
            wish.share = share;
        } else {
            wish.share = self.usual_share(step);
        }
        // What must happen at once does not wait for what takes long.
        if !matches!(step, Step::Quarantine | Step::Rollback) {
            self.wait_until_idle(&digest, PATIENCE)?;
        }
        let (stage, is_loaded) = {
            let desk = self.desk();
            let stage = desk.book.state.packages.get(&digest).map(|known| known.stage);
            let is_loaded = desk.held.get(&digest).is_some_and(|held| held.loaded.is_some());
            (stage, is_loaded)
        };
        let to = stage.and_then(|stage| after(stage, step));
        match (step, to) {
            (Step::Check, Some(_)) => self.queue_and_wait(&digest, JobKind::Check, wish)?,
            (Step::Warm, Some(_)) if !is_loaded => self.queue_and_wait(&digest, JobKind::Warm, wish)?,
            (_, Some(to)) if is_warm(to) && !is_loaded => {
                self.queue_and_wait(&digest, JobKind::Load, wish.clone())?;
                self.move_to(&digest, step, &wish)?;
            }
            _ => self.move_to(&digest, step, &wish)?,
        }
        self.info(&digest)
    }

    /// Waits until a package has reached a stage, or one after it.
    ///
    /// # Errors
    /// [`LifecycleError::Refused`] with the reason when the package was quarantined; [`LifecycleError::NotYet`] when
    /// the time is over.
    pub fn wait(&self, given: &str, until: Stage, time: Duration) -> Result<DetectorInfo, LifecycleError> {
        let digest = self.find(given, None)?;
        let deadline = Instant::now() + time;
        let mut desk = self.desk();
        loop {
            let Some(known) = desk.book.state.packages.get(&digest) else {
                drop(desk);
                return self.info(&digest);
            };
            if known.stage == Stage::Quarantined && until != Stage::Quarantined {
                return Err(LifecycleError::Refused {
                    origin: short(&digest).to_owned(),
                    source: crate::checks::CheckFailure::Earlier(known.why.clone()),
                });
            }
            if known.stage >= until {
                drop(desk);
                return self.info(&digest);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(LifecycleError::NotYet {
                    digest: short(&digest).to_owned(),
                    stage: known.stage.name(),
                    until: until.name(),
                });
            };
            desk = self.sleep(desk, left);
        }
    }

    pub(super) fn wait_until_idle(&self, digest: &str, patience: Duration) -> Result<(), LifecycleError> {
        let deadline = Instant::now() + patience;
        let mut desk = self.desk();
        while let Some(step) = desk.held.get(digest).and_then(|held| held.under_way) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(LifecycleError::Busy {
                    digest: short(digest).to_owned(),
                    step,
                });
            };
            desk = self.sleep(desk, left);
        }
        Ok(())
    }

    fn sleep<'a>(
        &self,
        desk: std::sync::MutexGuard<'a, super::Desk>,
        most: Duration,
    ) -> std::sync::MutexGuard<'a, super::Desk> {
        let waited = self.moved.wait_timeout(desk, most);
        waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    /// The author, the reason and the time of a request, checked.
    pub(super) fn wish(
        &self,
        request: &StepRequest,
        origin: Origin,
        why: &str,
    ) -> Result<Wish, LifecycleError> {
        let text = |what, given: &Option<String>, most: usize, default: &str| match given
            .as_deref()
            .map(str::trim)
        {
            Some(text) if text.chars().count() > most => Err(LifecycleError::Request {
                what,
                reason: format!("it has more than {most} characters"),
            }),
            Some(text) if !text.is_empty() => Ok(text.replace(char::is_control, " ")),
            _ => Ok(default.to_owned()),
        };
        Ok(Wish {
            by: text("by", &request.by, MOST_BY, origin.word())?,
            why: text("why", &request.why, MOST_WHY, why)?,
            share: self.config.canary_share,
            at: now(),
            asked: false,
            downgrade: request.downgrade,
        })
    }

    /// A step that the program makes by itself.
    pub(super) fn own_wish(&self, step: Step, why: impl Into<String>) -> Wish {
        Wish {
            by: Origin::Netsage.word().to_owned(),
            why: why.into(),
            share: self.usual_share(step),
            at: now(),
            asked: false,
            downgrade: false,
        }
    }

    fn usual_share(&self, step: Step) -> f64 {
        if step == Step::Shadow {
            self.config.shadow_share
        } else {
            self.config.canary_share
        }
    }
}
