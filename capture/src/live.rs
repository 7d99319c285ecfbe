//! Live interfaces through libpcap.

use pcap::{Active, Capture, Linktype};

use crate::packet::{LinkType, Packet};

/// How long a read waits for a packet.
const READ_TIMEOUT_MILLISECONDS: i32 = 100;

/// Which packets to capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveConfig {
    /// Name of the interface, e.g. `eth0` or `any`.
    pub interface: String,
    /// Filter in the language of tcpdump; `None` takes every packet.
    pub bpf: Option<String>,
    /// Whether to take packets for other machines too.
    pub promiscuous: bool,
    /// Bytes kept of each packet; 65,535 keeps all.
    pub snap_length: u16,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            interface: "any".to_owned(),
            bpf: None,
            promiscuous: true,
            snap_length: u16::MAX,
        }
    }
}

/// Why a live capture does not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The interface cannot be opened.
    #[error(
        "cannot capture on interface `{interface}`: {source}; check the name and that the program may capture (CAP_NET_RAW)"
    )]
    Open {
        /// The interface.
        interface: String,
        /// What libpcap says.
        source: pcap::Error,
    },
    /// The filter is not in the language of tcpdump.
    #[error("the filter `{filter}` is not valid: {source}")]
    Filter {
        /// The filter.
        filter: String,
        /// What libpcap says.
        source: pcap::Error,
    },
    /// The interface went away or reading failed.
    #[error("capture on interface `{interface}` stopped: {source}")]
    Read {
        /// The interface.
        interface: String,
        /// What libpcap says.
        source: pcap::Error,
    },
}

/// What the kernel counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// Packets that passed the filter.
    pub received: u64,
    /// Packets lost because the program did not read fast enough.
    pub kernel_drops: u64,
    /// Packets that the interface lost.
    pub interface_drops: u64,
}

/// An open interface.
pub struct LiveCapture {
    capture: Capture<Active>,
    interface: String,
    link: LinkType,
}

impl LiveCapture {
    /// Opens an interface.
    ///
    /// # Errors
    /// When the interface cannot be opened, or the filter is not valid.
    pub fn open(config: &LiveConfig) -> Result<Self, LiveError> {
        let failed = |source| LiveError::Open {
            interface: config.interface.clone(),
            source,
        };
        let mut capture = Capture::from_device(config.interface.as_str())
            .map_err(failed)?
            .promisc(config.promiscuous)
            .snaplen(i32::from(config.snap_length))
            .timeout(READ_TIMEOUT_MILLISECONDS)
            .open()
            .map_err(failed)?;
        if let Some(filter) = &config.bpf {
            capture.filter(filter, true).map_err(|source| LiveError::Filter {
                filter: filter.clone(),
                source,
            })?;
        }
        let Linktype(number) = capture.get_datalink();
        let link = LinkType::from_number(u16::try_from(number).unwrap_or(u16::MAX));
        Ok(Self {
            capture,
            interface: config.interface.clone(),
            link,
        })
    }

    /// The next packet; `None` when none came within about 100 ms.
    ///
    /// # Errors
    /// When the interface went away or reading failed.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, LiveError> {
        let link = self.link;
        match self.capture.next_packet() {
            Ok(packet) => Ok(Some(Packet {
                link,
                time_ns: packet
                    .header
                    .ts
                    .tv_sec
                    .saturating_mul(1_000_000_000)
                    .saturating_add(packet.header.ts.tv_usec.saturating_mul(1_000)),
                wire_length: packet.header.len,
                bytes: packet.data,
            })),
            Err(pcap::Error::TimeoutExpired) => Ok(None),
            Err(source) => Err(LiveError::Read {
                interface: self.interface.clone(),
                source,
            }),
        }
    }

    /// What the kernel counted since the interface was opened.
    ///
    /// # Errors
    /// When libpcap cannot tell.
    pub fn stats(&mut self) -> Result<LiveStats, LiveError> {
        let stats = self.capture.stats().map_err(|source| LiveError::Read {
            interface: self.interface.clone(),
            source,
        })?;
        Ok(LiveStats {
            received: u64::from(stats.received),
            kernel_drops: u64::from(stats.dropped),
            interface_drops: u64::from(stats.if_dropped),
        })
    }
}
