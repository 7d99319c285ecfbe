//! Information elements that say something of a flow or of how it was measured.

/// The enterprise whose elements are those of IANA, of the reverse direction (RFC 5103).
const REVERSE: u32 = 29_305;

/// An information element, by its name at IANA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// Not used here.
    Other,
    Octets,
    OctetsTotal,
    ReverseOctets,
    InitiatorOctets,
    ResponderOctets,
    OutOctets,
    Packets,
    PacketsTotal,
    ReversePackets,
    InitiatorPackets,
    ResponderPackets,
    OutPackets,
    Protocol,
    Flags,
    ReverseFlags,
    SourcePort,
    DestinationPort,
    SourceV4,
    DestinationV4,
    SourceV6,
    DestinationV6,
    IcmpTypeCode,
    IcmpType,
    IcmpCode,
    StartUptime,
    EndUptime,
    StartSeconds,
    EndSeconds,
    StartMilliseconds,
    EndMilliseconds,
    StartNtp,
    EndNtp,
    StartDelta,
    EndDelta,
    DurationMilliseconds,
    DurationMicroseconds,
    EventSeconds,
    EventMilliseconds,
    BootMilliseconds,
    FirewallEvent,
    NatEvent,
    SamplerId,
    SamplingInterval,
    SamplingPackets,
    SamplingSpace,
    SamplingSize,
    SamplingPopulation,
}

impl Element {
    /// The element of that number. Numbers of v9 are those of IANA as far as both have them.
    pub(super) const fn of(number: u16, enterprise: u32) -> Self {
        match (enterprise, number) {
            (0, number) => Self::of_iana(number),
            (REVERSE, 1) | (REVERSE, 85) => Self::ReverseOctets,
            (REVERSE, 2) | (REVERSE, 86) => Self::ReversePackets,
            (REVERSE, 6) => Self::ReverseFlags,
            // The times of the other direction widen those of the flow.
            (REVERSE, 150..=157) => Self::of_iana(number),
            _ => Self::Other,
        }
    }

    const fn of_iana(number: u16) -> Self {
        match number {
            1 => Self::Octets,
            2 => Self::Packets,
            4 => Self::Protocol,
            6 => Self::Flags,
            7 | 180 | 182 => Self::SourcePort,
            8 => Self::SourceV4,
            11 | 181 | 183 => Self::DestinationPort,
            12 => Self::DestinationV4,
            21 => Self::EndUptime,
            22 => Self::StartUptime,
            23 => Self::OutOctets,
            24 => Self::OutPackets,
            27 => Self::SourceV6,
            28 => Self::DestinationV6,
            32 | 139 => Self::IcmpTypeCode,
            34 | 50 => Self::SamplingInterval,
            48 | 302 => Self::SamplerId,
            85 => Self::OctetsTotal,
            86 => Self::PacketsTotal,
            150 => Self::StartSeconds,
            151 => Self::EndSeconds,
            152 => Self::StartMilliseconds,
            153 => Self::EndMilliseconds,
            // Micro- and nanoseconds are both a timestamp of NTP.
            154 | 156 => Self::StartNtp,
            155 | 157 => Self::EndNtp,
            158 => Self::StartDelta,
            159 => Self::EndDelta,
            160 => Self::BootMilliseconds,
            161 => Self::DurationMilliseconds,
            162 => Self::DurationMicroseconds,
            176 | 178 => Self::IcmpType,
            177 | 179 => Self::IcmpCode,
            230 => Self::NatEvent,
            231 => Self::InitiatorOctets,
            232 => Self::ResponderOctets,
            // 40005 is the number that firewalls of Cisco used before there was one at IANA.
            233 | 40_005 => Self::FirewallEvent,
            298 => Self::InitiatorPackets,
            299 => Self::ResponderPackets,
            305 => Self::SamplingPackets,
            306 => Self::SamplingSpace,
            309 => Self::SamplingSize,
            310 => Self::SamplingPopulation,
            322 => Self::EventSeconds,
            323 => Self::EventMilliseconds,
            _ => Self::Other,
        }
    }
}
