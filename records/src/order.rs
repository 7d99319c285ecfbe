//! Records in the order of their ends, though they arrive late and in any order.
//!
//! [`Order`] holds a record back until none is expected any more that ends before it: until the time of the stream, which
//! is the latest end so far, is more than the lateness past the record's own end. The same records in any order within the
//! lateness therefore leave in the same order. What arrives behind a record that has left is late: it leaves at once and
//! is marked. Nothing is refused.
//!
//! Three things move the stream on: its records, the clock of a stream that is known to be quiet ([`Order::quiet`]), and
//! want of room, which lets the earliest go. One record whose time is out of all reason moves nothing: a step that is more
//! than an hour longer than the stream was quiet is believed when a second record confirms it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};

use crate::FlowId;

/// A longer step ahead than this no record can make alone, in microseconds.
const LEAP_US: i64 = 3_600_000_000;

/// Entries that room is made for at once.
const STEP: usize = 256;

/// What records are ordered by: their ends, those of equal ends by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Last packet, microseconds since the Unix epoch.
    pub end_us: i64,
    /// Id of the flow.
    pub id: FlowId,
}

/// How a record left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// In its turn.
    InOrder,
    /// Behind its turn: a record with a later key had left before.
    Late,
    /// As one more copy of a record that has left: the same flow.
    Repeated,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderCounters {
    /// Records that left in their turn.
    pub in_order: u64,
    /// Records that came behind their turn.
    pub late: u64,
    /// Copies of records that had left.
    pub repeated: u64,
    /// Records that left before the lateness was over, for want of room.
    pub hurried: u64,
}

/// Items by their keys; those with equal keys in the order in which they came.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<(Key, u64, u32)>>,
    /// Items stay in their places, so that moving an entry of the heap is cheap.
    items: Vec<Option<T>>,
    free: Vec<u32>,
    pushed: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            items: Vec::new(),
            free: Vec::new(),
            pushed: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Bytes per item.
    pub const BYTES: usize =
        size_of::<Reverse<(Key, u64, u32)>>() + size_of::<Option<T>>() + size_of::<u32>();

    /// Adds an item.
    pub fn push(&mut self, key: Key, item: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            grow(self.items.len(), self.items.capacity(), |more| {
                self.items.reserve_exact(more);
            });
            self.items.push(None);
            u32::try_from(self.items.len() - 1).expect("fewer items than memory has room for")
        });
        self.items[place as usize] = Some(item);
        grow(self.heap.len(), self.heap.capacity(), |more| {
            self.heap.reserve_exact(more);
        });
        self.heap.push(Reverse((key, self.pushed, place)));
        self.pushed += 1;
    }

    /// The first item, if it ends before `time_us`.
    pub fn pop_before(&mut self, time_us: i64) -> Option<(Key, T)> {
        let Reverse((first, ..)) = self.heap.peek()?;
        if first.end_us < time_us { self.pop() } else { None }
    }

    /// The first item.
    pub fn pop(&mut self) -> Option<(Key, T)> {
        let Reverse((key, _, place)) = self.heap.pop()?;
        grow(self.free.len(), self.free.capacity(), |more| {
            self.free.reserve_exact(more);
        });
        self.free.push(place);
        Some((key, self.items.get_mut(place as usize)?.take()?))
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.heap.capacity() * size_of::<Reverse<(Key, u64, u32)>>()
            + self.items.capacity() * size_of::<Option<T>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

/// Makes room for more entries where there is none. Not doubled: memory is accounted for by the entry.
fn grow(len: usize, capacity: usize, reserve: impl FnOnce(usize)) {
    if len == capacity {
        reserve(STEP.max(len / 16));
    }
}

/// The ids of what left last.
#[derive(Debug, Default)]
struct Recent {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Recent {
    /// Notes an id, and forgets the oldest one when `most` are known; says whether the id is new.
    fn note(&mut self, id: &FlowId, most: usize) -> bool {
        // Bytes of the digest: 64 bits tell apart all flows that are known at once.
        let [.., a, b, c, d, e, f, g, h] = *id;
        let short = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if !self.known.insert(short) {
            return false;
        }
        if self.order.len() >= most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(short);
        true
    }
}

/// The records of one partition of a stream.
#[derive(Debug)]
pub struct Order<T> {
    waiting: Queue<T>,
    recent: Recent,
    lateness_us: i64,
    most: usize,
    /// Time of the stream: the latest end that can be believed.
    now_us: Option<i64>,
    /// An end too far ahead that no other record has confirmed.
    leap_us: Option<i64>,
    /// How long the stream was quiet before the next record.
    quiet_us: i64,
    /// What ends before this has left.
    settled_us: i64,
    /// The last that left in its turn.
    last: Option<Key>,
    counters: OrderCounters,
}

impl<T> Order<T> {
    /// Nothing waits yet. `lateness_us`: how long records are waited for, by the time of the stream; `most`: records that
    /// wait at once, at least 1, and as many ids are known of what left last.
    pub fn new(lateness_us: u64, most: usize) -> Self {
        Self {
            waiting: Queue::default(),
            recent: Recent::default(),
            lateness_us: i64::try_from(lateness_us).unwrap_or(i64::MAX),
            most: most.clamp(1, u32::MAX as usize - 1),
            now_us: None,
            leap_us: None,
            quiet_us: 0,
            settled_us: i64::MIN,
            last: None,
            counters: OrderCounters::default(),
        }
    }

    /// Waits for records at least so long from now on.
    pub fn wait_for(&mut self, lateness_us: u64) {
        let lateness_us = i64::try_from(lateness_us).unwrap_or(i64::MAX);
        self.lateness_us = self.lateness_us.max(lateness_us);
    }

    /// Takes a record in. `each` gets this record and others, as far as their turn has come.
    pub fn push(&mut self, key: Key, item: T, mut each: impl FnMut(T, Standing)) {
        self.observe(key.end_us);
        if self.last.is_some_and(|last| key < last) {
            let standing = self.judge(&key, Standing::Late);
            each(item, standing);
        } else {
            self.waiting.push(key, item);
        }
        self.settle(self.now_us, &mut each);
        while self.waiting.len() > self.most {
            self.counters.hurried += 1;
            if let Some((key, item)) = self.waiting.pop() {
                self.leave(key, item, &mut each);
            }
        }
    }

    /// Moves a quiet stream on: nothing has come for `elapsed_us`, and it is known that nothing was there to come.
    pub fn quiet(&mut self, elapsed_us: u64, mut each: impl FnMut(T, Standing)) {
        let elapsed_us = i64::try_from(elapsed_us).unwrap_or(i64::MAX);
        self.quiet_us = self.quiet_us.max(elapsed_us);
        // A lone first record is believed by now.
        let now_us = self.now_us.or(self.leap_us);
        self.settle(now_us.map(|now_us| now_us.saturating_add(elapsed_us)), &mut each);
    }

    /// Lets all records leave in their order: the stream has ended.
    pub fn finish(&mut self, mut each: impl FnMut(T, Standing)) {
        while let Some((key, item)) = self.waiting.pop() {
            self.leave(key, item, &mut each);
        }
    }

    /// Number of records that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no record waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What was counted.
    pub fn counters(&self) -> OrderCounters {
        self.counters
    }

    /// Moves the time of the stream.
    fn observe(&mut self, end_us: i64) {
        let step_us = LEAP_US.saturating_add(std::mem::take(&mut self.quiet_us));
        let is_near = |time_us: i64| end_us.abs_diff(time_us) <= LEAP_US.unsigned_abs();
        match (self.now_us, self.leap_us) {
            (Some(now_us), _) if end_us <= now_us.saturating_add(step_us) => {
                self.now_us = Some(now_us.max(end_us));
            }
            (_, Some(leap_us)) if is_near(leap_us) => {
                self.now_us = Some(leap_us.max(end_us));
                self.leap_us = None;
            }
            _ => self.leap_us = Some(end_us),
        }
    }

    /// Lets records leave behind which nothing is expected any more at this time.
    fn settle(&mut self, now_us: Option<i64>, each: &mut impl FnMut(T, Standing)) {
        let Some(now_us) = now_us else { return };
        self.settled_us = self.settled_us.max(now_us.saturating_sub(self.lateness_us));
        while let Some((key, item)) = self.waiting.pop_before(self.settled_us) {
            self.leave(key, item, each);
        }
    }

    fn leave(&mut self, key: Key, item: T, each: &mut impl FnMut(T, Standing)) {
        self.last = Some(key);
        let standing = self.judge(&key, Standing::InOrder);
        each(item, standing);
    }

    /// Counts a record that leaves.
    fn judge(&mut self, key: &Key, standing: Standing) -> Standing {
        let standing = if self.recent.note(&key.id, self.most) {
            standing
        } else {
            Standing::Repeated
        };
        let counters = &mut self.counters;
        *match standing {
            Standing::InOrder => &mut counters.in_order,
            Standing::Late => &mut counters.late,
            Standing::Repeated => &mut counters.repeated,
        } += 1;
        standing
    }
}
