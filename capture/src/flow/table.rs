//! The flow table: a fixed number of slots, a keyed hash index, and timers in lists.
//!
//! Every idle timeout has a list in the order of the last packets, so the next flow to end stands at its head
//! and a packet moves its flow to the tail: a timer costs two links per packet, whatever the number of flows.
//! The status interval has a list of its own. This holds as long as the clock never runs back between two
//! packets; the meter sees to that.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::key::FlowKey;
use super::state::Flow;

const NONE: u32 = u32::MAX;
const IDLE_LISTS: usize = TimeoutClass::ALL.len();
const STATUS_LIST: usize = IDLE_LISTS;

/// How long a flow may be idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeoutClass {
    Ip,
    Tcp,
    TcpClosed,
    Icmp,
    Igmp,
    Arp,
    Fragment,
}

impl TimeoutClass {
    const ALL: [Self; 7] = [
        Self::Ip,
        Self::Tcp,
        Self::TcpClosed,
        Self::Icmp,
        Self::Igmp,
        Self::Arp,
        Self::Fragment,
    ];

    const fn timeout_ns(self) -> i64 {
        let seconds = match self {
            Self::Tcp => 60,
            Self::Ip | Self::Igmp => 30,
            Self::TcpClosed => 10,
            Self::Icmp | Self::Arp | Self::Fragment => 5,
        };
        seconds * 1_000_000_000
    }
}

/// The longest of all timeouts and intervals.
pub(crate) const LARGEST_TIMEOUT_NS: i64 = 60_000_000_000;
/// A longer flow gives a record per interval.
pub(crate) const STATUS_INTERVAL_NS: i64 = 60_000_000_000;

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

const UNLINKED: Link = Link {
    previous: NONE,
    next: NONE,
};

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

struct Slot {
    key: FlowKey,
    hash: u64,
    class: TimeoutClass,
    /// Meter clock at the last packet.
    seen_ns: i64,
    /// Meter clock when the status interval began.
    status_ns: i64,
    idle: Link,
    status: Link,
    /// Told apart from an earlier flow of the same slot by this.
    generation: u32,
    flow: Flow,
}

/// A flow in the table, which may have ended since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowRef {
    slot: u32,
    generation: u32,
}

pub(crate) struct FlowTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    lists: [List; IDLE_LISTS + 1],
    secret: (u64, u64),
    max_flows: usize,
}

impl FlowTable {
    pub(crate) fn new(max_flows: usize) -> Self {
        let random = RandomState::new();
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            lists: [List {
                head: NONE,
                tail: NONE,
            }; IDLE_LISTS + 1],
            secret: (random.hash_one(0), random.hash_one(1)),
            max_flows: max_flows.clamp(1, NONE as usize - 1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.index.len() >= self.max_flows
    }

    pub(crate) fn find(&self, key: &FlowKey) -> Option<u32> {
        let hash = key.hash(self.secret);
        self.index
            .find(hash, |&slot| self.slots[slot as usize].key == *key)
            .copied()
    }

    pub(crate) fn reference(&self, slot: u32) -> FlowRef {
        FlowRef {
            slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    pub(crate) fn resolve(&self, reference: FlowRef) -> Option<u32> {
        let slot = self.slots.get(reference.slot as usize)?;
        (slot.generation == reference.generation).then_some(reference.slot)
    }

    pub(crate) fn flow(&mut self, slot: u32) -> &mut Flow {
        &mut self.slots[slot as usize].flow
    }

    /// Adds a flow; the caller has made room.
    pub(crate) fn insert(&mut self, key: FlowKey, class: TimeoutClass, now_ns: i64, flow: Flow) -> u32 {
        let hash = key.hash(self.secret);
        let mut slot = Slot {
            key,
            hash,
            class,
            seen_ns: now_ns,
            status_ns: now_ns,
            idle: UNLINKED,
            status: UNLINKED,
            generation: 0,
            flow,
        };
        let place = match self.free.pop() {
            Some(place) => {
                slot.generation = self.slots[place as usize].generation;
                self.slots[place as usize] = slot;
                place
            }
            None => {
                let place = u32::try_from(self.slots.len())
                    .expect("the table is limited to fewer slots than u32::MAX");
                self.slots.push(slot);
                place
            }
        };
        let slots = &self.slots;
        self.index
            .insert_unique(hash, place, |&other| slots[other as usize].hash);
        self.push_back(class as usize, place);
        self.push_back(STATUS_LIST, place);
        place
    }

    /// Notes a packet of the flow.
    pub(crate) fn touch(&mut self, place: u32, class: TimeoutClass, now_ns: i64) {
        let old_class = self.slots[place as usize].class;
        self.unlink(old_class as usize, place);
        let slot = &mut self.slots[place as usize];
        slot.class = class;
        slot.seen_ns = now_ns;
        self.push_back(class as usize, place);
    }

    /// Begins a new status interval.
    pub(crate) fn restart_interval(&mut self, place: u32, now_ns: i64) {
        self.unlink(STATUS_LIST, place);
        self.slots[place as usize].status_ns = now_ns;
        self.push_back(STATUS_LIST, place);
    }

    /// A flow that has been idle for its timeout.
    pub(crate) fn next_idle(&self, now_ns: i64) -> Option<u32> {
        TimeoutClass::ALL.into_iter().find_map(|class| {
            let head = self.lists[class as usize].head;
            let slot = self.slots.get(head as usize)?;
            (now_ns.saturating_sub(slot.seen_ns) >= class.timeout_ns()).then_some(head)
        })
    }

    /// A flow whose status interval is over.
    pub(crate) fn next_status(&self, now_ns: i64) -> Option<u32> {
        let head = self.lists[STATUS_LIST].head;
        let slot = self.slots.get(head as usize)?;
        (now_ns.saturating_sub(slot.status_ns) >= STATUS_INTERVAL_NS).then_some(head)
    }

    /// The flow that has been idle for longest.
    pub(crate) fn most_idle(&self) -> Option<u32> {
        TimeoutClass::ALL
            .into_iter()
            .filter_map(|class| {
                let head = self.lists[class as usize].head;
                self.slots.get(head as usize).map(|slot| (slot.seen_ns, head))
            })
            .min()
            .map(|(_, place)| place)
    }

    /// Any flow, in a fixed order; for ending all of them.
    pub(crate) fn any(&self) -> Option<u32> {
        let head = self.lists[STATUS_LIST].head;
        (head != NONE).then_some(head)
    }

    /// Takes a flow out.
    pub(crate) fn remove(&mut self, place: u32) -> &mut Flow {
        let class = self.slots[place as usize].class;
        self.unlink(class as usize, place);
        self.unlink(STATUS_LIST, place);
        let hash = self.slots[place as usize].hash;
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == place) {
            entry.remove();
        }
        self.free.push(place);
        let slot = &mut self.slots[place as usize];
        slot.generation = slot.generation.wrapping_add(1);
        &mut slot.flow
    }

    fn link(&mut self, list: usize, place: u32) -> &mut Link {
        let slot = &mut self.slots[place as usize];
        if list == STATUS_LIST {
            &mut slot.status
        } else {
            &mut slot.idle
        }
    }

    fn push_back(&mut self, list: usize, place: u32) {
        let tail = self.lists[list].tail;
        *self.link(list, place) = Link {
            previous: tail,
            next: NONE,
        };
        if tail == NONE {
            self.lists[list].head = place;
        } else {
            self.link(list, tail).next = place;
        }
        self.lists[list].tail = place;
    }

    fn unlink(&mut self, list: usize, place: u32) {
        let Link { previous, next } = *self.link(list, place);
        if previous == NONE {
            self.lists[list].head = next;
        } else {
            self.link(list, previous).next = next;
        }
        if next == NONE {
            self.lists[list].tail = previous;
        } else {
            self.link(list, next).previous = previous;
        }
        *self.link(list, place) = UNLINKED;
    }
}
