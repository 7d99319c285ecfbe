//! The seven counts over blocks of 100 records.
//!
//! The dataset's records were sorted by their last packet and cut into blocks of 100; every record carries the
//! totals of its whole block.

use std::net::IpAddr;

use netsage_schema::Identity;

/// Records that share their counts.
pub(crate) const BLOCK: usize = 100;

/// The counts of a record: `ct_srv_src`, `ct_srv_dst`, `ct_dst_ltm`, `ct_src_ltm`, `ct_src_dport_ltm`,
/// `ct_dst_sport_ltm`, `ct_dst_src_ltm`.
pub(crate) type Counts = [u8; 7];

/// What of the records the counts compare, a column each: values that are equal have equal numbers, so that the
/// comparison of all with all is one of small numbers in a row.
#[derive(Debug)]
pub(crate) struct Block {
    length: usize,
    addresses: Vec<IpAddr>,
    services: [u8; BLOCK],
    sources: [u8; BLOCK],
    destinations: [u8; BLOCK],
    source_ports: [u16; BLOCK],
    destination_ports: [u16; BLOCK],
    seconds: [i64; BLOCK],
}

impl Default for Block {
    fn default() -> Self {
        Self {
            length: 0,
            addresses: Vec::with_capacity(2 * BLOCK),
            services: [0; BLOCK],
            sources: [0; BLOCK],
            destinations: [0; BLOCK],
            source_ports: [0; BLOCK],
            destination_ports: [0; BLOCK],
            seconds: [0; BLOCK],
        }
    }
}

impl Block {
    /// Forgets the records.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.addresses.clear();
    }

    /// Adds a record; a block holds [`BLOCK`] of them.
    pub(crate) fn push(&mut self, service: u16, identity: &Identity) {
        let at = self.length;
        // Codes of services are few, and a block has at most 200 addresses.
        self.services[at] = service as u8;
        self.sources[at] = self.number_of(identity.source);
        self.destinations[at] = self.number_of(identity.destination);
        self.source_ports[at] = identity.source_port;
        self.destination_ports[at] = identity.destination_port;
        self.seconds[at] = identity.end_ns.div_euclid(1_000_000_000);
        self.length += 1;
    }

    /// The counts of the record at `this`.
    pub(crate) fn counts(&self, this: usize) -> Counts {
        let mut counts = [0_u8; 7];
        let length = self.length.min(BLOCK);
        let columns = (
            &self.services[..length],
            &self.sources[..length],
            &self.destinations[..length],
            &self.source_ports[..length],
            &self.destination_ports[..length],
            &self.seconds[..length],
        );
        for other in 0..length {
            let service = columns.0[other] == columns.0[this];
            let source = columns.1[other] == columns.1[this];
            let destination = columns.2[other] == columns.2[this];
            let source_port = columns.3[other] == columns.3[this];
            let destination_port = columns.4[other] == columns.4[this];
            let second = columns.5[other] == columns.5[this];
            counts[0] += u8::from(service & source);
            counts[1] += u8::from(service & destination);
            counts[2] += u8::from(second & destination);
            counts[3] += u8::from(second & source);
            counts[4] += u8::from(second & source & destination_port);
            counts[5] += u8::from(second & destination & source_port);
            counts[6] += u8::from(second & source & destination);
        }
        counts
    }

    fn number_of(&mut self, address: IpAddr) -> u8 {
        let known = self.addresses.iter().position(|&other| other == address);
        let number = known.unwrap_or_else(|| {
            self.addresses.push(address);
            self.addresses.len() - 1
        });
        number as u8
    }
}
