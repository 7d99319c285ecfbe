//! A captured packet, as a file or an interface gives it.

/// What a captured packet starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback: the address family in 4 bytes, in the byte order of the capturing machine or of the
    /// network (link types `NULL` and `LOOP`).
    Loopback,
    /// Ethernet, with VLAN tags where there are some.
    Ethernet,
    /// An IPv4 or IPv6 header at once.
    RawIp,
    /// Linux "any" interface, version 1: 16 bytes.
    LinuxCooked,
    /// Linux "any" interface, version 2: 20 bytes.
    LinuxCooked2,
    /// PPP, with or without the framing of HDLC or of Cisco.
    Ppp,
    /// A session of PPP over Ethernet, without the Ethernet header.
    PppoeSession,
    /// Cisco HDLC.
    CiscoHdlc,
    /// What netfilter logs.
    Nflog,
    /// A frame of 802.11.
    Wireless,
    /// A frame of 802.11 behind a radiotap header.
    Radiotap,
    /// A link type that this crate does not read; its packets are counted and not metered.
    Other(u16),
}

impl LinkType {
    /// The link type of a number of the tcpdump registry, as it stands in capture files.
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

    /// The number that stands for it in a capture file.
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
    /// What `bytes` starts with.
    pub link: LinkType,
    /// When it was captured, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Bytes it had on the wire, at least `bytes.len()` in a sound capture.
    pub wire_length: u32,
    /// The bytes captured, from the link header on.
    pub bytes: &'a [u8],
}
