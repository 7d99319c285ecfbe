//! What a row is defined to be, by searching all records from end to end.

use std::collections::HashSet;

use netsage_records::{Network, Origin, Record, Row, State};
use netsage_schema::{RECORD_V1, protocol, row};

const WINDOW_US: i64 = 60_000_000;

type Placed = (Network, Record);

/// The rows of these records, in their order.
pub(crate) fn rows(records: &[Placed]) -> Vec<Row> {
    let mut sorted: Vec<&Placed> = records.iter().collect();
    sorted.sort_by_key(|(network, record)| {
        let origin = Origin {
            network: *network,
            exporter: None,
        };
        (record.end_us, record.id(&origin))
    });
    (0..sorted.len()).map(|index| row_at(&sorted[..=index])).collect()
}

/// The row of the last of these records.
fn row_at(records: &[&Placed]) -> Row {
    let (this, before) = records.split_last().unwrap();
    let in_window: Vec<&Placed> = (before.iter().copied())
        .filter(|other| this.1.end_us - other.1.end_us < WINDOW_US)
        .collect();
    let same = |key: &dyn Fn(&Placed) -> Key| -> Vec<&Placed> {
        let others = in_window.iter().copied();
        others.filter(|other| key(other) == key(this)).collect()
    };
    let source = same(&|(network, record)| vec![text(network), text(&record.source)]);
    let destination = same(&|(network, record)| vec![text(network), text(&record.destination)]);
    let service = same(&|placed| service_of(placed));
    let pair =
        same(&|(network, record)| vec![text(network), text(&record.source), text(&record.destination)]);
    let with_this = |others: &[&Placed]| others.len() as f64 + 1.0;
    let failed = |others: &[&Placed]| {
        let failed = others.iter().filter(|other| has_failed(&other.1)).count();
        if others.is_empty() {
            0.0
        } else {
            failed as f64 / others.len() as f64
        }
    };
    let distinct = |others: &[&Placed], of: &dyn Fn(&Placed) -> Key| {
        let all = others.iter().copied().chain([*this]);
        all.map(of).collect::<HashSet<_>>().len() as f64
    };
    let source_of = |placed: &Placed| vec![text(&placed.1.source)];
    let destination_of = |placed: &Placed| vec![text(&placed.1.destination)];
    let record = &this.1;
    let duration = (record.end_us - record.start_us) as f64 / 1e6;
    let (packets, bytes) = (
        record.packets.unwrap_or_default(),
        record.bytes.unwrap_or_default(),
    );
    let [src_packets, dst_packets, src_bytes, dst_bytes] = [
        packets.source,
        packets.destination,
        bytes.source,
        bytes.destination,
    ]
    .map(|count| count as f64);
    let over = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
    let is = |is_so: bool| if is_so { 1.0 } else { 0.0 };
    row!(RECORD_V1, {
        proto: f64::from(protocol::code(record.protocol)),
        service: f64::from(record.service.unwrap_or(0)),
        state: match record.state {
            None => 0.0,
            Some(State::Attempt) => 1.0,
            Some(State::Refused) => 2.0,
            Some(State::Established) => 3.0,
            Some(State::Midstream) => 6.0,
            Some(State::OneWay) => 8.0,
            other => panic!("{other:?} is not generated"),
        },
        duration: duration,
        src_packets: src_packets,
        dst_packets: dst_packets,
        src_bytes: src_bytes,
        dst_bytes: dst_bytes,
        bytes_of: 0.0,
        packet_rate: over((src_packets + dst_packets - 1.0).max(0.0), duration),
        byte_rate: over(src_bytes + dst_bytes, duration),
        src_packet_share: over(src_packets, src_packets + dst_packets),
        src_byte_share: over(src_bytes, src_bytes + dst_bytes),
        src_size_mean: over(src_bytes, src_packets),
        dst_size_mean: over(dst_bytes, dst_packets),
        src_flows: with_this(&source),
        src_peers: distinct(&source, &destination_of),
        src_ports: distinct(&source, &service_of),
        src_failed: failed(&source),
        dst_flows: with_this(&destination),
        dst_peers: distinct(&destination, &source_of),
        dst_ports: distinct(&destination, &service_of),
        dst_failed: failed(&destination),
        service_flows: with_this(&service),
        service_sources: distinct(&service, &source_of),
        service_destinations: distinct(&service, &destination_of),
        service_failed: failed(&service),
        pair_flows: with_this(&pair),
        pair_ports: distinct(&pair, &service_of),
        pair_failed: failed(&pair),
        service_missing: is(record.service.is_none()),
        state_missing: is(record.state.is_none()),
        packets_missing: is(record.packets.is_none()),
        bytes_missing: is(record.bytes.is_none()),
        sampled: is(record.sampling > 1),
    })
}

/// Any key, by the text of its parts.
type Key = Vec<String>;

fn text(part: &impl std::fmt::Debug) -> String {
    format!("{part:?}")
}

fn service_of((network, record): &Placed) -> Key {
    let port = if record.protocol == 1 {
        record.source_port
    } else {
        record.destination_port
    };
    vec![text(network), text(&record.protocol), text(&port)]
}

fn has_failed(record: &Record) -> bool {
    match record.state {
        Some(state) if state != State::Midstream => {
            matches!(state, State::Attempt | State::Refused | State::OneWay)
        }
        _ => record.packets.is_some_and(|packets| packets.destination == 0),
    }
}
