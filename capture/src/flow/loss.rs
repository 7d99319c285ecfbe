//! Loss that the protocol itself tells: data that a connection acknowledges and that was never seen.
//!
//! A host that acknowledges a byte has received it (RFC 9293, section 3.4), so a byte that was acknowledged and not
//! captured was lost between the wire and this program: by a mirror port that is too slow, by the interface, by the
//! kernel. No other counter sees all three. The count is a lower bound: a side without any captured segment counts
//! nothing, since a tap may see one direction only, and the gaps of one side are kept as one region.

use crate::decode::TcpSegment;

/// The largest window that TCP allows (RFC 7323, section 2.3); a larger step is another sequence space.
const LARGEST_WINDOW: u32 = 1 << 30;

/// What was seen of the bytes of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Side {
    started: bool,
    /// Sequence number after the highest byte seen.
    next: u32,
    /// Where the region with holes begins and ends; it holds `missing` bytes that were not seen.
    holes_start: u32,
    holes_end: u32,
    missing: u32,
}

/// What was seen of a TCP connection, as far as it takes to notice what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Loss([Side; 2]);

impl Loss {
    /// Notes a segment, and gives the number of bytes that it proves lost; 0 nearly always.
    pub(crate) fn segment(&mut self, sender: usize, segment: &TcpSegment<'_>) -> u32 {
        // The numbers of a reset need not be those of the connection.
        if segment.flags.rst() {
            return 0;
        }
        let [source, destination] = &mut self.0;
        let (this, other) = if sender == 0 {
            (source, destination)
        } else {
            (destination, source)
        };
        this.sent(segment);
        if segment.flags.ack() {
            other.acknowledged(segment.acknowledgement)
        } else {
            0
        }
    }
}

impl Side {
    fn sent(&mut self, segment: &TcpSegment<'_>) {
        let flags = segment.flags;
        let start = segment.sequence;
        // SYN and FIN take a number each.
        let length = segment
            .length
            .wrapping_add(u32::from(flags.syn()) + u32::from(flags.fin()));
        let end = start.wrapping_add(length);
        let ahead = start.wrapping_sub(self.next);
        let behind = self.next.wrapping_sub(start);
        if !self.started || ahead.min(behind) >= LARGEST_WINDOW || (flags.syn() && ahead.min(behind) > 1) {
            *self = Self {
                started: true,
                next: end,
                ..Self::default()
            };
        } else if ahead < LARGEST_WINDOW {
            if ahead > 0 {
                if self.missing == 0 {
                    self.holes_start = self.next;
                }
                self.holes_end = start;
                self.missing = self.missing.saturating_add(ahead);
            }
            self.next = end;
        } else {
            self.fill(start, length);
            if end.wrapping_sub(self.next) < LARGEST_WINDOW {
                self.next = end;
            }
        }
    }

    /// Takes what came late out of the holes.
    fn fill(&mut self, start: u32, length: u32) {
        if self.missing == 0 {
            return;
        }
        // Measured from where the holes begin; what begins before them is cut there.
        let before = self.holes_start.wrapping_sub(start);
        let (offset, length) = if before < LARGEST_WINDOW {
            (0, length.saturating_sub(before))
        } else {
            (start.wrapping_sub(self.holes_start), length)
        };
        let room = self
            .holes_end
            .wrapping_sub(self.holes_start)
            .saturating_sub(offset);
        self.missing -= self.missing.min(length.min(room));
    }

    /// Notes how far the other side has received, and gives the bytes lost.
    fn acknowledged(&mut self, acknowledgement: u32) -> u32 {
        if !self.started {
            return 0;
        }
        let beyond = acknowledgement.wrapping_sub(self.next);
        if (1..LARGEST_WINDOW).contains(&beyond) {
            self.next = acknowledgement;
            return std::mem::take(&mut self.missing).saturating_add(beyond);
        }
        let covers_holes = acknowledgement.wrapping_sub(self.holes_end) < LARGEST_WINDOW;
        if self.missing > 0 && covers_holes {
            return std::mem::take(&mut self.missing);
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::TcpFlags;

    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    const FIN: u8 = 0x01;
    const RST: u8 = 0x04;

    /// Sender, flags, sequence number, bytes, acknowledgement.
    type Line = (usize, u8, u32, u32, u32);

    /// The losses that a trace proves, as (number, bytes).
    fn check(trace: &[Line], expected: (u32, u32)) {
        let mut loss = Loss::default();
        let mut found = (0, 0);
        for &(sender, flags, sequence, length, acknowledgement) in trace {
            let segment = TcpSegment {
                source_port: 1,
                destination_port: 2,
                sequence,
                acknowledgement,
                flags: TcpFlags(flags),
                window: 1000,
                window_scale: None,
                length,
                payload: &[],
            };
            let bytes = loss.segment(sender, &segment);
            found.0 += u32::from(bytes > 0);
            found.1 += bytes;
        }
        assert_eq!(found, expected, "{trace:?}");
    }

    const HANDSHAKE: [Line; 3] = [
        (0, SYN, 99, 0, 0),
        (1, SYN | ACK, 499, 0, 100),
        (0, ACK, 100, 0, 500),
    ];

    fn after_handshake(rest: &[Line], expected: (u32, u32)) {
        check(&[&HANDSHAKE, rest].concat(), expected);
    }

    #[test]
    fn a_whole_connection_has_no_loss() {
        let close = [
            (0, ACK, 100, 10, 500),
            (1, ACK, 500, 20, 110),
            (0, ACK | FIN, 110, 0, 520),
            (1, ACK | FIN, 520, 0, 111),
            (0, ACK, 111, 0, 521),
        ];
        after_handshake(&close, (0, 0));
    }

    #[test]
    fn data_acknowledged_and_not_seen_is_lost() {
        // At the end of what was seen, and in the middle.
        after_handshake(&[(0, ACK, 100, 10, 500), (1, ACK, 500, 0, 140)], (1, 30));
        after_handshake(
            &[
                (0, ACK, 100, 10, 500),
                (0, ACK, 130, 10, 500),
                (1, ACK, 500, 0, 140),
                (1, ACK, 500, 0, 140),
            ],
            (1, 20),
        );
        // Two holes that one acknowledgement covers.
        after_handshake(
            &[
                (0, ACK, 110, 10, 500),
                (0, ACK, 130, 10, 500),
                (1, ACK, 500, 0, 140),
            ],
            (1, 20),
        );
        // A finish that was not seen is one number.
        after_handshake(&[(0, ACK, 100, 10, 500), (1, ACK, 500, 0, 111)], (1, 1));
    }

    #[test]
    fn data_that_comes_late_or_again_is_not_lost() {
        let late = (0, ACK, 100, 10, 500);
        after_handshake(&[(0, ACK, 110, 10, 500), late, (1, ACK, 500, 0, 120)], (0, 0));
        // A repetition that reaches over the hole on both sides.
        after_handshake(
            &[
                (0, ACK, 110, 10, 500),
                (0, ACK, 100, 40, 500),
                (1, ACK, 500, 0, 140),
            ],
            (0, 0),
        );
        // An acknowledgement below the hole proves nothing.
        after_handshake(&[(0, ACK, 110, 10, 500), (1, ACK, 500, 0, 100)], (0, 0));
        // A repeated SYN, and a keep-alive probe.
        check(&[HANDSHAKE[0], HANDSHAKE[0], HANDSHAKE[1]], (0, 0));
        after_handshake(&[(0, ACK, 99, 1, 500), (1, ACK, 500, 0, 100)], (0, 0));
    }

    #[test]
    fn what_cannot_be_known_is_not_counted() {
        // One direction only.
        check(&[(1, ACK, 500, 0, 100), (1, ACK, 500, 0, 9000)], (0, 0));
        // A start in the middle of a connection.
        check(
            &[
                (1, ACK, 500, 0, 100),
                (0, ACK, 120, 5, 500),
                (1, ACK, 500, 0, 110),
            ],
            (0, 0),
        );
        // A reset with any number, and an acknowledgement outside every window.
        after_handshake(&[(1, RST | ACK, 500, 0, 90_000)], (0, 0));
        after_handshake(&[(1, ACK, 500, 0, 100 + LARGEST_WINDOW)], (0, 0));
        // Another connection on the same ports.
        after_handshake(&[(0, SYN, 70_000, 0, 0), (1, SYN | ACK, 9, 0, 70_001)], (0, 0));
    }

    #[test]
    fn numbers_wrap() {
        let start = u32::MAX - 4;
        check(
            &[
                (0, ACK, start, 5, 500),
                (0, ACK, 10, 5, 500),
                (1, ACK, 500, 0, 15),
            ],
            (1, 10),
        );
    }
}
