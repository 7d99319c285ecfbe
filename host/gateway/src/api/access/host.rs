//! What a `Host` header may be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A name or an address, with or without a port. Stricter than RFC 3986: what no client of ours sends is refused,
/// instead of being understood in one of several ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority(Host);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// In lower case.
    Name(String),
    /// In its canonical form.
    Address(IpAddr),
}

impl Authority {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (Host::Address(IpAddr::V6(address).to_canonical()), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, port) = text.split_at(end);
                (Host::parse(name)?, port)
            }
        };
        let is_port =
            |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
        (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(Self(host))
    }

    /// Whether this is a loopback name, or the address of this machine that a call came to.
    pub(super) fn is_of(&self, local: IpAddr) -> bool {
        match &self.0 {
            Host::Name(name) => name == "localhost",
            Host::Address(address) => address.is_loopback() || *address == local,
        }
    }
}

impl Host {
    /// A name or an IPv4 address.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = !text.is_empty() && text.bytes().all(is_of_a_name);
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

/// A host that the server may be called by besides its own: a name or an address, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(Host);

/// Why a text is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host; give a name or an address without scheme and port, e.g. netsage.example")]
pub struct NotAHost(String);

impl AllowedHost {
    /// Whether a `Host` header names it.
    pub(super) fn is(&self, authority: &Authority) -> bool {
        self.0 == authority.0
    }
}

impl FromStr for AllowedHost {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let text = text.trim();
        let host = match text.parse::<IpAddr>() {
            Ok(address) => Some(Host::Address(address.to_canonical())),
            Err(_) => Host::parse(text),
        };
        host.map(Self).ok_or_else(|| NotAHost(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_hosts() {
        for text in [
            "netsage.example",
            "NETSAGE",
            "192.0.2.1",
            "2001:db8::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(text.parse::<AllowedHost>().is_ok(), "{text}");
        }
        for text in [
            "",
            "http://netsage.example",
            "netsage.example:80",
            "*.example",
            "a b",
            "[::1]",
        ] {
            assert_eq!(text.parse::<AllowedHost>(), Err(NotAHost(text.to_owned())));
        }
    }
}
