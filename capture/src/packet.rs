//! A captured packet of a file or an interface.

/// Link type of a captured packet: the header that the bytes of the packet start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback: the address family in 4 bytes, in the byte order of the capturing machine (`NULL`) or of the network
    /// (`LOOP`).
    Loopback,
    /// Ethernet, with or without VLAN tags.
    Ethernet,
    /// No link header: the packet starts with an IPv4 or IPv6 header.
    RawIp,
    /// Linux cooked capture, version 1, as of the interface `any`: a header of 16 bytes.
    LinuxCooked,
    /// Linux cooked capture, version 2: a header of 20 bytes.
    LinuxCooked2,
    /// PPP, with or without the framing of HDLC or of Cisco.
    Ppp,
    /// A PPP-over-Ethernet session, without the Ethernet header.
    PppoeSession,
    /// Cisco HDLC.
    CiscoHdlc,
    /// The log of Linux netfilter (`NFLOG`): attributes, one of which holds the packet.
    Nflog,
    /// An 802.11 frame.
    Wireless,
    /// An 802.11 frame behind a radiotap header.
    Radiotap,
    /// Any other link type, by number: the meter counts such packets and puts them in no flow.
    Other(u16),
}

impl LinkType {
    /// Returns the link type of a number in tcpdump's registry of link types (`LINKTYPE_*`), which capture files use.
    pub const fn from_number(number: u16) -> Self {
        match number {
            0 | 108 => Self::Loopback,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            51 => Self::PppoeSession,
            104 => Self::CiscoHdlc,
            105 => Self::Wireless,
            // 12 and 14 are the `DLT_RAW` of different systems, written to files by mistake.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            113 => Self::LinuxCooked,
            127 => Self::Radiotap,
            239 => Self::Nflog,
            276 => Self::LinuxCooked2,
            other => Self::Other(other),
        }
    }

    /// Returns the number by which capture files name this link type.
    pub const fn number(self) -> u16 {
        match self {
            Self::Loopback => 0,
            Self::Ethernet => 1,
            Self::Ppp => 9,
            Self::PppoeSession => 51,
            Self::RawIp => 101,
            Self::CiscoHdlc => 104,
            Self::Wireless => 105,
            Self::LinuxCooked => 113,
            Self::Radiotap => 127,
            Self::Nflog => 239,
            Self::LinuxCooked2 => 276,
            Self::Other(number) => number,
        }
    }
}

/// One captured packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Link type: the header that `bytes` starts with.
    pub link: LinkType,
    /// Time of capture, in nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Length on the wire, in bytes; in a sound capture at least `bytes.len()`.
    pub wire_length: u32,
    /// The captured bytes, from the link header on.
    pub bytes: &'a [u8],
}
