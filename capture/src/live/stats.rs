//! The counters of an interface, which the capture thread writes and any thread reads.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use super::link::Link;

/// Counters of one interface, over all times that the interface was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceStats {
    /// Name of the interface.
    pub interface: String,
    /// Whether the interface is open and being read.
    pub runs: bool,
    /// Whether packets can arrive, as the system said at most a second ago.
    pub link: Link,
    /// Packets that the kernel has received since the last one arrived here, once more than 10 s have passed without a
    /// packet; 0 before.
    pub unseen: u64,
    /// Packets that passed the filter, those dropped by the kernel included.
    pub received: u64,
    /// Packets lost because the program did not take them out of the kernel's buffer fast enough.
    pub kernel_drops: u64,
    /// Packets that the interface or its driver lost.
    pub interface_drops: u64,
    /// How often the interface went away.
    pub failures: u64,
}

impl InterfaceStats {
    /// Whether packets can arrive here now.
    pub fn up(&self) -> bool {
        self.down_because().is_none()
    }

    /// Says why no packet can arrive, as the rest of a sentence that begins with "the interface"; `None` when packets can
    /// arrive.
    pub fn down_because(&self) -> Option<&'static str> {
        match (self.runs, self.link) {
            (_, Link::Down) => Some("is switched off"),
            (_, Link::NoCarrier) => Some("has no carrier"),
            (false, Link::Up) => Some("is away"),
            (true, Link::Up) => None,
        }
    }
}

/// [`InterfaceStats`] as threads share them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) runs: AtomicBool,
    /// A [`Link`].
    pub(super) link: AtomicU8,
    pub(super) unseen: AtomicU64,
    pub(super) failures: AtomicU64,
    received: AtomicU64,
    kernel_drops: AtomicU64,
    interface_drops: AtomicU64,
}

impl Shared {
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self, interface: &str) -> InterfaceStats {
        InterfaceStats {
            interface: interface.to_owned(),
            runs: self.runs.load(Ordering::Relaxed),
            link: Link::of_number(self.link.load(Ordering::Relaxed)),
            unseen: self.unseen.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            kernel_drops: self.kernel_drops.load(Ordering::Relaxed),
            interface_drops: self.interface_drops.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}

/// Turns libpcap's counters, which begin anew with every opening and wrap at 32 bits, into steps.
#[derive(Debug, Default)]
pub(super) struct Counted {
    received: u32,
    dropped: u32,
    if_dropped: u32,
}

impl Counted {
    /// The counters as they stand now are where counting begins.
    pub(super) fn from(now: pcap::Stat) -> Self {
        Self {
            received: now.received,
            dropped: now.dropped,
            if_dropped: now.if_dropped,
        }
    }

    /// Adds what was counted since the last call.
    pub(super) fn add_to(&mut self, shared: &Shared, now: pcap::Stat) {
        let step = |last: &mut u32, now: u32| u64::from(now.wrapping_sub(std::mem::replace(last, now)));
        shared
            .received
            .fetch_add(step(&mut self.received, now.received), Ordering::Relaxed);
        shared
            .kernel_drops
            .fetch_add(step(&mut self.dropped, now.dropped), Ordering::Relaxed);
        shared
            .interface_drops
            .fetch_add(step(&mut self.if_dropped, now.if_dropped), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_on_over_restarts_and_wraps() {
        let stat = |received, dropped, if_dropped| pcap::Stat {
            received,
            dropped,
            if_dropped,
        };
        let shared = Shared::default();
        let mut counted = Counted::from(stat(100, 7, 0));
        counted.add_to(&shared, stat(150, 9, 1));
        counted = Counted::default();
        counted.add_to(&shared, stat(u32::MAX, 1, 0));
        counted.add_to(&shared, stat(1, 1, 0));
        let expected = InterfaceStats {
            interface: "eth0".to_owned(),
            received: 50 + u64::from(u32::MAX) + 2,
            kernel_drops: 3,
            interface_drops: 1,
            ..InterfaceStats::default()
        };
        assert_eq!(shared.read("eth0"), expected);
    }
}
