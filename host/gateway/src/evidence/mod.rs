//! Evidence: the last packets in memory, and those of an alert's flow as a file for Wireshark.
//!
//! Off unless asked for (`--keep-packets SIZE`): packets hold what people sent. They are kept in memory of that
//! size and nowhere else, the newest overwriting the oldest, and only those that are metered. A search reads the
//! ring once; what it keeps beside the ring is a mark of 32 bits with each packet, a keyed hash of its two
//! addresses, so that only packets between the right hosts are decoded again.
//!
//! The pipeline's reader writes. A search holds the lock for a piece of the ring at a time, so that it delays the
//! reader by less than a ring of an interface holds; what is overwritten meanwhile is missing in its answer.

mod pcapng;
mod ring;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netsage_api_types::{Alert, KeptPackets};
use netsage_capture::decode::{DecodeOptions, Decoded, Transport, decode};
use netsage_capture::{Packet, protocol_name};

use pcapng::PcapNgWriter;
use ring::PacketRing;

/// Bytes of the ring that a search reads before it lets the reader in.
const PIECE_BYTES: u64 = 4 << 20;
/// A chunk of a file is handed on once it has this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// The packets kept.
pub struct Evidence {
    ring: Mutex<PacketRing>,
    options: DecodeOptions,
    key: RandomState,
}

impl Evidence {
    /// Keeps packets in `bytes` of memory. `decapsulate` as for the meter: whether flows are those inside tunnels.
    pub fn new(bytes: usize, decapsulate: bool) -> Self {
        Self {
            ring: Mutex::new(PacketRing::new(bytes)),
            options: DecodeOptions { decapsulate },
            key: RandomState::new(),
        }
    }

    /// Keeps a packet, if it belongs to a flow.
    pub fn keep(&self, packet: &Packet<'_>) {
        if let Ok(decoded) = decode(packet, &self.options) {
            let mark = self.mark(decoded.source, decoded.destination);
            self.ring().push(packet, mark);
        }
    }

    /// What is kept now.
    pub fn kept(&self) -> KeptPackets {
        let ring = self.ring();
        KeptPackets {
            limit: ring.capacity() as u64,
            bytes: ring.bytes(),
            packets: ring.packets(),
            oldest: ring
                .read(ring.tail())
                .map(|oldest| oldest.packet.time_ns.div_euclid(1_000_000)),
        }
    }

    /// Begins a search for the packets of a flow, among those kept now.
    pub fn search(self: &Arc<Self>, flow: WantedFlow) -> Search {
        let (position, end) = {
            let ring = self.ring();
            (ring.tail(), ring.head())
        };
        Search {
            mark: self.mark(flow.source, flow.destination),
            evidence: Arc::clone(self),
            flow,
            position,
            end,
            writer: PcapNgWriter::default(),
        }
    }

    /// The same for both directions.
    fn mark(&self, source: IpAddr, destination: IpAddr) -> u32 {
        let pair = (source.min(destination), source.max(destination));
        // Any 32 of the 64 bits are as good as others.
        self.key.hash_one(pair) as u32
    }

    /// The ring is whole whoever panicked with it in hand: a push changes `head` last.
    fn ring(&self) -> MutexGuard<'_, PacketRing> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flow to look for, in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFlow {
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    destination_port: u16,
    /// Name of the protocol, as alerts have it.
    protocol: String,
    from_ns: i64,
    /// Not included.
    until_ns: i64,
}

impl WantedFlow {
    /// The flow that an alert shows, within the time of the alert; `None` when its addresses are none.
    pub fn of(alert: &Alert) -> Option<Self> {
        let nanoseconds = |milliseconds: i64| milliseconds.saturating_mul(1_000_000);
        Some(Self {
            source: alert.source.parse().ok()?,
            source_port: alert.source_port,
            destination: alert.destination.parse().ok()?,
            destination_port: alert.destination_port,
            protocol: alert.protocol.clone(),
            from_ns: nanoseconds(alert.first_seen),
            // The alert's times are cut to milliseconds.
            until_ns: nanoseconds(alert.last_seen.saturating_add(1)),
        })
    }

    fn has(&self, time_ns: i64, packet: &Decoded<'_>) -> bool {
        let ports = match &packet.transport {
            Transport::Tcp(segment) => Some((segment.source_port, segment.destination_port)),
            Transport::Udp(datagram) => Some((datagram.source_port, datagram.destination_port)),
            // Those of other protocols stand for a type or for nothing, and a later piece of a packet has none.
            _ => None,
        };
        let runs = |source: (IpAddr, u16), destination: (IpAddr, u16)| {
            (packet.source, packet.destination) == (source.0, destination.0)
                && ports.is_none_or(|ports| ports == (source.1, destination.1))
        };
        let source = (self.source, self.source_port);
        let destination = (self.destination, self.destination_port);
        (self.from_ns..self.until_ns).contains(&time_ns)
            && protocol_name(packet.protocol) == self.protocol
            && (runs(source, destination) || runs(destination, source))
    }
}

/// A search through the ring, from its oldest packet to the newest at the start of the search.
pub struct Search {
    evidence: Arc<Evidence>,
    flow: WantedFlow,
    mark: u32,
    position: u64,
    end: u64,
    writer: PcapNgWriter,
}

impl Search {
    /// The next piece of the file, `None` when there is no more; at once when there is no packet of the flow.
    pub fn next_chunk(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        while self.position < self.end && chunk.len() < CHUNK_BYTES {
            self.read_piece(&mut chunk);
        }
        (!chunk.is_empty()).then_some(chunk)
    }

    fn read_piece(&mut self, chunk: &mut Vec<u8>) {
        let ring = self.evidence.ring();
        let piece_end = self.end.min(self.position.max(ring.tail()) + PIECE_BYTES);
        while self.position < piece_end && chunk.len() < CHUNK_BYTES {
            let Some(entry) = ring.read(self.position).filter(|entry| entry.next <= self.end) else {
                self.position = self.end;
                return;
            };
            self.position = entry.next;
            let is_wanted = entry.mark == self.mark
                && decode(&entry.packet, &self.evidence.options)
                    .is_ok_and(|decoded| self.flow.has(entry.packet.time_ns, &decoded));
            if is_wanted {
                self.writer.packet(&entry.packet, chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netsage_capture::LinkType;
    use netsage_capture::file::CaptureReader;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// A raw IPv4 packet from 10.0.0.`from` to 10.0.0.`to`: UDP with these ports, or another protocol.
    fn ipv4(from: u8, to: u8, protocol: u8, ports: (u16, u16), payload: usize) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(ports.0.to_be_bytes());
        body.extend(ports.1.to_be_bytes());
        body.extend(u16::try_from(8 + payload).unwrap().to_be_bytes());
        body.extend(vec![0; 2 + payload]);
        let length = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
        bytes.extend([10, 0, 0, from, 10, 0, 0, to]);
        bytes.extend(body);
        bytes
    }

    fn keep(evidence: &Evidence, time_ns: i64, bytes: &[u8]) {
        evidence.keep(&Packet {
            link: LinkType::RawIp,
            time_ns,
            wire_length: u32::try_from(bytes.len()).unwrap(),
            bytes,
        });
    }

    fn wanted(protocol: &str) -> WantedFlow {
        WantedFlow {
            source: "10.0.0.1".parse().unwrap(),
            source_port: 1000,
            destination: "10.0.0.2".parse().unwrap(),
            destination_port: 53,
            protocol: protocol.to_owned(),
            from_ns: 10 * SECOND,
            until_ns: 20 * SECOND,
        }
    }

    /// Times of the packets found, in seconds.
    fn found(evidence: &Arc<Evidence>, flow: WantedFlow) -> Vec<i64> {
        let mut search = evidence.search(flow);
        let mut file = Vec::new();
        while let Some(chunk) = search.next_chunk() {
            file.extend(chunk);
        }
        if file.is_empty() {
            return Vec::new();
        }
        let mut reader = CaptureReader::new(file.as_slice()).unwrap();
        let mut times = Vec::new();
        while let Some(packet) = reader.next_packet().unwrap() {
            times.push(packet.time_ns / SECOND);
        }
        times
    }

    #[test]
    fn a_search_finds_both_directions_of_its_flow_and_nothing_else() {
        let evidence = Arc::new(Evidence::new(1 << 20, false));
        for (time, packet) in [
            (9, ipv4(1, 2, 17, (1000, 53), 4)),
            (10, ipv4(1, 2, 17, (1000, 53), 4)),
            (11, ipv4(2, 1, 17, (53, 1000), 4)),
            (12, ipv4(2, 1, 17, (1000, 53), 4)),
            (13, ipv4(1, 3, 17, (1000, 53), 4)),
            (14, ipv4(1, 2, 17, (1001, 53), 4)),
            (15, ipv4(1, 2, 1, (0x0800, 0), 4)),
            (16, ipv4(2, 1, 1, (0, 0), 4)),
            (20, ipv4(1, 2, 17, (1000, 53), 4)),
        ] {
            keep(&evidence, time * SECOND, &packet);
        }
        keep(&evidence, 15 * SECOND, b"no packet");
        assert_eq!(evidence.kept().packets, 9);
        assert_eq!(evidence.kept().oldest, Some(9_000));
        assert_eq!(found(&evidence, wanted("udp")), [10, 11]);
        assert_eq!(found(&evidence, wanted("icmp")), [15, 16]);
        assert_eq!(found(&evidence, wanted("tcp")), [0; 0]);
    }

    #[test]
    fn memory_is_bounded_and_what_was_overwritten_is_gone() {
        let evidence = Arc::new(Evidence::new(1 << 20, false));
        keep(&evidence, 10 * SECOND, &ipv4(1, 2, 17, (1000, 53), 1000));
        for number in 0..10_000_i64 {
            keep(&evidence, 11 * SECOND + number, &ipv4(3, 4, 17, (1, 2), 1000));
        }
        let kept = evidence.kept();
        assert!(kept.bytes <= kept.limit && kept.limit == 1 << 20, "{kept:?}");
        assert!((900..1100).contains(&kept.packets), "{kept:?}");
        assert_eq!(found(&evidence, wanted("udp")), [0; 0]);
    }

    #[test]
    fn a_search_goes_on_while_the_ring_is_overwritten() {
        let evidence = Arc::new(Evidence::new(2 << 20, false));
        let packet = ipv4(1, 2, 17, (1000, 53), 1000);
        (0..1500).for_each(|number| keep(&evidence, 10 * SECOND + number, &packet));
        let mut search = evidence.search(wanted("udp"));
        assert!(search.next_chunk().is_some());
        (0..3000).for_each(|number| keep(&evidence, 12 * SECOND + number, &packet));
        assert_eq!(
            search.next_chunk(),
            None,
            "everything it was to find is overwritten"
        );
    }
}
