//! The row of a record.

use netsage_schema::record_v1::RECORD_V1;
use netsage_schema::{protocol, row};
use netsage_windows::Counts;

use crate::{Record, Sides, State};

/// A row of `record-v1`.
pub type Row = [f64; RECORD_V1.width()];

/// Puts a record and its counts into the columns that [`netsage_schema::record_v1`] declares. Every value is finite and 0
/// or more.
pub fn row_of(record: &Record, counts: &Counts) -> Row {
    let duration = record.end_us.saturating_sub(record.start_us).max(0) as f64 / 1e6;
    let packets = record.packets.unwrap_or_default();
    let bytes = record.bytes.unwrap_or_default();
    let (all_packets, all_bytes) = (total(packets), total(bytes));
    let gaps = all_packets.saturating_sub(1);
    let (source, destination) = (&counts.source, &counts.destination);
    let (service, pair) = (&counts.service, &counts.pair);
    row!(RECORD_V1, {
        proto: f64::from(protocol::code(record.protocol)),
        service: f64::from(record.service.unwrap_or(0)),
        state: f64::from(record.state.map_or(0, State::code)),
        duration: duration,
        src_packets: packets.source as f64,
        dst_packets: packets.destination as f64,
        src_bytes: bytes.source as f64,
        dst_bytes: bytes.destination as f64,
        bytes_of: f64::from(record.bytes_of.code()),
        packet_rate: ratio(gaps as f64, duration),
        byte_rate: ratio(all_bytes as f64, duration),
        src_packet_share: ratio(packets.source as f64, all_packets as f64),
        src_byte_share: ratio(bytes.source as f64, all_bytes as f64),
        src_size_mean: ratio(bytes.source as f64, packets.source as f64),
        dst_size_mean: ratio(bytes.destination as f64, packets.destination as f64),
        src_flows: f64::from(source.flows),
        src_peers: f64::from(source.peers),
        src_ports: f64::from(source.ports),
        src_failed: counts.failed_share(source.failed, source.flows),
        dst_flows: f64::from(destination.flows),
        dst_peers: f64::from(destination.peers),
        dst_ports: f64::from(destination.ports),
        dst_failed: counts.failed_share(destination.failed, destination.flows),
        service_flows: f64::from(service.flows),
        service_sources: f64::from(service.sources),
        service_destinations: f64::from(service.destinations),
        service_failed: counts.failed_share(service.failed, service.flows),
        pair_flows: f64::from(pair.flows),
        pair_ports: f64::from(pair.ports),
        pair_failed: counts.failed_share(pair.failed, pair.flows),
        service_missing: flag(record.service.is_none()),
        state_missing: flag(record.state.is_none()),
        packets_missing: flag(record.packets.is_none()),
        bytes_missing: flag(record.bytes.is_none()),
        sampled: flag(record.sampling > 1),
    })
}

const fn total(sides: Sides) -> u64 {
    sides.source.saturating_add(sides.destination)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}
