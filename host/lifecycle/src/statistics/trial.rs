//! The trial of a shadow, a canary, or a recently promoted package against another package.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use netsage_api_types::Comparison;

use super::distance::{kolmogorov_smirnov, total};
use super::guard::{Judged, RollbackReason, allowed_distance, judge};
use super::histogram::{SCORE_BINS, squashed, time_quantile};
use super::rank::{Joint, spearman};
use super::tally::Measured;
use crate::config::GuardLimits;
use crate::generation::Generation;

/// Bins of a histogram as it is shown.
const SHOWN_BINS: usize = 64;

/// What is on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shadow,
    Canary,
    Probation,
}

/// One generation on trial against another, from one moment on. The control side makes a trial and keeps the same one as
/// long as the pair stays; the scoring side counts into the trial and judges by the counts.
#[derive(Debug)]
pub struct Trial {
    candidate: Arc<Generation>,
    reference: Option<Arc<Generation>>,
    /// Snapshots of both sides at the beginning of the trial.
    before: Box<[Measured; 2]>,
    joint: Option<Joint>,
    kind: Kind,
    share: f64,
    since: SystemTime,
}

impl Trial {
    /// A shadow of `active`, on a share of the flows.
    pub fn shadow(candidate: Arc<Generation>, active: Option<Arc<Generation>>, share: f64) -> Self {
        Self::new(Kind::Shadow, candidate, active, share)
    }

    /// A canary in place of `active`, on a share of the flows.
    pub fn canary(candidate: Arc<Generation>, active: Option<Arc<Generation>>, share: f64) -> Self {
        Self::new(Kind::Canary, candidate, active, share)
    }

    /// An active generation that has followed `previous`, compared with everything that `previous` scored.
    pub fn probation(candidate: Arc<Generation>, previous: Arc<Generation>) -> Self {
        let mut trial = Self::new(Kind::Probation, candidate, Some(previous), 1.0);
        trial.before[1] = Measured::default();
        trial
    }

    fn new(kind: Kind, candidate: Arc<Generation>, reference: Option<Arc<Generation>>, share: f64) -> Self {
        let mut before = Box::new([Measured::default(), Measured::default()]);
        candidate.tally.read(&mut before[0]);
        if let Some(reference) = &reference {
            reference.tally.read(&mut before[1]);
        }
        Self {
            candidate,
            reference,
            before,
            joint: (kind == Kind::Shadow).then(Joint::default),
            kind,
            share,
            since: SystemTime::now(),
        }
    }

    /// The generation on trial.
    pub fn candidate(&self) -> &Arc<Generation> {
        &self.candidate
    }

    /// The generation that the candidate is compared with.
    pub fn reference(&self) -> Option<&Arc<Generation>> {
        self.reference.as_ref()
    }

    /// The beginning of the trial.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Flows that the candidate scored during the trial.
    pub fn flows(&self) -> u64 {
        self.candidate.tally.rows().saturating_sub(self.before[0].rows)
    }

    /// Counts a flow that both scored, by their raw scores.
    pub(crate) fn count_both(&self, reference: &Generation, reference_score: f32, candidate_score: f32) {
        let Some(joint) = &self.joint else { return };
        let (theirs, ours) = (&reference.loaded, &self.candidate.loaded);
        let on_scale = match (
            theirs.calibrated(reference_score),
            ours.calibrated(candidate_score),
        ) {
            (Some(theirs), Some(ours)) => [theirs, ours],
            _ => [squashed(reference_score), squashed(candidate_score)],
        };
        let agreed = (reference_score > theirs.threshold()) == (candidate_score > ours.threshold());
        joint.count(on_scale[0], on_scale[1], agreed);
    }

    /// Whether the candidate must be taken out, by what was counted so far. `scratch` is overwritten.
    pub(crate) fn judge(&self, limits: &GuardLimits, scratch: &mut [Measured; 2]) -> Option<RollbackReason> {
        self.measure(limits, scratch);
        let [candidate, reference] = scratch;
        let judged = match self.kind {
            Kind::Canary => Judged::All,
            // A shadow may say something else, that is what it is for. On probation the two never score at the same
            // time, so that a change of the traffic would be taken for one of the scores.
            Kind::Shadow | Kind::Probation => Judged::Conduct,
        };
        judge(
            candidate,
            self.reference.as_ref().map(|_| &*reference),
            limits,
            judged,
        )
    }

    /// What both sides did since the beginning of the trial. Where the reference did little since then, because the
    /// candidate takes all flows, everything that the reference ever did is taken.
    fn measure(&self, limits: &GuardLimits, into: &mut [Measured; 2]) {
        let [candidate, other] = into;
        self.candidate.tally.read(candidate);
        candidate.since(&self.before[0]);
        let Some(reference) = &self.reference else { return };
        reference.tally.read(other);
        let rows_since = other.rows.saturating_sub(self.before[1].rows);
        if rows_since >= limits.scores {
            other.since(&self.before[1]);
        }
    }

    /// The comparison for people; `None` when there is no generation to compare with.
    pub fn comparison(&self, limits: &GuardLimits) -> Option<Comparison> {
        let reference = self.reference.as_ref()?;
        let mut both = Box::new([Measured::default(), Measured::default()]);
        self.measure(limits, &mut both);
        let [candidate, other] = &*both;
        let sides = Measured::on_one_scale(candidate, other);
        let scores = sides.map(|side| total(side));
        let distance = kolmogorov_smirnov(sides[0], sides[1]);
        let grid = self.joint.as_ref().map(Joint::grid);
        // Each side saw its share of the flows.
        let active_share = if self.kind == Kind::Canary {
            1.0 - self.share
        } else {
            1.0
        };
        let of_all = |rate: Option<f64>, share: f64| rate.filter(|_| share > 0.0).map(|rate| rate / share);
        let p99 = |side: &Measured| time_quantile(&side.call_time, 0.99).map(|time| time / 1000.0);
        Some(Comparison {
            candidate: self.candidate.reference.clone(),
            active: reference.reference.clone(),
            since: milliseconds(self.since),
            flows: candidate.rows,
            failed: candidate.failed_rows,
            skipped: candidate.skipped_rows,
            agreement: self.joint.as_ref().and_then(Joint::agreement),
            rank_correlation: grid.as_deref().and_then(spearman),
            distance,
            allowed_distance: distance.map(|_| allowed_distance(scores, limits)),
            alerts_per_day: [
                of_all(candidate.above_per_day(), self.share),
                of_all(other.above_per_day(), active_share),
            ],
            nanoseconds_per_row: [candidate.nanoseconds_per_row(), other.nanoseconds_per_row()],
            call_p99_us: [p99(candidate), p99(other)],
            histogram: sides.map(shown),
            grid: grid.unwrap_or_default(),
        })
    }
}

fn shown(counts: &[u64; SCORE_BINS]) -> Vec<u64> {
    counts
        .chunks(SCORE_BINS / SHOWN_BINS)
        .map(|bins| bins.iter().sum())
        .collect()
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
