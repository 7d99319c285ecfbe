//! The context of flows, where and when they were: what a detector may ask for besides the columns of a schema.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::{FlowBatch, Identity, Provenance};

/// The secret key by which addresses are hashed (SipHash-2-4), so that a detector can tell addresses apart without
/// learning them. Programs with the same key give an address the same hash, on every machine.
#[derive(Clone, PartialEq, Eq)]
pub struct AddressKey([u8; 16]);

impl AddressKey {
    /// The fixed key for rows of files, on the command line and in the browser, where no address is secret and every
    /// run must give the same scores.
    pub const OF_FILES: Self = Self(*b"netsage of files");

    /// This key.
    pub const fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// The hash of an address. An IPv4 address and the IPv6 address that stands for it (`::ffff:a.b.c.d`) are one host.
    pub fn hash(&self, address: IpAddr) -> u64 {
        SipHasher24::new_with_key(&self.0).hash(&octets(address))
    }

    /// The hash of an address in the network that a flow comes from: hosts of two networks with equal addresses are two
    /// hosts. In the network without a name it is the hash of the address.
    pub fn hash_in(&self, provenance: &Provenance, address: IpAddr) -> u64 {
        match provenance.network() {
            "" => self.hash(address),
            network => {
                let mut hasher = SipHasher24::new_with_key(&self.0);
                hasher.write(&octets(address));
                hasher.write(network.as_bytes());
                hasher.finish()
            }
        }
    }
}

/// The bytes of an address as one of IPv6.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .octets()
}

impl std::fmt::Debug for AddressKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AddressKey")
    }
}

/// The context that a detector asks for: start times, sources, destinations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WantedContext {
    /// When each flow began.
    pub start_time: bool,
    /// Who sent its first packet.
    pub source: bool,
    /// The other side.
    pub destination: bool,
}

impl WantedContext {
    /// Whether the detector asks for any context.
    pub fn any(self) -> bool {
        self.start_time || self.source || self.destination
    }

    /// The context asked for, by name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.start_time, "start-time"),
            (self.source, "source"),
            (self.destination, "destination"),
        ];
        all.into_iter()
            .filter_map(|(wanted, name)| wanted.then_some(name))
    }
}

/// The context of flows, by row, as detectors get it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contexts {
    starts: Vec<u64>,
    sources: Vec<u64>,
    destinations: Vec<u64>,
}

impl Contexts {
    /// The context of no flow.
    pub fn new() -> Self {
        Self::default()
    }

    /// The context of these flows, one entry for each row.
    pub fn of(identities: &[Identity], key: &AddressKey) -> Self {
        let mut contexts = Self::new();
        contexts.extend(identities, key);
        contexts
    }

    /// Appends the context of these flows, which are all of the network without a name.
    pub fn extend(&mut self, identities: &[Identity], key: &AddressKey) {
        for flow in identities {
            self.push_flow(flow, &Provenance::NONE, key);
        }
    }

    /// Appends the context of the flows of a batch, each in its network.
    pub fn extend_of(&mut self, batch: &FlowBatch, key: &AddressKey) {
        for (flow, provenance) in batch.identities.iter().zip(&batch.provenances) {
            self.push_flow(flow, provenance, key);
        }
    }

    /// Appends the context of a flow.
    pub fn push_flow(&mut self, flow: &Identity, provenance: &Provenance, key: &AddressKey) {
        let start = u64::try_from(flow.start_ns / 1_000).unwrap_or(0);
        self.push(
            start,
            key.hash_in(provenance, flow.source),
            key.hash_in(provenance, flow.destination),
        );
    }

    /// Appends the context of the next row: when the flow began, microseconds since the Unix epoch, and keyed hashes of
    /// the addresses.
    pub fn push(&mut self, start: u64, source: u64, destination: u64) {
        self.starts.push(start);
        self.sources.push(source);
        self.destinations.push(destination);
    }

    /// Appends the context of a row of `other`; returns whether that row exists.
    pub fn push_row_of(&mut self, other: &Self, row: usize) -> bool {
        let is_there = row < other.len();
        if is_there {
            self.push(other.starts[row], other.sources[row], other.destinations[row]);
        }
        is_there
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.starts.clear();
        self.sources.clear();
        self.destinations.clear();
    }

    /// When each flow began, microseconds since the Unix epoch.
    pub fn starts(&self) -> &[u64] {
        &self.starts
    }

    /// The keyed hash of each source address.
    pub fn sources(&self) -> &[u64] {
        &self.sources
    }

    /// The keyed hash of each destination address.
    pub fn destinations(&self) -> &[u64] {
        &self.destinations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_siphash_on_every_machine() {
        let key = AddressKey::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        // The vector of sixteen bytes 0 to 15 of the reference implementation (Aumasson and Bernstein, 2012).
        let address = IpAddr::from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15_u8]);
        assert_eq!(
            key.hash(address).to_le_bytes(),
            [0xdb, 0x9b, 0xc2, 0x57, 0x7f, 0xcc, 0x2a, 0x3f]
        );
        let [four, six]: [IpAddr; 2] = ["10.0.0.1", "::ffff:10.0.0.1"].map(|text| text.parse().unwrap());
        assert_eq!(key.hash(four), key.hash(six));
        assert_ne!(key.hash(four), AddressKey::OF_FILES.hash(four));
        let in_network = |network, address| key.hash_in(&Provenance::new("tap", network, true), address);
        assert_eq!(in_network("", four), key.hash(four), "no sensor has a part in it");
        assert_eq!(in_network("a", four), in_network("a", six));
        assert_ne!(in_network("a", four), key.hash(four));
        assert_ne!(in_network("a", four), in_network("b", four));
        assert_eq!(format!("{key:?}"), "AddressKey");
    }
}
