//! The seven counts over blocks of 100 records, and the order in which records leave.
//!
//! The dataset's records were sorted by their last packet and cut into blocks of 100; every record carries
//! the totals of its whole block. A replay does the same in a stream: a finished record waits until no
//! unfinished one can have an earlier last packet. A live meter cannot wait: it takes records as they finish
//! and closes a block that has been open for half a second.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;

use netsage_schema::{Identity, UNSW_NB15};

use super::{Row, position};
use crate::batch::FlowBatch;
use crate::community_id::CommunityId;

/// Records that share their counts.
const BLOCK: usize = 100;
/// How long a live block stays open: half of the second by which a live record may be late.
const LIVE_BLOCK_NS: i64 = 500_000_000;

/// A finished record that waits for its block.
pub(crate) struct Pending {
    pub(crate) row: Row,
    pub(crate) identity: Identity,
    pub(crate) community_id: CommunityId,
}

/// What of a record the counts compare.
struct Compared {
    service: u16,
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
    second: i64,
}

/// Orders finished records and fills in their counts.
pub(crate) struct Window {
    /// Last packet, order of finishing, place in `waiting`.
    order: BinaryHeap<Reverse<(i64, u64, usize)>>,
    waiting: Vec<Option<Pending>>,
    free: Vec<usize>,
    finished: u64,
    limit: usize,
    block: Vec<Pending>,
    compared: Vec<Compared>,
    block_opened_ns: i64,
    ready: FlowBatch,
}

impl Window {
    /// `limit`: most records that wait for their turn; beyond it the earliest goes ahead.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            order: BinaryHeap::new(),
            waiting: Vec::new(),
            free: Vec::new(),
            finished: 0,
            limit: limit.max(1),
            block: Vec::with_capacity(BLOCK),
            compared: Vec::with_capacity(BLOCK),
            block_opened_ns: 0,
            ready: FlowBatch::new(&UNSW_NB15),
        }
    }

    /// Takes a record that waits for its turn.
    pub(crate) fn push_ordered(&mut self, record: Pending) {
        let key = (record.identity.end_ns, self.finished);
        self.finished += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.waiting[place] = Some(record);
                place
            }
            None => {
                self.waiting.push(Some(record));
                self.waiting.len() - 1
            }
        };
        self.order.push(Reverse((key.0, key.1, place)));
        if self.order.len() > self.limit {
            self.release_one();
        }
    }

    /// Takes a record that goes into the block at once.
    pub(crate) fn push_now(&mut self, record: Pending, now_ns: i64) {
        if self.block.is_empty() {
            self.block_opened_ns = now_ns;
        }
        self.block.push(record);
        if self.block.len() == BLOCK {
            self.close_block();
        }
    }

    /// Releases the records whose last packet lies before `watermark_ns`.
    pub(crate) fn release_before(&mut self, watermark_ns: i64) {
        while self
            .order
            .peek()
            .is_some_and(|Reverse((end_ns, ..))| *end_ns < watermark_ns)
        {
            self.release_one();
        }
    }

    /// Closes a live block that is old enough.
    pub(crate) fn close_aged(&mut self, now_ns: i64) {
        if !self.block.is_empty() && now_ns.saturating_sub(self.block_opened_ns) >= LIVE_BLOCK_NS {
            self.close_block();
        }
    }

    /// Releases everything that waits for its turn.
    pub(crate) fn release_all(&mut self) {
        while !self.order.is_empty() {
            self.release_one();
        }
    }

    /// Releases everything and closes the block.
    pub(crate) fn finish(&mut self) {
        self.release_all();
        self.close_block();
    }

    /// Appends the records of closed blocks to `batch`.
    pub(crate) fn drain(&mut self, batch: &mut FlowBatch) {
        for (index, row) in self.ready.rows.iter().enumerate() {
            batch.push(row, self.ready.identities[index], self.ready.community_ids[index]);
        }
        self.ready.clear();
    }

    fn release_one(&mut self) {
        let Some(Reverse((_, _, place))) = self.order.pop() else {
            return;
        };
        if let Some(record) = self.waiting[place].take() {
            self.free.push(place);
            self.push_now(record, 0);
        }
    }

    fn close_block(&mut self) {
        self.compared.clear();
        self.compared.extend(self.block.iter().map(Compared::of));
        for (record, this) in self.block.iter_mut().zip(&self.compared) {
            let mut counts = [0_u32; 7];
            for other in &self.compared {
                let service = this.service == other.service;
                let source = this.source == other.source;
                let destination = this.destination == other.destination;
                let second = this.second == other.second;
                counts[0] += u32::from(service && source);
                counts[1] += u32::from(service && destination);
                counts[2] += u32::from(second && destination);
                counts[3] += u32::from(second && source);
                counts[4] += u32::from(second && source && this.destination_port == other.destination_port);
                counts[5] += u32::from(second && destination && this.source_port == other.source_port);
                counts[6] += u32::from(second && source && destination);
            }
            let columns = [
                position::CT_SRV_SRC,
                position::CT_SRV_DST,
                position::CT_DST_LTM,
                position::CT_SRC_LTM,
                position::CT_SRC_DPORT_LTM,
                position::CT_DST_SPORT_LTM,
                position::CT_DST_SRC_LTM,
            ];
            for (column, count) in columns.into_iter().zip(counts) {
                record.row[column] = f64::from(count);
            }
            self.ready.push(&record.row, record.identity, record.community_id);
        }
        self.block.clear();
    }
}

impl Compared {
    fn of(record: &Pending) -> Self {
        let identity = &record.identity;
        Self {
            // The code of a term, a small whole number.
            service: record.row[position::SERVICE] as u16,
            source: identity.source,
            destination: identity.destination,
            source_port: identity.source_port,
            destination_port: identity.destination_port,
            second: identity.end_ns.div_euclid(1_000_000_000),
        }
    }
}
