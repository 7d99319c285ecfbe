//! What flows have in common: a table of keys, each with the number of flows in the window that have it.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Place of a key in its table, valid as long as a flow has the key.
pub(super) type Place = u32;

#[derive(Clone, Copy)]
struct Slot<K, T> {
    key: K,
    flows: u32,
    tally: T,
}

/// Keys that at least one flow of the window has, each with a tally.
///
/// The hash is keyed, because who sends packets chooses the keys.
pub(super) struct Groups<K, T> {
    index: HashTable<Place>,
    slots: Vec<Slot<K, T>>,
    free: Vec<Place>,
    most: usize,
}

impl<K: Copy + Eq + Hash, T: Copy + Default> Groups<K, T> {
    /// Most bytes of a key: its slot, its entry in the free list, and its share of the index. That has 5 bytes per
    /// bucket, and grows only when more than half of 7/8 of its buckets are taken: after growing there are at most 32/7
    /// buckets per key.
    pub(super) const MOST_BYTES_PER_KEY: usize = size_of::<Slot<K, T>>() + size_of::<Place>() + 23;

    /// A table that takes no memory yet. `most`: keys that there can be at once.
    pub(super) fn new(most: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            most,
        }
    }

    /// Counts a flow under its key; says where, and whether it is the key's first.
    pub(super) fn enter(&mut self, random: &RandomState, key: K) -> (Place, bool) {
        let Self { index, slots, .. } = self;
        let entry = index.entry(
            random.hash_one(key),
            |&place| slots[place as usize].key == key,
            |&place| random.hash_one(slots[place as usize].key),
        );
        let vacant = match entry {
            Entry::Occupied(found) => {
                let place = *found.get();
                slots[place as usize].flows += 1;
                return (place, false);
            }
            Entry::Vacant(vacant) => vacant,
        };
        let slot = Slot {
            key,
            flows: 1,
            tally: T::default(),
        };
        let place = match self.free.pop() {
            Some(place) => {
                slots[place as usize] = slot;
                place
            }
            None => {
                grow(slots, self.most);
                slots.push(slot);
                // There are at most as many keys as flows in the window, whose number is a `u32`.
                (slots.len() - 1) as Place
            }
        };
        vacant.insert(place);
        (place, true)
    }

    /// Takes a flow away from its key; says whether it was the key's last.
    pub(super) fn leave(&mut self, random: &RandomState, place: Place) -> bool {
        let slot = &mut self.slots[place as usize];
        slot.flows -= 1;
        if slot.flows > 0 {
            return false;
        }
        let hash = random.hash_one(slot.key);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == place) {
            found.remove();
        }
        grow(&mut self.free, self.most);
        self.free.push(place);
        true
    }

    /// The place of a key that a flow has.
    pub(super) fn find(&self, random: &RandomState, key: K) -> Option<Place> {
        let hash = random.hash_one(key);
        self.index
            .find(hash, |&place| self.slots[place as usize].key == key)
            .copied()
    }

    /// Flows that have the key at `place`.
    pub(super) fn flows(&self, place: Place) -> u32 {
        self.slots[place as usize].flows
    }

    pub(super) fn tally(&self, place: Place) -> &T {
        &self.slots[place as usize].tally
    }

    pub(super) fn tally_mut(&mut self, place: Place) -> &mut T {
        &mut self.slots[place as usize].tally
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.index.allocation_size()
            + self.slots.capacity() * size_of::<Slot<K, T>>()
            + self.free.capacity() * size_of::<Place>()
    }
}

/// Doubles a full vector, but never beyond the number of items there can be.
fn grow<I>(items: &mut Vec<I>, most: usize) {
    if items.len() == items.capacity() {
        let more = items.len().max(64).min(most.saturating_sub(items.len())).max(1);
        items.reserve_exact(more);
    }
}
