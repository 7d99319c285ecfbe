//! The feature set of `unsw-nb15`: one cell per flow, a second cell for flows that speak HTTP, and rows that leave in
//! blocks of 100.
//!
//! In a replay a finished record waits until no unfinished one can have an earlier last packet. A live meter cannot
//! wait: it takes records as they finish and closes a block that has been open for half a second.

use netsage_schema::{FlowBatch, Identity, Schema, UNSW_NB15};

use super::order::Order;
use super::row::row_of;
use super::window::{BLOCK, Block, Counts};
use super::{CellsOf, FeatureSet, Opening, Seen, TableOf};
use crate::application::{Http, Said};
use crate::config::{MeterConfig, Mode};
use crate::flow::gaps::Gaps;
use crate::flow::state::{Flow, microseconds};

/// How long a live block stays open: half of the second by which a live record may be late.
const LIVE_BLOCK_NS: i64 = 500_000_000;

/// One direction of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Direction {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) gaps: Gaps,
    pub(super) time_to_live: u8,
}

/// The sums of a record; index 0 is the source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Near {
    pub(super) directions: [Direction; 2],
    /// Of its block, once that is closed.
    pub(super) counts: Counts,
}

/// Orders finished records and cuts them into blocks.
pub(crate) struct UnswNb15 {
    mode: Mode,
    order: Order,
    block: Vec<u32>,
    block_opened_ns: i64,
    compared: Box<Block>,
}

impl UnswNb15 {
    fn add_to_block(&mut self, table: &mut TableOf<Self>, place: u32, now_ns: i64) {
        if self.block.is_empty() {
            self.block_opened_ns = now_ns;
        }
        self.block.push(place);
        if self.block.len() == BLOCK {
            self.close_block(table);
        }
    }

    fn close_block(&mut self, table: &mut TableOf<Self>) {
        self.compared.clear();
        for &place in &self.block {
            let flow = table.flow(place);
            self.compared
                .push(flow.conversation.service_code(), &identity(flow));
        }
        for (index, &place) in self.block.iter().enumerate() {
            table.flow_mut(place).near.counts = self.compared.counts(index);
            table.make_ready(place);
        }
        self.block.clear();
    }
}

/// Who the record is about, told as Argus tells it.
fn identity(flow: &Flow<Near>) -> Identity {
    let packets = flow.near.directions.map(|direction| direction.packets);
    let start_ns = flow.start_of_record_ns(packets[0] + packets[1]);
    flow.identity_from(flow.source_of_record(), start_ns)
}

impl FeatureSet for UnswNb15 {
    const SCHEMA: &'static Schema = &UNSW_NB15;
    const BYTES_PER_RECORD: usize = Order::BYTES;

    type Near = Near;
    type Far = Http;

    fn new(config: &MeterConfig, _memory: usize) -> Self {
        Self {
            mode: config.mode,
            order: Order::default(),
            block: Vec::with_capacity(BLOCK),
            block_opened_ns: 0,
            compared: Box::default(),
        }
    }

    fn share_of(_memory: usize) -> usize {
        0
    }

    fn packet(&mut self, cells: &mut CellsOf<Self>, place: u32, seen: &Seen<'_>) -> Option<Http> {
        let direction = &mut cells.slot_mut(place).flow.near.directions[seen.direction];
        direction.packets += 1;
        direction.bytes += u64::from(seen.wire_bytes);
        // Argus adds later pieces to the flow of the first without looking at them again.
        if !seen.is_later_piece {
            direction.time_to_live = seen.time_to_live;
            direction.gaps.packet(microseconds(seen.time_ns), seen.is_active);
        }
        None
    }

    fn said(&mut self, cells: &mut CellsOf<Self>, place: u32, said: Said<'_>) -> Option<Http> {
        let Said::Http(data) = said;
        let far = cells.slot(place).flow.far;
        if let Some(http) = cells.far_mut(far) {
            http.read(&data);
            return None;
        }
        let mut http = Http::default();
        http.read(&data);
        Some(http)
    }

    fn reopened(flow: &mut Flow<Near>, opening: &Opening<'_>) -> Option<Near> {
        if !flow.tcp.is_reopened_by(opening.segment.flags) {
            return None;
        }
        flow.closed_by(opening.segment, opening.direction, opening.time_ns);
        let first = flow.first_sender();
        let closed = &mut flow.near.directions;
        closed[opening.direction].time_to_live = opening.time_to_live;
        // Argus does not forget everything. Whoever opens a connection is its source; what is kept belongs to the
        // order in which the sides came.
        let mut near = Near::default();
        for (side, direction) in near.directions.iter_mut().enumerate() {
            direction.time_to_live = closed[side ^ first].time_to_live;
            direction.gaps = closed[side ^ first].gaps;
            direction.gaps.restart();
        }
        Some(near)
    }

    fn restart(cells: &mut CellsOf<Self>, place: u32) -> Option<Http> {
        for direction in &mut cells.slot_mut(place).flow.near.directions {
            direction.packets = 0;
            direction.bytes = 0;
            direction.gaps.restart();
        }
        None
    }

    fn finished(&mut self, table: &mut TableOf<Self>, place: u32, now_ns: i64) {
        match self.mode {
            Mode::Replay => self.order.push(table.flow(place).end_ns, place),
            Mode::Live => self.add_to_block(table, place, now_ns),
        }
    }

    fn tick(&mut self, table: &mut TableOf<Self>, now_ns: i64, settled_ns: i64) {
        while let Some(place) = self.order.pop_before(settled_ns) {
            self.add_to_block(table, place, now_ns);
        }
        let is_old = now_ns.saturating_sub(self.block_opened_ns) >= LIVE_BLOCK_NS;
        if self.mode == Mode::Live && is_old {
            self.close_block(table);
        }
    }

    fn go_ahead(&mut self, table: &mut TableOf<Self>) -> bool {
        let Some(place) = self.order.pop() else {
            return false;
        };
        self.add_to_block(table, place, 0);
        true
    }

    fn release_all(&mut self, table: &mut TableOf<Self>) {
        while self.go_ahead(table) {}
    }

    fn finish(&mut self, table: &mut TableOf<Self>) {
        self.release_all(table);
        self.close_block(table);
    }

    fn write(&self, cells: &CellsOf<Self>, place: u32, batch: &mut FlowBatch) {
        let flow = &cells.slot(place).flow;
        batch.push(
            &row_of(flow, cells.far(flow)),
            identity(flow),
            flow.community_id(),
        );
    }

    fn order_memory(&self) -> usize {
        self.order.memory()
    }

    fn window_memory(&self) -> usize {
        0
    }

    fn left_early(&self) -> u64 {
        0
    }
}
