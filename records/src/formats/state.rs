//! What a flow has come to, in the one vocabulary that meters agree on.

use crate::{Sides, State};

/// Flags of TCP as they stand in its header.
pub(super) mod flag {
    pub(in crate::formats) const FIN: u8 = 1;
    pub(in crate::formats) const SYN: u8 = 2;
    pub(in crate::formats) const RST: u8 = 4;
    pub(in crate::formats) const PSH: u8 = 8;
    pub(in crate::formats) const ACK: u8 = 16;
    pub(in crate::formats) const URG: u8 = 32;
}

/// The flags that each side has sent in the whole life of a TCP connection, or in the part of it that one record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) source: u8,
    pub(crate) destination: u8,
}

impl Flags {
    fn either(self, flag: u8) -> bool {
        (self.source | self.destination) & flag != 0
    }

    fn both(self, flag: u8) -> bool {
        self.source & self.destination & flag != 0
    }

    /// The state of a connection whose record tells its whole life; `None` without any flag.
    pub(super) fn of_whole(self) -> Option<State> {
        if self.source & flag::SYN != 0 {
            Some(self.of_begun())
        } else if self.source | self.destination == 0 {
            None
        } else {
            Some(State::Midstream)
        }
    }

    /// The state of a connection of which a record may tell a part only, as status records do. Without the beginning,
    /// speech of both sides is what is known.
    pub(crate) fn of_part(self) -> Option<State> {
        if self.source & flag::SYN != 0 {
            Some(self.of_begun())
        } else if self.source | self.destination == 0 {
            None
        } else if self.source == 0 || self.destination == 0 || self.either(flag::SYN) {
            Some(State::Midstream)
        } else {
            Some(self.of_answered())
        }
    }

    fn of_begun(self) -> State {
        if self.destination == 0 {
            State::Attempt
        } else if self.destination & (flag::SYN | flag::RST) == flag::RST {
            State::Refused
        } else {
            self.of_answered()
        }
    }

    fn of_answered(self) -> State {
        if self.both(flag::FIN) {
            State::Closed
        } else if self.either(flag::RST) {
            State::Reset
        } else {
            State::Established
        }
    }
}

/// The state of a flow that is not of TCP: who has sent packets, or bytes where packets are not counted.
pub(crate) fn of_others(packets: Option<Sides>, bytes: Option<Sides>) -> Option<State> {
    let sent = packets.or(bytes)?;
    Some(if sent.source > 0 && sent.destination > 0 {
        State::TwoWay
    } else {
        State::OneWay
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flag::{ACK, FIN, PSH, RST, SYN};

    #[test]
    fn flags_tell_what_a_connection_has_come_to() {
        let check = |source: u8, destination: u8, whole: Option<State>, part: Option<State>| {
            let flags = Flags { source, destination };
            assert_eq!((flags.of_whole(), flags.of_part()), (whole, part), "{flags:?}");
        };
        let both = |source, destination, state| check(source, destination, Some(state), Some(state));
        both(SYN, 0, State::Attempt);
        both(SYN | RST, 0, State::Attempt);
        both(SYN, RST | ACK, State::Refused);
        both(SYN | ACK, SYN | ACK, State::Established);
        both(SYN, ACK, State::Established);
        both(SYN | ACK | FIN, SYN | ACK, State::Established);
        both(SYN | ACK | FIN, SYN | ACK | FIN, State::Closed);
        both(SYN | ACK | FIN | RST, SYN | ACK | FIN, State::Closed);
        both(SYN | RST, SYN | ACK, State::Reset);
        both(SYN | ACK, SYN | ACK | RST, State::Reset);
        both(0, SYN | ACK, State::Midstream);
        both(ACK, 0, State::Midstream);
        both(0, RST, State::Midstream);
        both(ACK, SYN | ACK, State::Midstream);
        check(0, 0, None, None);
        check(PSH | ACK, ACK, Some(State::Midstream), Some(State::Established));
        check(FIN | ACK, FIN | ACK, Some(State::Midstream), Some(State::Closed));
        check(RST, ACK, Some(State::Midstream), Some(State::Reset));
    }

    #[test]
    fn other_flows_are_one_way_or_two_way() {
        let sides = |source, destination| Some(Sides { source, destination });
        let check = |packets, bytes, expected| assert_eq!(of_others(packets, bytes), expected);
        check(sides(1, 1), None, Some(State::TwoWay));
        check(sides(1, 0), sides(9, 9), Some(State::OneWay));
        check(None, sides(9, 9), Some(State::TwoWay));
        check(None, sides(0, 9), Some(State::OneWay));
        check(None, None, None);
    }
}
