//! A ring of packets in one piece of memory of fixed size; the newest packet overwrites the oldest.
//!
//! Positions count the bytes ever written and never run back; a position is a place in the memory modulo its
//! size. An entry is a header and the packet's bytes, and never lies across the end of the memory: where one does
//! not fit before the end, the rest is skipped.

use netsage_capture::{LinkType, Packet};

/// Time 8, bytes captured 4, bytes on the wire 4, mark 4, link type 2, and 2 to a multiple of 8.
const HEADER_BYTES: usize = 24;
/// Entries begin at multiples of this, so that their numbers lie well in memory.
const ALIGNMENT: usize = 8;
/// Stands where the number of bytes captured would: the next entry is at the start of the memory.
const SKIP: u32 = u32::MAX;

/// Packets, the oldest first.
pub(super) struct PacketRing {
    memory: Vec<u8>,
    /// Position of the oldest entry; the same as `head` when there is none.
    tail: u64,
    /// Position after the newest entry.
    head: u64,
    packets: u64,
}

/// A packet of the ring.
pub(super) struct Entry<'a> {
    pub(super) packet: Packet<'a>,
    /// What was said with [`PacketRing::push`].
    pub(super) mark: u32,
    /// Position of the next entry.
    pub(super) next: u64,
}

impl PacketRing {
    /// A ring of `bytes`, which are all it ever takes, and are only taken as packets come.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            memory: vec![0; bytes / ALIGNMENT * ALIGNMENT],
            tail: 0,
            head: 0,
            packets: 0,
        }
    }

    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    pub(super) fn bytes(&self) -> u64 {
        self.head - self.tail
    }

    pub(super) fn capacity(&self) -> usize {
        self.memory.len()
    }

    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Adds a packet and forgets as many of the oldest as that takes. A packet larger than the ring is not kept.
    pub(super) fn push(&mut self, packet: &Packet<'_>, mark: u32) {
        let size = entry_bytes(packet.bytes.len());
        let Ok(captured) = u32::try_from(packet.bytes.len()) else {
            return;
        };
        if size > self.capacity() {
            return;
        }
        let to_end = self.capacity() - self.place(self.head);
        let skipped = if size > to_end { to_end } else { 0 };
        while self.tail < self.head && self.bytes() as usize + skipped + size > self.capacity() {
            self.forget_oldest();
        }
        if skipped > 0 {
            // Where not even a header fits, no entry can be.
            if to_end >= HEADER_BYTES {
                let place = self.place(self.head);
                self.memory[place + 8..place + 12].copy_from_slice(&SKIP.to_le_bytes());
            }
            if self.tail == self.head {
                self.tail += skipped as u64;
            }
            self.head += skipped as u64;
        }
        let place = self.place(self.head);
        let entry = &mut self.memory[place..place + size];
        entry[..8].copy_from_slice(&packet.time_ns.to_le_bytes());
        entry[8..12].copy_from_slice(&captured.to_le_bytes());
        entry[12..16].copy_from_slice(&packet.wire_length.to_le_bytes());
        entry[16..20].copy_from_slice(&mark.to_le_bytes());
        entry[20..22].copy_from_slice(&packet.link.number().to_le_bytes());
        entry[HEADER_BYTES..HEADER_BYTES + packet.bytes.len()].copy_from_slice(packet.bytes);
        self.head += size as u64;
        self.packets += 1;
    }

    /// The entry at a position, or the oldest when that one is gone; `None` at the end.
    pub(super) fn read(&self, position: u64) -> Option<Entry<'_>> {
        let position = self.skip(position.max(self.tail));
        if position >= self.head {
            return None;
        }
        let entry = &self.memory[self.place(position)..];
        let length = number(entry, 8) as usize;
        let mut time = [0; 8];
        time.copy_from_slice(&entry[..8]);
        Some(Entry {
            packet: Packet {
                link: LinkType::from_number(u16::from_le_bytes([entry[20], entry[21]])),
                time_ns: i64::from_le_bytes(time),
                wire_length: number(entry, 12),
                bytes: &entry[HEADER_BYTES..HEADER_BYTES + length],
            },
            mark: number(entry, 16),
            next: position + entry_bytes(length) as u64,
        })
    }

    fn forget_oldest(&mut self) {
        let next = self.read(self.tail).map_or(self.head, |oldest| oldest.next);
        self.packets -= 1;
        self.tail = if next < self.head { self.skip(next) } else { next };
    }

    /// The position of the next entry when nothing but the rest before the end is at this one.
    fn skip(&self, position: u64) -> u64 {
        if position >= self.head {
            return position;
        }
        let place = self.place(position);
        let to_end = self.capacity() - place;
        if to_end < HEADER_BYTES || number(&self.memory[place..], 8) == SKIP {
            return position + to_end as u64;
        }
        position
    }

    fn place(&self, position: u64) -> usize {
        // The remainder is below the length of the memory.
        (position % self.capacity().max(1) as u64) as usize
    }
}

fn entry_bytes(captured: usize) -> usize {
    (HEADER_BYTES + captured).next_multiple_of(ALIGNMENT)
}

/// The number at `offset` of an entry.
fn number(entry: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes([
        entry[offset],
        entry[offset + 1],
        entry[offset + 2],
        entry[offset + 3],
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A ring that is pushed into, beside the packets that should be in it.
    struct Checked {
        ring: PacketRing,
        expected: VecDeque<(i64, Vec<u8>)>,
    }

    impl Checked {
        fn push(&mut self, time_ns: i64, length: usize) {
            let bytes = vec![time_ns as u8; length];
            let packet = Packet {
                link: LinkType::Ethernet,
                time_ns,
                wire_length: 2000,
                bytes: &bytes,
            };
            self.ring.push(&packet, time_ns as u32);
            self.expected.push_back((time_ns, bytes));
        }

        /// Everything in the ring is what was pushed last, whole and in order.
        fn check(&mut self) {
            let mut found = Vec::new();
            let mut position = 0;
            while let Some(entry) = self.ring.read(position) {
                assert_eq!(entry.mark, entry.packet.time_ns as u32);
                assert_eq!(
                    (entry.packet.link, entry.packet.wire_length),
                    (LinkType::Ethernet, 2000)
                );
                found.push((entry.packet.time_ns, entry.packet.bytes.to_vec()));
                position = entry.next;
            }
            assert_eq!(found.len() as u64, self.ring.packets());
            assert!(self.ring.bytes() as usize <= self.ring.capacity());
            while self.expected.len() > found.len() {
                self.expected.pop_front();
            }
            assert_eq!(found, Vec::from(self.expected.clone()));
        }
    }

    #[test]
    fn the_newest_packets_are_kept_whole_and_in_order() {
        for capacity in [64, 200, 1000, 1003] {
            let mut checked = Checked {
                ring: PacketRing::new(capacity),
                expected: VecDeque::new(),
            };
            // Lengths without a pattern that fits the capacity.
            for step in 0..500_u32 {
                let number = step as usize;
                let length = (number * 37 + number * number % 11) % (capacity - 40);
                checked.push(i64::from(step), length);
                checked.check();
            }
            assert!(checked.ring.packets() > 0);
        }
    }

    #[test]
    fn a_ring_holds_what_fits_and_no_more() {
        let mut ring = PacketRing::new(100 * entry_bytes(40));
        let packet = Packet {
            link: LinkType::RawIp,
            time_ns: -1,
            wire_length: 40,
            bytes: &[7; 40],
        };
        (0..1000).for_each(|_| ring.push(&packet, 0));
        assert_eq!(ring.packets(), 100);
        ring.push(
            &Packet {
                bytes: &vec![0; ring.capacity()],
                ..packet
            },
            0,
        );
        assert_eq!(ring.packets(), 100, "a packet larger than the ring is not kept");
    }
}
