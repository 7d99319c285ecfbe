//! The scoring of a block of flows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_api_types::FailurePolicy;
use netsage_runtime::{ScoreError, StateKey};
use netsage_schema::{Contexts, Rows};

use super::failure::Stopped;
use super::gaps::Gaps;
use super::key::is_in_share;
use super::verdicts::{NOT_CALIBRATED, Seat, SlotScores};
use super::{Lineup, LineupEvent, Roster, Slot, Verdicts};
use crate::generation::Generation;
use crate::statistics::histogram::{SCORE_BINS, squashed};
use crate::statistics::{FailureKind, Measured, RollbackReason, Trial};

/// A block of at most 1,024 flows, as many as one call of a detector takes.
#[derive(Debug, Clone, Copy)]
pub struct FlowsToScore<'a> {
    /// The features.
    pub rows: &'a Rows,
    /// The context of each flow.
    pub contexts: &'a Contexts,
    /// The key of each flow; see [`super::FlowKey`].
    pub keys: &'a [u64],
}

/// Scores blocks; each scoring thread has one. Buffers are reused from block to block.
#[derive(Debug)]
pub struct Scorer {
    pub(super) roster: Arc<Roster>,
    /// Rows of the canary, of the active one, of a shadow, and those to learn from.
    canary_rows: Vec<u32>,
    active_rows: Vec<u32>,
    pub(super) selection: Vec<u32>,
    pub(super) learning: Vec<u32>,
    /// Scores of a call, in the order of its rows.
    pub(super) scores: Vec<f32>,
    pub(super) calibrated: Vec<f32>,
    bins: Box<[u32; SCORE_BINS]>,
    judging: Box<[Measured; 2]>,
    pub(super) gaps: Gaps,
}

/// Which blocks a call takes: any, or all in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Any,
    OfBlocks,
}

impl Scorer {
    /// A scorer that reports its events to `roster`.
    pub fn new(roster: Arc<Roster>) -> Self {
        Self {
            roster,
            canary_rows: Vec::new(),
            active_rows: Vec::new(),
            selection: Vec::new(),
            learning: Vec::new(),
            scores: Vec::new(),
            calibrated: Vec::new(),
            bins: Box::new([0; SCORE_BINS]),
            judging: Box::default(),
            gaps: Gaps::new(),
        }
    }

    /// Scores a block with all slots that take blocks in any order. What `verdicts` held is replaced. When the line-up
    /// has slots with a state, [`Self::score_in_order`] has to follow, for one block after the other.
    ///
    /// # Errors
    /// When a detector with the policy `closed` fails at every attempt; the block is then not scored.
    pub fn score(
        &mut self,
        lineup: &Arc<Lineup>,
        flows: FlowsToScore<'_>,
        verdicts: &mut Verdicts,
    ) -> Result<(), Stopped> {
        verdicts.begin(lineup, flows.rows.len());
        self.score_slots(lineup, Order::Any, flows, verdicts)
    }

    /// Adds the scores of the slots whose detectors have a state, and lets adaptive detectors learn; `verdicts` come from
    /// [`Self::score`]. One thread calls it, in the order of the blocks.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn score_in_order(
        &mut self,
        flows: FlowsToScore<'_>,
        verdicts: &mut Verdicts,
    ) -> Result<(), Stopped> {
        match verdicts.lineup().cloned() {
            Some(lineup) if lineup.is_in_order() => {
                self.score_slots(&lineup, Order::OfBlocks, flows, verdicts)
            }
            _ => Ok(()),
        }
    }

    /// Begins the verdicts on a block that no detector scores for alerts, since it is only read again.
    pub fn begin_again(lineup: &Arc<Lineup>, flows: FlowsToScore<'_>, verdicts: &mut Verdicts) {
        verdicts.begin(lineup, flows.rows.len());
    }

    /// Shows a block that is read again to detectors whose state goes by source, shadows and canaries among them. Their scores
    /// are thrown away and count nowhere. One thread calls it, in the order of the blocks.
    pub fn show_again(&mut self, lineup: &Lineup, flows: FlowsToScore<'_>) {
        for slot in &lineup.slots {
            let canary = slot.canary.iter().map(|canary| &canary.generation);
            let previous = slot.probation.iter().map(|probation| &probation.previous);
            let shadows = slot.shadows.iter().map(|shadow| &shadow.generation);
            for generation in slot.active.iter().chain(canary).chain(previous).chain(shadows) {
                let detector = &generation.loaded.detector;
                if generation.is_suspended() || detector.description().state_key != StateKey::Source {
                    continue;
                }
                self.scores.clear();
                let all = 0..flows.rows.len();
                if let Err(error) = detector.score(flows.rows, Some(flows.contexts), all, &mut self.scores) {
                    tracing::warn!(
                        detector = %generation.reference.name, %error,
                        "detector failed on flows that are read again"
                    );
                }
            }
        }
    }

    /// The longest time, since the last call of this function, in which a block was at hand and no detector was at work:
    /// the cost of swaps, judgements and waits after failures.
    pub fn take_longest_gap(&mut self) -> Duration {
        self.gaps.take_longest()
    }

    fn score_slots(
        &mut self,
        lineup: &Lineup,
        order: Order,
        flows: FlowsToScore<'_>,
        verdicts: &mut Verdicts,
    ) -> Result<(), Stopped> {
        if flows.rows.is_empty() {
            return Ok(());
        }
        self.gaps.begin();
        let wants = |in_order: bool| in_order == (order == Order::OfBlocks);
        for (index, slot) in lineup.slots.iter().enumerate() {
            if slot.scores() && wants(slot.is_in_order()) {
                self.score_slot(slot, flows, verdicts.slot_mut(index))?;
                self.judge_slot(slot);
            }
        }
        // The verdicts on this block stand. What follows compares.
        let shadow_time = self.roster.limits().shadow_time;
        let until = Instant::now() + shadow_time;
        for (index, slot) in lineup.slots.iter().enumerate() {
            for shadow in &slot.shadows {
                if wants(slot.is_in_order() || shadow.generation.is_in_order()) {
                    self.score_shadow(shadow, slot, flows, verdicts.slot(index), until);
                }
            }
        }
        self.gaps.end();
        Ok(())
    }

    fn score_slot(
        &mut self,
        slot: &Slot,
        flows: FlowsToScore<'_>,
        scores: &mut SlotScores,
    ) -> Result<(), Stopped> {
        let mut canary_rows = std::mem::take(&mut self.canary_rows);
        let mut rows = std::mem::take(&mut self.active_rows);
        canary_rows.clear();
        rows.clear();
        let canary = slot
            .canary
            .as_ref()
            .filter(|canary| !canary.generation.is_suspended());
        // At most 1,024.
        let all = 0..flows.rows.len() as u32;
        match canary {
            Some(canary) => {
                let is_canary = |row: &u32| is_in_share(flows.keys[*row as usize], canary.share);
                canary_rows.extend(all.clone().filter(is_canary));
                rows.extend(all.filter(|row| !is_canary(row)));
                let scored = self.call(Seat::Canary, &canary.generation, flows, &canary_rows, scores);
                if scored.is_err() {
                    // A canary never costs a flow its score. Who has a state sees its rows in their order.
                    rows.extend_from_slice(&canary_rows);
                    rows.sort_unstable();
                }
            }
            None => rows.extend(all),
        }
        let scored = self.score_rest(slot, flows, &rows, scores);
        self.canary_rows = canary_rows;
        self.active_rows = rows;
        scored
    }

    /// Scores rows with the active generation, and follows the failure policy when it fails.
    fn score_rest(
        &mut self,
        slot: &Slot,
        flows: FlowsToScore<'_>,
        rows: &[u32],
        scores: &mut SlotScores,
    ) -> Result<(), Stopped> {
        let Some(active) = &slot.active else { return Ok(()) };
        let mut attempts = 0;
        loop {
            let began = Instant::now();
            let may_call = slot.on_failure == FailurePolicy::Closed || active.failing.may_call(began);
            let error = if may_call && !active.is_suspended() {
                match self.call(Seat::Active, active, flows, rows, scores) {
                    Ok(()) => {
                        active.failing.succeeded();
                        return Ok(());
                    }
                    Err(error) => Some(error),
                }
            } else {
                None
            };
            let in_a_row = error
                .as_ref()
                .map_or(0, |error| self.note_failure(slot, active, error, began));
            if self.score_with_previous(slot, flows, rows, scores) {
                return Ok(());
            }
            let Some(error) = error else {
                active.tally.passed_by(rows.len());
                return Ok(());
            };
            if slot.on_failure != FailurePolicy::Closed || FailureKind::of(&error).is_none() {
                return Ok(());
            }
            attempts += 1;
            let limits = self.roster.limits();
            if attempts >= limits.attempts {
                return Err(Stopped {
                    detector: format!("{} {}", slot.name, active.reference.version),
                    attempts,
                    failure: error.to_string(),
                });
            }
            // The flows wait.
            std::thread::sleep(limits.back_off.wait(in_a_row));
        }
    }

    /// Scores rows with the one before the active one, while the active one is on probation. Says whether it did.
    fn score_with_previous(
        &mut self,
        slot: &Slot,
        flows: FlowsToScore<'_>,
        rows: &[u32],
        scores: &mut SlotScores,
    ) -> bool {
        let previous = slot.probation.as_ref().map(|probation| &probation.previous);
        previous
            .filter(|previous| !previous.is_suspended())
            .is_some_and(|previous| self.call(Seat::Previous, previous, flows, rows, scores).is_ok())
    }

    /// Counts a failure of the active one and quarantines it where its policy says so. Says how many there were in a
    /// row.
    fn note_failure(&self, slot: &Slot, active: &Arc<Generation>, error: &ScoreError, began: Instant) -> u32 {
        if FailureKind::of(error).is_none() {
            return 0;
        }
        let limits = self.roster.limits();
        let failures = active.failing.failed(began, Instant::now(), &limits.back_off);
        let is_reload = slot.on_failure == FailurePolicy::Reload;
        if is_reload && failures >= limits.failures_before_quarantine && active.suspend() {
            let reason = RollbackReason::InARow {
                failures,
                last: error.to_string(),
            };
            tracing::error!(detector = %slot.name, generation = active.number, %reason, "detector taken out");
            self.roster.tell(LineupEvent::Quarantine {
                generation: Arc::clone(active),
                reason,
            });
        }
        failures
    }

    /// Scores rows with one generation, and stores the verdicts.
    fn call(
        &mut self,
        seat: Seat,
        generation: &Arc<Generation>,
        flows: FlowsToScore<'_>,
        rows: &[u32],
        into: &mut SlotScores,
    ) -> Result<(), ScoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.measure(generation, flows, rows)?;
        for ((&row, &score), &calibrated) in rows.iter().zip(&self.scores).zip(&self.calibrated) {
            let row = row as usize;
            into.seats[row] = seat;
            into.scores[row] = score;
            into.calibrated[row] = calibrated;
        }
        self.learn(generation, flows, rows);
        Ok(())
    }

    /// Calls a detector and counts what it did; its scores are then in `scores` and `calibrated`.
    pub(super) fn measure(
        &mut self,
        generation: &Arc<Generation>,
        flows: FlowsToScore<'_>,
        rows: &[u32],
    ) -> Result<(), ScoreError> {
        let (loaded, tally) = (&generation.loaded, &generation.tally);
        self.scores.clear();
        let began = self.gaps.end();
        let scored = if rows.len() == flows.rows.len() {
            let all = 0..flows.rows.len();
            loaded
                .detector
                .score(flows.rows, Some(flows.contexts), all, &mut self.scores)
        } else {
            loaded
                .detector
                .score_rows_of(flows.rows, Some(flows.contexts), rows, &mut self.scores)
        };
        self.gaps.begin();
        let time = began.elapsed();
        if let Err(error) = scored {
            tally.failed(rows.len(), FailureKind::of(&error), time);
            tracing::warn!(
                detector = %loaded.reference.name, generation = generation.number, flows = rows.len(), %error,
                "detector failed on a block"
            );
            return Err(error);
        }
        self.calibrated.clear();
        let calibrated = |score: &f32| loaded.calibrated(*score).unwrap_or(NOT_CALIBRATED);
        self.calibrated.extend(self.scores.iter().map(calibrated));
        let threshold = loaded.threshold();
        let above = self.scores.iter().filter(|score| **score > threshold);
        tally.scored(rows.len(), above.count(), time);
        tally.spread(
            self.calibrated.iter().copied().filter(|score| *score >= 0.0),
            self.scores.iter().map(|score| squashed(*score)),
            &mut self.bins,
        );
        for row in [rows.first(), rows.last()].into_iter().flatten() {
            if let Some(start) = flows.contexts.starts().get(*row as usize) {
                tally.flow_at(*start);
            }
        }
        if let Some(drift) = &generation.drift
            && let Some(notice) = drift.count(
                flows.rows,
                rows,
                &self.calibrated,
                self.roster.limits().drift_flows,
            )
        {
            self.roster.tell(LineupEvent::Drift {
                generation: Arc::clone(generation),
                notice,
            });
        }
        Ok(())
    }

    /// Suspends generations that exceed the limits of the guard.
    fn judge_slot(&mut self, slot: &Slot) {
        if let Some(canary) = &slot.canary {
            self.judge(&canary.trial);
        }
        if let Some(probation) = &slot.probation {
            self.judge(&probation.trial);
        }
    }

    fn judge(&mut self, trial: &Trial) {
        if let Some((generation, reason)) = self.found_wanting(trial) {
            self.roster.tell(LineupEvent::RollBack { generation, reason });
        }
    }

    /// Suspends the candidate of a trial that exceeds the limits of the guard; returns candidate and reason, once.
    pub(super) fn found_wanting(&mut self, trial: &Trial) -> Option<(Arc<Generation>, RollbackReason)> {
        let candidate = trial.candidate();
        if candidate.is_suspended() {
            return None;
        }
        let reason = trial.judge(&self.roster.limits().guard, &mut self.judging)?;
        if !candidate.suspend() {
            return None;
        }
        tracing::error!(
            detector = %candidate.reference.name, generation = candidate.number, %reason, "detector rolled back"
        );
        Some((Arc::clone(candidate), reason))
    }
}
