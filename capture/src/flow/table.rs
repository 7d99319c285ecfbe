//! The flow table: a fixed number of slots, a keyed hash index, and timers in lists.
//!
//! The timers are the two queues of Argus. A flow enters the status queue with its first packet and leaves it
//! one status interval later, whatever happens in between; its record is then reported, and it retires to the
//! queue of its timeout. A packet brings it back to the status queue; without one it ends when the timeout is
//! over. A timer thus costs nothing per packet, and the next flow in question stands at the head of a queue.
//! This holds as long as the clock never runs back between two packets; the meter sees to that.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::key::FlowKey;
use super::state::Flow;

const NONE: u32 = u32::MAX;
/// The queues of the timeouts come first, in the order of their classes.
const STATUS_QUEUE: usize = TimeoutClass::ALL.len();
const QUEUES: usize = STATUS_QUEUE + 1;

/// How long a flow is remembered after its record was reported. Closed TCP connections and fragments are no
/// classes of their own: Argus names timeouts for them and then uses those of TCP and of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeoutClass {
    Ip,
    Tcp,
    Icmp,
    Arp,
}

impl TimeoutClass {
    const ALL: [Self; 4] = [Self::Ip, Self::Tcp, Self::Icmp, Self::Arp];

    const fn timeout_ns(self) -> i64 {
        let seconds = match self {
            Self::Tcp => 60,
            Self::Ip => 30,
            Self::Icmp | Self::Arp => 5,
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
    /// The queue that the flow is in.
    queue: usize,
    /// Meter clock when it entered the queue.
    queued_ns: i64,
    link: Link,
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
    queues: [List; QUEUES],
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
            queues: [List {
                head: NONE,
                tail: NONE,
            }; QUEUES],
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
    pub(crate) fn insert(&mut self, key: FlowKey, now_ns: i64, flow: Flow) -> u32 {
        let hash = key.hash(self.secret);
        let mut slot = Slot {
            key,
            hash,
            queue: STATUS_QUEUE,
            queued_ns: now_ns,
            link: UNLINKED,
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
        self.push_back(STATUS_QUEUE, place);
        place
    }

    /// Begins a new status interval, also of a flow that has retired.
    pub(crate) fn restart_interval(&mut self, place: u32, now_ns: i64) {
        self.requeue(place, STATUS_QUEUE, now_ns);
    }

    /// Lets a flow retire whose record has been reported.
    pub(crate) fn retire(&mut self, place: u32, now_ns: i64) {
        let class = self.slots[place as usize].flow.timeout_class();
        self.requeue(place, class as usize, now_ns);
    }

    /// Whether the flow has retired.
    pub(crate) fn is_retired(&self, place: u32) -> bool {
        self.slots[place as usize].queue != STATUS_QUEUE
    }

    /// Whether the status interval of the flow is over.
    pub(crate) fn is_due(&self, place: u32, now_ns: i64) -> bool {
        let slot = &self.slots[place as usize];
        slot.queue == STATUS_QUEUE && now_ns.saturating_sub(slot.queued_ns) >= STATUS_INTERVAL_NS
    }

    /// A flow whose status interval is over.
    pub(crate) fn next_status(&self, now_ns: i64) -> Option<u32> {
        let head = self.queues[STATUS_QUEUE].head;
        (head != NONE && self.is_due(head, now_ns)).then_some(head)
    }

    /// A retired flow that nothing brought back within its timeout.
    pub(crate) fn next_idle(&self, now_ns: i64) -> Option<u32> {
        TimeoutClass::ALL.into_iter().find_map(|class| {
            let head = self.queues[class as usize].head;
            let slot = self.slots.get(head as usize)?;
            (now_ns.saturating_sub(slot.queued_ns) >= class.timeout_ns()).then_some(head)
        })
    }

    /// The flow to give up first: the one that retired first, otherwise the one that began first.
    pub(crate) fn most_idle(&self) -> Option<u32> {
        let oldest_retired = TimeoutClass::ALL
            .into_iter()
            .filter_map(|class| {
                let head = self.queues[class as usize].head;
                self.slots.get(head as usize).map(|slot| (slot.queued_ns, head))
            })
            .min()
            .map(|(_, place)| place);
        let oldest = self.queues[STATUS_QUEUE].head;
        oldest_retired.or((oldest != NONE).then_some(oldest))
    }

    /// Any flow, in a fixed order; for ending all of them.
    pub(crate) fn any(&self) -> Option<u32> {
        self.queues
            .iter()
            .map(|queue| queue.head)
            .find(|&head| head != NONE)
    }

    /// Takes a flow out.
    pub(crate) fn remove(&mut self, place: u32) -> &mut Flow {
        self.unlink(place);
        let hash = self.slots[place as usize].hash;
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == place) {
            entry.remove();
        }
        self.free.push(place);
        let slot = &mut self.slots[place as usize];
        slot.generation = slot.generation.wrapping_add(1);
        &mut slot.flow
    }

    fn requeue(&mut self, place: u32, queue: usize, now_ns: i64) {
        self.unlink(place);
        self.slots[place as usize].queued_ns = now_ns;
        self.push_back(queue, place);
    }

    fn push_back(&mut self, queue: usize, place: u32) {
        let tail = self.queues[queue].tail;
        let slot = &mut self.slots[place as usize];
        slot.queue = queue;
        slot.link = Link {
            previous: tail,
            next: NONE,
        };
        if tail == NONE {
            self.queues[queue].head = place;
        } else {
            self.slots[tail as usize].link.next = place;
        }
        self.queues[queue].tail = place;
    }

    fn unlink(&mut self, place: u32) {
        let slot = &mut self.slots[place as usize];
        let queue = slot.queue;
        let Link { previous, next } = std::mem::replace(&mut slot.link, UNLINKED);
        if previous == NONE {
            self.queues[queue].head = next;
        } else {
            self.slots[previous as usize].link.next = next;
        }
        if next == NONE {
            self.queues[queue].tail = previous;
        } else {
            self.slots[next as usize].link.previous = previous;
        }
    }
}
