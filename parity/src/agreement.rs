//! `flow-v1` beside `unsw-nb15`: what both schemas must say of the same packets.
//!
//! Both count packets and bytes, name a source, and begin a record where a session begins. Their records may end at
//! different moments, since Argus joins some connections that `flow-v1` tells apart; what is compared is therefore a
//! *session*: everything between two ends until they have been silent for so long that no flow of either schema goes on.
//! Bytes are compared on packets that end where their IP header says, because Argus counts what follows as well; the same
//! rows of `flow-v1` must come from the packets as they were captured.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use netsage_capture::decode::{DecodeOptions, Decoded, Transport, decode};
use netsage_capture::file::CaptureReader;
use netsage_capture::{Meter, MeterConfig, Packet};
use netsage_schema::{FLOW_V1, FlowBatch, Identity, Schema, UNSW_NB15};

use crate::ParityError;

/// Records are taken from a meter after so many packets.
const PACKETS_BETWEEN_DRAINS: u64 = 256;
/// A flow that has been silent for longer has ended: the status interval and the longest idle timeout.
const LONGEST_SILENCE_NS: i64 = 120_000_000_000;
/// Enough for no flow of a capture to end early for want of room.
const FLOW_MEMORY: usize = 256 << 20;

/// The result of metering any number of captures by both schemas.
#[derive(Debug, Clone, Default)]
pub struct Agreement {
    /// Records of `flow-v1`.
    pub flow_v1_records: u64,
    /// Records of `unsw-nb15`.
    pub unsw_nb15_records: u64,
    /// Packets that are longer than their IP header says: padding, check sequences, trailers.
    pub packets_with_more: u64,
    /// Sessions that both schemas tell in the same records: the same source, packets and bytes of each side.
    pub equal: u64,
    /// Sessions in which a SYN begins a record of one schema only; packets and bytes of each end are the same.
    pub parted: u64,
    /// Everything else, which should not be.
    pub differences: Vec<String>,
}

/// The two ends of a session, in order, and the protocol that they speak.
type Ends = (u8, [End; 2]);
type End = (IpAddr, u16);

/// What a record says that both schemas have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    start_ns: i64,
    end_ns: i64,
    counts: Counts,
}

/// The source, and packets and bytes of each end in the order of [`Ends`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    source: usize,
    packets: [u64; 2],
    bytes: [u64; 2],
}

/// The records of both schemas between two ends.
#[derive(Debug, Default)]
struct Parts {
    flow_v1: Vec<Part>,
    unsw_nb15: Vec<Part>,
}

/// A meter and what it has given.
struct Running {
    meter: Meter,
    batch: FlowBatch,
}

impl Running {
    fn new(schema: &'static Schema, decapsulate: bool) -> Self {
        Self {
            meter: Meter::new(MeterConfig {
                schema,
                flow_memory: FLOW_MEMORY,
                decapsulate,
                ..MeterConfig::default()
            }),
            batch: FlowBatch::new(schema),
        }
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        self.meter.packet(packet);
        if self.meter.stats().packets.is_multiple_of(PACKETS_BETWEEN_DRAINS) {
            self.meter.drain(&mut self.batch);
        }
    }

    fn finished(mut self) -> FlowBatch {
        self.meter.finish();
        self.meter.drain(&mut self.batch);
        self.batch
    }
}

impl Agreement {
    /// Meters a capture by both schemas and adds what was found; `decapsulate` meters what tunnels carry.
    ///
    /// # Errors
    /// When the capture cannot be opened or is damaged. The packets before the damage have been added.
    pub fn add(&mut self, path: &Path, decapsulate: bool) -> Result<(), ParityError> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let file = File::open(path).map_err(|source| ParityError::Open {
            path: path.to_owned(),
            source,
        })?;
        let damaged = |source| ParityError::Damaged {
            path: path.to_owned(),
            source,
        };
        let mut reader = CaptureReader::new(std::io::BufReader::new(file)).map_err(damaged)?;
        let mut as_captured = Running::new(&FLOW_V1, decapsulate);
        let mut flow_v1 = Running::new(&FLOW_V1, decapsulate);
        let mut unsw_nb15 = Running::new(&UNSW_NB15, decapsulate);
        let mut openings = BTreeSet::new();
        let damage = loop {
            let packet = match reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break None,
                Err(error) => break Some(damaged(error)),
            };
            let decoded = decode(&packet, &DecodeOptions { decapsulate }).ok();
            let trimmed = decoded.map_or(packet, |decoded| trimmed(&packet, &decoded));
            self.packets_with_more += u64::from(trimmed.wire_length < packet.wire_length);
            openings.extend(decoded.and_then(|decoded| opening(&decoded, packet.time_ns)));
            as_captured.packet(&packet);
            flow_v1.packet(&trimmed);
            unsw_nb15.packet(&trimmed);
        };
        let (as_captured, flow_v1, unsw_nb15) =
            (as_captured.finished(), flow_v1.finished(), unsw_nb15.finished());
        if bits(&as_captured) != bits(&flow_v1) {
            self.differences.push(format!(
                "{name}: what follows the IP packets changes rows of flow-v1"
            ));
        }
        self.compare(&name, &flow_v1, &unsw_nb15, &openings);
        damage.map_or(Ok(()), Err)
    }

    fn compare(
        &mut self,
        name: &str,
        flow_v1: &FlowBatch,
        unsw_nb15: &FlowBatch,
        openings: &BTreeSet<(Ends, i64)>,
    ) {
        self.flow_v1_records += flow_v1.len() as u64;
        self.unsw_nb15_records += unsw_nb15.len() as u64;
        let mut sessions: BTreeMap<Ends, Parts> = BTreeMap::new();
        for (ends, part) in parts(flow_v1, ["src_packets", "dst_packets", "src_bytes", "dst_bytes"]) {
            sessions.entry(ends).or_default().flow_v1.push(part);
        }
        for (ends, part) in parts(unsw_nb15, ["spkts", "dpkts", "sbytes", "dbytes"]) {
            sessions.entry(ends).or_default().unsw_nb15.push(part);
        }
        for (ends, parts) in sessions {
            for session in parts.sessions() {
                if session.is_equal() {
                    self.equal += 1;
                } else if session.has_equal_totals() && session.is_parted_by(&ends, openings) {
                    self.parted += 1;
                } else {
                    self.differences
                        .push(format!("{name}: {}", Difference(&ends, &session)));
                }
            }
        }
    }

    /// Adds the result of other captures.
    pub fn join(&mut self, other: Self) {
        self.flow_v1_records += other.flow_v1_records;
        self.unsw_nb15_records += other.unsw_nb15_records;
        self.packets_with_more += other.packets_with_more;
        self.equal += other.equal;
        self.parted += other.parted;
        self.differences.extend(other.differences);
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "flow-v1 beside unsw-nb15: {} and {} records, {} packets longer than their IP header says",
            self.flow_v1_records, self.unsw_nb15_records, self.packets_with_more
        )?;
        writeln!(
            formatter,
            "sessions: {} in equal records, {} parted by a SYN of which one schema makes a new record, {} different",
            self.equal,
            self.parted,
            self.differences.len()
        )?;
        for difference in &self.differences {
            writeln!(formatter, "different: {difference}")?;
        }
        Ok(())
    }
}

impl Parts {
    fn all(&self) -> impl Iterator<Item = &Part> {
        self.flow_v1.iter().chain(&self.unsw_nb15)
    }

    /// The parts, cut where the ends were silent for longer than any flow lasts.
    fn sessions(mut self) -> Vec<Self> {
        let mut times: Vec<_> = self.all().map(|part| (part.start_ns, part.end_ns)).collect();
        times.sort_unstable();
        let mut ends_ns: Vec<i64> = Vec::new();
        for (start_ns, end_ns) in times {
            match ends_ns.last_mut() {
                Some(last_ns) if start_ns.saturating_sub(*last_ns) <= LONGEST_SILENCE_NS => {
                    *last_ns = end_ns.max(*last_ns);
                }
                _ => ends_ns.push(end_ns),
            }
        }
        let mut sessions: Vec<Self> = ends_ns.iter().map(|_| Self::default()).collect();
        let session_of = |part: &Part| ends_ns.partition_point(|last_ns| *last_ns < part.end_ns);
        for list in [&mut self.flow_v1, &mut self.unsw_nb15] {
            list.sort_by_key(|part| (part.start_ns, part.end_ns));
        }
        for part in self.flow_v1 {
            sessions[session_of(&part)].flow_v1.push(part);
        }
        for part in self.unsw_nb15 {
            sessions[session_of(&part)].unsw_nb15.push(part);
        }
        sessions
    }

    /// Whether the records are the same one by one, apart from the times at which they begin and end.
    fn is_equal(&self) -> bool {
        let [ours, theirs] =
            [&self.flow_v1, &self.unsw_nb15].map(|parts| parts.iter().map(|part| part.counts));
        ours.eq(theirs)
    }

    fn has_equal_totals(&self) -> bool {
        let [ours, theirs] = [&self.flow_v1, &self.unsw_nb15].map(|parts| {
            parts.iter().fold([0; 4], |sum, Part { counts, .. }| {
                let [packets, bytes] = [counts.packets, counts.bytes];
                [
                    sum[0] + packets[0],
                    sum[1] + packets[1],
                    sum[2] + bytes[0],
                    sum[3] + bytes[1],
                ]
            })
        });
        ours == theirs
    }

    /// Whether a SYN lies within the session, behind its beginning.
    fn is_parted_by(&self, ends: &Ends, openings: &BTreeSet<(Ends, i64)>) -> bool {
        let start_ns = self.all().map(|part| part.start_ns).min().unwrap_or(i64::MAX);
        let end_ns = self.all().map(|part| part.end_ns).max().unwrap_or(i64::MIN);
        start_ns < end_ns
            && openings
                .range((*ends, start_ns.saturating_add(1))..=(*ends, end_ns))
                .next()
                .is_some()
    }
}

/// Prints a session that the schemas tell differently.
struct Difference<'a>(&'a Ends, &'a Parts);

impl fmt::Display for Difference<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((protocol, [(low, low_port), (high, high_port)]), session) = self;
        write!(
            formatter,
            "protocol {protocol}, {low} port {low_port} and {high} port {high_port}:"
        )?;
        for (schema, parts) in [("flow-v1", &session.flow_v1), ("unsw-nb15", &session.unsw_nb15)] {
            write!(formatter, " {schema}")?;
            for part in parts {
                let Counts {
                    source,
                    packets: [low_packets, high_packets],
                    bytes: [low_bytes, high_bytes],
                } = part.counts;
                write!(
                    formatter,
                    " [{} to {} ns, source {source}, {low_packets}+{high_packets} packets, {low_bytes}+{high_bytes} bytes]",
                    part.start_ns, part.end_ns
                )?;
            }
        }
        Ok(())
    }
}

/// The packet without what follows the IP packet.
fn trimmed<'a>(packet: &Packet<'a>, decoded: &Decoded<'_>) -> Packet<'a> {
    let length = decoded.link_header + decoded.length as usize;
    Packet {
        wire_length: u32::try_from(length).unwrap_or(u32::MAX),
        bytes: &packet.bytes[..packet.bytes.len().min(length)],
        ..*packet
    }
}

/// The ends and the time of a SYN without ACK.
fn opening(decoded: &Decoded<'_>, time_ns: i64) -> Option<(Ends, i64)> {
    let Transport::Tcp(segment) = &decoded.transport else {
        return None;
    };
    let mut ends = [
        (decoded.source, segment.source_port),
        (decoded.destination, segment.destination_port),
    ];
    ends.sort_unstable();
    (segment.flags.syn() && !segment.flags.ack()).then_some(((decoded.protocol, ends), time_ns))
}

/// Who a record is about, and what the columns for packets and bytes of source and destination say.
fn parts(batch: &FlowBatch, columns: [&str; 4]) -> impl Iterator<Item = (Ends, Part)> {
    let columns = columns.map(|name| batch.rows.schema().position(name));
    batch
        .identities
        .iter()
        .zip(batch.rows.iter())
        .map(move |(identity, row)| {
            let source = (identity.source, identity.source_port);
            let mut ends = [source, (identity.destination, identity.destination_port)];
            ends.sort_unstable();
            let source = usize::from(ends[0] != source);
            let [mut packets, mut bytes] =
                [[0, 1], [2, 3]].map(|pair| pair.map(|at| row[columns[at]] as u64));
            packets.rotate_left(source);
            bytes.rotate_left(source);
            let part = Part {
                start_ns: identity.start_ns,
                end_ns: identity.end_ns,
                counts: Counts {
                    source,
                    packets,
                    bytes,
                },
            };
            ((identity.protocol, ends), part)
        })
}

/// Identities and bits of all rows, in an order of their own.
fn bits(batch: &FlowBatch) -> Vec<(Identity, Vec<u64>)> {
    let bits = batch
        .rows
        .iter()
        .map(|row| row.iter().map(|value| value.to_bits()).collect());
    let mut rows: Vec<_> = batch.identities.iter().copied().zip(bits).collect();
    rows.sort();
    rows
}
