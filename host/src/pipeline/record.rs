//! A flow of the meter as store and API know it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::LazyLock;

use netsage_api_types::{Contribution, Flow, FlowScore};
use netsage_capture::FlowBatch;
use netsage_lifecycle::Verdicts;
use netsage_lifecycle::lineup::Scored;
use netsage_schema::{Identity, Rows, Schema};
use netsage_store::AlertHit;
use sha2::{Digest as _, Sha256};

use super::severity::severity;

/// Positions of the columns that a flow shows.
struct Positions {
    proto: usize,
    service: usize,
    state: usize,
    packets: [usize; 2],
    bytes: [usize; 2],
}

static POSITIONS: LazyLock<[Positions; Schema::ALL.len()]> = LazyLock::new(|| {
    Schema::ALL.map(|schema| {
        // The schemas name the same facts differently.
        let index = |names: [&str; 2]| {
            let known = names.into_iter().find_map(|name| schema.index_of(name));
            known.unwrap_or_else(|| unreachable!("schema {} has {names:?}", schema.id))
        };
        Positions {
            proto: index(["proto"; 2]),
            service: index(["service"; 2]),
            state: index(["state"; 2]),
            packets: [index(["spkts", "src_packets"]), index(["dpkts", "dst_packets"])],
            bytes: [index(["sbytes", "src_bytes"]), index(["dbytes", "dst_bytes"])],
        }
    })
});

/// Where a schema has the columns that a flow shows.
fn positions(schema: &Schema) -> &'static Positions {
    let place = Schema::ALL.into_iter().position(|known| known.id == schema.id);
    &POSITIONS[place.expect("every schema is among all of them")]
}

/// The identity of a flow in the store: the same flow of the same packets always gets the same one, which is
/// what makes a repeated replay find its flows again. 32 hexadecimal digits: first the time it ended, ms since the
/// epoch, so that flows recorded together lie together in the indexes of the store; then 80 bits of a hash.
pub fn flow_id(identity: &Identity) -> String {
    let mut hash = Sha256::new();
    let mut address = |address: IpAddr| match address {
        IpAddr::V4(address) => hash.update(address.to_ipv6_mapped().octets()),
        IpAddr::V6(address) => hash.update(address.octets()),
    };
    address(identity.source);
    address(identity.destination);
    hash.update(identity.source_port.to_be_bytes());
    hash.update(identity.destination_port.to_be_bytes());
    hash.update([identity.protocol]);
    hash.update(identity.start_ns.to_be_bytes());
    hash.update(identity.end_ns.to_be_bytes());
    let digest = hash.finalize();
    // 48 bits last until the year 10889; before 1970 and after that only the order is lost.
    let time = milliseconds(identity.end_ns).to_be_bytes();
    time[2..]
        .iter()
        .chain(&digest[..10])
        .fold(String::with_capacity(32), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
            text
        })
}

fn milliseconds(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000)
}

/// The term of a nominal column of a row.
fn term(rows: &Rows, index: usize, position: usize) -> &'static str {
    let column = &rows.schema().columns[position];
    column.term(rows.row(index)[position]).unwrap_or("-")
}

/// A sum of two counts; a float-to-integer cast saturates, and counts are whole and not negative.
fn total(row: &[f64], positions: [usize; 2]) -> u64 {
    (row[positions[0]] + row[positions[1]]) as u64
}

/// The flow at `index`, with the scores that detectors gave it.
pub(super) fn flow(flows: &FlowBatch, index: usize, verdicts: &Verdicts) -> Flow {
    let (row, identity) = (flows.rows.row(index), &flows.identities[index]);
    let positions = positions(flows.rows.schema());
    let term = |position| term(&flows.rows, index, position);
    Flow {
        id: flow_id(identity),
        start: milliseconds(identity.start_ns),
        end: milliseconds(identity.end_ns),
        source: identity.source.to_string(),
        source_port: identity.source_port,
        destination: identity.destination.to_string(),
        destination_port: identity.destination_port,
        protocol: term(positions.proto).to_owned(),
        service: term(positions.service).to_owned(),
        state: term(positions.state).to_owned(),
        packets: total(row, positions.packets),
        bytes: total(row, positions.bytes),
        community_id: flows.community_ids[index].to_string(),
        fused: verdicts.fused(index),
        scores: verdicts
            .of_row(index)
            .map(|scored| FlowScore {
                detector: scored.generation.reference.clone(),
                score: scored.score,
            })
            .collect(),
    }
}

/// What the store needs to make or extend an alert.
pub(super) fn alert_hit(
    flows: &FlowBatch,
    index: usize,
    scored: &Scored<'_>,
    contributions: Vec<Contribution>,
) -> AlertHit {
    let identity = &flows.identities[index];
    let schema = flows.rows.schema();
    let positions = positions(schema);
    let by = &scored.generation.loaded;
    let protocol = term(&flows.rows, index, positions.proto);
    AlertHit {
        flow_id: flow_id(identity),
        start: milliseconds(identity.start_ns),
        end: milliseconds(identity.end_ns),
        kind: format!("{protocol}/{}", term(&flows.rows, index, positions.service)),
        source: identity.source.to_string(),
        source_port: identity.source_port,
        destination: identity.destination.to_string(),
        destination_port: identity.destination_port,
        protocol: protocol.to_owned(),
        community_id: flows.community_ids[index].to_string(),
        score: scored.score,
        threshold: by.threshold,
        severity: severity(scored.score, by.threshold, by.card.as_ref()),
        detector: scored.generation.reference.clone(),
        schema: format!("{}@{}", schema.id, schema.version),
        contributions,
    }
}
