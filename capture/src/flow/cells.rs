//! Memory for flows: cells of one size, in chunks.
//!
//! Every flow has a cell; one that needs more takes a second of the same size. Because all cells are alike, what a
//! flood of short flows gives back serves the long ones, and the number of cells is the limit of memory. Chunks
//! neither move nor grow, so that no moment holds the flows twice.

use super::state::Flow;
use super::timeout::Queue;
use crate::features::FeatureSet;

/// No place: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;
/// Most bytes of a cell; with its share of the index it stays below 512.
pub(crate) const CELL_BYTES: usize = 496;
/// Cells that are allocated together.
const CHUNK: usize = 128;
/// Least number of cells: a block of records that waits and some flows beside it.
const LEAST_CELLS: usize = 4 * CHUNK;
/// Most cells, so that a place fits beside other things in a word.
const MOST_CELLS: usize = 1 << 28;

/// The neighbours in a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) previous: u32,
    pub(crate) next: u32,
}

pub(crate) const UNLINKED: Link = Link {
    previous: NONE,
    next: NONE,
};

/// A flow with what the table keeps of it.
#[derive(Clone)]
pub(crate) struct Slot<N> {
    pub(crate) flow: Flow<N>,
    /// Meter clock at the last packet.
    pub(crate) seen_ns: i64,
    /// Meter clock when the flow entered its queue.
    pub(crate) queued_ns: i64,
    /// Meter clock when the flow got its rank among those that may be given up.
    pub(crate) ranked_ns: i64,
    /// The neighbours in the queue.
    pub(crate) queue: Link,
    /// The neighbours in rank.
    pub(crate) rank: Link,
    pub(crate) hash: u32,
    /// Told apart from another flow of the same place by this.
    pub(crate) generation: u32,
    pub(crate) in_queue: Queue,
    pub(crate) is_half_open: bool,
    /// Whether it has left the table and waits for its record to be taken.
    pub(crate) has_ended: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "cells of one size are the point: what is free serves any use"
)]
enum Cell<F: FeatureSet> {
    Free { next: u32 },
    Flow(Slot<F::Near>),
    Far(F::Far),
}

pub(crate) struct Cells<F: FeatureSet> {
    chunks: Vec<Box<[Cell<F>]>>,
    free: u32,
    used: usize,
    most: usize,
}

impl<F: FeatureSet> Cells<F> {
    /// No cells yet; about `most` at most.
    pub(crate) fn new(most: usize) -> Self {
        const {
            assert!(size_of::<Cell<F>>() <= CELL_BYTES, "a flow has outgrown its cell");
        }
        Self {
            chunks: Vec::new(),
            free: NONE,
            used: 0,
            most: Self::rounded(most),
        }
    }

    /// The number of cells that is used for a wish.
    pub(crate) fn rounded(most: usize) -> usize {
        most.clamp(LEAST_CELLS, MOST_CELLS) / CHUNK * CHUNK
    }

    /// Cells that there can be.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Cells in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Cell<F>>()
            + self.chunks.capacity() * size_of::<Box<[Cell<F>]>>()
    }

    pub(crate) fn insert(&mut self, slot: Slot<F::Near>) -> u32 {
        self.put(Cell::Flow(slot))
    }

    pub(crate) fn insert_far(&mut self, far: F::Far) -> u32 {
        self.put(Cell::Far(far))
    }

    /// Gives a cell back.
    pub(crate) fn free(&mut self, place: u32) {
        let next = self.free;
        *self.cell(place) = Cell::Free { next };
        self.free = place;
        self.used -= 1;
    }

    /// The flow at a place that may have been given back.
    pub(crate) fn get(&self, place: u32) -> Option<&Slot<F::Near>> {
        let cell = self
            .chunks
            .get(place as usize / CHUNK)?
            .get(place as usize % CHUNK)?;
        match cell {
            Cell::Flow(slot) => Some(slot),
            Cell::Far(_) | Cell::Free { .. } => None,
        }
    }

    #[inline]
    pub(crate) fn slot(&self, place: u32) -> &Slot<F::Near> {
        match &self.chunks[place as usize / CHUNK][place as usize % CHUNK] {
            Cell::Flow(slot) => slot,
            Cell::Far(_) | Cell::Free { .. } => unreachable!("lists and index name cells that hold flows"),
        }
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, place: u32) -> &mut Slot<F::Near> {
        match self.cell(place) {
            Cell::Flow(slot) => slot,
            Cell::Far(_) | Cell::Free { .. } => unreachable!("lists and index name cells that hold flows"),
        }
    }

    /// The second cell of a flow, if it has one.
    #[inline]
    pub(crate) fn far(&self, flow: &Flow<F::Near>) -> Option<&F::Far> {
        if flow.far == NONE {
            return None;
        }
        match &self.chunks[flow.far as usize / CHUNK][flow.far as usize % CHUNK] {
            Cell::Far(far) => Some(far),
            Cell::Flow(_) | Cell::Free { .. } => unreachable!("a flow owns its second cell"),
        }
    }

    /// As [`Self::far`], by the number of the cell.
    #[inline]
    pub(crate) fn far_mut(&mut self, far: u32) -> Option<&mut F::Far> {
        if far == NONE {
            return None;
        }
        match self.cell(far) {
            Cell::Far(far) => Some(far),
            Cell::Flow(_) | Cell::Free { .. } => unreachable!("a flow owns its second cell"),
        }
    }

    fn put(&mut self, cell: Cell<F>) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        let place = self.free;
        let Cell::Free { next } = std::mem::replace(self.cell(place), cell) else {
            unreachable!("the list of free cells names free cells")
        };
        self.free = next;
        self.used += 1;
        place
    }

    fn grow(&mut self) {
        let first = self.chunks.len() * CHUNK;
        let chunk = (first + 1..=first + CHUNK).map(|next| Cell::Free {
            // The last one of the chunk ends the list.
            next: if next == first + CHUNK { NONE } else { next as u32 },
        });
        self.chunks.push(chunk.collect());
        self.free = first as u32;
    }

    #[inline]
    fn cell(&mut self, place: u32) -> &mut Cell<F> {
        &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }
}
