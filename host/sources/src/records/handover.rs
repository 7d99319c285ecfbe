//! What a source of records has handed over, and how far it is done with.
//!
//! Records leave a [`Partition`](netsage_records::Partition) in another order than they came in, and a store takes their
//! flows later still. A [`Ledger`] knows up to which *piece* of its input (a message of a topic, some bytes of a file)
//! nothing is open any more, so that a restart may begin behind it. [`Ready`] holds the flows whose turn has come, each with
//! what leads back to its piece.

use std::collections::VecDeque;

use netsage_records::{Ordered, Standing, row_of};
use netsage_schema::{CommunityId, FlowBatch, RECORD_V1};

use crate::site::{Provenances, Site};
use crate::source::{MOST_FLOWS, Reading};

/// A piece by its place in a [`Ledger`], counted from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(u64);

/// The pieces of one input from the first that is not done with, in their order; `P` is the place behind a piece.
///
/// A piece is done with when each of its parts is closed: it is read, and its flows are stored. Only a place before which
/// nothing is open may be begun at, whatever is done with behind.
#[derive(Debug)]
pub(crate) struct Ledger<P> {
    /// Number of the first of `pieces`.
    first: u64,
    /// The place behind each, and its open parts.
    pieces: VecDeque<(P, u32)>,
}

impl<P> Default for Ledger<P> {
    fn default() -> Self {
        Self {
            first: 0,
            pieces: VecDeque::new(),
        }
    }
}

impl<P> Ledger<P> {
    /// Takes in the next piece, with one part that is open: the reading.
    pub(crate) fn open(&mut self, behind: P) -> Entry {
        self.pieces.push_back((behind, 1));
        Entry(self.first + self.pieces.len() as u64 - 1)
    }

    /// Opens one more part of a piece that is not done with.
    pub(crate) fn open_part(&mut self, entry: Entry) {
        if let Some((_, parts)) = self.piece(entry) {
            *parts += 1;
        }
    }

    /// Closes a part of a piece.
    pub(crate) fn close(&mut self, entry: Entry) {
        if let Some((_, parts)) = self.piece(entry) {
            *parts = parts.saturating_sub(1);
        }
    }

    /// The place behind the first piece, once nothing of it is open; each piece is told of once.
    pub(crate) fn settled(&mut self) -> Option<P> {
        let (_, 0) = self.pieces.front()? else { return None };
        self.first += 1;
        self.pieces.pop_front().map(|(behind, _)| behind)
    }

    fn piece(&mut self, entry: Entry) -> Option<&mut (P, u32)> {
        let place = usize::try_from(entry.0.checked_sub(self.first)?).ok()?;
        self.pieces.get_mut(place)
    }
}

/// Flows whose turn has come, and those handed over that are not stored; `T` leads back to where a flow came from.
pub(crate) struct Ready<T> {
    flows: FlowBatch,
    /// How many flows of `flows` that are not handed over come in a row of one kind, and whether that is the kind that is
    /// read again.
    rows: VecDeque<(bool, usize)>,
    provenances: Provenances,
    /// How many of `flows` are handed over.
    given: usize,
    /// Of each flow that is not stored, whether it is handed over or not.
    tags: VecDeque<T>,
    stored: u64,
    total: u64,
}

impl<T> Ready<T> {
    /// None yet, of records of this site.
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            flows: FlowBatch::new(&RECORD_V1),
            rows: VecDeque::new(),
            provenances: Provenances::new(site),
            given: 0,
            tags: VecDeque::new(),
            stored: 0,
            total: 0,
        }
    }

    /// Takes a record whose turn has come. Gives the tag back where the record repeats another: it is no flow of its own,
    /// and nothing of it is waited for.
    pub(crate) fn take<O>(
        &mut self,
        ordered: &Ordered<O>,
        standing: Standing,
        counts: &netsage_records::Counts,
        tag: T,
    ) -> Option<T> {
        if standing == Standing::Repeated {
            return Some(tag);
        }
        self.push(ordered, standing == Standing::Late, counts, false);
        self.tags.push_back(tag);
        None
    }

    /// Takes a record that was handed over before, by whomever. Nothing of it is waited for.
    #[cfg(feature = "kafka")]
    pub(crate) fn take_again<O>(&mut self, ordered: &Ordered<O>, counts: &netsage_records::Counts) {
        self.push(ordered, false, counts, true);
    }

    fn push<O>(
        &mut self,
        ordered: &Ordered<O>,
        is_late: bool,
        counts: &netsage_records::Counts,
        is_again: bool,
    ) {
        match self.rows.back_mut() {
            Some((kind, count)) if *kind == is_again => *count += 1,
            _ => self.rows.push_back((is_again, 1)),
        }
        let identity = ordered.record.identity();
        self.flows.push_with(
            &row_of(&ordered.record, counts),
            identity,
            CommunityId::of(&identity),
            Some(ordered.id),
            self.provenances.of(&ordered.record, is_late),
            ordered.record.beside(),
        );
    }

    /// Flows that are ready to be handed over.
    pub(crate) fn waiting(&self) -> usize {
        self.flows.len() - self.given
    }

    /// Flows handed over since the start.
    pub(crate) fn handed_over(&self) -> u64 {
        self.total
    }

    /// Hands over what is ready of one kind, as far as one read may.
    pub(crate) fn give(&mut self, batch: &mut FlowBatch) -> Reading {
        let Some((is_again, row)) = self.rows.front_mut() else {
            return Reading::GoesOn;
        };
        let (is_again, count) = (*is_again, (*row).min(MOST_FLOWS));
        *row -= count;
        if *row == 0 {
            self.rows.pop_front();
        }
        if batch.is_empty() && self.given == 0 && count == self.flows.len() {
            std::mem::swap(batch, &mut self.flows);
        } else {
            batch.extend_from(&self.flows, self.given..self.given + count);
            self.given += count;
        }
        if self.given >= self.flows.len() {
            self.flows.clear();
            self.given = 0;
        }
        if is_again {
            return Reading::Again;
        }
        self.total += count as u64;
        Reading::GoesOn
    }

    /// The tags of the flows that are stored, as far as they were not told before: the first `flows` that were handed over
    /// are.
    pub(crate) fn stored(&mut self, flows: u64) -> impl Iterator<Item = T> {
        let count = usize::try_from(flows.saturating_sub(self.stored)).unwrap_or(usize::MAX);
        self.stored = self.stored.max(flows);
        self.tags.drain(..count.min(self.tags.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_settled_behind_what_is_open() {
        let mut ledger = Ledger::default();
        let first = ledger.open(7);
        ledger.open_part(first);
        ledger.close(first);
        let second = ledger.open(12);
        ledger.close(second);
        assert_eq!(ledger.settled(), None, "a part of the first is open");
        ledger.close(first);
        assert_eq!((ledger.settled(), ledger.settled()), (Some(7), Some(12)));
        assert_eq!(ledger.settled(), None, "told once");
        // Closed too often, and settled long ago.
        ledger.close(first);
        let third = ledger.open(13);
        assert_eq!(ledger.settled(), None);
        ledger.close(third);
        assert_eq!(ledger.settled(), Some(13));
    }
}
