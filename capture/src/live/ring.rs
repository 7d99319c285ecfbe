//! What travels through the ring of an interface: packets in batches, whose memory circulates.

use crate::packet::{LinkType, Packet};

/// Most packets in a batch.
const BATCH_PACKETS: usize = 512;
/// A batch takes no further packet once it holds this many bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// Everything of a packet but its bytes.
struct Header {
    link: LinkType,
    time_ns: i64,
    wire_length: u32,
    /// Where its bytes end in those of the batch; they begin where those of the packet before end.
    end: usize,
}

/// Packets of one interface, in order.
pub(super) struct Batch {
    /// The interface, by its position in the configuration.
    pub(super) interface: usize,
    headers: Vec<Header>,
    bytes: Vec<u8>,
}

impl Batch {
    pub(super) fn new(interface: usize) -> Self {
        Self {
            interface,
            headers: Vec::new(),
            bytes: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.headers.len() >= BATCH_PACKETS || self.bytes.len() >= BATCH_BYTES
    }

    pub(super) fn push(&mut self, packet: &Packet<'_>) {
        self.bytes.extend_from_slice(packet.bytes);
        self.headers.push(Header {
            link: packet.link,
            time_ns: packet.time_ns,
            wire_length: packet.wire_length,
            end: self.bytes.len(),
        });
    }

    pub(super) fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let mut start = 0;
        self.headers.iter().map(move |header| {
            let bytes = &self.bytes[start..header.end];
            start = header.end;
            Packet {
                link: header.link,
                time_ns: header.time_ns,
                wire_length: header.wire_length,
                bytes,
            }
        })
    }

    /// Forgets the packets and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.headers.clear();
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(time_ns: i64, bytes: &[u8]) -> Packet<'_> {
        Packet {
            link: LinkType::Ethernet,
            time_ns,
            wire_length: 100,
            bytes,
        }
    }

    #[test]
    fn a_batch_gives_what_was_put_in() {
        let mut batch = Batch::new(3);
        for _ in 0..2 {
            let packets = [packet(1, b"one"), packet(2, b""), packet(3, b"three")];
            for packet in &packets {
                batch.push(packet);
            }
            assert!(batch.packets().eq(packets));
            batch.clear();
            assert!(batch.is_empty());
        }
    }

    #[test]
    fn a_batch_is_full_by_packets_or_by_bytes() {
        let mut many = Batch::new(0);
        (0..BATCH_PACKETS).for_each(|_| many.push(&packet(0, b"")));
        let mut large = Batch::new(0);
        large.push(&packet(0, &vec![0; BATCH_BYTES]));
        assert!(many.is_full() && large.is_full());
    }
}
