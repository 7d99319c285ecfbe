//! The feature set of `flow-v1`: rows leave when their records end.
//!
//! Most flows of an attack have one or two packets. The first few of a flow are therefore kept as they are, which
//! takes less room than the sums; a flow that has more takes a second cell and adds them up there.

use std::net::IpAddr;

use netsage_schema::{FLOW_V1, FlowBatch, Schema};
use netsage_windows::{Counts, Opening, Ticket, Windows};

use super::super::names::protocol_code;
use super::super::{self as features, CellsOf, FeatureSet, Seen, TableOf};
use super::{Early, InitialNumbers, Measures, Observed, ObservedTcp, RowInput, row_of};
use crate::application::Said;
use crate::config::MeterConfig;
use crate::flow::cells::NONE;
use crate::flow::state::Flow;

/// What every flow holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Near {
    /// As of the first packet of the record, or of the packet that turned the flow round; `None` before.
    counts: Option<Counts>,
    ticket: Ticket,
    early: Early,
    numbers: InitialNumbers,
    /// The side that counts as the source, 0 or 1.
    source: u8,
}

/// The trailing window of the flows.
pub(crate) struct FlowV1 {
    windows: Windows<IpAddr, u32>,
}

impl FlowV1 {
    /// Takes the counts of a record whose source is this side: at its first packet, and again when a packet has turned the
    /// flow round.
    fn count(&mut self, flow: &mut Flow<Near>, source: usize, time_ns: i64) {
        let opening = opening(flow, source, time_ns);
        let near = &mut flow.near;
        let counts = if near.ticket == Ticket::NONE {
            let (ticket, counts) = self.windows.began(&opening);
            near.ticket = ticket;
            counts
        } else if usize::from(near.source) == source {
            self.windows.went_on(near.ticket, &opening)
        } else {
            self.windows.turned(near.ticket, &opening)
        };
        near.counts = Some(counts);
        near.source = u8::from(source == 1);
    }
}

impl FeatureSet for FlowV1 {
    const SCHEMA: &'static Schema = &FLOW_V1;
    const BYTES_PER_RECORD: usize = 0;

    type Near = Near;
    type Far = Measures;

    fn new(_config: &MeterConfig, memory: usize) -> Self {
        Self {
            windows: Windows::new(memory),
        }
    }

    fn share_of(memory: usize) -> usize {
        memory / 4
    }

    fn packet(&mut self, cells: &mut CellsOf<Self>, place: u32, seen: &Seen<'_>) -> Option<Measures> {
        let packet = Observed {
            direction: seen.direction,
            time_ns: seen.time_ns,
            bytes: seen.ip_bytes,
            payload: seen.payload,
            tcp: seen.tcp.map(|segment| ObservedTcp {
                flags: segment.flags,
                window: u32::from(segment.window),
            }),
        };
        let flow = &mut cells.slot_mut(place).flow;
        let source = flow.source_of_record();
        if flow.near.counts.is_none() || usize::from(flow.near.source) != source {
            self.count(flow, source, seen.time_ns);
        }
        let near = &mut flow.near;
        if let Some(segment) = seen.tcp {
            let has_opening = near.early.facts.has_opening();
            near.numbers.learn(seen.direction, segment, has_opening);
        }
        if let Some(answer) = near.early.facts.learn(&packet, source) {
            self.windows.answered(near.ticket, answer);
        }
        let far = flow.far;
        if far == NONE {
            if flow.near.early.packet(&packet) {
                return None;
            }
            let mut measures = flow.near.early.measures();
            measures.packet(&packet);
            return Some(measures);
        }
        if let Some(measures) = cells.far_mut(far) {
            measures.packet(&packet);
        }
        None
    }

    fn said(&mut self, _cells: &mut CellsOf<Self>, _place: u32, _said: Said<'_>) -> Option<Measures> {
        None
    }

    fn reopened(flow: &mut Flow<Near>, opening: &features::Opening<'_>) -> Option<Near> {
        let near = &flow.near;
        near.numbers
            .is_reopened(&flow.tcp, near.early.facts, opening)
            .then(Near::default)
    }

    fn restart(cells: &mut CellsOf<Self>, place: u32) -> Option<Measures> {
        let flow = &mut cells.slot_mut(place).flow;
        flow.near.counts = None;
        flow.near.early.restart_record();
        let far = flow.far;
        if let Some(measures) = cells.far_mut(far) {
            measures.restart_record();
        }
        None
    }

    fn finished(&mut self, table: &mut TableOf<Self>, place: u32, _now_ns: i64) {
        table.make_ready(place);
    }

    fn tick(&mut self, _table: &mut TableOf<Self>, _now_ns: i64, _settled_ns: i64) {}

    fn go_ahead(&mut self, _table: &mut TableOf<Self>) -> bool {
        false
    }

    fn release_all(&mut self, _table: &mut TableOf<Self>) {}

    fn finish(&mut self, _table: &mut TableOf<Self>) {}

    fn write(&self, cells: &CellsOf<Self>, place: u32, batch: &mut FlowBatch) {
        let flow = &cells.slot(place).flow;
        let few;
        let measures = match cells.far(flow) {
            Some(measures) => measures,
            None => {
                few = flow.near.early.measures();
                &few
            }
        };
        let source = usize::from(flow.near.source);
        let row = row_of(&RowInput {
            source,
            protocol: protocol_code(flow.endpoints.protocol),
            service: f64::from(flow.conversation.service_code()),
            state: flow.near.early.facts.state(source),
            measures,
            counts: &flow.near.counts.unwrap_or_default(),
            handshake: flow.tcp.handshake(),
            retransmissions: [0, 1].map(|side| u64::from(flow.tcp.retransmitted(side))),
        });
        batch.push(
            &row,
            flow.identity_from(source, flow.start_ns()),
            flow.community_id(),
        );
    }

    fn order_memory(&self) -> usize {
        0
    }

    fn window_memory(&self) -> usize {
        self.windows.memory()
    }

    fn left_early(&self) -> u64 {
        self.windows.left_early()
    }
}

/// What the window is told of a flow whose source is this side.
fn opening(flow: &Flow<Near>, source: usize, time_ns: i64) -> Opening<IpAddr, u32> {
    let ends = flow.identity_from(source, time_ns);
    Opening {
        time_ns,
        source: ends.source,
        destination: ends.destination,
        service: u32::from(ends.protocol) << 16 | u32::from(ends.service_port()),
    }
}
