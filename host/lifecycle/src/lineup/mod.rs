//! Who scores right now, and the scoring of a block of flows by them.
//!
//! The control side publishes a [`Lineup`] in the [`Roster`]. Each scoring thread has a [`Scorer`], takes the line-up
//! of the moment for a block, and has the block scored into [`Verdicts`], which the thread reuses. The scoring side
//! suspends a bad generation at once and reports what happened as a [`LineupEvent`], which the control side writes into
//! the journal.
//!
//! A generation that appears in several line-ups must be the same [`Arc`], since its counters and its failures are kept
//! in it; the same holds for a [`Trial`] as long as the two on trial are the same.

mod failure;
mod gaps;
mod key;
mod scorer;
mod shadow;
mod verdicts;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, unbounded};
use netsage_api_types::FailurePolicy;

use crate::config::{GuardLimits, LifecycleConfig};
use crate::generation::Generation;
use crate::statistics::{RollbackReason, Trial};

pub(crate) use failure::Failing;
pub use failure::{BackOff, Stopped};
pub use key::{FlowKey, is_in_share};
pub use scorer::{FlowsToScore, Scorer};
pub use verdicts::{Scored, Verdicts};

/// A generation that scores a share of the flows in place of the active one, chosen by hash of the flow key.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The generation that scores them.
    pub generation: Arc<Generation>,
    /// The share, above 0 and at most 1.
    pub share: f64,
    /// How it compares with the active one.
    pub trial: Arc<Trial>,
}

impl Canary {
    /// A canary beside `active`, whose trial begins now.
    pub fn new(generation: Arc<Generation>, share: f64, active: Option<&Arc<Generation>>) -> Self {
        let trial = Arc::new(Trial::canary(Arc::clone(&generation), active.cloned(), share));
        Self {
            generation,
            share,
            trial,
        }
    }
}

/// A generation that also scores a share of the flows, for comparison only.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// The generation that scores them; its number is 0, since it raises no alerts.
    pub generation: Arc<Generation>,
    /// The share, above 0 and at most 1.
    pub share: f64,
    /// How it compares with the active one.
    pub trial: Arc<Trial>,
}

impl Shadow {
    /// A shadow beside `active`, whose trial begins now.
    pub fn new(generation: Arc<Generation>, share: f64, active: Option<&Arc<Generation>>) -> Self {
        let trial = Arc::new(Trial::shadow(Arc::clone(&generation), active.cloned(), share));
        Self {
            generation,
            share,
            trial,
        }
    }
}

/// The generation before the active one, as long as the active one is on probation.
#[derive(Debug, Clone)]
pub struct Probation {
    /// Scores the flows that the active generation fails to score, and all flows once the active one is suspended.
    pub previous: Arc<Generation>,
    /// How the active one compares with it.
    pub trial: Arc<Trial>,
}

impl Probation {
    /// The probation of `active`, which has followed `previous`; it begins now. The control side ends it.
    pub fn new(active: &Arc<Generation>, previous: Arc<Generation>) -> Self {
        let trial = Arc::new(Trial::probation(Arc::clone(active), Arc::clone(&previous)));
        Self { previous, trial }
    }
}

/// The place of one detector name.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The name.
    pub name: String,
    /// Who scores.
    pub active: Option<Arc<Generation>>,
    /// The previous generation, while `active` is on probation.
    pub probation: Option<Probation>,
    /// The canary, which scores a share of the flows in place of `active`.
    pub canary: Option<Canary>,
    /// Shadows, each of which also scores a share of the flows.
    pub shadows: Vec<Shadow>,
    /// Failure policy for flows that are not scored.
    pub on_failure: FailurePolicy,
}

impl Slot {
    /// A place in which nobody scores yet.
    pub fn new(name: impl Into<String>, on_failure: FailurePolicy) -> Self {
        Self {
            name: name.into(),
            active: None,
            probation: None,
            canary: None,
            shadows: Vec::new(),
            on_failure,
        }
    }

    /// Whether a generation of this place scores for alerts.
    pub fn scores(&self) -> bool {
        self.active.is_some() || self.canary.is_some()
    }

    /// Whether blocks must be scored in their order: true when a scoring generation has a state.
    pub fn is_in_order(&self) -> bool {
        let canary = self.canary.as_ref().map(|canary| &canary.generation);
        let previous = self.probation.as_ref().map(|probation| &probation.previous);
        let mut scoring = self.active.iter().chain(canary).chain(previous);
        scoring.any(|generation| generation.is_in_order())
    }
}

/// The places of all names, in the order of their first activation; never changed once it is published.
#[derive(Debug, Default)]
pub struct Lineup {
    /// The places.
    pub slots: Vec<Slot>,
    /// The surprise above which the fused verdict raises an alert; `None` when it raises none.
    pub fused: Option<f32>,
}

impl Lineup {
    /// Whether a generation must see the blocks in their order.
    pub fn is_in_order(&self) -> bool {
        let in_order = |shadow: &Shadow| shadow.generation.is_in_order();
        self.slots
            .iter()
            .any(|slot| slot.is_in_order() || slot.shadows.iter().any(in_order))
    }
}

/// What the scoring side found out. Except for drift, the generation is already suspended when the event is sent.
#[derive(Debug, Clone)]
pub enum LineupEvent {
    /// A canary, or an active generation on probation: its flows go to the generation on the other side of the trial.
    RollBack {
        /// Who.
        generation: Arc<Generation>,
        /// Why.
        reason: RollbackReason,
    },
    /// A shadow, whose comparison ends.
    EndShadow {
        /// Who.
        generation: Arc<Generation>,
        /// Why.
        reason: RollbackReason,
    },
    /// The flows of a generation left the reference distributions of its card, or came back to them.
    Drift {
        /// Who.
        generation: Arc<Generation>,
        /// The notice, one sentence.
        notice: String,
    },
    /// An active generation that fails repeatedly: flows pass without its score.
    Quarantine {
        /// Who.
        generation: Arc<Generation>,
        /// Why.
        reason: RollbackReason,
    },
}

/// The bounds of scoring, fixed for a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoringLimits {
    /// When a generation on trial is taken out.
    pub guard: GuardLimits,
    /// Failures in a row after which a detector with [`FailurePolicy::Reload`] is quarantined.
    pub failures_before_quarantine: u32,
    /// Waits after failures.
    pub back_off: BackOff,
    /// Attempts of a detector with [`FailurePolicy::Closed`] at a block before the run stops.
    pub attempts: u32,
    /// Time that all shadows together may take for one block.
    pub shadow_time: Duration,
    /// Flows in a window of drift.
    pub drift_flows: u32,
}

impl ScoringLimits {
    /// The bounds that the settings ask for.
    pub fn of(config: &LifecycleConfig) -> Self {
        Self {
            guard: config.guard,
            failures_before_quarantine: config.failures_before_quarantine,
            drift_flows: config.drift_flows,
            ..Self::default()
        }
    }
}

impl Default for ScoringLimits {
    fn default() -> Self {
        let LifecycleConfig {
            guard,
            failures_before_quarantine,
            drift_flows,
            ..
        } = LifecycleConfig::default();
        Self {
            guard,
            failures_before_quarantine,
            back_off: BackOff::default(),
            attempts: 7,
            shadow_time: Duration::from_millis(20),
            drift_flows,
        }
    }
}

/// Where the line-up of the moment is read and exchanged. Reading never waits for a change.
#[derive(Debug)]
pub struct Roster {
    current: ArcSwap<Lineup>,
    /// Former line-ups that a scoring thread may still use. They are dropped by [`Roster::sweep`] and never by their last
    /// user: freeing the instances of a detector takes time that a scoring thread does not have.
    former: Mutex<Vec<Arc<Lineup>>>,
    limits: ScoringLimits,
    report: Sender<LineupEvent>,
    events: Receiver<LineupEvent>,
}

impl Default for Roster {
    fn default() -> Self {
        Self::new(ScoringLimits::default())
    }
}

impl Roster {
    /// A roster with an empty line-up.
    pub fn new(limits: ScoringLimits) -> Self {
        // A generation is taken out once, so that there are never more events than generations.
        let (report, events) = unbounded();
        Self {
            current: ArcSwap::default(),
            former: Mutex::default(),
            limits,
            report,
            events,
        }
    }

    /// The line-up of this moment. It lives for as long as it is held.
    pub fn lineup(&self) -> Arc<Lineup> {
        self.current.load_full()
    }

    /// Publishes a line-up by one atomic exchange. Blocks under way finish with the line-up that they took.
    pub fn publish(&self, lineup: Lineup) {
        let before = self.current.swap(Arc::new(lineup));
        self.former().push(before);
    }

    /// Drops former line-ups that no block is scored with any more, and the detectors that only they held. The control side
    /// calls it after each change and now and then.
    pub fn sweep(&self) {
        let mut unused = Vec::new();
        self.former().retain(|lineup| {
            // Nobody can take it any more, so that a count of one stays one.
            let used = Arc::strong_count(lineup) > 1;
            if !used {
                unused.push(Arc::clone(lineup));
            }
            used
        });
        // Freed here, after the lock.
        drop(unused);
    }

    /// The events of the scoring side, in their order. There is one queue: each event is received once.
    pub fn events(&self) -> Receiver<LineupEvent> {
        self.events.clone()
    }

    /// The bounds of scoring.
    pub fn limits(&self) -> &ScoringLimits {
        &self.limits
    }

    /// How a shadow, a canary or a generation on probation compares with the active one; the package is named by its
    /// digest. `None` for a generation that is not on trial or has no active generation to compare with.
    pub fn comparison(&self, digest: &str) -> Option<netsage_api_types::Comparison> {
        let lineup = self.lineup();
        let trials = lineup.slots.iter().flat_map(|slot| {
            let canary = slot.canary.iter().map(|canary| &canary.trial);
            let shadows = slot.shadows.iter().map(|shadow| &shadow.trial);
            let probation = slot.probation.iter().map(|probation| &probation.trial);
            canary.chain(shadows).chain(probation)
        });
        let mut of_package = trials.filter(|trial| trial.candidate().reference.digest == digest);
        of_package.find_map(|trial| trial.comparison(&self.limits.guard))
    }

    pub(crate) fn tell(&self, event: LineupEvent) {
        // The receiver lives in here too.
        let _ = self.report.send(event);
    }

    /// Nothing that can panic runs under this lock.
    fn former(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Lineup>>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
