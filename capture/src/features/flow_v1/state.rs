//! What a flow comes to, by the flags of its packets since the first.

use netsage_windows::Answer;

use crate::decode::TcpFlags;

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

/// Facts about a flow: a set of those below. A fact about a side is one bit for side 0 and the next bit for side 1;
/// which side is the source may turn out later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts(u16);

impl Facts {
    const SENT: u16 = 1;
    const SYN: u16 = 1 << 2;
    const SYN_ACK: u16 = 1 << 4;
    const FIN: u16 = 1 << 6;
    /// The first reset of the flow came from this side.
    const RESET: u16 = 1 << 8;
    const TCP: u16 = 1 << 10;
    const ESTABLISHED: u16 = 1 << 11;
    const REFUSED: u16 = 1 << 12;

    /// Both bits of a fact about a side.
    const fn either(fact: u16) -> u16 {
        fact | fact << 1
    }

    const fn has(self, fact: u16) -> bool {
        self.0 & fact != 0
    }

    const fn has_side(self, side: usize, fact: u16) -> bool {
        self.has(fact << side)
    }

    /// Whether this side has sent anything.
    pub(crate) const fn has_sent(self, side: usize) -> bool {
        self.has_side(side, Self::SENT)
    }

    /// Whether this side has sent a SYN without ACK.
    pub(crate) const fn has_syn(self, side: usize) -> bool {
        self.has_side(side, Self::SYN)
    }

    /// Whether the opening of a connection was seen, or a part of one.
    pub(crate) const fn has_opening(self) -> bool {
        self.has(Self::either(Self::SYN | Self::SYN_ACK))
    }

    /// Learns from a packet; `source` is the side that counts as the source. Says how the destination has answered,
    /// where that is news.
    #[inline]
    pub(crate) fn learn(&mut self, observed: &Observed, source: usize) -> Option<Answer> {
        let (sender, flags) = (observed.direction, observed.tcp.map(|tcp| tcp.flags));
        // The short way of nearly every segment: a connection that is established has nothing to learn from data.
        let is_settled =
            self.has_side(sender, Self::SENT) && self.has(Self::ESTABLISHED) && !self.has(Self::REFUSED);
        if is_settled && flags.is_some_and(|flags| !(flags.syn() || flags.fin() || flags.rst())) {
            return None;
        }
        self.learn_news(sender, flags, source)
    }

    fn learn_news(&mut self, sender: usize, flags: Option<TcpFlags>, source: usize) -> Option<Answer> {
        let before = *self;
        self.0 |= Self::SENT << sender;
        if let Some(flags) = flags {
            self.segment(before, sender, flags);
        }
        if sender == source {
            return None;
        }
        let refuses = flags.is_some_and(TcpFlags::rst);
        match (before.has_side(sender, Self::SENT), before.has(Self::REFUSED)) {
            (false, _) if refuses && before.has_syn(source) => {
                self.0 |= Self::REFUSED;
                Some(Answer::Refused)
            }
            (false, _) => Some(Answer::Given),
            (true, true) if !refuses => {
                // A later try was taken after all: what refused the first one is no longer how it ended.
                self.0 &= !(Self::REFUSED | Self::RESET << sender);
                Some(Answer::Given)
            }
            (true, _) => None,
        }
    }

    fn segment(&mut self, before: Self, sender: usize, flags: TcpFlags) {
        self.0 |= Self::TCP;
        let other = 1 - sender;
        let begun = before.has_side(other, Self::SYN_ACK)
            || before.has_syn(sender) && before.has_side(other, Self::SENT);
        match (flags.syn(), flags.ack(), flags.rst()) {
            (true, false, false) => self.0 |= Self::SYN << sender,
            (true, true, false) => self.0 |= Self::SYN_ACK << sender,
            (false, true, false) if begun => self.0 |= Self::ESTABLISHED,
            _ => {}
        }
        if flags.fin() && !flags.syn() {
            self.0 |= Self::FIN << sender;
        }
        if flags.rst() && !before.has(Self::either(Self::RESET)) {
            self.0 |= Self::RESET << sender;
        }
    }

    /// What the flow has come to, when `source` is the side that counts as the source.
    pub(crate) fn state(self, source: usize) -> State {
        let destination = 1 - source;
        if !self.has(Self::TCP) {
            return if self.has_side(source, Self::SENT) && self.has_side(destination, Self::SENT) {
                State::TwoWay
            } else {
                State::OneWay
            };
        }
        let reset_by_source = self.has_side(source, Self::RESET);
        let is_established = self.has(Self::ESTABLISHED);
        if self.has(Self::REFUSED) {
            State::Refused
        } else if reset_by_source && self.has_side(destination, Self::SYN_ACK) && !is_established {
            State::Aborted
        } else if reset_by_source {
            State::ResetBySource
        } else if self.has_side(destination, Self::RESET) {
            State::ResetByDestination
        } else if self.has_side(source, Self::FIN) && self.has_side(destination, Self::FIN) {
            State::Closed
        } else if self.has(Self::either(Self::FIN)) {
            State::HalfClosed
        } else if is_established {
            State::Established
        } else if self.has(Self::either(Self::SYN_ACK)) {
            State::HalfOpen
        } else if self.has_syn(source) && !self.has_side(destination, Self::SENT) {
            State::Attempt
        } else {
            State::Midstream
        }
    }
}
