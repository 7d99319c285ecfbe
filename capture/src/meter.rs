//! The meter: packets in, finished flow records out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use netsage_schema::{Schema, UNSW_NB15};

use crate::application::{Conversation, Expectations, uses_ftp_data_port};
use crate::batch::FlowBatch;
use crate::community_id::{self, CommunityId, Ports};
use crate::decode::{DecodeOptions, Decoded, Transport, decode, protocol};
use crate::features::{self, Window};
use crate::flow::key::Endpoints;
use crate::flow::state::Flow;
use crate::flow::table::{FlowRef, FlowTable, LARGEST_TIMEOUT_NS};
use crate::packet::Packet;
use crate::stats::MeterStats;

/// Bytes that a flow takes with its share of everything else.
const BYTES_PER_FLOW: usize = 1024;
/// Fragmented packets whose later pieces are expected.
const MAX_FRAGMENTED: usize = 4096;

/// What drives the timeouts, and when records leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The time of the packets. Records leave ordered by their last packet, the same for the same packets.
    #[default]
    Replay,
    /// The clock given to [`Meter::advance`]. Records leave in the order in which they end.
    Live,
}

/// How a meter works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterConfig {
    /// The columns of the rows, one of [`Schema::ALL`].
    pub schema: &'static Schema,
    /// Bytes for flows and for records that wait to leave; beyond it flows are ended early.
    pub flow_memory: usize,
    /// What drives the timeouts.
    pub mode: Mode,
    /// Whether `sbytes` and `dbytes` include the link header. Off as in the dataset; Argus on Ethernet has it on.
    pub count_link_bytes: bool,
    /// Whether packets inside tunnels are metered by the flow inside instead of the outer one.
    pub decapsulate: bool,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self {
            schema: &UNSW_NB15,
            flow_memory: 64 << 20,
            mode: Mode::Replay,
            count_link_bytes: false,
            decapsulate: false,
        }
    }
}

/// How often a replay looks at the timers: with the first packet after that time, as Argus does.
const TIMER_INTERVAL_NS: i64 = 200_000_000;

/// What the pieces of one fragmented packet share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FragmentedPacket {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    identification: u32,
}

/// Turns packets into flow records with features.
pub struct Meter {
    config: MeterConfig,
    stats: MeterStats,
    table: FlowTable,
    window: Window,
    /// The latest time seen; it runs back only when all flows are ended with it. `None` before the first.
    clock_ns: Option<i64>,
    /// When a replay looks at the timers again.
    timers_due_ns: Option<i64>,
    expectations: Expectations,
    fragmented: HashMap<FragmentedPacket, FlowRef>,
    fragmented_order: VecDeque<FragmentedPacket>,
}

impl Meter {
    /// A meter without flows.
    pub fn new(config: MeterConfig) -> Self {
        let max_flows = (config.flow_memory / BYTES_PER_FLOW).max(1);
        Self {
            table: FlowTable::new(max_flows),
            window: Window::new(max_flows),
            config,
            stats: MeterStats::default(),
            clock_ns: None,
            timers_due_ns: None,
            expectations: Expectations::default(),
            fragmented: HashMap::new(),
            fragmented_order: VecDeque::new(),
        }
    }

    /// Meters one packet.
    ///
    /// Packets need not be in order: one that is late by no more than the largest timeout counts for its flow
    /// at its own time. One that is later still says that time began anew; all flows are ended.
    pub fn packet(&mut self, packet: &Packet<'_>) {
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
            Err(reason) => self.stats.count_not_metered(reason),
        }
        // After the packet, so that it goes on with a flow that nothing else has ended in the meantime.
        if self.config.mode == Mode::Replay && self.timers_are_due(now_ns) {
            self.expire(now_ns);
        }
    }

    /// Tells the time, in nanoseconds since the Unix epoch, and ends what has been idle for too long.
    /// A live meter needs it about every 100 ms; in a replay the packets tell the time.
    pub fn advance(&mut self, now_ns: i64) {
        let now_ns = self.observe(now_ns);
        self.expire(now_ns);
    }

    /// Ends every flow. The meter can be used on.
    pub fn finish(&mut self) {
        self.end_all();
        self.window.finish();
        self.clock_ns = None;
        self.timers_due_ns = None;
    }

    /// Appends the records that are ready to `batch`.
    pub fn drain(&mut self, batch: &mut FlowBatch) {
        self.window.drain(batch);
    }

    /// What was counted so far.
    pub fn stats(&self) -> &MeterStats {
        &self.stats
    }

    /// How the meter works.
    pub fn config(&self) -> &MeterConfig {
        &self.config
    }

    /// Moves the clock and gives its time.
    fn observe(&mut self, time_ns: i64) -> i64 {
        let clock_ns = match self.clock_ns {
            None => time_ns,
            Some(clock_ns) if clock_ns.saturating_sub(time_ns) > LARGEST_TIMEOUT_NS => {
                // Without this, one packet from the far future would stop every timer for good.
                self.stats.clock_resets += 1;
                self.end_all();
                self.window.release_all();
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
        while let Some(slot) = self.table.next_idle(now_ns) {
            self.end(slot);
        }
        match self.config.mode {
            Mode::Replay => self
                .window
                .release_before(now_ns.saturating_sub(LARGEST_TIMEOUT_NS)),
            Mode::Live => self.window.close_aged(now_ns),
        }
    }

    /// Reports the flows whose status interval is over; without a packet they end after their timeout.
    fn close_intervals(&mut self, now_ns: i64) {
        while let Some(slot) = self.table.next_status(now_ns) {
            self.report(slot);
            self.table.retire(slot, now_ns);
        }
    }

    /// Prepares a known flow for another packet.
    fn resume(&mut self, slot: u32, now_ns: i64) {
        if self.table.is_due(slot, now_ns) {
            self.close_intervals(now_ns);
        }
        if self.table.is_retired(slot) {
            self.table.restart_interval(slot, now_ns);
        }
    }

    fn decoded(&mut self, packet: &Packet<'_>, decoded: &Decoded<'_>, now_ns: i64) {
        let endpoints = Endpoints::of(decoded);
        let (slot, is_new) = self.flow_of(decoded, endpoints, now_ns);
        let mut direction = self.table.flow(slot).direction_of(decoded, &endpoints);
        if let (Transport::Tcp(segment), false) = (&decoded.transport, is_new) {
            let opens = segment.flags.syn() && !segment.flags.ack();
            if opens && self.table.flow(slot).tcp.is_over() {
                self.report(slot);
                *self.table.flow(slot) = Flow::new(endpoints, decoded, false);
                self.table.restart_interval(slot, now_ns);
                direction = 0;
            }
        }
        let wire_length = (packet.wire_length as usize).max(packet.bytes.len());
        let uncounted = if self.config.count_link_bytes {
            0
        } else {
            decoded.link_header
        };
        let bytes = (wire_length - uncounted) as u64;
        let flow = self.table.flow(slot);
        flow.packet(decoded, direction, bytes, packet.time_ns);
        match &decoded.transport {
            Transport::Udp(datagram) => flow.conversation.datagram(datagram),
            Transport::Tcp(segment) => {
                self.stats
                    .count_tcp_gap(flow.tcp.loss.segment(direction, segment));
                if let Some(expected) = flow.conversation.segment(direction, segment) {
                    self.expectations
                        .add(expected.address.unwrap_or(decoded.source), expected.port);
                }
            }
            Transport::Sctp(_) | Transport::Icmp(_) | Transport::Arp { .. } | Transport::Other => {}
        }
    }

    /// The flow of a packet, and whether it was made for it.
    fn flow_of(&mut self, decoded: &Decoded<'_>, endpoints: Endpoints, now_ns: i64) -> (u32, bool) {
        let shared = decoded.fragment.map(|fragment| FragmentedPacket {
            source: decoded.source,
            destination: decoded.destination,
            protocol: fragment.protocol,
            identification: fragment.identification,
        });
        let is_later_piece = decoded.fragment.is_some_and(|fragment| !fragment.first);
        if let (Some(shared), true) = (&shared, is_later_piece) {
            let known = self
                .fragmented
                .get(shared)
                .and_then(|&flow| self.table.resolve(flow));
            if let Some(slot) = known {
                self.resume(slot, now_ns);
                return (slot, false);
            }
        }
        let key = endpoints.key(is_later_piece);
        let (slot, is_new) = match self.table.find(&key) {
            Some(slot) => {
                self.resume(slot, now_ns);
                (slot, false)
            }
            None => {
                if self.table.is_full()
                    && let Some(idle) = self.table.most_idle()
                {
                    self.stats.evicted_flows += 1;
                    self.end(idle);
                }
                let mut flow = Flow::new(endpoints, decoded, is_later_piece);
                let ends = &flow.endpoints;
                if uses_ftp_data_port(ends.protocol, ends.source_port, ends.destination_port)
                    || ends.protocol == protocol::TCP
                        && self.expectations.take(ends.destination, ends.destination_port)
                {
                    flow.conversation = Conversation::ftp_data();
                }
                let slot = self.table.insert(key, now_ns, flow);
                self.stats.active_flows = self.table.len() as u64;
                (slot, true)
            }
        };
        if let (Some(shared), false) = (shared, is_later_piece) {
            self.expect_pieces(shared, slot);
        }
        (slot, is_new)
    }

    fn expect_pieces(&mut self, shared: FragmentedPacket, slot: u32) {
        if self
            .fragmented
            .insert(shared, self.table.reference(slot))
            .is_none()
        {
            self.fragmented_order.push_back(shared);
        }
        if self.fragmented_order.len() > MAX_FRAGMENTED
            && let Some(oldest) = self.fragmented_order.pop_front()
        {
            self.fragmented.remove(&oldest);
        }
    }

    /// Ends a flow.
    fn end(&mut self, slot: u32) {
        self.report(slot);
        self.table.remove(slot);
        self.stats.active_flows = self.table.len() as u64;
    }

    fn end_all(&mut self) {
        while let Some(slot) = self.table.any() {
            self.end(slot);
        }
        self.fragmented.clear();
        self.fragmented_order.clear();
    }

    /// Finishes the record of a flow, if it has a packet.
    fn report(&mut self, slot: u32) {
        let now_ns = self.clock_ns.unwrap_or(0);
        let flow = self.table.flow(slot);
        if !flow.has_packets() {
            return;
        }
        let record = features::Pending {
            row: features::row(flow),
            identity: flow.identity(),
            community_id: community_id(flow),
        };
        flow.restart_record();
        self.stats.flows += 1;
        match self.config.mode {
            Mode::Replay => self.window.push_ordered(record),
            Mode::Live => self.window.push_now(record, now_ns),
        }
    }
}

fn community_id(flow: &Flow) -> CommunityId {
    let ends = &flow.endpoints;
    let ports = match (&flow.icmp, ends.protocol) {
        (Some(message), _) => Some(community_id::icmp_ports(
            message.version6,
            message.request_kind().unwrap_or(message.kind),
            message.code,
        )),
        // TCP, UDP; SCTP has ports too, but its flows are metered by address.
        (None, protocol::TCP | protocol::UDP) => Some(Ports {
            source: ends.source_port,
            destination: ends.destination_port,
            one_way: false,
        }),
        (None, _) => None,
    };
    CommunityId::new(ends.source, ends.destination, ends.protocol, ports)
}
