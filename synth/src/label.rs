//! Labels: the true behaviour behind each flow.

use std::net::IpAddr;

/// The behaviours that are generated, by the names that labels carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Behaviour {
    Web,
    Dns,
    Ssh,
    Mail,
    Ntp,
    Video,
    FileTransfer,
    Dhcp,
    Arp,
    Ping,
    PortScan,
    PasswordBruteForce,
    SynFlood,
    Exfiltration,
    Beacon,
    DnsTunnel,
}

impl Behaviour {
    /// Every behaviour, the ordinary ones first.
    pub const ALL: [Behaviour; 16] = [
        Self::Web,
        Self::Dns,
        Self::Ssh,
        Self::Mail,
        Self::Ntp,
        Self::Video,
        Self::FileTransfer,
        Self::Dhcp,
        Self::Arp,
        Self::Ping,
        Self::PortScan,
        Self::PasswordBruteForce,
        Self::SynFlood,
        Self::Exfiltration,
        Self::Beacon,
        Self::DnsTunnel,
    ];

    /// Its name in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Dns => "dns",
            Self::Ssh => "ssh",
            Self::Mail => "mail",
            Self::Ntp => "ntp",
            Self::Video => "video",
            Self::FileTransfer => "file-transfer",
            Self::Dhcp => "dhcp",
            Self::Arp => "arp",
            Self::Ping => "ping",
            Self::PortScan => "port-scan",
            Self::PasswordBruteForce => "password-brute-force",
            Self::SynFlood => "syn-flood",
            Self::Exfiltration => "exfiltration",
            Self::Beacon => "beacon",
            Self::DnsTunnel => "dns-tunnel",
        }
    }

    /// The behaviour of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behaviour| behaviour.name() == name)
    }

    /// Whether it is an attack.
    pub const fn is_attack(self) -> bool {
        matches!(
            self,
            Self::PortScan
                | Self::PasswordBruteForce
                | Self::SynFlood
                | Self::Exfiltration
                | Self::Beacon
                | Self::DnsTunnel
        )
    }
}

/// The label of one conversation. A flow of a meter belongs to the label with the same 5-tuple, in either direction,
/// whose time it overlaps; a long conversation gives several flows for one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowLabel {
    /// The sender of the first packet.
    pub source: IpAddr,
    /// Port of the source; 0 for ICMP and ARP, whose flows are matched by addresses and time.
    pub source_port: u16,
    /// The other side.
    pub destination: IpAddr,
    /// Port of the destination; 0 for ICMP and ARP.
    pub destination_port: u16,
    /// IP protocol number; 0 for ARP.
    pub protocol: u8,
    /// First packet, nanoseconds since the Unix epoch.
    pub start_ns: i64,
    /// Last packet, nanoseconds since the Unix epoch.
    pub end_ns: i64,
    /// Name of the behaviour, one of [`Behaviour::name`].
    pub behaviour: &'static str,
    /// Whether the behaviour is an attack.
    pub attack: bool,
}
