//! Two records of one direction each become one flow.
//!
//! A record waits a stated time for one of the other direction from the same exporter whose time overlaps its own; of
//! several, the one that overlaps longest. Long flows come in pieces, so a pair is a piece of its flow as its two records
//! were. What finds no partner is a flow of one direction.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use netsage_schema::community_id::icmp_ports;

use super::values::Observed;
use crate::formats::state::{Flags, of_others};
use crate::{Exporter, Record, Sides, State};

/// Records of one pair of endpoints that wait at once; the first leaves alone for one more.
const MOST_OF_PAIR: usize = 8;
/// An answer may begin so much after what it answers has ended, where nothing overlaps.
const ANSWER_US: i64 = 2_000_000;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMPV6: u8 = 58;

/// Who talks to whom, the same for both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    exporter: Exporter,
    low: (IpAddr, u16),
    high: (IpAddr, u16),
    protocol: u8,
}

#[derive(Debug)]
struct Waiting {
    observed: Observed,
    pair: Pair,
    is_forward: bool,
}

/// The places of the records of one pair, the first that came first.
type Places = [Option<u32>; MOST_OF_PAIR];

/// One-way records that wait for the other direction.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    pairs: HashMap<Pair, Places>,
    waiting: Vec<Option<Waiting>>,
    free: Vec<u32>,
    /// When each stops waiting, where it waits, and the number it came with; those that have left meanwhile are passed over.
    leaving: VecDeque<(i64, u32, u64)>,
    /// The number of the record in each place.
    numbers: Vec<u64>,
    came: u64,
    len: usize,
}

/// What became of a one-way record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paired {
    /// It waits.
    Waits,
    /// It and another one are a flow.
    Pair,
}

impl Pairing {
    /// Bytes of a record that waits.
    pub(super) const BYTES: usize = size_of::<Option<Waiting>>()
        + 2 * size_of::<(Pair, Places)>()
        + size_of::<(i64, u32, u64)>()
        + size_of::<u32>()
        + size_of::<u64>();

    /// Number of records that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes a one-way record in, which waits until `until_us`, with at most `most` others. `each` gets what leaves.
    pub(super) fn take(
        &mut self,
        observed: Observed,
        exporter: Exporter,
        until_us: i64,
        most: usize,
        mut each: impl FnMut(Record, Exporter),
    ) -> Paired {
        let (from, to) = endpoints(&observed.record);
        let (is_forward, low, high) = if from <= to {
            (true, from, to)
        } else {
            (false, to, from)
        };
        let pair = Pair {
            exporter,
            low,
            high,
            protocol: observed.record.protocol,
        };
        if let Some(place) = self.partner(&pair, is_forward, &observed.record)
            && let Some(other) = self.remove(place)
        {
            each(merged(other.observed, observed), exporter);
            return Paired::Pair;
        }
        while self.len >= most.max(1) {
            if !self.leave_first(&mut each) {
                break;
            }
        }
        let is_full = |places: &Places| places[MOST_OF_PAIR - 1].is_some();
        if self.pairs.get(&pair).is_some_and(is_full)
            && let Some(first) = self.pairs.get(&pair).and_then(|places| places[0])
            && let Some(first) = self.remove(first)
        {
            each(alone(first.observed), exporter);
        }
        self.insert(
            Waiting {
                observed,
                pair,
                is_forward,
            },
            until_us,
        );
        Paired::Waits
    }

    /// Lets the records leave alone that have waited long enough.
    pub(super) fn advance(&mut self, now_us: i64, mut each: impl FnMut(Record, Exporter)) {
        while self
            .leaving
            .front()
            .is_some_and(|&(until_us, ..)| until_us <= now_us)
        {
            self.leave_first(&mut each);
        }
    }

    /// Lets the record leave that came first. `false` when none waits.
    pub(super) fn leave_first(&mut self, mut each: impl FnMut(Record, Exporter)) -> bool {
        while let Some((_, place, number)) = self.leaving.pop_front() {
            if self.numbers.get(place as usize) == Some(&number)
                && let Some(left) = self.remove(place)
            {
                each(alone(left.observed), left.pair.exporter);
                return true;
            }
        }
        false
    }

    /// The record of the other direction that overlaps longest.
    fn partner(&self, pair: &Pair, is_forward: bool, record: &Record) -> Option<u32> {
        // Endpoints that are equal have no directions.
        if pair.low == pair.high {
            return None;
        }
        let overlap = |other: &Record| {
            let (start, end) = (
                record.start_us.max(other.start_us),
                record.end_us.min(other.end_us),
            );
            end.saturating_sub(start)
        };
        let places = self.pairs.get(pair)?;
        (places.iter().flatten())
            .filter_map(|&place| {
                let other = self.waiting.get(place as usize)?.as_ref()?;
                let overlap_us = overlap(&other.observed.record);
                (other.is_forward != is_forward && overlap_us >= -ANSWER_US).then_some((overlap_us, place))
            })
            .max_by_key(|&(overlap_us, _)| overlap_us)
            .map(|(_, place)| place)
    }

    fn insert(&mut self, waiting: Waiting, until_us: i64) {
        let pair = waiting.pair;
        let place = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.numbers.push(0);
            u32::try_from(self.waiting.len() - 1).expect("fewer records than memory has room for")
        });
        self.came += 1;
        self.waiting[place as usize] = Some(waiting);
        self.numbers[place as usize] = self.came;
        let places = self.pairs.entry(pair).or_default();
        if let Some(free) = places.iter_mut().find(|known| known.is_none()) {
            *free = Some(place);
        }
        self.leaving.push_back((until_us, place, self.came));
        self.len += 1;
    }

    fn remove(&mut self, place: u32) -> Option<Waiting> {
        let left = self.waiting.get_mut(place as usize)?.take()?;
        self.numbers[place as usize] = 0;
        self.free.push(place);
        self.len -= 1;
        if let Some(places) = self.pairs.get_mut(&left.pair) {
            // Those that came later move up.
            let rest = places.map(|known| known.filter(|&known| known != place));
            *places = [None; MOST_OF_PAIR];
            for (to, from) in places.iter_mut().zip(rest.into_iter().flatten()) {
                *to = Some(from);
            }
            if places[0].is_none() {
                self.pairs.remove(&left.pair);
            }
        }
        // Places whose records have left pile up behind one that waits long.
        if self.leaving.len() > 2 * self.len + 1_024 {
            let numbers = &self.numbers;
            self.leaving
                .retain(|&(_, place, number)| numbers.get(place as usize) == Some(&number));
        }
        Some(left)
    }
}

/// Source and destination, with what stands for ports.
fn endpoints(record: &Record) -> ((IpAddr, u16), (IpAddr, u16)) {
    let (mut source, mut destination) = (record.source_port, record.destination_port);
    if matches!(record.protocol, ICMP | ICMPV6) {
        let [kind, code] = [source, destination].map(|number| (number & 0xff) as u8);
        // An answer's are those of what it answers, the other way round.
        let ports = icmp_ports(record.protocol == ICMPV6, kind, code);
        (source, destination) = (ports.source, ports.destination);
    }
    ((record.source, source), (record.destination, destination))
}

/// A flow of which the exporter told one direction.
fn alone(observed: Observed) -> Record {
    settled(observed)
}

/// A record with its state.
pub(super) fn settled(observed: Observed) -> Record {
    let Observed {
        mut record,
        flags,
        is_two_way,
    } = observed;
    record.state = if record.protocol != TCP {
        of_others(record.packets, record.bytes)
    } else {
        match flags {
            [Some(source), destination] if destination.is_some() || !is_two_way => {
                of_tcp(source, destination)
            }
            _ => None,
        }
    };
    record
}

fn of_tcp(source: u8, destination: Option<u8>) -> Option<State> {
    const SYN_ACK: u8 = 2 | 16;
    const ENDS: u8 = 1 | 4;
    match destination {
        // Who goes on after a SYN was answered, though the answer is not told.
        None if source & SYN_ACK == SYN_ACK && source & ENDS == 0 => Some(State::Established),
        None if source & SYN_ACK == SYN_ACK => None,
        _ => Flags {
            source,
            destination: destination.unwrap_or(0),
        }
        .of_part(),
    }
}

/// One flow of the records of its two directions.
fn merged(first: Observed, second: Observed) -> Record {
    let (source, destination) = if begins(&first, &second) {
        (first, second)
    } else {
        (second, first)
    };
    let both = |one: Option<Sides>, other: Option<Sides>| {
        Some(Sides {
            source: one?.source,
            destination: other?.source,
        })
    };
    let (record, answer) = (source.record, destination.record);
    settled(Observed {
        record: Record {
            start_us: record.start_us.min(answer.start_us),
            end_us: record.end_us.max(answer.end_us),
            packets: both(record.packets, answer.packets),
            bytes: both(record.bytes, answer.bytes),
            sampling: record.sampling.max(answer.sampling),
            ..record
        },
        flags: [source.flags[0], destination.flags[0]],
        is_two_way: true,
    })
}

/// Whether the source of the first record, which came first, began the flow.
fn begins(first: &Observed, second: &Observed) -> bool {
    let (one, other) = (&first.record, &second.record);
    if matches!(one.protocol, ICMP | ICMPV6) {
        // By the numbers of ICMP and ICMPv6: echo, timestamp, information, mask; listener, router, neighbour.
        let asks =
            |record: &Record| matches!(record.source_port, 8 | 10 | 13 | 15 | 17 | 128 | 130 | 133 | 135);
        if asks(one) != asks(other) {
            return asks(one);
        }
    }
    if one.start_us != other.start_us {
        return one.start_us < other.start_us;
    }
    // Exporters that keep one entry for both directions give both the same times. A refusal has no SYN.
    let has_syn = |observed: &Observed| observed.flags[0].is_some_and(|flags| flags & 2 != 0);
    if one.protocol == TCP && has_syn(first) != has_syn(second) {
        return has_syn(first);
    }
    // Servers have the lower ports.
    one.destination_port <= one.source_port
}
