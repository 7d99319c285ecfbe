//! How long a record may be, how long a flow is remembered, and what happens to both when memory is short.

/// The longest of all timeouts and intervals.
pub(crate) const LARGEST_TIMEOUT_NS: i64 = 60_000_000_000;
/// A longer flow gives a record per interval.
pub(crate) const STATUS_INTERVAL_NS: i64 = 60_000_000_000;
/// While memory is short, half-open flows older and other flows idle for longer than this end.
pub(crate) const SHORT_TIMEOUT_NS: i64 = STATUS_INTERVAL_NS / 4;
/// How exactly flows are ranked by their last packets: most packets then need not move their flow in the ranking.
pub(crate) const RANK_NS: i64 = 1_000_000_000;
/// A flow without a packet for this long is idle, when memory has run out.
pub(crate) const IDLE_NS: i64 = 5_000_000_000;

/// Where a flow waits for its time. A flow runs in the status queue for one status interval; its record is then
/// reported and it retires to the queue of its timeout. Closed TCP connections and fragments have none of their
/// own: Argus names timeouts for them and then uses those of TCP and of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Ip,
    Tcp,
    Icmp,
    Arp,
    Status,
}

impl Queue {
    /// The queues of retired flows.
    pub(crate) const RETIRED: [Self; 4] = [Self::Ip, Self::Tcp, Self::Icmp, Self::Arp];
    /// How many there are.
    pub(crate) const COUNT: usize = Self::RETIRED.len() + 1;

    /// How long a flow stays in the queue.
    pub(crate) const fn timeout_ns(self) -> i64 {
        match self {
            Self::Status => STATUS_INTERVAL_NS,
            Self::Tcp => 60_000_000_000,
            Self::Ip => 30_000_000_000,
            Self::Icmp | Self::Arp => 5_000_000_000,
        }
    }
}
