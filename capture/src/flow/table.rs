//! The flow table: cells, a keyed hash index, and timers in queues.
//!
//! The timers are the two queues of Argus. A flow enters the status queue with its first packet and leaves it
//! one status interval later, whatever happens in between; its record is then reported, and it retires to the
//! queue of its timeout. A packet brings it back to the status queue; without one it ends when the timeout is
//! over. A timer thus costs nothing per packet, and the next flow in question stands at the head of a queue.
//! This holds as long as the clock never runs back between two packets; the meter sees to that.
//!
//! When memory runs short, flows end early, in the order of two rankings. The half-open flows are ranked by when
//! they began, the others by their last packet, to the second. Above a high-water mark, half-open flows that are
//! old and others that are idle end ([`FlowTable::next_short`]), until the use is below a low-water mark. When
//! there is no room at all, one flow goes for each that comes ([`FlowTable::victim`]): the first half-open one;
//! where there is none, the one that has been idle for longest. Half-open is a TCP flow that opened with SYN until
//! its handshake is complete, and any other flow until its second packet. So a flood of attempts displaces
//! itself, and what carries traffic stays.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::cells::{Cells, Link, NONE, Slot, UNLINKED};
use super::index::Index;
use super::key::Endpoints;
use super::state::Flow;
use super::timeout::{IDLE_NS, Queue, RANK_NS, SHORT_TIMEOUT_NS};

/// Above this share of the cells, in percent, timeouts are shortened ...
const HIGH_WATER: usize = 85;
/// ... until the share is below this one.
const LOW_WATER: usize = 70;

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List {
    head: NONE,
    tail: NONE,
};

/// A flow in the table, which may have ended since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowRef {
    place: u32,
    generation: u32,
}

/// What a flow is that ends for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    HalfOpen,
    Idle,
    Active,
}

pub(crate) struct FlowTable<N, F> {
    pub(crate) cells: Cells<N, F>,
    index: Index,
    queues: [List; Queue::COUNT],
    /// In the order in which they began.
    half_open: List,
    /// The others, in the order of their last packets.
    opened: List,
    /// Ended flows whose records may leave.
    ready: List,
    /// Cells of these; they come back at the next look and do not count as used.
    ready_cells: usize,
    flows: usize,
    generation: u32,
    hash_key: [u64; 2],
    is_short: bool,
}

impl<N: Clone, F: Clone> FlowTable<N, F> {
    /// An empty table of about `cells` cells.
    pub(crate) fn new(cells: usize, hash_key: [u64; 2]) -> Self {
        let cells = Cells::new(cells);
        Self {
            index: Index::new(cells.most()),
            cells,
            queues: [EMPTY; Queue::COUNT],
            half_open: EMPTY,
            opened: EMPTY,
            ready: EMPTY,
            ready_cells: 0,
            flows: 0,
            generation: 0,
            hash_key,
            is_short: false,
        }
    }

    /// Flows that have not ended.
    pub(crate) fn len(&self) -> usize {
        self.flows
    }

    /// Bytes that the index holds.
    pub(crate) fn index_memory(&self) -> usize {
        self.index.memory()
    }

    /// Whether two more cells can be used: a flow and its second cell.
    pub(crate) fn has_room(&self) -> bool {
        self.cells.used() + 2 <= self.cells.most()
    }

    /// Looks whether memory is short, and says so.
    pub(crate) fn look_at_memory(&mut self) -> bool {
        let used = (self.cells.used() - self.ready_cells) * 100;
        let mark = if self.is_short { LOW_WATER } else { HIGH_WATER };
        self.is_short = used >= self.cells.most() * mark;
        self.is_short
    }

    /// The keyed hash: who sends packets must not be able to choose where they collide.
    pub(crate) fn hash(&self, endpoints: &Endpoints, is_orphan_fragment: bool) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key[0], self.hash_key[1]);
        hasher.write(endpoints.key(is_orphan_fragment).bytes());
        (hasher.finish() >> 32) as u32
    }

    pub(crate) fn find(&self, hash: u32, endpoints: &Endpoints, is_orphan_fragment: bool) -> Option<u32> {
        self.index.find(hash, |place| {
            let flow = &self.cells.slot(place).flow;
            flow.is_orphan_fragment == is_orphan_fragment && flow.endpoints.is_same_flow(endpoints)
        })
    }

    pub(crate) fn reference(&self, place: u32) -> FlowRef {
        FlowRef {
            place,
            generation: self.cells.slot(place).generation,
        }
    }

    pub(crate) fn resolve(&self, reference: FlowRef) -> Option<u32> {
        let slot = self.cells.get(reference.place)?;
        (slot.generation == reference.generation && !slot.has_ended).then_some(reference.place)
    }

    pub(crate) fn flow(&self, place: u32) -> &Flow<N> {
        &self.cells.slot(place).flow
    }

    pub(crate) fn flow_mut(&mut self, place: u32) -> &mut Flow<N> {
        &mut self.cells.slot_mut(place).flow
    }

    /// Adds a flow; the caller has made room. It counts as half-open until [`Self::touch`] says otherwise.
    pub(crate) fn insert(&mut self, hash: u32, now_ns: i64, flow: Flow<N>) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        let place = self.cells.insert(Slot {
            flow,
            seen_ns: now_ns,
            queued_ns: now_ns,
            ranked_ns: now_ns,
            queue: UNLINKED,
            rank: UNLINKED,
            hash,
            generation: self.generation,
            in_queue: Queue::Status,
            is_half_open: true,
            has_ended: false,
        });
        self.index.insert(hash, place);
        self.flows += 1;
        self.enter(Queue::Status, place, now_ns);
        self.rank(place, now_ns);
        place
    }

    /// Notes a packet of the flow.
    pub(crate) fn touch(&mut self, place: u32, is_half_open: bool, now_ns: i64) {
        let slot = self.cells.slot_mut(place);
        slot.seen_ns = now_ns;
        let opens = slot.is_half_open && !is_half_open;
        if opens || !slot.is_half_open && now_ns.saturating_sub(slot.ranked_ns) >= RANK_NS {
            self.unrank(place);
            self.cells.slot_mut(place).is_half_open = false;
            self.rank(place, now_ns);
        }
    }

    /// Gives a flow its second cell; the caller has made room.
    pub(crate) fn extend(&mut self, place: u32, far: F) {
        let far = self.cells.insert_far(far);
        self.flow_mut(place).far = far;
    }

    /// Begins a new status interval, also of a flow that has retired.
    pub(crate) fn restart_interval(&mut self, place: u32, now_ns: i64) {
        self.leave(place);
        self.enter(Queue::Status, place, now_ns);
    }

    /// Lets a flow retire whose record has been reported.
    pub(crate) fn retire(&mut self, place: u32, now_ns: i64) {
        let queue = self.flow(place).retires_to();
        self.leave(place);
        self.enter(queue, place, now_ns);
    }

    /// Whether the flow has retired.
    pub(crate) fn is_retired(&self, place: u32) -> bool {
        self.cells.slot(place).in_queue != Queue::Status
    }

    /// Whether the time of a flow in its queue is over.
    pub(crate) fn is_due(&self, place: u32, now_ns: i64) -> bool {
        let slot = self.cells.slot(place);
        now_ns.saturating_sub(slot.queued_ns) >= slot.in_queue.timeout_ns()
    }

    /// A flow whose status interval is over.
    pub(crate) fn next_status(&self, now_ns: i64) -> Option<u32> {
        self.next_of(Queue::Status, now_ns)
    }

    /// A retired flow that nothing brought back within its timeout.
    pub(crate) fn next_idle(&self, now_ns: i64) -> Option<u32> {
        Queue::RETIRED
            .into_iter()
            .find_map(|queue| self.next_of(queue, now_ns))
    }

    /// A flow that ends early while memory is short.
    pub(crate) fn next_short(&self, now_ns: i64) -> Option<u32> {
        let is_due = |&place: &u32| {
            let slot = self.cells.slot(place);
            place != NONE && now_ns.saturating_sub(slot.ranked_ns) >= SHORT_TIMEOUT_NS + RANK_NS
        };
        [self.half_open.head, self.opened.head]
            .into_iter()
            .filter(|&head| head != NONE)
            .find(is_due)
    }

    /// The flow that goes when there is no room. `keep` stays in any case.
    pub(crate) fn victim(&self, keep: u32, now_ns: i64) -> Option<(u32, Victim)> {
        let first = |list: List| match list.head {
            head if head != NONE && head == keep => self.cells.slot(head).rank.next,
            head => head,
        };
        match (first(self.half_open), first(self.opened)) {
            (NONE, NONE) => None,
            (NONE, opened) => {
                let idle_ns = now_ns.saturating_sub(self.cells.slot(opened).seen_ns);
                let is_idle = idle_ns >= IDLE_NS;
                Some((opened, if is_idle { Victim::Idle } else { Victim::Active }))
            }
            (half_open, _) => Some((half_open, Victim::HalfOpen)),
        }
    }

    /// Any flow, in a fixed order; for ending all of them.
    pub(crate) fn any(&self) -> Option<u32> {
        self.queues
            .iter()
            .map(|queue| queue.head)
            .find(|&head| head != NONE)
    }

    /// Takes a flow out. Its cells stay until its record is taken.
    pub(crate) fn detach(&mut self, place: u32) {
        self.leave(place);
        self.unrank(place);
        let slot = self.cells.slot_mut(place);
        slot.has_ended = true;
        let hash = slot.hash;
        self.index.remove(hash, place);
        self.flows -= 1;
    }

    /// A copy of a flow, outside of the table, as the record of a status interval; the caller has made room.
    pub(crate) fn copy(&mut self, place: u32) -> u32 {
        let mut slot = self.cells.slot(place).clone();
        slot.has_ended = true;
        slot.queue = UNLINKED;
        slot.rank = UNLINKED;
        let far = self.cells.far(&slot.flow).cloned();
        slot.flow.far = far.map_or(NONE, |far| self.cells.insert_far(far));
        self.cells.insert(slot)
    }

    /// Says that the record of an ended flow may leave.
    pub(crate) fn make_ready(&mut self, place: u32) {
        self.ready_cells += self.cells_of(place);
        push_back(&mut self.cells, &mut self.ready, place, |slot| &mut slot.queue);
    }

    /// Whether a record may leave.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready.head != NONE
    }

    /// The first record that may leave; it is the caller's to [`Self::free`].
    pub(crate) fn pop_ready(&mut self) -> Option<u32> {
        let place = self.ready.head;
        if place == NONE {
            return None;
        }
        unlink(&mut self.cells, &mut self.ready, place, |slot| &mut slot.queue);
        self.ready_cells -= self.cells_of(place);
        Some(place)
    }

    /// Gives the cells of a flow back that is in no list.
    pub(crate) fn free(&mut self, place: u32) {
        let far = self.flow(place).far;
        if far != NONE {
            self.cells.free(far);
        }
        self.cells.free(place);
    }

    fn cells_of(&self, place: u32) -> usize {
        1 + usize::from(self.flow(place).far != NONE)
    }

    fn next_of(&self, queue: Queue, now_ns: i64) -> Option<u32> {
        let head = self.queues[queue as usize].head;
        (head != NONE && self.is_due(head, now_ns)).then_some(head)
    }

    fn enter(&mut self, queue: Queue, place: u32, now_ns: i64) {
        let slot = self.cells.slot_mut(place);
        slot.in_queue = queue;
        slot.queued_ns = now_ns;
        let list = &mut self.queues[queue as usize];
        push_back(&mut self.cells, list, place, |slot| &mut slot.queue);
    }

    fn leave(&mut self, place: u32) {
        let queue = self.cells.slot(place).in_queue;
        let list = &mut self.queues[queue as usize];
        unlink(&mut self.cells, list, place, |slot| &mut slot.queue);
    }

    fn rank(&mut self, place: u32, now_ns: i64) {
        let slot = self.cells.slot_mut(place);
        slot.ranked_ns = now_ns;
        let ranking = if slot.is_half_open {
            &mut self.half_open
        } else {
            &mut self.opened
        };
        push_back(&mut self.cells, ranking, place, |slot| &mut slot.rank);
    }

    fn unrank(&mut self, place: u32) {
        let ranking = if self.cells.slot(place).is_half_open {
            &mut self.half_open
        } else {
            &mut self.opened
        };
        unlink(&mut self.cells, ranking, place, |slot| &mut slot.rank);
    }
}

/// Which links of a flow a list uses.
type Pick<N> = fn(&mut Slot<N>) -> &mut Link;

fn push_back<N, F>(cells: &mut Cells<N, F>, list: &mut List, place: u32, pick: Pick<N>) {
    let tail = std::mem::replace(&mut list.tail, place);
    *pick(cells.slot_mut(place)) = Link {
        previous: tail,
        next: NONE,
    };
    if tail == NONE {
        list.head = place;
    } else {
        pick(cells.slot_mut(tail)).next = place;
    }
}

fn unlink<N, F>(cells: &mut Cells<N, F>, list: &mut List, place: u32, pick: Pick<N>) {
    let Link { previous, next } = std::mem::replace(pick(cells.slot_mut(place)), UNLINKED);
    if previous == NONE {
        list.head = next;
    } else {
        pick(cells.slot_mut(previous)).next = next;
    }
    if next == NONE {
        list.tail = previous;
    } else {
        pick(cells.slot_mut(next)).previous = previous;
    }
}
