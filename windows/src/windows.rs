//! Counts over the trailing window: how many of the flows that began lately share an address, a port or another
//! property with this flow.
//!
//! [`netsage_schema::flow_v1`] and [`netsage_schema::record_v1`] define the window, the service of a flow and its failure.
//! A flow enters once and leaves once, 60 s later: it has seven keys (source, destination, service and their four
//! combinations), so both cost seven look-ups, however many flows share a key. The number of
//! distinct peers or services of a key is the number of combinations that extend it, which is kept up to date
//! as combinations come and go; it is exact.

use std::collections::VecDeque;
use std::hash::{Hash, RandomState};

use netsage_schema::flow_v1::{ANSWER_NS, WINDOW_NS};

use crate::counts::{Answer, Counts, Host, Opening, Pair, Service};
use crate::groups::{Groups, Place};

/// A flow in the window, as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ticket {
    /// Of a flow that has never been in the window.
    pub const NONE: Self = Self(u64::MAX);
}

impl Default for Ticket {
    fn default() -> Self {
        Self::NONE
    }
}

/// What is kept of a key beside its flows; which of the counts mean something depends on the key.
#[derive(Debug, Clone, Copy, Default)]
struct HostTally {
    peers: u32,
    ports: u32,
    failed: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct ServiceTally {
    sources: u32,
    destinations: u32,
    failed: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct PairTally {
    ports: u32,
    failed: u32,
}

/// What became of a flow so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Not answered, and not for long enough to call it failed.
    Open,
    /// Not answered in time, or refused.
    Failed,
    Answered,
}

/// A flow in the window: where its keys are.
#[derive(Debug, Clone, Copy)]
struct Member {
    began_ns: i64,
    source: Place,
    destination: Place,
    service: Place,
    pair: Place,
    source_service: Place,
    destination_service: Place,
    pair_service: Place,
    outcome: Outcome,
}

/// The flows that entered in the last 60 s; `H` is the key of a host, `S` that of a service.
///
/// Memory is bounded: when the window is full, its oldest flow leaves before its time and is counted in
/// [`Windows::left_early`]. What the counts say stays exact for the shorter window.
pub struct Windows<H, S> {
    random: RandomState,
    /// In the order in which they began.
    members: VecDeque<Member>,
    /// Ticket of the first of `members`.
    first: u64,
    /// Ticket of the first member that is too young to have failed for want of an answer.
    undecided: u64,
    most: usize,
    /// The latest time seen.
    now_ns: i64,
    left_early: u64,
    sources: Groups<H, HostTally>,
    destinations: Groups<H, HostTally>,
    services: Groups<S, ServiceTally>,
    pairs: Groups<(Place, Place), PairTally>,
    source_services: Groups<(Place, S), ()>,
    destination_services: Groups<(Place, S), ()>,
    pair_services: Groups<(Place, S), ()>,
}

impl<H: Copy + Eq + Hash, S: Copy + Eq + Hash> Windows<H, S> {
    /// What a flow takes when it shares no key with any other.
    pub const MOST_BYTES_PER_FLOW: usize = size_of::<Member>()
        + 2 * Groups::<H, HostTally>::MOST_BYTES_PER_KEY
        + Groups::<S, ServiceTally>::MOST_BYTES_PER_KEY
        + Groups::<(Place, Place), PairTally>::MOST_BYTES_PER_KEY
        + 3 * Groups::<(Place, S), ()>::MOST_BYTES_PER_KEY;

    /// An empty window that never holds more than `memory` bytes, but always room for one flow.
    pub fn new(memory: usize) -> Self {
        let most = (memory / Self::MOST_BYTES_PER_FLOW).clamp(1, u32::MAX as usize);
        Self {
            random: RandomState::new(),
            members: VecDeque::new(),
            first: 0,
            undecided: 0,
            most,
            now_ns: i64::MIN,
            left_early: 0,
            sources: Groups::new(most),
            destinations: Groups::new(most),
            services: Groups::new(most),
            pairs: Groups::new(most),
            source_services: Groups::new(most),
            destination_services: Groups::new(most),
            pair_services: Groups::new(most),
        }
    }

    /// Takes a flow in and counts, the flow itself among the counted. A step of time back by more than 60 s empties the
    /// window; a smaller one does not turn time back.
    pub fn began(&mut self, opening: &Opening<H, S>) -> (Ticket, Counts) {
        self.advance(opening.time_ns);
        if self.members.len() >= self.most {
            self.remove_oldest();
            self.left_early += 1;
        }
        let member = self.enter(opening);
        if self.members.len() == self.members.capacity() {
            let more = self.members.len().max(64).min(self.most - self.members.len());
            self.members.reserve_exact(more);
        }
        self.members.push_back(member);
        let ticket = Ticket(self.end() - 1);
        let counts = Counts {
            source: self.host(&self.sources, Some(member.source)),
            destination: self.host(&self.destinations, Some(member.destination)),
            service: self.service(Some(member.service)),
            pair: self.pair(Some(member.pair)),
            includes_itself: true,
        };
        (ticket, counts)
    }

    /// Counts at the first packet of a later record of a flow, without taking the flow in again.
    pub fn went_on(&mut self, ticket: Ticket, opening: &Opening<H, S>) -> Counts {
        self.advance(opening.time_ns);
        let source = self.sources.find(&self.random, opening.source);
        let destination = self.destinations.find(&self.random, opening.destination);
        let service = self.services.find(&self.random, opening.service);
        let pair = source
            .zip(destination)
            .and_then(|pair| self.pairs.find(&self.random, pair));
        let itself = self.member(ticket).map(|member| member.outcome);
        let mut counts = Counts {
            source: self.host(&self.sources, source),
            destination: self.host(&self.destinations, destination),
            service: self.service(service),
            pair: self.pair(pair),
            includes_itself: itself.is_some(),
        };
        if itself == Some(Outcome::Failed) {
            counts.source.failed -= 1;
            counts.destination.failed -= 1;
            counts.service.failed -= 1;
            counts.pair.failed -= 1;
        }
        counts
    }

    /// Moves a flow whose direction was judged wrongly at first to the keys of the other direction, and counts as of the
    /// packet that showed it. What was its source is the destination now, and has sent: the flow is answered.
    pub fn turned(&mut self, ticket: Ticket, opening: &Opening<H, S>) -> Counts {
        self.advance(opening.time_ns);
        if let Some(position) = self.position(ticket) {
            let before = self.members[position];
            self.forget(&before);
            let entered = self.enter(opening);
            self.members[position] = Member {
                began_ns: before.began_ns,
                outcome: Outcome::Answered,
                ..entered
            };
        }
        self.went_on(ticket, opening)
    }

    /// Notes how the destination of a flow has answered; a flow that has left the window is passed over.
    pub fn answered(&mut self, ticket: Ticket, answer: Answer) {
        let Some(member) = self.member(ticket).copied() else {
            return;
        };
        let outcome = match answer {
            Answer::Refused => Outcome::Failed,
            Answer::Given => Outcome::Answered,
        };
        self.decide(ticket, member, outcome);
    }

    /// Flows that left before their time because the window was full.
    pub fn left_early(&self) -> u64 {
        self.left_early
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.members.capacity() * size_of::<Member>()
            + self.sources.memory()
            + self.destinations.memory()
            + self.services.memory()
            + self.pairs.memory()
            + self.source_services.memory()
            + self.destination_services.memory()
            + self.pair_services.memory()
    }

    /// One after the last ticket given.
    fn end(&self) -> u64 {
        self.first + self.members.len() as u64
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        let position = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        (position < self.members.len()).then_some(position)
    }

    fn member(&self, ticket: Ticket) -> Option<&Member> {
        self.members.get(self.position(ticket)?)
    }

    /// Moves the time on; flows leave the window at their time, and attempts without an answer count as failed.
    fn advance(&mut self, time_ns: i64) {
        if self.now_ns.saturating_sub(time_ns) > WINDOW_NS {
            // Time began anew. Tickets of before must not fit members of after: `first` goes on.
            while !self.members.is_empty() {
                self.remove_oldest();
            }
            self.now_ns = time_ns;
        }
        self.now_ns = self.now_ns.max(time_ns);
        let is_before = |member: &Member, age_ns: i64| self.now_ns.saturating_sub(member.began_ns) >= age_ns;
        let mut leaving = 0;
        while (self.members.get(leaving)).is_some_and(|member| is_before(member, WINDOW_NS)) {
            leaving += 1;
        }
        let mut decided = self
            .position(Ticket(self.undecided))
            .unwrap_or(self.members.len());
        let from = decided;
        while (self.members.get(decided)).is_some_and(|member| is_before(member, ANSWER_NS)) {
            decided += 1;
        }
        for position in from..decided {
            let member = self.members[position];
            if member.outcome == Outcome::Open {
                self.decide(Ticket(self.first + position as u64), member, Outcome::Failed);
            }
        }
        self.undecided = self.first + decided as u64;
        for _ in 0..leaving {
            self.remove_oldest();
        }
    }

    fn decide(&mut self, ticket: Ticket, member: Member, outcome: Outcome) {
        let was_failed = member.outcome == Outcome::Failed;
        let is_failed = outcome == Outcome::Failed;
        if let Some(position) = self.position(ticket) {
            self.members[position].outcome = outcome;
        }
        if was_failed != is_failed {
            let change = |failed: &mut u32| {
                *failed = if is_failed { *failed + 1 } else { *failed - 1 };
            };
            self.change_failed(&member, change);
        }
    }

    fn change_failed(&mut self, member: &Member, change: impl Fn(&mut u32)) {
        change(&mut self.sources.tally_mut(member.source).failed);
        change(&mut self.destinations.tally_mut(member.destination).failed);
        change(&mut self.services.tally_mut(member.service).failed);
        change(&mut self.pairs.tally_mut(member.pair).failed);
    }

    fn enter(&mut self, opening: &Opening<H, S>) -> Member {
        let random = &self.random;
        let key = opening.service;
        let (source, _) = self.sources.enter(random, opening.source);
        let (destination, _) = self.destinations.enter(random, opening.destination);
        let (service, _) = self.services.enter(random, key);
        let (pair, new_pair) = self.pairs.enter(random, (source, destination));
        let (source_service, new_at_source) = self.source_services.enter(random, (source, key));
        let (destination_service, new_at_destination) =
            self.destination_services.enter(random, (destination, key));
        let (pair_service, new_at_pair) = self.pair_services.enter(random, (pair, key));
        let of_source = self.sources.tally_mut(source);
        of_source.peers += u32::from(new_pair);
        of_source.ports += u32::from(new_at_source);
        let of_destination = self.destinations.tally_mut(destination);
        of_destination.peers += u32::from(new_pair);
        of_destination.ports += u32::from(new_at_destination);
        let of_service = self.services.tally_mut(service);
        of_service.sources += u32::from(new_at_source);
        of_service.destinations += u32::from(new_at_destination);
        self.pairs.tally_mut(pair).ports += u32::from(new_at_pair);
        Member {
            began_ns: self.now_ns,
            source,
            destination,
            service,
            pair,
            source_service,
            destination_service,
            pair_service,
            outcome: Outcome::Open,
        }
    }

    fn remove_oldest(&mut self) {
        let Some(member) = self.members.pop_front() else {
            return;
        };
        self.first += 1;
        self.undecided = self.undecided.max(self.first);
        self.forget(&member);
    }

    /// Takes a flow out of the counts of its keys.
    fn forget(&mut self, member: &Member) {
        if member.outcome == Outcome::Failed {
            self.change_failed(member, |failed| *failed -= 1);
        }
        let random = &self.random;
        // Combinations first: their keys are the places of the others.
        if self.pair_services.leave(random, member.pair_service) {
            self.pairs.tally_mut(member.pair).ports -= 1;
        }
        let last_at_source = u32::from(self.source_services.leave(random, member.source_service));
        let last_at_destination = u32::from(
            self.destination_services
                .leave(random, member.destination_service),
        );
        let last_of_pair = u32::from(self.pairs.leave(random, member.pair));
        let of_source = self.sources.tally_mut(member.source);
        of_source.peers -= last_of_pair;
        of_source.ports -= last_at_source;
        let of_destination = self.destinations.tally_mut(member.destination);
        of_destination.peers -= last_of_pair;
        of_destination.ports -= last_at_destination;
        let of_service = self.services.tally_mut(member.service);
        of_service.sources -= last_at_source;
        of_service.destinations -= last_at_destination;
        self.sources.leave(random, member.source);
        self.destinations.leave(random, member.destination);
        self.services.leave(random, member.service);
    }

    fn host(&self, hosts: &Groups<H, HostTally>, place: Option<Place>) -> Host {
        place.map_or_else(Host::default, |place| {
            let &HostTally { peers, ports, failed } = hosts.tally(place);
            Host {
                flows: hosts.flows(place),
                peers,
                ports,
                failed,
            }
        })
    }

    fn service(&self, place: Option<Place>) -> Service {
        place.map_or_else(Service::default, |place| {
            let &ServiceTally {
                sources,
                destinations,
                failed,
            } = self.services.tally(place);
            Service {
                flows: self.services.flows(place),
                sources,
                destinations,
                failed,
            }
        })
    }

    fn pair(&self, place: Option<Place>) -> Pair {
        place.map_or_else(Pair::default, |place| {
            let &PairTally { ports, failed } = self.pairs.tally(place);
            Pair {
                flows: self.pairs.flows(place),
                ports,
                failed,
            }
        })
    }
}
