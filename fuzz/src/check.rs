//! What has to hold.

use std::io::{self, Read};

use netsage_capture::decode::{DecodeOptions, MAX_HEADERS, Transport};
use netsage_capture::file::{CaptureReader, MAX_RECORD_BYTES};
use netsage_capture::{Meter, Packet};
use netsage_schema::{FlowBatch, Schema};

use crate::event::{self, Event, LINKS};

/// What a meter takes when it is given less, in bytes.
const LEAST_FLOW_MEMORY: usize = 256 << 10;

/// Reads a file twice: at once, and in pieces of the sizes that its own bytes name. Both give the same packets
/// and the same error.
pub fn file(data: &[u8]) {
    let whole = read_file(data, data.len());
    let pieces = Pieces { data, place: 0 };
    assert_eq!(whole, read_file(pieces, data.len()));
}

/// Packets as link type, time, length and a sum over the bytes; then how the file ended.
fn read_file(source: impl Read, length: usize) -> (Vec<(u16, i64, u32, u64)>, String) {
    let mut packets = Vec::new();
    let mut reader = match CaptureReader::new(source) {
        Ok(reader) => reader,
        Err(error) => return (packets, error.to_string()),
    };
    let end = loop {
        match reader.next_packet() {
            Ok(Some(packet)) => {
                assert!(packet.bytes.len() <= MAX_RECORD_BYTES as usize);
                let sum = packet.bytes.iter().map(|&byte| u64::from(byte)).sum();
                packets.push((packet.link.number(), packet.time_ns, packet.wire_length, sum));
            }
            Ok(None) => break String::new(),
            Err(error) => break error.to_string(),
        }
    };
    assert!(
        matches!(reader.next_packet(), Ok(None)),
        "nothing follows the end"
    );
    assert_eq!(reader.packets_read(), packets.len() as u64);
    assert!(reader.bytes_read() <= length as u64);
    (packets, end)
}

/// Gives bytes in pieces, and an interruption now and then.
struct Pieces<'a> {
    data: &'a [u8],
    place: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.data[self.place..];
        let size = rest.first().map_or(0, |&first| usize::from(first % 61) + 1);
        let size = size.min(rest.len()).min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        self.place += size;
        Ok(size)
    }
}

/// Decodes a packet with tunnels closed and open. Whether it can be metered does not depend on that, and
/// everything that it shows lies within the packet.
pub fn decode(data: &[u8]) {
    let Some((&[link, unseen], bytes)) = data.split_first_chunk() else {
        return;
    };
    let packet = Packet {
        link: LINKS[usize::from(link) % LINKS.len()],
        time_ns: 0,
        wire_length: event::wire_length(bytes, unseen),
        bytes,
    };
    let closed = netsage_capture::decode::decode(&packet, &DecodeOptions { decapsulate: false });
    let open = netsage_capture::decode::decode(&packet, &DecodeOptions { decapsulate: true });
    assert_eq!(closed.err(), open.err());
    let (Ok(closed), Ok(open)) = (closed, open) else {
        return;
    };
    assert!(closed.tunnels == 0 && !closed.is_closed_tunnel);
    assert!(usize::from(open.tunnels) <= MAX_HEADERS);
    assert!(open.tunnels > 0 || open.link_header == closed.link_header);
    for decoded in [closed, open] {
        assert!(decoded.link_header < bytes.len());
        assert!(decoded.payload_length <= decoded.length);
        assert_eq!(decoded.source.is_ipv6(), decoded.destination.is_ipv6());
        let payload = match decoded.transport {
            Transport::Tcp(segment) => segment.payload,
            Transport::Udp(datagram) => datagram.payload,
            _ => &[],
        };
        assert!(payload.len() <= decoded.payload_length as usize);
        assert!(decoded.link_header + payload.len() < bytes.len());
    }
}

/// Meters a run of packets: every packet is in one row or counted under one reason, and every value is a number
/// that a detector can use. Of a live meter and with little memory, too.
pub fn meter(data: &[u8]) {
    let Some((config, events)) = event::read(data) else {
        return;
    };
    let schema = config.schema;
    // Within 5 %, as documented.
    let most_memory = config.flow_memory.max(LEAST_FLOW_MEMORY) / 20 * 21;
    let mut meter = Meter::new(config);
    let mut batch = FlowBatch::new(schema);
    let (mut given, mut metered, mut records) = (0_u64, 0.0, 0_u64);
    for event in events {
        match event {
            Event::Packet(packet) => {
                given += 1;
                meter.packet(&packet);
                assert!(meter.memory().total() <= most_memory);
            }
            Event::Clock(time_ns) => meter.advance(time_ns),
            Event::Drain => {
                meter.drain(&mut batch);
                metered += check_batch(schema, &batch);
                records += batch.len() as u64;
                batch.clear();
            }
        }
    }
    meter.finish();
    meter.drain(&mut batch);
    metered += check_batch(schema, &batch);
    records += batch.len() as u64;
    let stats = meter.stats();
    assert_eq!(stats.packets, given);
    assert_eq!(metered as u64 + stats.not_metered(), given);
    assert_eq!(stats.flows, records);
    assert_eq!(stats.active_flows, 0);
}

/// Checks every value of the rows, and gives the packets that they count.
fn check_batch(schema: &'static Schema, batch: &FlowBatch) -> f64 {
    // Each schema names them differently.
    let packets: Vec<usize> = ["spkts", "dpkts", "src_packets", "dst_packets"]
        .into_iter()
        .filter_map(|name| schema.index_of(name))
        .collect();
    assert_eq!(packets.len(), 2, "the columns that count packets are known");
    assert_eq!(batch.rows.len(), batch.len());
    assert_eq!(batch.community_ids.len(), batch.len());
    for (row, identity) in batch.rows.iter().zip(&batch.identities) {
        for (value, column) in row.iter().zip(schema.columns) {
            assert!(value.is_finite() && *value >= 0.0, "{} is {value}", column.name);
        }
        assert!(identity.start_ns <= identity.end_ns);
    }
    let counted = |row: &[f64]| packets.iter().map(|&column| row[column]).sum::<f64>();
    batch.rows.iter().map(counted).sum()
}
