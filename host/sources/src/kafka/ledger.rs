//! Which messages of a partition are done with, and so may be committed.

use std::collections::VecDeque;

/// A message by its place in a [`Ledger`], counted from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u64);

/// The messages of one partition from the first that is not done with, in the order of their offsets.
///
/// A message is done with when each of its parts is closed: its flows are stored, what was refused of it lies in the
/// dead-letter topic. Only messages before which none is open may be committed, whatever is done with behind.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Number of the first of `messages`.
    first: u64,
    /// Offset and open parts.
    messages: VecDeque<(i64, u32)>,
    /// The offset behind the last message that left.
    settled: Option<i64>,
}

impl Ledger {
    /// Takes in the next message, with one part that is open: the reading.
    pub(super) fn open(&mut self, offset: i64) -> Entry {
        self.messages.push_back((offset, 1));
        Entry(self.first + self.messages.len() as u64 - 1)
    }

    /// Opens one more part of a message that is not done with.
    pub(super) fn open_part(&mut self, entry: Entry) {
        if let Some((_, parts)) = self.message(entry) {
            *parts += 1;
        }
    }

    /// Closes a part of a message.
    pub(super) fn close(&mut self, entry: Entry) {
        if let Some((_, parts)) = self.message(entry) {
            *parts = parts.saturating_sub(1);
        }
        while let Some(&(offset, 0)) = self.messages.front() {
            self.messages.pop_front();
            self.first += 1;
            self.settled = Some(offset + 1);
        }
    }

    /// The offset to go on at, if it has moved since the last call.
    pub(super) fn settled(&mut self) -> Option<i64> {
        self.settled.take()
    }

    fn message(&mut self, entry: Entry) -> Option<&mut (i64, u32)> {
        let place = usize::try_from(entry.0.checked_sub(self.first)?).ok()?;
        self.messages.get_mut(place)
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
        // Offsets have gaps where a topic is compacted or written in transactions.
        let second = ledger.open(12);
        ledger.close(second);
        assert_eq!(ledger.settled(), None, "a part of the first is open");
        ledger.close(first);
        assert_eq!(ledger.settled(), Some(13));
        assert_eq!(ledger.settled(), None, "told once");
        ledger.close(first);
        let third = ledger.open(13);
        assert_eq!(ledger.settled(), None);
        ledger.close(third);
        assert_eq!(ledger.settled(), Some(14));
    }
}
