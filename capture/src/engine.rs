//! The engine of the meter, for one feature set.

use std::hash::{BuildHasher, RandomState};

use netsage_schema::FlowBatch;

use crate::application::Applications;
use crate::config::{MeterConfig, Mode};
use crate::decode::{DecodeOptions, Decoded, Transport, decode};
use crate::features::{FeatureSet, Opening, Seen, TableOf};
use crate::flow::cells::{CELL_BYTES, NONE};
use crate::flow::fragments::{FragmentedPacket, Fragments};
use crate::flow::index;
use crate::flow::key::Endpoints;
use crate::flow::state::Flow;
use crate::flow::table::{FlowTable, Victim};
use crate::flow::timeout::{LARGEST_TIMEOUT_NS, RANK_NS, SHORT_TIMEOUT_NS};
use crate::packet::{LinkType, Packet};
use crate::stats::{MeterMemory, MeterStats, NotMetered};

/// How often a replay looks at the timers: with the first packet after that time, as Argus does.
const TIMER_INTERVAL_NS: i64 = 200_000_000;

pub(crate) struct Engine<F: FeatureSet> {
    pub(crate) config: MeterConfig,
    pub(crate) stats: MeterStats,
    table: TableOf<F>,
    set: F,
    /// Records that had to make room between two calls of [`Self::drain`].
    displaced: FlowBatch,
    /// The latest time seen; it runs back only when all flows are ended with it. `None` before the first.
    clock_ns: Option<i64>,
    /// When a replay looks at the timers again.
    timers_due_ns: Option<i64>,
    applications: Applications,
    fragments: Fragments,
}

impl<F: FeatureSet> Engine<F> {
    pub(crate) fn new(config: MeterConfig) -> Self {
        let of_set = F::share_of(config.flow_memory);
        let of_fragments = Fragments::share_of(config.flow_memory);
        let rest = config.flow_memory.saturating_sub(of_set + of_fragments);
        let cells = rest / (CELL_BYTES + index::BYTES_PER_FLOW + F::BYTES_PER_RECORD);
        let hash_key = config.hash_key.unwrap_or_else(|| {
            let random = RandomState::new();
            [random.hash_one(0), random.hash_one(1)]
        });
        Self {
            table: FlowTable::new(cells, hash_key),
            set: F::new(&config, of_set),
            displaced: FlowBatch::new(F::SCHEMA),
            fragments: Fragments::new(of_fragments),
            config,
            stats: MeterStats::default(),
            clock_ns: None,
            timers_due_ns: None,
            applications: Applications::default(),
        }
    }

    pub(crate) fn packet(&mut self, packet: &Packet<'_>) {
        self.stats.packets += 1;
        self.stats.bytes += u64::from(packet.wire_length);
        let now_ns = self.observe(packet.time_ns);
        let options = DecodeOptions {
            decapsulate: self.config.decapsulate,
        };
        match decode(packet, &options) {
            Ok(decoded) => {
                self.stats.decapsulated += u64::from(decoded.tunnels > 0);
                self.stats.closed_tunnels += u64::from(decoded.is_closed_tunnel);
                self.decoded(packet, &decoded, now_ns);
            }
            Err(reason) => {
                if let (NotMetered::LinkType, LinkType::Other(number)) = (reason, packet.link) {
                    self.stats.unread_link_type.get_or_insert(number);
                }
                self.stats.count_not_metered(reason);
            }
        }
        // After the packet, so that it goes on with a flow that nothing else has ended in the meantime.
        if self.config.mode == Mode::Replay && self.timers_are_due(now_ns) {
            self.expire(now_ns);
        }
    }

    /// Counts a record without a byte, whose time says nothing.
    #[cold]
    pub(crate) fn empty_packet(&mut self, packet: &Packet<'_>) {
        self.stats.packets += 1;
        self.stats.bytes += u64::from(packet.wire_length);
        self.stats.count_not_metered(NotMetered::LinkHeader);
    }

    pub(crate) fn advance(&mut self, now_ns: i64) {
        let now_ns = self.observe(now_ns);
        self.expire(now_ns);
    }

    pub(crate) fn finish(&mut self) {
        self.end_all();
        self.set.finish(&mut self.table);
        self.clock_ns = None;
        self.timers_due_ns = None;
    }

    /// Appends up to `most` records that are ready, and says whether more are.
    pub(crate) fn drain(&mut self, most: usize, batch: &mut FlowBatch) -> bool {
        batch.append(&mut self.displaced);
        for _ in 0..most {
            let Some(place) = self.table.pop_ready() else {
                return false;
            };
            self.set.write(&self.table.cells, place, batch);
            self.table.free(place);
        }
        self.table.has_ready()
    }

    pub(crate) fn memory(&self) -> MeterMemory {
        MeterMemory {
            cells: self.table.cells.memory(),
            most_cells: self.table.cells.most(),
            index: self.table.index_memory(),
            order: self.set.order_memory(),
            window: self.set.window_memory(),
            fragments: self.fragments.memory(),
        }
    }

    /// Moves the clock and gives its time.
    fn observe(&mut self, time_ns: i64) -> i64 {
        let clock_ns = match self.clock_ns {
            None => time_ns,
            Some(clock_ns) if clock_ns.saturating_sub(time_ns) > LARGEST_TIMEOUT_NS => {
                // Without this, one packet from the far future would stop every timer for good.
                self.stats.clock_resets += 1;
                self.end_all();
                self.set.release_all(&mut self.table);
                self.timers_due_ns = None;
                time_ns
            }
            Some(clock_ns) => clock_ns.max(time_ns),
        };
        self.clock_ns = Some(clock_ns);
        clock_ns
    }

    /// Whether a replay looks at the timers now; the next time is then set.
    fn timers_are_due(&mut self, now_ns: i64) -> bool {
        let due_ns = self.timers_due_ns.unwrap_or(now_ns);
        if now_ns < due_ns {
            return false;
        }
        // The rhythm is kept unless a turn was left out.
        let last_ns = if now_ns.saturating_sub(due_ns) > TIMER_INTERVAL_NS {
            now_ns
        } else {
            due_ns
        };
        self.timers_due_ns = Some(last_ns.saturating_add(TIMER_INTERVAL_NS));
        true
    }

    /// Closes status intervals, ends idle flows, and releases what nothing can precede any more.
    fn expire(&mut self, now_ns: i64) {
        self.close_intervals(now_ns);
        while let Some(place) = self.table.next_idle(now_ns) {
            self.end(place);
        }
        let mut settled_after_ns = LARGEST_TIMEOUT_NS;
        if self.table.look_at_memory() {
            while let Some(place) = self.table.next_short(now_ns) {
                self.stats.shortened_flows += 1;
                self.end(place);
            }
            settled_after_ns = SHORT_TIMEOUT_NS + RANK_NS;
        }
        let settled_ns = now_ns.saturating_sub(settled_after_ns);
        self.set.tick(&mut self.table, now_ns, settled_ns);
        self.stats.left_window_early = self.set.left_early();
    }

    /// Reports the flows whose status interval is over; without a packet they end after their timeout.
    fn close_intervals(&mut self, now_ns: i64) {
        while let Some(place) = self.table.next_status(now_ns) {
            self.report(place);
            self.table.retire(place, now_ns);
        }
    }

    /// Prepares a known flow for another packet; `false` when it ended for want of room.
    fn resume(&mut self, place: u32, now_ns: i64) {
        if !self.table.is_retired(place) && self.table.is_due(place, now_ns) {
            self.close_intervals(now_ns);
        }
        if self.table.is_retired(place) {
            self.table.restart_interval(place, now_ns);
        }
    }

    fn decoded(&mut self, packet: &Packet<'_>, decoded: &Decoded<'_>, now_ns: i64) {
        let endpoints = Endpoints::of(decoded);
        let place = self.flow_of(decoded, &endpoints, packet.time_ns, now_ns);
        let flow = self.table.flow_mut(place);
        let direction = flow.direction_of(decoded, &endpoints);
        let is_active = flow.packet(decoded, direction, packet.time_ns);
        let is_half_open = flow.is_half_open();
        let is_later_piece =
            !flow.is_orphan_fragment && decoded.fragment.is_some_and(|fragment| !fragment.first);
        let (mut payload, mut tcp) = (0, None);
        match &decoded.transport {
            Transport::Udp(datagram) => payload = datagram.length,
            Transport::Tcp(segment) => {
                payload = segment.length;
                tcp = Some(segment);
                self.stats
                    .count_tcp_gap(flow.tcp.loss.segment(direction, segment));
            }
            Transport::Sctp(_) | Transport::Icmp(_) | Transport::Arp { .. } | Transport::Other => {}
        }
        let said = self.applications.read(&mut flow.conversation, direction, decoded);
        self.table.touch(place, is_half_open, now_ns);
        let link_header = u32::try_from(decoded.link_header).unwrap_or(u32::MAX);
        let (counted, uncounted) = if self.config.count_link_bytes {
            (link_header, 0)
        } else {
            (0, link_header)
        };
        let seen = Seen {
            direction,
            time_ns: packet.time_ns,
            wire_bytes: wire_length(packet).saturating_sub(uncounted),
            ip_bytes: decoded.length.saturating_add(counted),
            payload,
            time_to_live: decoded.time_to_live,
            is_active,
            is_later_piece,
            tcp,
        };
        let far = self.set.packet(&mut self.table.cells, place, &seen);
        self.extend(place, far);
        if let Some(said) = said {
            let far = self.set.said(&mut self.table.cells, place, said);
            self.extend(place, far);
        }
    }

    /// The flow of a packet, made for it if need be.
    fn flow_of(&mut self, decoded: &Decoded<'_>, endpoints: &Endpoints, time_ns: i64, now_ns: i64) -> u32 {
        let Some(fragment) = decoded.fragment else {
            return self.known(decoded, endpoints, false, time_ns, now_ns);
        };
        let shared = FragmentedPacket {
            source: decoded.source,
            destination: decoded.destination,
            protocol: fragment.protocol,
            identification: fragment.identification,
        };
        if fragment.first {
            let place = self.known(decoded, endpoints, false, time_ns, now_ns);
            self.fragments.expect(shared, self.table.reference(place));
            return place;
        }
        let of_first = self.fragments.flow_of(&shared);
        match of_first.and_then(|flow| self.table.resolve(flow)) {
            Some(place) => {
                self.resume(place, now_ns);
                place
            }
            None => self.known(decoded, endpoints, true, time_ns, now_ns),
        }
    }

    /// The flow by its 5-tuple.
    fn known(
        &mut self,
        decoded: &Decoded<'_>,
        endpoints: &Endpoints,
        is_orphan: bool,
        time_ns: i64,
        now_ns: i64,
    ) -> u32 {
        let hash = self.table.hash(endpoints, is_orphan);
        let mut near = F::Near::default();
        if let Some(place) = self.table.find(hash, endpoints, is_orphan) {
            self.resume(place, now_ns);
            let flow = self.table.flow_mut(place);
            let Transport::Tcp(segment) = &decoded.transport else {
                return place;
            };
            let opening = Opening {
                segment,
                direction: flow.direction_of(decoded, endpoints),
                time_ns,
                time_to_live: decoded.time_to_live,
            };
            match F::reopened(flow, &opening) {
                Some(first) => near = first,
                None => return place,
            }
            // The ports are used again: another connection.
            self.end(place);
        }
        let mut flow = Flow::new(*endpoints, decoded, is_orphan);
        flow.near = near;
        let destination = (endpoints.destination, endpoints.destination_port);
        flow.conversation = self
            .applications
            .begin(endpoints.protocol, endpoints.source_port, destination);
        self.make_room(NONE);
        let place = self.table.insert(hash, now_ns, flow);
        self.stats.active_flows = self.table.len() as u64;
        place
    }

    /// Gives a flow its second cell.
    fn extend(&mut self, place: u32, far: Option<F::Far>) {
        if let Some(far) = far {
            self.make_room(place);
            self.table.extend(place, far);
        }
    }

    /// Makes room for two cells. What costs nothing goes first: records that are ready, then records that wait for
    /// others. Then a flow ends. `keep` stays.
    fn make_room(&mut self, keep: u32) {
        while !self.table.has_room() {
            if let Some(place) = self.table.pop_ready() {
                self.set.write(&self.table.cells, place, &mut self.displaced);
                self.table.free(place);
            } else if !self.set.go_ahead(&mut self.table) {
                let now_ns = self.clock_ns.unwrap_or(0);
                let (place, kind) = self
                    .table
                    .victim(keep, now_ns)
                    .expect("there are more cells than a block of records and one flow take");
                match kind {
                    Victim::HalfOpen => self.stats.evicted_half_open += 1,
                    Victim::Idle => self.stats.evicted_idle += 1,
                    Victim::Active => self.stats.evicted_active += 1,
                }
                self.end(place);
            }
        }
    }

    /// Ends a flow.
    fn end(&mut self, place: u32) {
        self.table.detach(place);
        self.stats.active_flows = self.table.len() as u64;
        if !self.table.flow(place).has_packets() {
            self.table.free(place);
            return;
        }
        self.stats.flows += 1;
        let now_ns = self.clock_ns.unwrap_or(0);
        self.set.finished(&mut self.table, place, now_ns);
    }

    fn end_all(&mut self) {
        while let Some(place) = self.table.any() {
            self.end(place);
        }
        self.fragments.clear();
    }

    /// Finishes the record of a flow that goes on, if it has a packet.
    fn report(&mut self, place: u32) {
        if !self.table.flow(place).has_packets() {
            return;
        }
        self.make_room(place);
        let record = self.table.copy(place);
        self.table.flow_mut(place).restart_record();
        let far = F::restart(&mut self.table.cells, place);
        self.stats.flows += 1;
        let now_ns = self.clock_ns.unwrap_or(0);
        self.set.finished(&mut self.table, record, now_ns);
        self.extend(place, far);
    }
}

/// Bytes of a packet on the wire: a file may state fewer than it holds.
fn wire_length(packet: &Packet<'_>) -> u32 {
    let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
    packet.wire_length.max(captured)
}
