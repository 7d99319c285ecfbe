//! The feature set of `flow-v1`: rows leave when their records end.
//!
//! Most flows of an attack have one or two packets. The first few of a flow are therefore kept as they are, which
//! takes less room than the sums; a flow that has more takes a second cell and adds them up there.

use netsage_schema::{FLOW_V1, FlowBatch, Schema};

use super::super::names::protocol_code;
use super::super::{CellsOf, FeatureSet, Seen, TableOf};
use super::{Counts, Early, Measures, Observed, ObservedTcp, Opening, RowInput, Ticket, Windows, row_of};
use crate::application::Said;
use crate::config::Mode;
use crate::flow::cells::NONE;

/// What every flow holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Near {
    /// As of the first packet of the record; `None` before it.
    counts: Option<Counts>,
    ticket: Ticket,
    early: Early,
}

/// The trailing window of the flows.
pub(crate) struct FlowV1 {
    windows: Windows,
}

impl FeatureSet for FlowV1 {
    const SCHEMA: &'static Schema = &FLOW_V1;
    const BYTES_PER_RECORD: usize = 0;

    type Near = Near;
    type Far = Measures;

    fn new(_mode: Mode, memory: usize) -> Self {
        Self {
            windows: Windows::new(memory),
        }
    }

    fn share_of(memory: usize) -> usize {
        memory / 4
    }

    fn packet(&mut self, cells: &mut CellsOf<Self>, place: u32, seen: &Seen) -> Option<Measures> {
        let packet = Observed {
            direction: seen.direction,
            time_ns: seen.time_ns,
            bytes: seen.bytes,
            // A header may claim more than the packet has.
            payload: seen.payload.min(seen.bytes),
            tcp: seen.tcp.map(|(flags, window)| ObservedTcp {
                flags,
                window: u32::from(window),
            }),
        };
        let flow = &mut cells.slot_mut(place).flow;
        if flow.near.counts.is_none() {
            let ends = &flow.endpoints;
            let opening = Opening {
                time_ns: seen.time_ns,
                source: ends.source,
                destination: ends.destination,
                protocol: ends.protocol,
                port: if flow.icmp.is_some() {
                    // Where the type of the message stands.
                    ends.source_port
                } else {
                    ends.destination_port
                },
            };
            flow.near.counts = Some(if flow.near.ticket == Ticket::NONE {
                let (ticket, counts) = self.windows.began(&opening);
                flow.near.ticket = ticket;
                counts
            } else {
                self.windows.went_on(flow.near.ticket, &opening)
            });
        }
        if let Some(answer) = flow.near.early.facts.learn(&packet) {
            self.windows.answered(flow.near.ticket, answer);
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

    fn write(cells: &CellsOf<Self>, place: u32, batch: &mut FlowBatch) {
        let flow = &cells.slot(place).flow;
        let few;
        let measures = match cells.far(flow) {
            Some(measures) => measures,
            None => {
                few = flow.near.early.measures();
                &few
            }
        };
        let row = row_of(&RowInput {
            protocol: protocol_code(flow.endpoints.protocol),
            service: f64::from(flow.conversation.service_code()),
            state: flow.near.early.facts.state(),
            measures,
            counts: &flow.near.counts.unwrap_or_default(),
            handshake: flow.tcp.handshake(),
            retransmissions: [0, 1].map(|side| u64::from(flow.tcp.retransmitted(side))),
        });
        batch.push(&row, flow.identity(), flow.community_id());
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
