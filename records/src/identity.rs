//! Who a flow is: one id, the same by every transport and from every meter of this program.

use std::net::IpAddr;

use netsage_schema::Identity;
use sha2::{Digest as _, Sha256};

use crate::{OwnId, Record};

/// The id of a flow: when the flow ended, in milliseconds since the epoch (48 bits, big-endian), so that flows recorded
/// together lie together in a store; then 80 bits of a digest.
pub type FlowId = [u8; 16];

/// The network that addresses belong to, by its name: 192.168.1.10 of two networks is two hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(u64);

impl Network {
    /// The network without a name.
    pub const UNNAMED: Self = Self(0);

    /// The network of that name. The names of two networks are told apart by 64 bits of a digest, which take less room in
    /// every key than a name.
    pub fn named(name: &str) -> Self {
        if name.is_empty() {
            return Self::UNNAMED;
        }
        let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self(u64::from_be_bytes(*first))
    }
}

/// The exporter of a record of NetFlow or IPFIX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exporter {
    /// Address of the exporter. Its port is left out: a restart changes that.
    pub address: IpAddr,
    /// Observation domain or source id.
    pub domain: u32,
}

/// Where a record was made, as far as that is part of a flow's identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The network of the addresses.
    pub network: Network,
    /// Who exported the record; one flow of two exporters is two flows.
    pub exporter: Option<Exporter>,
}

impl Origin {
    /// The origin of a record whose source has this origin: a network that the record itself names comes first.
    pub fn of(&self, record: &Record) -> Self {
        let named = record.network.as_deref().map(Network::named);
        Self {
            network: named.unwrap_or(self.network),
            ..*self
        }
    }
}

impl Record {
    /// Addresses, ports, protocol and times.
    pub fn identity(&self) -> Identity {
        Identity {
            start_ns: nanoseconds(self.start_us),
            end_ns: nanoseconds(self.end_us),
            source: self.source,
            source_port: self.source_port,
            destination: self.destination,
            destination_port: self.destination_port,
            protocol: self.protocol,
        }
    }

    /// The id of the flow.
    pub fn id(&self, origin: &Origin) -> FlowId {
        flow_id(&self.identity(), origin, self.own_id)
    }
}

/// The id of a flow. Equal flows of one origin have equal ids, so that a repeated replay or delivery finds its flows again.
///
/// The digest is the start of the SHA-256 of: source and destination as IPv6 addresses (IPv4 ones mapped), both ports, the
/// protocol, start and end in nanoseconds, cut to whole microseconds; then, each where there is one and behind a byte that
/// says what it is, the network (1), the exporter's address and domain (2), and the meter's own id (3). Numbers are
/// big-endian.
pub fn flow_id(identity: &Identity, origin: &Origin, own_id: Option<OwnId>) -> FlowId {
    let mut hash = Sha256::new();
    hash.update(octets(identity.source));
    hash.update(octets(identity.destination));
    hash.update(identity.source_port.to_be_bytes());
    hash.update(identity.destination_port.to_be_bytes());
    hash.update([identity.protocol]);
    // As nanoseconds, so that captures with times in microseconds keep the ids that stores have of them.
    for time_ns in [identity.start_ns, identity.end_ns] {
        hash.update(nanoseconds(time_ns.div_euclid(1_000)).to_be_bytes());
    }
    if origin.network != Network::UNNAMED {
        hash.update([1]);
        hash.update(origin.network.0.to_be_bytes());
    }
    if let Some(exporter) = origin.exporter {
        hash.update([2]);
        hash.update(octets(exporter.address));
        hash.update(exporter.domain.to_be_bytes());
    }
    if let Some(OwnId(own)) = own_id {
        hash.update([3]);
        hash.update(own);
    }
    let digest = hash.finalize();
    // 48 bits last until the year 10889; before 1970 and after that only the order is lost.
    let time = identity.end_ns.div_euclid(1_000_000).to_be_bytes();
    let mut id = [0; 16];
    id[..6].copy_from_slice(&time[2..]);
    id[6..].copy_from_slice(&digest[..10]);
    id
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

pub(crate) fn nanoseconds(microseconds: i64) -> i64 {
    microseconds.saturating_mul(1_000)
}
