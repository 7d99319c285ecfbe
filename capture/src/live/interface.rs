//! One interface, opened.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Linktype, Precision};

use super::ring::Batch;
use super::{LiveConfig, LiveError};
use crate::packet::{LinkType, Packet};

/// How long the kernel may hold a packet back to hand over several at once.
pub(super) const KERNEL_HOLD: Duration = Duration::from_millis(20);
/// The device that stands for all interfaces.
const ANY: &str = "any";

pub(super) struct Interface {
    capture: Capture<Active>,
    link: LinkType,
    /// Nanoseconds per unit of a packet's fraction of a second.
    fraction_ns: i64,
}

impl Interface {
    pub(super) fn open(name: &str, config: &LiveConfig) -> Result<Self, LiveError> {
        let failed = |source| LiveError::Open {
            interface: name.to_owned(),
            source,
        };
        let nanoseconds = has_nanoseconds(name);
        let precision = if nanoseconds {
            Precision::Nano
        } else {
            Precision::Micro
        };
        let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let capture = Capture::from_device(name)
            .map_err(failed)?
            // For the device `any` libpcap would only warn, which the wrapper takes for a failure.
            .promisc(config.promiscuous && name != ANY)
            .snaplen(signed(config.snap_length))
            .buffer_size(signed(config.kernel_buffer))
            .timeout(i32::try_from(KERNEL_HOLD.as_millis()).unwrap_or(i32::MAX))
            .precision(precision)
            .open()
            .map_err(failed)?;
        // A blocking read of a quiet interface would neither see that it is to stop nor hand on what it has.
        let mut capture = capture.setnonblock().map_err(failed)?;
        if let Some(filter) = &config.bpf {
            capture.filter(filter, true).map_err(|source| LiveError::Filter {
                filter: filter.clone(),
                interface: name.to_owned(),
                source,
            })?;
        }
        let Linktype(number) = capture.get_datalink();
        Ok(Self {
            capture,
            link: LinkType::from_number(u16::try_from(number).unwrap_or(u16::MAX)),
            fraction_ns: if nanoseconds { 1 } else { 1_000 },
        })
    }

    /// Moves packets into the batch until it is full or the kernel has no more; says whether it may have more.
    pub(super) fn read(&mut self, batch: &mut Batch) -> Result<bool, pcap::Error> {
        while !batch.is_full() {
            let (link, fraction_ns) = (self.link, self.fraction_ns);
            match self.capture.next_packet() {
                Ok(packet) => {
                    let time = packet.header.ts;
                    batch.push(&Packet {
                        link,
                        time_ns: time
                            .tv_sec
                            .saturating_mul(1_000_000_000)
                            .saturating_add(time.tv_usec.saturating_mul(fraction_ns)),
                        wire_length: packet.header.len,
                        bytes: packet.data,
                    });
                }
                Err(pcap::Error::TimeoutExpired) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits until there may be something to read, at most `patience`.
    pub(super) fn wait(&self, patience: Duration) {
        let milliseconds = u16::try_from(patience.as_millis()).unwrap_or(u16::MAX);
        let mut polled = [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut polled, PollTimeout::from(milliseconds));
        let is_readable = polled[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLIN));
        // The state of an interface that is down can be "ready" without end; reading says what is the matter.
        if ready != Ok(0) && !is_readable {
            thread::sleep(patience);
        }
    }

    /// The kernel's counters since the interface was opened.
    pub(super) fn stats(&mut self) -> Option<pcap::Stat> {
        self.capture.stats().ok()
    }
}

/// Whether libpcap gives nanoseconds: network interfaces of Linux do, and what else it captures from (the
/// netfilter log, USB, Bluetooth) does not.
fn has_nanoseconds(name: &str) -> bool {
    name == ANY || Path::new("/sys/class/net").join(name).exists()
}
