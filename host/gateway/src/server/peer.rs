//! Who is at the other end: the peer of a connection or, behind a proxy that is trusted, its client.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header in which proxies name their clients. Only this one is read: a proxy passes on what it does not set
/// itself, so that a client could forge any other.
const FORWARDED: &str = "x-forwarded-for";

/// The two ends of a call, addresses in their canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// Who calls.
    pub peer: IpAddr,
    /// The address of this machine that the call came to.
    pub local: IpAddr,
}

impl Endpoints {
    /// The ends of a connection.
    pub fn new(peer: IpAddr, local: IpAddr) -> Self {
        Self {
            peer: peer.to_canonical(),
            local: local.to_canonical(),
        }
    }
}

/// The proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    /// Whether an address is that of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The ends of a call: where it comes through trusted proxies, its peer is the last address before them. From the
    /// right, because what stands further left is what the client itself may have sent.
    pub(super) fn resolve(&self, ends: Endpoints, headers: &HeaderMap) -> Endpoints {
        let mut peer = ends.peer;
        let lines = headers.get_all(FORWARDED).iter().rev();
        let mut named = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while self.contains(peer) {
            match named.next().and_then(|entry| parse(entry.trim())) {
                Some(address) => peer = address.to_canonical(),
                None => break,
            }
        }
        Endpoints { peer, ..ends }
    }
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let address = entry.parse().ok();
    address.or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()))
}

/// Whose limits an address counts to: a host has a whole /64 of IPv6 to choose from.
pub(crate) fn group(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let check = |peer: &str, lines: &[&str], expected: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED, line.parse().unwrap());
            }
            let ends = Endpoints::new(peer.parse().unwrap(), "192.0.2.1".parse().unwrap());
            let found = trusted.resolve(ends, &headers).peer;
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        };
        check("198.51.100.1", &["203.0.113.9"], "198.51.100.1");
        check("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check("::1", &["203.0.113.9:4711"], "203.0.113.9");
        check("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9");
        check("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2"], "203.0.113.9");
        check("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1");
        check("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9");
        // Nothing, or nothing that is an address: the proxy itself is the peer.
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9,"], "10.0.0.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn neighbours_of_ipv6_are_one_peer() {
        let group_of = |text: &str| group(text.parse().unwrap());
        assert_eq!(group_of("2001:db8::1"), group_of("2001:db8::ffff:2"));
        assert_ne!(group_of("2001:db8::1"), group_of("2001:db8:0:1::1"));
        assert_ne!(group_of("192.0.2.1"), group_of("192.0.2.2"));
    }
}
