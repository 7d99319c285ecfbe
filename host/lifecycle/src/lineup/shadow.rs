//! What happens beside the verdicts: shadows score for comparison, and adaptive detectors learn.

use std::time::Instant;

use super::key::is_in_share;
use super::scorer::{FlowsToScore, Scorer};
use super::verdicts::{Seat, SlotScores};
use super::{LineupEvent, Shadow, Slot};
use crate::generation::Generation;

/// Rows of the first call, as long as nobody knows what a row costs.
const FIRST_ROWS: usize = 16;

impl Scorer {
    /// Has a shadow score its share of the block, as far as that fits into the time until `until`; what does not fit is
    /// counted as skipped. A call that hangs ends by the deadline of the runtime, and the shadow with it.
    pub(super) fn score_shadow(
        &mut self,
        shadow: &Shadow,
        slot: &Slot,
        flows: FlowsToScore<'_>,
        verdicts: &SlotScores,
        until: Instant,
    ) {
        let candidate = &shadow.generation;
        if candidate.is_suspended() {
            return;
        }
        let mut rows = std::mem::take(&mut self.selection);
        rows.clear();
        // At most 1,024.
        let all = 0..flows.rows.len() as u32;
        rows.extend(all.filter(|row| is_in_share(flows.keys[*row as usize], shadow.share)));
        let fitting = rows_that_fit(candidate, until, rows.len());
        candidate.tally.skipped(rows.len() - fitting);
        rows.truncate(fitting);
        if !rows.is_empty() {
            if self.measure(candidate, flows, &rows).is_ok() {
                for (&row, &score) in rows.iter().zip(&self.scores) {
                    let row = row as usize;
                    if let (Seat::Active, Some(active)) = (verdicts.seats[row], &slot.active) {
                        shadow.trial.count_both(active, verdicts.scores[row], score);
                    }
                }
                self.learn(candidate, flows, &rows);
            }
            if let Some((generation, reason)) = self.found_wanting(&shadow.trial) {
                self.roster.tell(LineupEvent::EndShadow { generation, reason });
            }
        }
        self.selection = rows;
    }

    /// Lets an adaptive detector learn the rows at or below its own threshold: a detector that learned what it alerts on
    /// would soon take that for ordinary. A failure costs no score and counts as a failed call of the detector.
    pub(super) fn learn(&mut self, generation: &Generation, flows: FlowsToScore<'_>, rows: &[u32]) {
        if !generation.loaded.detector.description().learns {
            return;
        }
        let threshold = generation.loaded.threshold();
        let mut ordinary = std::mem::take(&mut self.learning);
        ordinary.clear();
        let scored = rows.iter().zip(&self.scores);
        ordinary.extend(
            scored
                .filter(|(_, score)| **score <= threshold)
                .map(|(row, _)| *row),
        );
        if !ordinary.is_empty() {
            self.gaps.end();
            let learnt = generation
                .loaded
                .detector
                .learn(flows.rows, Some(flows.contexts), &ordinary);
            self.gaps.begin();
            if let Err(error) = learnt {
                generation.tally.failed_to_learn(&error);
                tracing::warn!(
                    detector = %generation.reference.name, generation = generation.number, %error,
                    "detector did not learn from a block"
                );
            }
        }
        self.learning = ordinary;
    }
}

/// How many of `rows` rows a shadow can score until `until`, at the cost that was measured.
fn rows_that_fit(candidate: &Generation, until: Instant, rows: usize) -> usize {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return 0;
    }
    match candidate.tally.nanoseconds_per_row() {
        Some(cost) => rows.min((left.as_nanos() as f64 / cost.max(1.0)) as usize),
        None => rows.min(FIRST_ROWS),
    }
}
