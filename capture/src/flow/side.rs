//! One side of a TCP connection: its place in the sequence space, and what it sends again.

use crate::decode::TcpSegment;

/// One side of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Side {
    /// Initial sequence number, or what Argus takes for it; 0 is none.
    pub(super) initial: u32,
    /// Next sequence number after the highest seen, or the SYN's own.
    pub(super) next: u32,
    /// Highest acknowledgement sent, minus 1; 0 is none.
    pub(super) acknowledged: u32,
    /// Bytes sent and not acknowledged.
    pub(super) outstanding: u32,
    /// Segments retransmitted in this record.
    pub(super) retransmitted: u32,
    /// Last window that was not 0.
    pub(super) window: u16,
    pub(super) scale: u8,
    /// Flags seen in this record.
    pub(super) flags: u8,
    /// Whether it reset the connection in this record.
    pub(super) reset: bool,
    pub(super) finished: bool,
    pub(super) finish_acknowledged: bool,
    pub(super) last_identification: u16,
    /// Last segment, 0 before the first.
    pub(super) last_us: i64,
}

impl Side {
    /// Notes data and says whether the exchange stood still for it.
    pub(super) fn data(
        &mut self,
        other: &Side,
        segment: &TcpSegment<'_>,
        end: u32,
        identification: u16,
    ) -> bool {
        if segment.sequence < other.acknowledged {
            let behind = other.acknowledged - segment.sequence;
            let window = u32::from(self.window)
                .checked_shr(u32::from(self.scale))
                .unwrap_or(0);
            let repeats = behind < window;
            if repeats {
                self.repeat(segment.length);
            }
            return repeats;
        }
        let highest = end.max(self.next);
        let mut repeats = false;
        if self.window != 0 {
            let step = i32::from(identification) - i32::from(self.last_identification);
            let reordered = self.last_identification != 0 && (-4_999..0).contains(&step);
            let unacknowledged = highest.wrapping_sub(1).wrapping_sub(other.acknowledged);
            let fills_front = end < self.next && segment.sequence == other.acknowledged.wrapping_add(1);
            repeats = !reordered && self.outstanding > unacknowledged;
            if repeats || (!reordered && fills_front) {
                self.repeat(segment.length);
            }
        }
        self.next = highest;
        repeats
    }

    fn repeat(&mut self, length: u32) {
        self.retransmitted += 1;
        self.outstanding = self.outstanding.wrapping_sub(length);
    }

    /// Notes an acknowledgement of what the other side sent.
    pub(super) fn acknowledge(&mut self, other: &mut Side, acknowledgement: u32, syn: bool) {
        let last = acknowledgement.wrapping_sub(1);
        if self.acknowledged != 0 && other.next > self.acknowledged {
            other.outstanding = other.next.wrapping_sub(1).wrapping_sub(self.acknowledged);
        }
        if self.acknowledged == last {
            return;
        }
        if self.acknowledged == 0 || other.next == acknowledgement {
            other.outstanding = 0;
        } else if !syn {
            let newly = last.wrapping_sub(self.acknowledged);
            other.outstanding -= other.outstanding.min(newly);
        }
        self.acknowledged = last;
    }
}

/// Microseconds between two times, in either order; 0 when there was no time before.
pub(super) fn since(before_us: i64, after_us: i64) -> u32 {
    if before_us == 0 {
        return 0;
    }
    u32::try_from(after_us.abs_diff(before_us)).unwrap_or(u32::MAX)
}
