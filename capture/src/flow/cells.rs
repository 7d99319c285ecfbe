//! Memory for flows: cells of one size, in chunks.
//!
//! Every flow has a cell; one that needs more takes a second of the same size. What a flow adds up from its packets is
//! plain data to this module: `N`, near the flow, and `F`, far from it in the second cell. Because all cells are alike, what a
//! flood of short flows gives back serves the long ones, and the number of cells is the limit of memory. Chunks
//! neither move nor grow, so that no moment holds the flows twice.

use super::state::Flow;
use super::timeout::Queue;

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
enum Cell<N, F> {
    Free { next: u32 },
    Flow(Slot<N>),
    Far(F),
}

pub(crate) struct Cells<N, F> {
    chunks: Vec<Box<[Cell<N, F>]>>,
    free: u32,
    used: usize,
    most: usize,
}

impl<N, F> Cells<N, F> {
    /// No cells yet; about `most` at most.
    pub(crate) fn new(most: usize) -> Self {
        const {
            assert!(
                size_of::<Cell<N, F>>() <= CELL_BYTES,
                "a flow has outgrown its cell"
            );
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
        self.chunks.len() * CHUNK * size_of::<Cell<N, F>>()
            + self.chunks.capacity() * size_of::<Box<[Cell<N, F>]>>()
    }

    pub(crate) fn insert(&mut self, slot: Slot<N>) -> u32 {
        self.put(Cell::Flow(slot))
    }

    pub(crate) fn insert_far(&mut self, far: F) -> u32 {
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
    pub(crate) fn get(&self, place: u32) -> Option<&Slot<N>> {
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
    pub(crate) fn slot(&self, place: u32) -> &Slot<N> {
        match &self.chunks[place as usize / CHUNK][place as usize % CHUNK] {
            Cell::Flow(slot) => slot,
            Cell::Far(_) | Cell::Free { .. } => unreachable!("lists and index name cells that hold flows"),
        }
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, place: u32) -> &mut Slot<N> {
        match self.cell(place) {
            Cell::Flow(slot) => slot,
            Cell::Far(_) | Cell::Free { .. } => unreachable!("lists and index name cells that hold flows"),
        }
    }

    /// The second cell of a flow, if it has one.
    #[inline]
    pub(crate) fn far(&self, flow: &Flow<N>) -> Option<&F> {
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
    pub(crate) fn far_mut(&mut self, far: u32) -> Option<&mut F> {
        if far == NONE {
            return None;
        }
        match self.cell(far) {
            Cell::Far(far) => Some(far),
            Cell::Flow(_) | Cell::Free { .. } => unreachable!("a flow owns its second cell"),
        }
    }

    fn put(&mut self, cell: Cell<N, F>) -> u32 {
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
    fn cell(&mut self, place: u32) -> &mut Cell<N, F> {
        &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }
}
