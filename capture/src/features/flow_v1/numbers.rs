//! The initial sequence numbers of a connection, by which a SYN is told to belong to it or to open another.

use super::super::Opening;
use super::state::Facts;
use crate::decode::TcpSegment;
use crate::flow::tcp::Tcp;

/// The initial sequence number of each side (RFC 9293, section 3.4.1), as far as segments have told. Every flow has
/// these numbers, and a pair of options would take more room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InitialNumbers {
    numbers: [u32; 2],
    known: [bool; 2],
}

impl InitialNumbers {
    /// Learns from a segment of this side. `has_opening`: whether a SYN of the connection was seen before. While none was,
    /// the beginning of the connection may be missing, and the first numbers seen of a side follow its initial number.
    pub(crate) fn learn(&mut self, sender: usize, segment: &TcpSegment<'_>, has_opening: bool) {
        let flags = segment.flags;
        // The numbers of a reset need not be those of the connection.
        if flags.rst() || has_opening && !flags.syn() {
            return;
        }
        if flags.syn() {
            self.numbers[sender] = segment.sequence;
            self.known[sender] = true;
        } else if flags.ack() {
            self.follows(sender, segment.sequence);
        }
        if flags.ack() {
            self.follows(1 - sender, segment.acknowledgement);
        }
    }

    /// Notes the first number that was seen after the initial one.
    fn follows(&mut self, side: usize, number: u32) {
        if !self.known[side] {
            self.numbers[side] = number.wrapping_sub(1);
            self.known[side] = true;
        }
    }

    /// Whether a segment opens another connection on the ports of this one. A SYN with another initial sequence number
    /// does. Once the connection is over every SYN does, unless that SYN is the first one of this connection and comes late.
    pub(crate) fn is_reopened(&self, tcp: &Tcp, facts: Facts, opening: &Opening<'_>) -> bool {
        let segment = opening.segment;
        let flags = segment.flags;
        if !flags.syn() || flags.rst() {
            return false;
        }
        if flags.ack() {
            return tcp.is_reopened_by(flags);
        }
        match self.of(opening.direction) {
            Some(number) if number != segment.sequence => true,
            Some(_) => tcp.is_over() && facts.has_syn(opening.direction),
            None => tcp.is_over(),
        }
    }

    /// The initial number of a side; `None` while it is unknown.
    pub(crate) fn of(&self, side: usize) -> Option<u32> {
        self.known[side].then_some(self.numbers[side])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::TcpFlags;

    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// Sender, flags, sequence number, acknowledgement.
    type Line = (usize, u8, u32, u32);

    fn check(trace: &[Line], expected: [Option<u32>; 2]) {
        let mut numbers = InitialNumbers::default();
        let mut has_opening = false;
        for &(sender, flags, sequence, acknowledgement) in trace {
            let segment = TcpSegment {
                source_port: 1,
                destination_port: 2,
                sequence,
                acknowledgement,
                flags: TcpFlags(flags),
                window: 1000,
                window_scale: None,
                length: 0,
                payload: &[],
            };
            numbers.learn(sender, &segment, has_opening);
            has_opening |= segment.flags.syn();
        }
        assert_eq!([numbers.of(0), numbers.of(1)], expected, "{trace:?}");
    }

    #[test]
    fn numbers_are_told_by_an_opening_or_by_what_follows_one() {
        let (syn, syn_ack, ack) = ((0, SYN, 99, 0), (1, SYN | ACK, 499, 100), (0, ACK, 100, 500));
        check(&[syn], [Some(99), None]);
        check(&[syn, syn_ack, ack], [Some(99), Some(499)]);
        // Parts of it, and in another order.
        check(&[syn_ack], [Some(99), Some(499)]);
        check(&[ack], [Some(99), Some(499)]);
        check(&[ack, syn_ack, syn], [Some(99), Some(499)]);
        check(&[(0, ACK, 0, 0)], [Some(u32::MAX); 2]);
        // An opening is believed, whatever was guessed before.
        check(&[(0, ACK, 150, 520), syn_ack], [Some(149), Some(499)]);
    }

    #[test]
    fn other_segments_tell_nothing() {
        // A side that knows nothing of the connection answers with numbers of another one.
        check(&[(0, SYN, 99, 0), (1, ACK, 7, 8)], [Some(99), None]);
        check(&[(1, RST, 7, 0)], [None, None]);
        check(&[(1, RST | ACK, 7, 100)], [None, None]);
        check(&[(0, 0, 7, 0)], [None, None]);
    }
}
