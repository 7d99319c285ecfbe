//! What one record of a meter says of a flow.

use std::net::IpAddr;
use std::sync::Arc;

use netsage_schema::Beside;
use siphasher::sip128::{Hasher128, SipHasher13};

/// A number for each direction: of the source, of the destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Sides {
    /// Sent by the source.
    pub source: u64,
    /// Sent by the destination.
    pub destination: u64,
}

/// Which bytes of a packet a meter counts, by the codes of [`netsage_schema::record_v1::BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum BytesOf {
    /// IP packets, by the lengths in their headers.
    Network,
    /// Frames, with their link headers, as Argus counts.
    Link,
    /// What TCP or UDP carried alone.
    Payload,
}

impl BytesOf {
    /// All of them, by code.
    pub const ALL: [Self; 3] = [Self::Network, Self::Link, Self::Payload];

    /// The code of the term.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// What a flow has come to, as far as meters agree on it, by the codes of [`netsage_schema::record_v1::STATE`]; 0 stands there
/// for a state that nobody told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum State {
    /// A beginning that was not answered.
    Attempt = 1,
    /// A beginning that was refused.
    Refused,
    /// Both sides speak, or spoke when the record ended.
    Established,
    /// Ended in order.
    Closed,
    /// Reset by either side after it was established.
    Reset,
    /// TCP whose beginning the meter did not see.
    Midstream,
    /// Not TCP, with packets from both sides.
    TwoWay,
    /// Not TCP, with packets from one side.
    OneWay,
}

impl State {
    /// Every state, by code.
    pub const ALL: [Self; 8] = [
        Self::Attempt,
        Self::Refused,
        Self::Established,
        Self::Closed,
        Self::Reset,
        Self::Midstream,
        Self::TwoWay,
        Self::OneWay,
    ];

    /// The code of the term.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// A meter's own identifier of a flow (Zeek's `uid`, Suricata's `flow_id`), as a digest of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnId(pub [u8; 16]);

impl OwnId {
    /// The digest of an identifier's text: the same in every program, since a flow's id depends on it.
    pub fn of(text: &[u8]) -> Self {
        let mut hasher = SipHasher13::new();
        std::hash::Hasher::write(&mut hasher, text);
        Self(hasher.finish128().as_bytes())
    }
}

/// What one record says. What a meter does not say is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// First packet, microseconds since the Unix epoch.
    pub start_us: i64,
    /// Last packet, microseconds since the Unix epoch; never before `start_us`.
    pub end_us: i64,
    /// Who began the flow, by the word of the meter.
    pub source: IpAddr,
    /// The other side.
    pub destination: IpAddr,
    /// Port of the source; 0 where the protocol has none. For ICMP the type, as in `netsage_schema::Identity`.
    pub source_port: u16,
    /// Port of the destination; 0 where the protocol has none. For ICMP the code.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Application protocol, a code of [`netsage_schema::unsw_nb15::SERVICE`]; the code of `-` when the meter looked and
    /// found none, `None` when the meter does not look.
    pub service: Option<u16>,
    /// What the flow has come to.
    pub state: Option<State>,
    /// Packets of each direction.
    pub packets: Option<Sides>,
    /// Bytes of each direction.
    pub bytes: Option<Sides>,
    /// Which bytes those are.
    pub bytes_of: BytesOf,
    /// Bytes that TCP or UDP carried, where the meter says so beside `bytes`.
    pub payload: Option<Sides>,
    /// One in so many packets was looked at, and packets and bytes are multiplied by it; 1 without sampling.
    pub sampling: u32,
    /// The meter's own identifier.
    pub own_id: Option<OwnId>,
    /// Where the flow was seen, where the record says so itself; else its source is asked.
    pub sensor: Option<Arc<str>>,
    /// The network whose addresses these are, where the record says so itself; else its source is asked.
    pub network: Option<Arc<str>>,
    /// What another program has made and said of the flow, as [`formats::flow_json`](crate::formats::flow_json) has it: its
    /// row of another schema, and scores.
    pub foreign: Option<Arc<str>>,
}

impl Record {
    /// What is known of the flow beside its row.
    pub fn beside(&self) -> Beside {
        Beside {
            own_id: self.own_id.map(|OwnId(digest)| digest),
            sampling: self.sampling,
            foreign: self.foreign.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use netsage_schema::record_v1::{BYTES, STATE};

    use super::*;

    #[test]
    fn codes_are_those_of_the_terms() {
        let states = [
            "attempt",
            "refused",
            "established",
            "closed",
            "reset",
            "midstream",
            "two-way",
            "one-way",
        ];
        assert_eq!(STATE.terms.len(), 1 + State::ALL.len());
        for (state, term) in State::ALL.into_iter().zip(states) {
            assert_eq!(STATE.term(state.code()), Some(term), "{state:?}");
        }
        assert_eq!(BYTES.terms.len(), BytesOf::ALL.len());
        for (bytes_of, term) in BytesOf::ALL.into_iter().zip(["network", "link", "payload"]) {
            assert_eq!(BYTES.term(bytes_of.code()), Some(term), "{bytes_of:?}");
        }
    }
}
