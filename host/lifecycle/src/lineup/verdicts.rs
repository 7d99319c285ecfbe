//! What the detectors said about a block of flows.

use std::sync::Arc;

use netsage_api_types::FusedScore;

use super::{Lineup, Slot};
use crate::generation::Generation;

/// Who scored a flow in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// Nobody.
    Empty,
    Active,
    Canary,
    /// The generation before the active one.
    Previous,
}

impl Seat {
    /// The generation in this seat of a slot.
    pub(super) fn of(self, slot: &Slot) -> Option<&Arc<Generation>> {
        match self {
            Self::Empty => None,
            Self::Active => slot.active.as_ref(),
            Self::Canary => slot.canary.as_ref().map(|canary| &canary.generation),
            Self::Previous => slot.probation.as_ref().map(|probation| &probation.previous),
        }
    }
}

/// The scores of one slot, by row.
#[derive(Debug, Default)]
pub(super) struct SlotScores {
    pub(super) seats: Vec<Seat>,
    /// Raw scores; 0 where nobody scored.
    pub(super) scores: Vec<f32>,
    /// Calibrated scores; below 0 without one.
    pub(super) calibrated: Vec<f32>,
}

/// The calibrated score of a row that has none.
pub(super) const NOT_CALIBRATED: f32 = -1.0;

impl SlotScores {
    fn clear(&mut self, rows: usize) {
        self.seats.clear();
        self.seats.resize(rows, Seat::Empty);
        self.scores.clear();
        self.scores.resize(rows, 0.0);
        self.calibrated.clear();
        self.calibrated.resize(rows, NOT_CALIBRATED);
    }
}

/// A score, and who gave it.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// Position of the slot in the line-up.
    pub slot: usize,
    /// The one generation that gave the score.
    pub generation: &'a Arc<Generation>,
    /// The raw score; finite.
    pub score: f32,
}

impl Scored<'_> {
    /// Whether the score is above the threshold of its generation.
    pub fn is_above(&self) -> bool {
        self.score > self.generation.loaded.threshold()
    }
}

/// The scores of a block of flows: at most one per slot and flow, with the generation that gave the score. Buffers are
/// reused from block to block.
#[derive(Debug, Default)]
pub struct Verdicts {
    lineup: Option<Arc<Lineup>>,
    rows: usize,
    /// As many as the line-up with the most slots had.
    slots: Vec<SlotScores>,
}

impl Verdicts {
    /// Verdicts on no block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Clears the scores and drops the line-up; keeps the buffers.
    pub fn clear(&mut self) {
        self.lineup = None;
        self.rows = 0;
    }

    pub(super) fn begin(&mut self, lineup: &Arc<Lineup>, rows: usize) {
        self.lineup = Some(Arc::clone(lineup));
        self.rows = rows;
        while self.slots.len() < lineup.slots.len() {
            self.slots.push(SlotScores::default());
        }
        for slot in &mut self.slots[..lineup.slots.len()] {
            slot.clear(rows);
        }
    }

    /// The line-up that the block is scored with.
    pub fn lineup(&self) -> Option<&Arc<Lineup>> {
        self.lineup.as_ref()
    }

    /// Flows in the block.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Slots in the line-up.
    pub fn slots(&self) -> usize {
        self.lineup.as_ref().map_or(0, |lineup| lineup.slots.len())
    }

    /// The score of a flow in a slot; `None` when there is none.
    pub fn get(&self, slot: usize, row: usize) -> Option<Scored<'_>> {
        let place = self.lineup.as_ref()?.slots.get(slot)?;
        let scores = &self.slots[slot];
        let generation = scores.seats.get(row)?.of(place)?;
        Some(Scored {
            slot,
            generation,
            score: scores.scores[row],
        })
    }

    /// The scores of a flow, in the order of the slots.
    pub fn of_row(&self, row: usize) -> impl Iterator<Item = Scored<'_>> {
        (0..self.slots()).filter_map(move |slot| self.get(slot, row))
    }

    /// The fused verdict on a flow: mean and maximum of its calibrated scores; `None` without any.
    pub fn fused(&self, row: usize) -> Option<FusedScore> {
        let (mut sum, mut count, mut max) = (0.0, 0_u8, 0.0_f32);
        for slot in &self.slots[..self.slots()] {
            match slot.calibrated.get(row) {
                Some(&calibrated) if calibrated >= 0.0 => {
                    sum += calibrated;
                    count = count.saturating_add(1);
                    max = max.max(calibrated);
                }
                _ => {}
            }
        }
        (count > 0).then(|| FusedScore {
            mean: sum / f32::from(count),
            max,
        })
    }

    /// How rare all detectors together find a flow ([`netsage_calibration::fused`]); `None` where fewer than two
    /// calibrated detectors scored the flow, since a single one raises its own alerts.
    pub fn surprise(&self, row: usize) -> Option<f64> {
        let surprises = || {
            let scored = self.of_row(row);
            scored.filter_map(|scored| scored.generation.loaded.surprise(scored.score))
        };
        netsage_calibration::fused::surprise(surprises()).filter(|_| surprises().nth(1).is_some())
    }

    /// Whether a flow lacks a score: a slot with a scoring generation gave none.
    pub fn is_incomplete(&self, row: usize) -> bool {
        let Some(lineup) = &self.lineup else { return true };
        let mut places = lineup.slots.iter().zip(&self.slots);
        places.any(|(place, scores)| place.scores() && scores.seats.get(row) == Some(&Seat::Empty))
    }

    pub(super) fn slot(&self, slot: usize) -> &SlotScores {
        &self.slots[slot]
    }

    pub(super) fn slot_mut(&mut self, slot: usize) -> &mut SlotScores {
        &mut self.slots[slot]
    }
}
