//! The counters of a meter.

use std::fmt;

/// Why a packet is in no flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotMetered {
    /// The link type is not read by this crate.
    LinkType,
    /// The link header is cut off or malformed.
    LinkHeader,
    /// More headers stand before the network header than the decoder reads ([`crate::decode::MAX_HEADERS`]).
    TooManyHeaders,
    /// An 802.11 frame that carries no data: management, control, or empty.
    WirelessNoData,
    /// An 802.11 frame whose data is encrypted.
    WirelessEncrypted,
    /// An 802.11 frame that holds several packets.
    WirelessAggregate,
    /// The packet is neither IP nor ARP (for instance spanning tree, LLDP, PPPoE discovery).
    NotIp,
    /// The IPv4 header is cut off or malformed.
    Ipv4Header,
    /// The IPv6 header or one of its extension headers is cut off or malformed.
    Ipv6Header,
    /// An ARP message that is malformed or not about IPv4.
    Arp,
    /// The TCP header is cut off or malformed.
    TcpHeader,
    /// The UDP header is cut off or malformed.
    UdpHeader,
    /// The SCTP header is cut off or malformed.
    SctpHeader,
    /// The ICMP or ICMPv6 header is cut off.
    IcmpHeader,
}

impl NotMetered {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::LinkType,
        Self::LinkHeader,
        Self::TooManyHeaders,
        Self::WirelessNoData,
        Self::WirelessEncrypted,
        Self::WirelessAggregate,
        Self::NotIp,
        Self::Ipv4Header,
        Self::Ipv6Header,
        Self::Arp,
        Self::TcpHeader,
        Self::UdpHeader,
        Self::SctpHeader,
        Self::IcmpHeader,
    ];

    /// Returns the name of the reason in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::LinkHeader => "link_header",
            Self::TooManyHeaders => "too_many_headers",
            Self::WirelessNoData => "wireless_no_data",
            Self::WirelessEncrypted => "wireless_encrypted",
            Self::WirelessAggregate => "wireless_aggregate",
            Self::NotIp => "not_ip",
            Self::Ipv4Header => "ipv4_header",
            Self::Ipv6Header => "ipv6_header",
            Self::Arp => "arp",
            Self::TcpHeader => "tcp_header",
            Self::UdpHeader => "udp_header",
            Self::SctpHeader => "sctp_header",
            Self::IcmpHeader => "icmp_header",
        }
    }

    /// Returns the reason in a few words, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::LinkType => "the link type is not read",
            Self::LinkHeader => "link header cut off or malformed",
            Self::TooManyHeaders => "too many headers before the network header",
            Self::WirelessNoData => "802.11 frame without data",
            Self::WirelessEncrypted => "802.11 frame encrypted",
            Self::WirelessAggregate => "802.11 frame with several packets",
            Self::NotIp => "neither IP nor ARP",
            Self::Ipv4Header => "IPv4 header cut off or malformed",
            Self::Ipv6Header => "IPv6 header cut off or malformed",
            Self::Arp => "ARP malformed or not about IPv4",
            Self::TcpHeader => "TCP header cut off or malformed",
            Self::UdpHeader => "UDP header cut off or malformed",
            Self::SctpHeader => "SCTP header cut off or malformed",
            Self::IcmpHeader => "ICMP header cut off",
        }
    }
}

impl fmt::Display for NotMetered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Counters of a [`crate::Meter`] since the meter was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Packets given to the meter, metered or not.
    pub packets: u64,
    /// Bytes of these packets on the wire, link headers included.
    pub bytes: u64,
    /// Finished records, drained or not.
    pub flows: u64,
    /// Flows in the table at this moment.
    pub active_flows: u64,
    /// Half-open flows that ended early because a new flow needed their room.
    pub evicted_half_open: u64,
    /// Other flows that ended early for want of room after 5 s or more without a packet.
    pub evicted_idle: u64,
    /// Other flows that ended early for want of room with a packet in the last 5 s.
    pub evicted_active: u64,
    /// Flows that ended by a timeout shortened because room was getting scarce.
    pub shortened_flows: u64,
    /// Flows that left the trailing window of `flow-v1` before their time because the window was full.
    pub left_window_early: u64,
    /// Packets whose time was far from the times of the packets before and after, and which were metered at the time of the
    /// packets before.
    pub false_times: u64,
    /// How often all flows were ended because time ran back by more than a minute.
    pub clock_resets: u64,
    /// How often a TCP connection acknowledged data that no packet had carried: loss before or in the capture, as far as
    /// the protocol shows loss.
    pub tcp_gaps: u64,
    /// Bytes (sequence numbers) missing in [`Self::tcp_gaps`].
    pub tcp_gap_bytes: u64,
    /// Packets of tunnels that were metered in the flow inside, where [`crate::MeterConfig::decapsulate`] is set.
    pub decapsulated: u64,
    /// Packets of tunnels that could not be opened where [`crate::MeterConfig::decapsulate`] is set; these packets are
    /// metered in the flow of the tunnel.
    pub closed_tunnels: u64,
    /// Number of the first link type met that is not read; `None` while all were.
    pub unread_link_type: Option<u16>,
    pub(crate) not_metered: [u64; NotMetered::ALL.len()],
}

impl MeterStats {
    /// Returns every counter but those of packets in no flow, each with its name in metrics and logs, in an order for
    /// readers.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        // Taken apart, so that a new counter cannot be forgotten here.
        let Self {
            packets,
            bytes,
            flows,
            active_flows,
            evicted_half_open,
            evicted_idle,
            evicted_active,
            shortened_flows,
            left_window_early,
            false_times,
            clock_resets,
            tcp_gaps,
            tcp_gap_bytes,
            decapsulated,
            closed_tunnels,
            unread_link_type: _,
            not_metered: _,
        } = *self;
        [
            ("packets", packets),
            ("bytes", bytes),
            ("packets_metered", packets - self.not_metered()),
            ("packets_not_metered", self.not_metered()),
            ("packets_decapsulated", decapsulated),
            ("packets_of_closed_tunnels", closed_tunnels),
            ("packets_with_false_times", false_times),
            ("clock_resets", clock_resets),
            ("records", flows),
            ("active_flows", active_flows),
            ("evicted_half_open", evicted_half_open),
            ("evicted_idle", evicted_idle),
            ("evicted_active", evicted_active),
            ("shortened_flows", shortened_flows),
            ("left_window_early", left_window_early),
            ("tcp_gaps", tcp_gaps),
            ("tcp_gap_bytes", tcp_gap_bytes),
        ]
        .into_iter()
    }

    /// Returns the number of flows that ended early because a new flow needed their room.
    pub fn evicted_flows(&self) -> u64 {
        self.evicted_half_open + self.evicted_idle + self.evicted_active
    }

    /// Returns the packets that are in no flow by reason, in the order of [`NotMetered::ALL`]; no reason is left out.
    pub fn not_metered_by_reason(&self) -> impl Iterator<Item = (NotMetered, u64)> + use<> {
        NotMetered::ALL.into_iter().zip(self.not_metered)
    }

    /// Like [`Self::not_metered_by_reason`], with the names of the reasons.
    pub fn not_metered_reasons(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        self.not_metered_by_reason()
            .map(|(reason, count)| (reason.name(), count))
    }

    /// Returns the number of packets that are in no flow.
    pub fn not_metered(&self) -> u64 {
        self.not_metered.iter().sum()
    }

    /// Says in one line how many packets are in no flow and why; `None` when every packet is in a flow.
    pub fn unused(&self) -> Option<String> {
        if self.not_metered() == 0 {
            return None;
        }
        let mut reasons: Vec<_> = self
            .not_metered_by_reason()
            .filter(|(_, count)| *count > 0)
            .collect();
        reasons.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let reasons = reasons
            .into_iter()
            .map(|(reason, count)| match (reason, self.unread_link_type) {
                (NotMetered::LinkType, Some(number)) => {
                    format!("{}, link type {number}: {count}", reason.meaning())
                }
                _ => format!("{}: {count}", reason.meaning()),
            });
        Some(format!(
            "{} of {} packets are in no flow ({})",
            self.not_metered(),
            self.packets,
            reasons.collect::<Vec<_>>().join(", ")
        ))
    }

    /// Counts data that was acknowledged and never seen; 0 bytes are no gap.
    pub(crate) fn count_tcp_gap(&mut self, bytes: u32) {
        self.tcp_gaps += u64::from(bytes > 0);
        self.tcp_gap_bytes += u64::from(bytes);
    }

    pub(crate) fn count_not_metered(&mut self, reason: NotMetered) {
        self.not_metered[reason as usize] += 1;
    }
}

/// Memory of a [`crate::Meter`], in bytes unless a field says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeterMemory {
    /// Cells for flows and for finished records that have not been drained; free cells count too.
    pub cells: usize,
    /// Largest number of cells, which [`Self::cells`] approaches under load; not a number of bytes.
    pub most_cells: usize,
    /// The index by which flows are found.
    pub index: usize,
    /// The heap that keeps waiting records of `unsw-nb15` in the order of their last packets.
    pub order: usize,
    /// The trailing window of `flow-v1`.
    pub window: usize,
    /// Fragmented packets whose later pieces are expected.
    pub fragments: usize,
}

impl MeterMemory {
    /// Returns the sum of all parts, at most [`crate::MeterConfig::flow_memory`].
    pub fn total(&self) -> usize {
        self.cells + self.index + self.order + self.window + self.fragments
    }
}
