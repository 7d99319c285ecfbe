//! The feature set of `record-v1`: finished flows become [`Record`]s, as those of any other meter, and rows by the same
//! code.
//!
//! What is a flow, which side is the source and what the flow has come to is told as in `flow-v1`. The window goes by the
//! ends of records, so a finished record waits, in a replay and live alike, until no unfinished one can have an earlier last
//! packet: rows depend on packets alone.

use netsage_records::{BytesOf, Counts, Key, Network, Origin, Queue, Record, Sides, State, Windows, row_of};
use netsage_schema::{FlowBatch, RECORD_V1, Schema};

use super::flow_v1::{self, Facts, InitialNumbers, Observed, ObservedTcp};
use super::{CellsOf, FeatureSet, Opening, Seen, TableOf};
use crate::application::Said;
use crate::config::MeterConfig;
use crate::flow::state::{Flow, microseconds};

/// What every flow holds; index 0 of the pairs is the side that was seen first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Near {
    packets: [u64; 2],
    bytes: [u64; 2],
    payload: [u64; 2],
    facts: Facts,
    numbers: InitialNumbers,
    /// Of the finished record, once its turn has come.
    counts: Counts,
}

/// Orders finished records and counts them.
pub(crate) struct RecordV1 {
    order: Queue<u32>,
    windows: Windows,
    bytes_of: BytesOf,
}

impl RecordV1 {
    fn count(&mut self, table: &mut TableOf<Self>, place: u32) {
        let flow = table.flow_mut(place);
        flow.near.counts = self
            .windows
            .count(Network::UNNAMED, &record_of(flow, self.bytes_of));
        table.make_ready(place);
    }
}

impl FeatureSet for RecordV1 {
    const SCHEMA: &'static Schema = &RECORD_V1;
    const BYTES_PER_RECORD: usize = Queue::<u32>::BYTES;

    type Near = Near;
    type Far = ();

    fn new(config: &MeterConfig, memory: usize) -> Self {
        Self {
            order: Queue::default(),
            windows: Windows::new(memory),
            bytes_of: if config.count_link_bytes {
                BytesOf::Link
            } else {
                BytesOf::Network
            },
        }
    }

    fn share_of(memory: usize) -> usize {
        memory / 4
    }

    fn packet(&mut self, cells: &mut CellsOf<Self>, place: u32, seen: &Seen<'_>) -> Option<()> {
        let flow = &mut cells.slot_mut(place).flow;
        let source = flow.source_of_record();
        let near = &mut flow.near;
        let side = seen.direction;
        near.packets[side] += 1;
        near.bytes[side] += u64::from(seen.ip_bytes);
        near.payload[side] += u64::from(seen.payload);
        if let Some(segment) = seen.tcp {
            near.numbers.learn(side, segment, near.facts.has_opening());
        }
        let observed = Observed {
            direction: side,
            time_ns: seen.time_ns,
            bytes: seen.ip_bytes,
            payload: seen.payload,
            tcp: seen.tcp.map(|segment| ObservedTcp {
                flags: segment.flags,
                window: u32::from(segment.window),
            }),
        };
        // The window learns of an answer with the record.
        let _ = near.facts.learn(&observed, source);
        None
    }

    fn said(&mut self, _cells: &mut CellsOf<Self>, _place: u32, _said: Said<'_>) -> Option<()> {
        None
    }

    fn reopened(flow: &mut Flow<Near>, opening: &Opening<'_>) -> Option<Near> {
        let near = &flow.near;
        near.numbers
            .is_reopened(&flow.tcp, near.facts, opening)
            .then(Near::default)
    }

    fn restart(cells: &mut CellsOf<Self>, place: u32) -> Option<()> {
        let near = &mut cells.slot_mut(place).flow.near;
        *near = Near {
            facts: near.facts,
            numbers: near.numbers,
            ..Near::default()
        };
        None
    }

    fn finished(&mut self, table: &mut TableOf<Self>, place: u32, _now_ns: i64) {
        let record = record_of(table.flow(place), self.bytes_of);
        let key = Key {
            end_us: record.end_us,
            id: record.id(&Origin::default()),
        };
        self.order.push(key, place);
    }

    fn tick(&mut self, table: &mut TableOf<Self>, _now_ns: i64, settled_ns: i64) {
        while let Some((_, place)) = self.order.pop_before(microseconds(settled_ns)) {
            self.count(table, place);
        }
    }

    fn go_ahead(&mut self, table: &mut TableOf<Self>) -> bool {
        let Some((_, place)) = self.order.pop() else {
            return false;
        };
        self.count(table, place);
        true
    }

    fn release_all(&mut self, table: &mut TableOf<Self>) {
        while self.go_ahead(table) {}
        // What comes now has no time in common with what was.
        self.windows.restart();
    }

    fn finish(&mut self, table: &mut TableOf<Self>) {
        self.release_all(table);
    }

    fn write(&self, cells: &CellsOf<Self>, place: u32, batch: &mut FlowBatch) {
        let flow = &cells.slot(place).flow;
        let record = record_of(flow, self.bytes_of);
        batch.push(
            &row_of(&record, &flow.near.counts),
            flow.identity_from(flow.source_of_record(), flow.start_ns()),
            flow.community_id(),
        );
    }

    fn order_memory(&self) -> usize {
        self.order.memory()
    }

    fn window_memory(&self) -> usize {
        self.windows.memory()
    }

    fn left_early(&self) -> u64 {
        self.windows.left_early()
    }
}

/// The record of a flow.
fn record_of(flow: &Flow<Near>, bytes_of: BytesOf) -> Record {
    let near = &flow.near;
    let source = flow.source_of_record();
    let identity = flow.identity_from(source, flow.start_ns());
    let sides = |counts: [u64; 2]| Sides {
        source: counts[source],
        destination: counts[1 - source],
    };
    Record {
        start_us: microseconds(identity.start_ns),
        end_us: microseconds(identity.end_ns),
        source: identity.source,
        destination: identity.destination,
        source_port: identity.source_port,
        destination_port: identity.destination_port,
        protocol: identity.protocol,
        service: Some(flow.conversation.service_code()),
        state: Some(state_of(near.facts, source)),
        packets: Some(sides(near.packets)),
        bytes: Some(sides(near.bytes)),
        bytes_of,
        payload: Some(sides(near.payload)),
        sampling: 1,
        own_id: None,
        sensor: None,
        network: None,
        foreign: None,
    }
}

/// What a flow has come to, in the words that meters have in common.
fn state_of(facts: Facts, source: usize) -> State {
    let is_silent = !facts.has_sent(1 - source);
    match facts.state(source) {
        flow_v1::State::OneWay => State::OneWay,
        flow_v1::State::TwoWay => State::TwoWay,
        flow_v1::State::Refused => State::Refused,
        _ if is_silent && facts.has_syn(source) => State::Attempt,
        _ if is_silent => State::Midstream,
        flow_v1::State::Aborted | flow_v1::State::ResetBySource | flow_v1::State::ResetByDestination => {
            State::Reset
        }
        flow_v1::State::Closed => State::Closed,
        flow_v1::State::HalfClosed | flow_v1::State::Established | flow_v1::State::HalfOpen => {
            State::Established
        }
        flow_v1::State::Attempt => State::Attempt,
        flow_v1::State::Midstream => State::Midstream,
    }
}
