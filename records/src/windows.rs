//! The trailing window of records.

use std::net::IpAddr;

use netsage_windows::{Answer, Counts, Opening};

use crate::identity::nanoseconds;
use crate::{Network, Record, State};

/// A host of a network.
type Host = (Network, IpAddr);
/// A service of a network: protocol, and port or type of ICMP.
type Service = (Network, u8, u16);

/// The records that ended in the last 60 s, as [`netsage_schema::record_v1`] defines them.
pub struct Windows {
    counting: netsage_windows::Windows<Host, Service>,
    /// The latest end so far.
    now_us: i64,
    memory: usize,
    /// Of windows before the last restart.
    left_early: u64,
}

impl Windows {
    /// An empty window that never holds more than `memory` bytes, but always room for one record.
    pub fn new(memory: usize) -> Self {
        Self {
            counting: netsage_windows::Windows::new(memory),
            now_us: i64::MIN,
            memory,
            left_early: 0,
        }
    }

    /// Takes a record in and counts. Records come in the order of their ends; one that comes behind its time counts as if
    /// it ended with the latest so far.
    pub fn count(&mut self, network: Network, record: &Record) -> Counts {
        self.now_us = self.now_us.max(record.end_us);
        let (ticket, counts) = self.counting.began(&Opening {
            time_ns: nanoseconds(self.now_us),
            source: (network, record.source.to_canonical()),
            destination: (network, record.destination.to_canonical()),
            service: (network, record.protocol, record.identity().service_port()),
        });
        let answer = if has_failed(record) {
            Answer::Refused
        } else {
            Answer::Given
        };
        self.counting.answered(ticket, answer);
        counts
    }

    /// Empties the window: time begins anew.
    pub fn restart(&mut self) {
        *self = Self {
            left_early: self.left_early(),
            ..Self::new(self.memory)
        };
    }

    /// Records that left before their time because the window was full.
    pub fn left_early(&self) -> u64 {
        self.left_early + self.counting.left_early()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.counting.memory()
    }
}

/// Whether the destination refused what was begun, or did not answer.
fn has_failed(record: &Record) -> bool {
    match record.state {
        Some(State::Attempt | State::Refused | State::OneWay) => true,
        // States that tell nothing of an answer.
        None | Some(State::Midstream) => record.packets.is_some_and(|packets| packets.destination == 0),
        Some(State::Established | State::Closed | State::Reset | State::TwoWay) => false,
    }
}
