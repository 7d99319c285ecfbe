//! The seven counts over blocks of 100 records.
//!
//! The dataset's records were sorted by their last packet and cut into blocks of 100; every record carries the
//! totals of its whole block.

#[cfg(test)]
mod dataset;

use std::net::IpAddr;

use netsage_schema::Identity;

/// Records that share their counts.
pub(crate) const BLOCK: usize = 100;

/// The counts of a record, by the names of their columns without `ct_`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) srv_src: u8,
    pub(crate) srv_dst: u8,
    pub(crate) dst_ltm: u8,
    pub(crate) src_ltm: u8,
    pub(crate) src_dport_ltm: u8,
    pub(crate) dst_sport_ltm: u8,
    pub(crate) dst_src_ltm: u8,
}

/// What of the records the counts compare, a column each: values that are equal have equal numbers, so that the
/// comparison of all with all is one of small numbers in a row. The dataset's blocks hold [`BLOCK`] records.
#[derive(Debug)]
pub(crate) struct Block<const MOST: usize = BLOCK> {
    length: usize,
    addresses: Vec<IpAddr>,
    /// Of the last packets, as they occurred.
    seconds_known: Vec<i64>,
    services: [u16; MOST],
    sources: [u16; MOST],
    destinations: [u16; MOST],
    source_ports: [u16; MOST],
    destination_ports: [u16; MOST],
    seconds: [u16; MOST],
}

impl<const MOST: usize> Default for Block<MOST> {
    fn default() -> Self {
        Self {
            length: 0,
            addresses: Vec::with_capacity(2 * MOST),
            seconds_known: Vec::with_capacity(MOST),
            services: [0; MOST],
            sources: [0; MOST],
            destinations: [0; MOST],
            source_ports: [0; MOST],
            destination_ports: [0; MOST],
            seconds: [0; MOST],
        }
    }
}

impl<const MOST: usize> Block<MOST> {
    /// Forgets the records.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.addresses.clear();
        self.seconds_known.clear();
    }

    /// Adds a record; a block has room for `MOST` of them.
    pub(crate) fn push(&mut self, service: u16, identity: &Identity) {
        let at = self.length;
        let second = identity.end_ns.div_euclid(1_000_000_000);
        self.services[at] = service;
        self.sources[at] = number_of(&mut self.addresses, identity.source);
        self.destinations[at] = number_of(&mut self.addresses, identity.destination);
        self.source_ports[at] = identity.source_port;
        self.destination_ports[at] = identity.destination_port;
        self.seconds[at] = number_of(&mut self.seconds_known, second);
        self.length += 1;
    }

    /// The counts of the record at `this`.
    pub(crate) fn counts(&self, this: usize) -> Counts {
        let length = self.length.min(MOST);
        // All columns have one width, so that the compiler compares many records at once.
        let (services, sources, destinations) = (
            &self.services[..length],
            &self.sources[..length],
            &self.destinations[..length],
        );
        let (source_ports, destination_ports, seconds) = (
            &self.source_ports[..length],
            &self.destination_ports[..length],
            &self.seconds[..length],
        );
        let (mut srv_src, mut srv_dst) = (0_u16, 0_u16);
        let (mut dst_ltm, mut src_ltm) = (0_u16, 0_u16);
        let (mut src_dport_ltm, mut dst_sport_ltm, mut dst_src_ltm) = (0_u16, 0_u16, 0_u16);
        for other in 0..length {
            let service = services[other] == services[this];
            let source = sources[other] == sources[this];
            let destination = destinations[other] == destinations[this];
            let source_port = source_ports[other] == source_ports[this];
            let destination_port = destination_ports[other] == destination_ports[this];
            let second = seconds[other] == seconds[this];
            srv_src += u16::from(service & source);
            srv_dst += u16::from(service & destination);
            dst_ltm += u16::from(second & destination);
            src_ltm += u16::from(second & source);
            src_dport_ltm += u16::from(second & source & destination_port);
            dst_sport_ltm += u16::from(second & destination & source_port);
            dst_src_ltm += u16::from(second & source & destination);
        }
        // There are not many more than 100 records.
        Counts {
            srv_src: srv_src as u8,
            srv_dst: srv_dst as u8,
            dst_ltm: dst_ltm as u8,
            src_ltm: src_ltm as u8,
            src_dport_ltm: src_dport_ltm as u8,
            dst_sport_ltm: dst_sport_ltm as u8,
            dst_src_ltm: dst_src_ltm as u8,
        }
    }
}

/// The place of a value among those that have occurred.
fn number_of<T: PartialEq>(known: &mut Vec<T>, value: T) -> u16 {
    let place = known.iter().position(|other| *other == value);
    let number = place.unwrap_or_else(|| {
        known.push(value);
        known.len() - 1
    });
    number as u16
}
