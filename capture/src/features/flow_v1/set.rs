//! The feature set of `flow-v1`: rows leave when their records end.
//!
//! Most flows of an attack have one or two packets. The first few of a flow are therefore kept as they are, which
//! takes less room than the sums; a flow that has more takes a second cell and adds them up there.

use netsage_schema::{FLOW_V1, Schema};

use super::super::names::protocol_code;
use super::super::{FeatureSet, Seen};
use super::{Counts, Measures, Observed, ObservedTcp, Opening, RowInput, Ticket, Windows, row};
use crate::application::HttpData;
use crate::batch::FlowBatch;
use crate::decode::TcpFlags;
use crate::flow::cells::{Cells, NONE};
use crate::flow::table::FlowTable;
use crate::meter::Mode;

/// Packets that are kept before the second cell is taken: an attempt that is answered and repeated.
const KEPT: usize = 3;

/// The first packets of a flow.
#[derive(Debug, Clone, Copy, Default)]
struct FirstPackets {
    times_ns: [i64; KEPT],
    bytes: [u32; KEPT],
    payloads: [u32; KEPT],
    /// [`ANSWERS`], [`IS_TCP`], [`ZERO_WINDOW`], and the TCP flags in the low half.
    marks: [u16; KEPT],
    count: u8,
}

const ANSWERS: u16 = 1 << 8;
const IS_TCP: u16 = 1 << 9;
const ZERO_WINDOW: u16 = 1 << 10;

impl FirstPackets {
    /// Keeps a packet; `false` when there is no room.
    fn push(&mut self, packet: &Observed) -> bool {
        let at = usize::from(self.count);
        if at == KEPT {
            return false;
        }
        self.times_ns[at] = packet.time_ns;
        self.bytes[at] = packet.bytes;
        self.payloads[at] = packet.payload;
        self.marks[at] = u16::from(packet.direction == 1) * ANSWERS;
        if let Some(tcp) = packet.tcp {
            self.marks[at] |= IS_TCP | u16::from(tcp.flags.0) | (u16::from(tcp.window == 0) * ZERO_WINDOW);
        }
        self.count += 1;
        true
    }

    fn measures(&self) -> Measures {
        let mut measures = Measures::default();
        for at in 0..usize::from(self.count) {
            let marks = self.marks[at];
            let tcp = (marks & IS_TCP != 0).then_some(ObservedTcp {
                flags: TcpFlags(marks as u8),
                window: u32::from(marks & ZERO_WINDOW == 0),
            });
            // How the destination answered was told when the packet came.
            let _ = measures.packet(&Observed {
                direction: usize::from(marks & ANSWERS != 0),
                time_ns: self.times_ns[at],
                bytes: self.bytes[at],
                payload: self.payloads[at],
                tcp,
            });
        }
        measures
    }
}

/// What every flow holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Near {
    /// As of the first packet of the record; `None` before it.
    counts: Option<Counts>,
    ticket: Option<Ticket>,
    first: FirstPackets,
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

    fn packet(&mut self, cells: &mut Cells<Self>, place: u32, seen: &Seen) -> Option<Measures> {
        let packet = Observed {
            direction: seen.direction,
            time_ns: seen.time_ns,
            bytes: seen.bytes,
            payload: seen.payload,
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
            let counts = match flow.near.ticket {
                Some(ticket) => self.windows.went_on(ticket, &opening),
                None => {
                    let (ticket, counts) = self.windows.began(&opening);
                    flow.near.ticket = Some(ticket);
                    counts
                }
            };
            flow.near.counts = Some(counts);
        }
        let ticket = flow.near.ticket;
        let (answer, far) = if flow.far == NONE {
            let mut measures = flow.near.first.measures();
            let answer = measures.packet(&packet);
            let far = if flow.near.first.push(&packet) {
                None
            } else {
                Some(measures)
            };
            (answer, far)
        } else {
            let far = flow.far;
            let measures = cells.far_mut(far);
            (measures.and_then(|measures| measures.packet(&packet)), None)
        };
        if let (Some(answer), Some(ticket)) = (answer, ticket) {
            self.windows.answered(ticket, answer);
        }
        far
    }

    fn http(&mut self, _cells: &mut Cells<Self>, _place: u32, _data: &HttpData<'_>) -> Option<Measures> {
        None
    }

    fn restart(cells: &mut Cells<Self>, place: u32) -> Option<Measures> {
        let flow = &mut cells.slot_mut(place).flow;
        flow.near.counts = None;
        let far = flow.far;
        if far == NONE {
            let mut measures = flow.near.first.measures();
            measures.restart_record();
            return Some(measures);
        }
        if let Some(measures) = cells.far_mut(far) {
            measures.restart_record();
        }
        None
    }

    fn finished(&mut self, table: &mut FlowTable<Self>, place: u32, _now_ns: i64) {
        table.make_ready(place);
    }

    fn tick(&mut self, _table: &mut FlowTable<Self>, _now_ns: i64, _settled_ns: i64) {}

    fn go_ahead(&mut self, _table: &mut FlowTable<Self>) -> bool {
        false
    }

    fn release_all(&mut self, _table: &mut FlowTable<Self>) {}

    fn finish(&mut self, _table: &mut FlowTable<Self>) {}

    fn write(cells: &Cells<Self>, place: u32, batch: &mut FlowBatch) {
        let flow = &cells.slot(place).flow;
        let few;
        let measures = match cells.far(flow) {
            Some(measures) => measures,
            None => {
                few = flow.near.first.measures();
                &few
            }
        };
        let row = row(&RowInput {
            protocol: protocol_code(flow.endpoints.protocol),
            service: f64::from(flow.conversation.service_code()),
            measures,
            counts: &flow.near.counts.unwrap_or_default(),
            handshake: flow.tcp.handshake(),
            retransmissions: flow.tcp.sides.map(|side| side.retransmitted),
        });
        batch.push(&row, flow.identity(), flow.community_id());
    }

    fn memory(&self) -> usize {
        self.windows.memory()
    }

    fn left_early(&self) -> u64 {
        self.windows.left_early()
    }
}
