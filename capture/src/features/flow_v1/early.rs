//! The first packets of a flow as they are, until it is worth a set of measures.
//!
//! A flood consists of flows of a packet or two. Keeping these packets takes a third of the memory of measures and
//! gives the same row: they are added up when a row is computed.

use crate::decode::TcpFlags;

use super::measures::{Measures, Observed, ObservedTcp};
use super::state::Facts;

/// Packets kept: an attempt with its answer and repetitions, or a question with its answer.
const PACKETS: usize = 5;

const ANSWERS: u8 = 1;
const IS_TCP: u8 = 1 << 1;
const ZERO_WINDOW: u8 = 1 << 2;
const EARLIER_RECORD: u8 = 1 << 3;

/// The first packets of a flow, one array per fact so that a packet takes 14 bytes; and what the flow has come
/// to, which stands here because there is room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Early {
    times_ns: [i64; PACKETS],
    bytes: [u16; PACKETS],
    payloads: [u16; PACKETS],
    flags: [u8; PACKETS],
    marks: [u8; PACKETS],
    noted: u8,
    pub(crate) facts: Facts,
}

impl Early {
    /// Keeps a packet, unless there is no room for it: the flow then needs measures.
    pub(crate) fn packet(&mut self, observed: &Observed) -> bool {
        let at = usize::from(self.noted);
        // IP has no larger packets, but a file may claim so.
        let sizes = (u16::try_from(observed.bytes), u16::try_from(observed.payload));
        let (Ok(bytes), Ok(payload), true) = (sizes.0, sizes.1, at < PACKETS) else {
            return false;
        };
        let mark = |is_set, mark| if is_set { mark } else { 0 };
        let tcp = observed.tcp;
        self.times_ns[at] = observed.time_ns;
        self.bytes[at] = bytes;
        self.payloads[at] = payload;
        self.flags[at] = tcp.map_or(0, |tcp| tcp.flags.0);
        self.marks[at] = mark(observed.direction != 0, ANSWERS)
            | mark(tcp.is_some(), IS_TCP)
            | mark(tcp.is_some_and(|tcp| tcp.window == 0), ZERO_WINDOW);
        self.noted += 1;
        true
    }

    /// Begins a new record of the same flow: of the packets so far only what they carried is told again.
    pub(crate) fn restart_record(&mut self) {
        let mut kept = Self {
            facts: self.facts,
            ..Self::default()
        };
        for at in (0..usize::from(self.noted)).filter(|&at| self.payloads[at] > 0) {
            // What was kept has fitted before.
            kept.packet(&self.observed(at));
            kept.marks[usize::from(kept.noted) - 1] |= EARLIER_RECORD;
        }
        *self = kept;
    }

    /// The measures of these packets.
    pub(crate) fn measures(&self) -> Measures {
        let mut measures = Measures::default();
        for at in 0..usize::from(self.noted) {
            let observed = self.observed(at);
            if self.marks[at] & EARLIER_RECORD == 0 {
                measures.packet(&observed);
            } else {
                measures.beginning.packet(&observed);
            }
        }
        measures
    }

    fn observed(&self, at: usize) -> Observed {
        let marks = self.marks[at];
        Observed {
            direction: usize::from(marks & ANSWERS),
            time_ns: self.times_ns[at],
            bytes: u32::from(self.bytes[at]),
            payload: u32::from(self.payloads[at]),
            tcp: (marks & IS_TCP != 0).then(|| ObservedTcp {
                flags: TcpFlags(self.flags[at]),
                window: u32::from(marks & ZERO_WINDOW == 0),
            }),
        }
    }
}
