//! The inputs and outputs of the window.

use std::net::IpAddr;

/// What the window needs to know of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// Time of the packet that opens the flow or the record.
    pub(crate) time_ns: i64,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    /// Destination port; the type of an ICMP or ICMPv6 message; 0 for protocols without ports.
    pub(crate) port: u16,
}

/// How the destination has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A SYN by a reset, and nothing else so far.
    Refused,
    /// In any other way.
    Given,
}

/// The counts of one row, as of its first packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) source: Host,
    pub(crate) destination: Host,
    pub(crate) service: Service,
    pub(crate) pair: Pair,
    /// Whether the flow itself is among those counted; it is then not among the failed.
    pub(crate) includes_itself: bool,
}

/// Flows of a source or a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) flows: u32,
    pub(crate) peers: u32,
    pub(crate) ports: u32,
    pub(crate) failed: u32,
}

/// Flows of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) flows: u32,
    pub(crate) sources: u32,
    pub(crate) destinations: u32,
    pub(crate) failed: u32,
}

/// Flows from one source to one destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) flows: u32,
    pub(crate) ports: u32,
    pub(crate) failed: u32,
}
