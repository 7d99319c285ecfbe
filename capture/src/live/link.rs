//! What the kernel says of an interface beside the packets: whether any can arrive, and how many it has received.

use std::fs;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// How long the kernel's counter must have risen with nothing arriving here before that is told.
const SILENCE: Duration = Duration::from_secs(10);

/// Whether packets can arrive at an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Link {
    /// Packets can arrive, or the name is none of the system's network interfaces (`any`, a log, a bus).
    #[default]
    Up,
    /// No carrier: the cable is out, or the other end is down.
    NoCarrier,
    /// The interface is switched off.
    Down,
}

impl Link {
    const ALL: [Self; 3] = [Self::Up, Self::NoCarrier, Self::Down];

    pub(super) fn of_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// What the system says now.
    pub(super) fn of(interface: &str) -> Self {
        let Ok(mut all) = getifaddrs() else {
            return Self::Up;
        };
        let Some(found) = all.find(|address| address.interface_name == interface) else {
            return Self::Up;
        };
        if !found.flags.contains(InterfaceFlags::IFF_UP) {
            Self::Down
        } else if !found.flags.contains(InterfaceFlags::IFF_RUNNING) {
            Self::NoCarrier
        } else {
            Self::Up
        }
    }
}

/// Packets that the kernel has received on an interface; `None` for what is none of the system's interfaces.
pub(super) fn received(interface: &str) -> Option<u64> {
    received_by(&fs::read_to_string("/proc/net/dev").ok()?, interface)
}

fn received_by(table: &str, interface: &str) -> Option<u64> {
    table.lines().find_map(|line| {
        let (name, counters) = line.split_once(':')?;
        // Bytes stand before the packets.
        (name.trim() == interface).then(|| counters.split_whitespace().nth(1)?.parse().ok())?
    })
}

/// Compares what the kernel has received with what arrived here.
#[derive(Debug, Default)]
pub(super) struct Silence {
    arrived: u64,
    /// The kernel's counter when something arrived last.
    base: Option<u64>,
    /// When that counter first rose beyond.
    rose: Option<Instant>,
}

impl Silence {
    /// How many packets the kernel has received since one arrived, once that has gone on for long enough; 0 before.
    pub(super) fn look(&mut self, now: Instant, kernel: Option<u64>, arrived: u64) -> u64 {
        let (Some(kernel), Some(base)) = (kernel, self.base.filter(|_| arrived == self.arrived)) else {
            *self = Self {
                arrived,
                base: kernel,
                rose: None,
            };
            return 0;
        };
        let unseen = kernel.saturating_sub(base);
        if unseen == 0 {
            return 0;
        }
        let rose = *self.rose.get_or_insert(now);
        if now.duration_since(rose) >= SILENCE {
            unseen
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_after_its_time_and_ends_with_a_packet() {
        let start = Instant::now();
        let mut silence = Silence::default();
        let mut look = |seconds: u64, kernel, arrived| {
            silence.look(start + Duration::from_secs(seconds), kernel, arrived)
        };
        assert_eq!(look(0, Some(100), 0), 0, "what was before does not count");
        assert_eq!(look(60, Some(100), 0), 0, "a quiet wire is no fault");
        assert_eq!(look(61, Some(103), 0), 0);
        assert_eq!(look(70, Some(104), 0), 0);
        assert_eq!(look(71, Some(105), 0), 5);
        assert_eq!(look(72, Some(106), 1), 0, "one arrived");
        assert_eq!(look(73, Some(107), 1), 0);
        assert_eq!(look(83, Some(108), 1), 2);
        assert_eq!(look(84, Some(1), 1), 0, "the interface is a new one");
        assert_eq!(look(85, None, 1), 0);
    }

    #[test]
    fn the_counter_is_found_by_the_whole_name() {
        let table = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs\n    lo: 10 1 0 0\n eth0:2000  25 0 0\n";
        let check = |name, expected| assert_eq!(received_by(table, name), expected, "{name}");
        check("lo", Some(1));
        check("eth0", Some(25));
        check("eth", None);
        check("any", None);
    }
}
