//! What a flow comes to, by the flags of its packets since the first.

use crate::decode::TcpFlags;

use super::counts::Answer;
use super::measures::Observed;

/// What a flow has come to; the order is that of [`netsage_schema::flow_v1::STATE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Refused,
    Aborted,
    ResetBySource,
    ResetByDestination,
    Closed,
    HalfClosed,
    Established,
    HalfOpen,
    Attempt,
    Midstream,
    TwoWay,
    OneWay,
}

/// Facts about a flow: a set of those below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts(u16);

impl Facts {
    const TCP: u16 = 1;
    const SYN: u16 = 1 << 1;
    const SYN_ACK: u16 = 1 << 2;
    const ESTABLISHED: u16 = 1 << 3;
    const REFUSED: u16 = 1 << 4;
    const RESET_BY_SOURCE: u16 = 1 << 5;
    const RESET_BY_DESTINATION: u16 = 1 << 6;
    const FIN_OF_SOURCE: u16 = 1 << 7;
    const FIN_OF_DESTINATION: u16 = 1 << 8;
    const SENT: u16 = 1 << 9;
    const ANSWERED: u16 = 1 << 10;

    const fn has(self, fact: u16) -> bool {
        self.0 & fact == fact
    }

    /// One fact of the source, or its like of the destination.
    const fn note(&mut self, direction: usize, facts: [u16; 2]) {
        self.0 |= if direction == 0 { facts[0] } else { facts[1] };
    }

    /// Learns from a packet. Says how the destination has answered, where that is news.
    pub(crate) fn learn(&mut self, observed: &Observed) -> Option<Answer> {
        let before = *self;
        let (direction, flags) = (observed.direction, observed.tcp.map(|tcp| tcp.flags));
        self.note(direction, [Self::SENT, Self::ANSWERED]);
        if let Some(flags) = flags {
            self.segment(before, direction, flags);
        }
        if direction == 0 {
            return None;
        }
        let refuses = flags.is_some_and(TcpFlags::rst);
        match (before.has(Self::ANSWERED), before.has(Self::REFUSED)) {
            (false, _) if refuses && before.has(Self::SYN) => {
                self.0 |= Self::REFUSED;
                Some(Answer::Refused)
            }
            (false, _) => Some(Answer::Given),
            (true, true) if !refuses => {
                // A later try was taken after all: what refused the first one is no longer how it ended.
                self.0 &= !(Self::REFUSED | Self::RESET_BY_DESTINATION);
                Some(Answer::Given)
            }
            (true, _) => None,
        }
    }

    fn segment(&mut self, before: Self, direction: usize, flags: TcpFlags) {
        self.0 |= Self::TCP;
        let begun = before.has(Self::SYN_ACK) || before.has(Self::SYN | Self::ANSWERED);
        match (direction, flags.syn(), flags.ack(), flags.rst()) {
            (0, true, false, false) => self.0 |= Self::SYN,
            (1, true, true, false) => self.0 |= Self::SYN_ACK,
            (0, false, true, false) if begun => self.0 |= Self::ESTABLISHED,
            _ => {}
        }
        if flags.fin() && !flags.syn() {
            self.note(direction, [Self::FIN_OF_SOURCE, Self::FIN_OF_DESTINATION]);
        }
        let was_reset = before.has(Self::RESET_BY_SOURCE) || before.has(Self::RESET_BY_DESTINATION);
        if flags.rst() && !was_reset {
            self.note(direction, [Self::RESET_BY_SOURCE, Self::RESET_BY_DESTINATION]);
        }
    }

    /// What the flow has come to.
    pub(crate) fn state(self) -> State {
        if !self.has(Self::TCP) {
            return if self.has(Self::SENT | Self::ANSWERED) {
                State::TwoWay
            } else {
                State::OneWay
            };
        }
        let has_fin = [Self::FIN_OF_SOURCE, Self::FIN_OF_DESTINATION].map(|fin| self.has(fin));
        if self.has(Self::REFUSED) {
            State::Refused
        } else if self.has(Self::RESET_BY_SOURCE | Self::SYN_ACK) && !self.has(Self::ESTABLISHED) {
            State::Aborted
        } else if self.has(Self::RESET_BY_SOURCE) {
            State::ResetBySource
        } else if self.has(Self::RESET_BY_DESTINATION) {
            State::ResetByDestination
        } else if has_fin == [true, true] {
            State::Closed
        } else if has_fin != [false, false] {
            State::HalfClosed
        } else if self.has(Self::ESTABLISHED) {
            State::Established
        } else if self.has(Self::SYN_ACK) {
            State::HalfOpen
        } else if self.has(Self::SYN) && !self.has(Self::ANSWERED) {
            State::Attempt
        } else {
            State::Midstream
        }
    }
}
