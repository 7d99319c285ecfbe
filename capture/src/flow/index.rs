//! From the hash of a flow to its place: open addressing with a fixed number of buckets.
//!
//! A table of the standard kind doubles when it is half full of entries and of traces of removed ones, which is a jump
//! in memory and in latency at the worst moment. This table never grows: it has room for the largest number of flows,
//! and deletion closes the gap instead of leaving a tombstone (Knuth, volume 3, 6.4, algorithm R). Its memory is
//! touched only as buckets are used.

/// Bytes of the index per flow that there can be at once: 8 per bucket, three quarters of them in use at most.
pub(crate) const BYTES_PER_FLOW: usize = 11;

/// Entries: the hash in the high half, the place and 1 in the low half; 0 is an empty bucket.
pub(crate) struct Index {
    buckets: Vec<u64>,
}

impl Index {
    /// For up to `flows` entries at once.
    pub(crate) fn new(flows: usize) -> Self {
        Self {
            buckets: vec![0; flows + flows / 3 + 1],
        }
    }

    /// The first place with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut position = self.home(hash);
        loop {
            let entry = self.buckets[position];
            if entry == 0 {
                return None;
            }
            let place = place_of(entry);
            if hash_of(entry) == hash && is_it(place) {
                return Some(place);
            }
            position = self.after(position);
        }
    }

    /// Adds an entry; the caller keeps to the number of entries that the index was made for.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        let mut position = self.home(hash);
        while self.buckets[position] != 0 {
            position = self.after(position);
        }
        self.buckets[position] = u64::from(hash) << 32 | (u64::from(place) + 1);
    }

    /// Takes an entry out, if it is there.
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let mut gap = self.home(hash);
        loop {
            match self.buckets[gap] {
                0 => return,
                entry if hash_of(entry) == hash && place_of(entry) == place => break,
                _ => gap = self.after(gap),
            }
        }
        let mut position = gap;
        loop {
            position = self.after(position);
            let entry = self.buckets[position];
            if entry == 0 {
                break;
            }
            // An entry may fill the gap unless its home lies behind the gap, up to where it stands.
            let home = self.home(hash_of(entry));
            let stays = if gap < position {
                gap < home && home <= position
            } else {
                gap < home || home <= position
            };
            if !stays {
                self.buckets[gap] = entry;
                gap = position;
            }
        }
        self.buckets[gap] = 0;
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<u64>()
    }

    /// Where a hash belongs: its share of the range, so that the number of buckets need not be a power of two.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.buckets.len() as u64) >> 32) as usize
    }

    fn after(&self, position: usize) -> usize {
        let next = position + 1;
        if next == self.buckets.len() { 0 } else { next }
    }
}

fn hash_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn place_of(entry: u64) -> u32 {
    entry as u32 - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Few distinct hashes, at the ends of the range too, so that runs collide and wrap round.
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((any::<bool>(), 0..12_u32), 1..200)) {
            let hashes = [0, 1, 1 << 30, u32::MAX, u32::MAX - 1, u32::MAX - 2];
            let hash_of = |place: u32| hashes[place as usize % hashes.len()];
            let mut index = Index::new(12);
            let mut expected = BTreeMap::new();
            for (inserts, place) in steps {
                if inserts && !expected.contains_key(&place) {
                    index.insert(hash_of(place), place);
                    expected.insert(place, ());
                } else if !inserts {
                    index.remove(hash_of(place), place);
                    expected.remove(&place);
                }
                for place in 0..12 {
                    let found = index.find(hash_of(place), |other| other == place);
                    prop_assert_eq!(found.is_some(), expected.contains_key(&place));
                }
            }
        }
    }
}
