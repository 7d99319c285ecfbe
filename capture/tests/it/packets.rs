//! Packets built by hand.

use netsage_capture::{LinkType, Meter, MeterConfig, Packet};
use netsage_schema::{FlowBatch, UNSW_NB15};

pub(crate) const MILLISECOND: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1_000 * MILLISECOND;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// The client is 10.0.0.1 with TTL 62, the server 10.0.0.2 with TTL 252.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Client,
    Server,
}

/// A raw IPv4 packet.
pub(crate) fn ipv4(from: From, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (time_to_live, source, destination) = match from {
        From::Client => (62, 1, 2),
        From::Server => (252, 2, 1),
    };
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![
        0x45,
        0,
        length[0],
        length[1],
        0,
        0,
        0,
        0,
        time_to_live,
        protocol,
        0,
        0,
    ];
    bytes.extend([10, 0, 0, source, 10, 0, 0, destination]);
    bytes.extend(payload);
    bytes
}

/// A TCP segment between client port 40000 and `port`.
pub(crate) fn tcp(
    from: From,
    port: u16,
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
    data: &[u8],
) -> Vec<u8> {
    let (source, destination) = match from {
        From::Client => (40_000, port),
        From::Server => (port, 40_000),
    };
    let mut segment = Vec::new();
    segment.extend(source.to_be_bytes());
    segment.extend(destination.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgement.to_be_bytes());
    segment.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    segment.extend(data);
    ipv4(from, 6, &segment)
}

/// A UDP datagram between client port 40000 and `port`.
pub(crate) fn udp(from: From, port: u16, data: &[u8]) -> Vec<u8> {
    let (source, destination): (u16, u16) = match from {
        From::Client => (40_000, port),
        From::Server => (port, 40_000),
    };
    let mut datagram = Vec::new();
    datagram.extend(source.to_be_bytes());
    datagram.extend(destination.to_be_bytes());
    datagram.extend(u16::try_from(8 + data.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    ipv4(from, 17, &datagram)
}

/// An ICMP message.
pub(crate) fn icmp(from: From, kind: u8, code: u8, identifier: u16) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    ipv4(from, 1, &[kind, code, 0, 0, high, low, 0, 1])
}

/// Meters packets given with their times.
pub(crate) fn meter(config: MeterConfig, packets: &[(i64, Vec<u8>)]) -> (FlowBatch, Meter) {
    let mut meter = Meter::new(config);
    for (time_ns, bytes) in packets {
        meter.packet(&raw(*time_ns, bytes));
    }
    meter.finish();
    let mut batch = FlowBatch::default();
    meter.drain(&mut batch);
    (batch, meter)
}

/// A packet that starts with its IP header.
pub(crate) fn raw(time_ns: i64, bytes: &[u8]) -> Packet<'_> {
    let wire_length = u32::try_from(bytes.len()).unwrap();
    Packet {
        link: LinkType::RawIp,
        time_ns,
        wire_length,
        bytes,
    }
}

/// The value of a column of a record.
pub(crate) fn value(batch: &FlowBatch, record: usize, column: &str) -> f64 {
    batch.rows.row(record)[UNSW_NB15.index_of(column).expect("a column of the schema")]
}

/// The term of a nominal column of a record.
pub(crate) fn term(batch: &FlowBatch, record: usize, column: &str) -> &'static str {
    let vocabulary = UNSW_NB15.columns[UNSW_NB15.index_of(column).unwrap()]
        .vocabulary()
        .unwrap();
    vocabulary
        .term(value(batch, record, column) as u16)
        .expect("a term of the vocabulary")
}

/// When the packets of [`metered`] begin, nanoseconds since the epoch.
pub(crate) const START: i64 = 1_000_000 * SECOND;

/// Meters packets given with their times after [`START`] in milliseconds.
pub(crate) fn metered(config: MeterConfig, packets: &[(i64, Vec<u8>)]) -> FlowBatch {
    let mut batch = FlowBatch::new(config.schema);
    let mut meter = Meter::new(config);
    for (time_ms, bytes) in packets {
        meter.packet(&raw(START + time_ms * MILLISECOND, bytes));
    }
    meter.finish();
    meter.drain(&mut batch);
    batch
}
