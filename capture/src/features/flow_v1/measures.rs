//! What a record adds up from its packets.
//!
//! Sums are kept in integers, so that no order of packets and no length of a flow costs precision: a standard
//! deviation is computed once, at the end, from exact sums.

use crate::decode::TcpFlags;

use super::summary::Summary;

/// Packets with payload whose sizes are kept, per direction.
pub(crate) const FIRST_SIZES: usize = 3;
/// Gaps kept between the first packets with payload.
pub(crate) const FIRST_GAPS: usize = 2;

/// A packet as the measures see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The side that sent it, 0 or 1.
    pub(crate) direction: usize,
    pub(crate) time_ns: i64,
    /// Length of the IP packet.
    pub(crate) bytes: u32,
    /// Bytes that TCP or UDP carries, 0 for other protocols.
    pub(crate) payload: u32,
    pub(crate) tcp: Option<ObservedTcp>,
}

/// A TCP segment as the measures see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObservedTcp {
    pub(crate) flags: TcpFlags,
    /// Receive window, scaled or not: only whether it is 0 matters.
    pub(crate) window: u32,
}

/// A sum of squares, high and low half: a `u128` would ask for an alignment of 16 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Squares([u64; 2]);

impl Squares {
    fn add(&mut self, value: u64) {
        let square = u128::from(value) * u128::from(value);
        let sum = self.sum().saturating_add(square);
        self.0 = [(sum >> 64) as u64, sum as u64];
    }

    fn sum(self) -> u128 {
        u128::from(self.0[0]) << 64 | u128::from(self.0[1])
    }
}

/// Sums over times between packets, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gaps {
    squares: Squares,
    sum: u64,
    smallest: u64,
    largest: u64,
}

/// Sums over the packets of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) bytes: u64,
    pub(crate) payload: u64,
    size_squares: Squares,
    last_ns: i64,
    pub(crate) gaps: Gaps,
    pub(crate) packets: u32,
    pub(crate) zero_windows: u32,
    smallest: u32,
    largest: u32,
}

/// Segments by their flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FlagCounts {
    pub(crate) syn: u32,
    pub(crate) fin: u32,
    pub(crate) rst: u32,
    pub(crate) psh: u32,
    pub(crate) urg: u32,
    pub(crate) odd: u32,
}

/// The sizes and gaps of the first packets with payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Beginning {
    last_ns: i64,
    pub(crate) gaps_ns: [u64; FIRST_GAPS],
    /// Payload per direction, as far as a `u16` says; IP carries no more.
    pub(crate) sizes: [[u16; FIRST_SIZES]; 2],
    sized: [u8; 2],
    /// Packets with payload seen, up to one more than there are gaps to fill.
    seen: u8,
}

/// What a record adds up, in pairs of both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measures {
    pub(crate) directions: [Direction; 2],
    /// Between packets of either direction.
    pub(crate) gaps: Gaps,
    pub(crate) flags: FlagCounts,
    pub(crate) beginning: Beginning,
    first_ns: i64,
}

impl Measures {
    /// Adds a packet.
    pub(crate) fn packet(&mut self, observed: &Observed) {
        let direction = observed.direction.min(1);
        self.times(direction, observed.time_ns);
        let this = &mut self.directions[direction];
        this.smallest = match this.packets {
            0 => observed.bytes,
            _ => this.smallest.min(observed.bytes),
        };
        this.largest = this.largest.max(observed.bytes);
        this.packets = this.packets.saturating_add(1);
        this.bytes = this.bytes.saturating_add(u64::from(observed.bytes));
        this.size_squares.add(u64::from(observed.bytes));
        this.payload = this.payload.saturating_add(u64::from(observed.payload));
        self.beginning.packet(observed);
        if let Some(tcp) = observed.tcp {
            let closes_window = tcp.window == 0 && !tcp.flags.rst();
            this.zero_windows = this.zero_windows.saturating_add(u32::from(closes_window));
            self.flags.count(tcp.flags);
        }
    }

    /// Begins a new record of the same flow: what is told of the flow stays.
    pub(crate) fn restart_record(&mut self) {
        *self = Self {
            beginning: self.beginning,
            ..Self::default()
        };
    }

    /// Packets of the record.
    pub(crate) fn packets(&self) -> u64 {
        self.directions
            .iter()
            .map(|direction| u64::from(direction.packets))
            .sum()
    }

    /// First and last packet of the record; `None` without a packet.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let last = (self.directions.iter())
            .filter(|direction| direction.packets > 0)
            .map(|direction| direction.last_ns)
            .max()?;
        Some((self.first_ns, last))
    }

    fn times(&mut self, direction: usize, time_ns: i64) {
        let Some((first_ns, last_ns)) = self.span() else {
            self.first_ns = time_ns;
            self.directions[direction].last_ns = time_ns;
            return;
        };
        self.first_ns = first_ns.min(time_ns);
        let earlier = self.packets() - 1;
        self.gaps.add(gap(last_ns, time_ns), earlier == 0);
        let this = &mut self.directions[direction];
        if this.packets > 0 {
            this.gaps.add(gap(this.last_ns, time_ns), this.packets == 1);
            this.last_ns = this.last_ns.max(time_ns);
        } else {
            this.last_ns = time_ns;
        }
    }
}

/// The time between two packets; one that is late has no gap.
fn gap(from_ns: i64, to_ns: i64) -> u64 {
    u64::try_from(to_ns.saturating_sub(from_ns)).unwrap_or(0)
}

impl Gaps {
    fn add(&mut self, gap_ns: u64, is_first: bool) {
        self.squares.add(gap_ns);
        self.sum = self.sum.saturating_add(gap_ns);
        self.smallest = if is_first {
            gap_ns
        } else {
            self.smallest.min(gap_ns)
        };
        self.largest = self.largest.max(gap_ns);
    }

    /// Of the gaps between `packets` packets, in seconds.
    pub(crate) fn summary(&self, packets: u64) -> Summary {
        let nanoseconds = Summary::new(
            packets.saturating_sub(1),
            self.sum,
            self.squares.sum(),
            self.smallest,
            self.largest,
        );
        nanoseconds.scaled(1e9)
    }
}

impl Direction {
    /// Of the sizes of the packets, in bytes.
    pub(crate) fn sizes(&self) -> Summary {
        Summary::new(
            u64::from(self.packets),
            self.bytes,
            self.size_squares.sum(),
            u64::from(self.smallest),
            u64::from(self.largest),
        )
    }
}

impl FlagCounts {
    fn count(&mut self, flags: TcpFlags) {
        let (syn, fin, rst) = (flags.syn(), flags.fin(), flags.rst());
        let is_odd = syn && (fin || rst) || !(syn || rst || flags.ack());
        for (count, is_set) in [
            (&mut self.syn, syn),
            (&mut self.fin, fin),
            (&mut self.rst, rst),
            (&mut self.psh, flags.psh()),
            (&mut self.urg, flags.urg()),
            (&mut self.odd, is_odd),
        ] {
            *count = count.saturating_add(u32::from(is_set));
        }
    }
}

impl Beginning {
    /// Notes a packet, which counts when it has payload.
    pub(super) fn packet(&mut self, observed: &Observed) {
        if observed.payload == 0 {
            return;
        }
        let (direction, time_ns) = (observed.direction.min(1), observed.time_ns);
        let sized = &mut self.sized[direction];
        if let Some(size) = self.sizes[direction].get_mut(usize::from(*sized)) {
            *size = u16::try_from(observed.payload).unwrap_or(u16::MAX);
            *sized += 1;
        }
        if usize::from(self.seen) > FIRST_GAPS {
            return;
        }
        if let Some(position) = usize::from(self.seen).checked_sub(1) {
            self.gaps_ns[position] = gap(self.last_ns, time_ns);
        }
        self.seen += 1;
        self.last_ns = time_ns;
    }
}
