//! Records in the order of their last packets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries that room is made for at once.
const STEP: usize = 4096;
const PLACE_BITS: u32 = 28;
const NUMBER_BITS: u32 = 36;

/// Flows that wait for their turn, by their places; those with equal times in the order in which they came.
///
/// An entry is one number: the time above the running number above the place.
#[derive(Debug, Default)]
pub(super) struct Order {
    heap: BinaryHeap<Reverse<u128>>,
    pushed: u64,
}

impl Order {
    /// Bytes per entry.
    pub(super) const BYTES: usize = size_of::<u128>();

    pub(super) fn push(&mut self, end_ns: i64, place: u32) {
        let time = end_ns.cast_unsigned() ^ 1 << 63;
        // After 2^36 records the order among equal times starts anew, which only such records can notice.
        let number = self.pushed & ((1 << NUMBER_BITS) - 1);
        self.pushed += 1;
        if self.heap.len() == self.heap.capacity() {
            // Not doubled: the memory is accounted for by the entry.
            self.heap.reserve_exact(STEP.max(self.heap.len() / 16));
        }
        self.heap.push(Reverse(
            u128::from(time) << 64 | u128::from(number) << PLACE_BITS | u128::from(place),
        ));
    }

    /// The first flow, if its last packet lies before `time_ns`.
    pub(super) fn pop_before(&mut self, time_ns: i64) -> Option<u32> {
        let Reverse(first) = self.heap.peek()?;
        let time = ((first >> 64) as u64 ^ 1 << 63).cast_signed();
        if time < time_ns { self.pop() } else { None }
    }

    /// The first flow.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let Reverse(first) = self.heap.pop()?;
        Some(first as u32 & ((1 << PLACE_BITS) - 1))
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.heap.capacity() * Self::BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_goes_first_and_equals_as_they_came() {
        let mut order = Order::default();
        for (place, time) in [5, -3, i64::MAX, 5, i64::MIN].into_iter().enumerate() {
            order.push(time, place as u32);
        }
        assert_eq!(order.pop_before(-3), Some(4));
        assert_eq!(order.pop_before(-3), None);
        let rest: Vec<_> = std::iter::from_fn(|| order.pop()).collect();
        assert_eq!(rest, [1, 0, 3, 2]);
    }
}
