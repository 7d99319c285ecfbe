//! Plans a step: from the state and a wish to the moves, of all packages concerned, that fulfil the wish. Pure.

use netsage_api_types::{HistoryEntry, Stage, Step};

use crate::state::{Move, State};
use crate::transition::{STEPS, after};
use crate::trust::Signed;

/// Shadows of one name at the same time; each costs the time of a detector.
pub(crate) const MOST_SHADOWS: usize = 4;

/// The author, time and reason of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    pub(crate) by: String,
    pub(crate) why: String,
    /// Share of the flows, for a shadow or a canary.
    pub(crate) share: f64,
    /// ms since the epoch.
    pub(crate) at: i64,
    /// Somebody asked for this very step: a quarantine is then not forgotten.
    pub(crate) asked: bool,
    /// An older signed package may take the place of a newer one.
    pub(crate) downgrade: bool,
}

/// Why a step cannot be done now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The stage does not allow it.
    #[error("a package that is {} cannot be {}; what can be done with it now: {}", stage.name(), past(*step), list(possible))]
    Stage {
        /// Present stage.
        stage: Stage,
        /// The step in question.
        step: Step,
        /// Steps that are possible.
        possible: Vec<Step>,
    },
    /// There is nothing to roll back to.
    #[error(
        "no package of the name `{name}` was active before this one, so there is none to go back to; retire it, or promote another"
    )]
    NoPrevious {
        /// The name.
        name: String,
    },
    /// It was signed earlier than a package that was active before.
    #[error(
        "a package of the name `{name}` that was active has a later signature by the same key; to go back to an older one on purpose, ask for it with `downgrade` (`netsage detector {step} --downgrade`), or roll back to what ran before",
        step = step.name()
    )]
    Downgrade {
        /// The name.
        name: String,
        /// What was asked for.
        step: Step,
    },
    /// Too many shadows.
    #[error(
        "{MOST_SHADOWS} packages of the name `{name}` are shadows already; end one of them with the step `warm`"
    )]
    ManyShadows {
        /// The name.
        name: String,
    },
}

fn past(step: Step) -> &'static str {
    match step {
        Step::Stage => "staged",
        Step::Check => "checked",
        Step::Warm => "warmed",
        Step::Shadow => "made a shadow",
        Step::Canary => "made a canary",
        Step::Promote => "promoted",
        Step::Rollback => "rolled back",
        Step::Retire => "retired",
        Step::Quarantine => "quarantined",
        Step::Release => "released",
        Step::Threshold => "given a threshold",
        Step::Drift => "found drifting",
    }
}

fn list(steps: &[Step]) -> String {
    let words: Vec<&str> = steps.iter().copied().map(Step::name).collect();
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    }
}

/// The steps that can be done with a package now.
pub(crate) fn possible(state: &State, digest: &str) -> Vec<Step> {
    let Some(known) = state.packages.get(digest) else {
        return Vec::new();
    };
    let name = known.name.as_deref().unwrap_or_default();
    let can = |step: &Step| {
        let previous_needed = known.stage == Stage::Active && *step == Step::Rollback;
        after(known.stage, *step).is_some() && (!previous_needed || state.previous(name).is_some())
    };
    STEPS.into_iter().filter(can).collect()
}

/// Refuses to put a signed package in the place of one that the same key signed later, unless the wish says so. A package
/// that ran before may always run again.
pub(crate) fn check_downgrade(
    state: &State,
    digest: &str,
    step: Step,
    wish: &Wish,
    signed: Option<&Signed>,
) -> Result<(), Impossible> {
    let (Some(known), Some(signed)) = (state.packages.get(digest), signed) else {
        return Ok(());
    };
    let name = known.name.as_deref().unwrap_or_default();
    let youngest = state.youngest.get(name).and_then(|keys| keys.get(&signed.key));
    // Who does not say when it was signed does not show that it is not older.
    let is_older = youngest.is_some_and(|youngest| signed.at.is_none_or(|at| at < *youngest));
    if is_older && known.generation.is_none() && !wish.downgrade {
        let name = name.to_owned();
        return Err(Impossible::Downgrade { name, step });
    }
    Ok(())
}

/// The package that becomes active again when this step takes the active package of its name out.
pub(crate) fn successor<'a>(state: &'a State, digest: &str, step: Step) -> Option<&'a str> {
    let known = state.packages.get(digest)?;
    let goes = known.stage == Stage::Active && matches!(step, Step::Rollback | Step::Quarantine);
    goes.then(|| state.previous(known.name.as_deref()?)).flatten()
}

/// Plans moves one after another; each sees what those before it did.
pub(crate) struct Planner {
    state: State,
    moves: Vec<Move>,
}

impl Planner {
    pub(crate) fn new(state: &State) -> Self {
        Self {
            state: state.clone(),
            moves: Vec::new(),
        }
    }

    /// The moves, to be written as one transaction.
    pub(crate) fn finish(self) -> Vec<Move> {
        self.moves
    }

    /// Adds the moves of a step, those of other packages of the same name included: a promotion retires the active package, a
    /// new canary sends the former canary back to warm, and taking out the active package reactivates its predecessor.
    pub(crate) fn step(&mut self, digest: &str, step: Step, wish: &Wish) -> Result<(), Impossible> {
        let Some(known) = self.state.packages.get(digest) else {
            // The caller has looked it up; it was removed since.
            return Err(Impossible::Stage {
                stage: Stage::Quarantined,
                step,
                possible: Vec::new(),
            });
        };
        let to = after(known.stage, step).ok_or_else(|| Impossible::Stage {
            stage: known.stage,
            step,
            possible: possible(&self.state, digest),
        })?;
        let from = known.stage;
        let name = known.name.clone().unwrap_or_default();
        let other = |found: Option<&str>| found.filter(|found| *found != digest).map(str::to_owned);
        match to {
            Stage::Active => {
                if let Some(active) = other(self.state.active(&name)) {
                    let why = format!("replaced by {}", short(digest));
                    self.push(
                        &active,
                        Step::Retire,
                        Stage::Retired,
                        &Wish { why, ..wish.clone() },
                    );
                }
            }
            Stage::Canary => {
                if let Some(canary) = other(self.state.canary(&name)) {
                    let why = format!("{} is the canary now", short(digest));
                    self.push(
                        &canary,
                        Step::Rollback,
                        Stage::Warm,
                        &Wish { why, ..wish.clone() },
                    );
                }
            }
            Stage::Shadow if self.state.at(&name, Stage::Shadow).count() >= MOST_SHADOWS => {
                return Err(Impossible::ManyShadows { name });
            }
            _ => {}
        }
        let successor = successor(&self.state, digest, step).map(str::to_owned);
        if from == Stage::Active && step == Step::Rollback && successor.is_none() {
            return Err(Impossible::NoPrevious { name });
        }
        self.push(digest, step, to, wish);
        if let Some(successor) = successor {
            let why = format!("{} was {}: {}", short(digest), past(step), wish.why);
            self.push(
                &successor,
                Step::Rollback,
                Stage::Active,
                &Wish { why, ..wish.clone() },
            );
        }
        Ok(())
    }

    /// Adds that a step was tried and its package found bad.
    pub(crate) fn fail(&mut self, digest: &str, step: Step, wish: &Wish) {
        self.push(digest, step, Stage::Quarantined, wish);
    }

    /// Adds a remark: the package stays where it is.
    pub(crate) fn note(&mut self, digest: &str, step: Step, wish: &Wish) {
        if let Some(stage) = self.state.packages.get(digest).map(|known| known.stage) {
            self.push(digest, step, stage, wish);
        }
    }

    /// Adds a move and gives it back, to be completed.
    pub(crate) fn push(&mut self, digest: &str, step: Step, to: Stage, wish: &Wish) -> &mut Move {
        let known = self.state.packages.get(digest);
        let from = known.map(|known| known.stage);
        let begins = crate::transition::scores(to) && from != Some(to);
        let next = Move {
            entry: HistoryEntry {
                number: self.state.last_entry + 1,
                at: wish.at,
                by: wish.by.clone(),
                step,
                digest: digest.to_owned(),
                name: known.and_then(|known| known.name.clone()),
                from,
                to,
                generation: begins.then_some(self.state.last_generation + 1),
                why: wish.why.clone(),
            },
            share: matches!(to, Stage::Shadow | Stage::Canary).then_some(wish.share),
            until: stays(from, step, to).then_some(Stage::Staged),
            about: None,
            promotes_first: false,
            built_in: false,
            kept_out: wish.asked && step == Step::Quarantine,
            signed: None,
        };
        let transaction = crate::state::Transaction {
            moves: vec![next],
            ..crate::state::Transaction::default()
        };
        self.state.apply(&transaction);
        self.moves.extend(transaction.moves);
        self.moves.last_mut().expect("a move was just added")
    }
}

/// Whether this step ends the automatic rollout of its package.
fn stays(from: Option<Stage>, step: Step, to: Stage) -> bool {
    match to {
        Stage::Retired | Stage::Quarantined => true,
        Stage::Staged => step == Step::Release,
        Stage::Warm => matches!(from, Some(Stage::Shadow | Stage::Canary)),
        _ => false,
    }
}

/// The first digits of a digest: enough for people.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

#[cfg(test)]
mod tests;
