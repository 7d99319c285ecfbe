//! Where a webhook may connect to, and how much of its address may be shown.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use netsage_store::BoxFuture;
use url::{Host, Url};

/// Which addresses a webhook may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AddressPolicy {
    /// All of them: an administrator has written the webhook's address into the settings file.
    #[default]
    Any,
    /// Public ones, and those of these networks: the webhook's address came through the API, from somebody who must not make
    /// the program speak to what only the program can reach.
    Checked {
        /// What may be reached besides.
        allow: Vec<IpNet>,
        /// The folder in which files that the webhook's options name must lie; without one they name none.
        files: Option<PathBuf>,
    },
}

/// Why an address is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no URL. The text is not shown: it may hold a secret.
    #[error("the address is not a URL; write one as https://host/path")]
    NoUrl,
    /// It is a URL of something else.
    #[error("the address is of the scheme `{0}`; only http and https are spoken")]
    Scheme(String),
    /// It holds a user or a password.
    #[error(
        "the address {0} holds a user or a password; put what the receiver asks for into a file and name it with `authorization-file`"
    )]
    Credentials(Shown),
    /// It leads where it must not.
    #[error(
        "{shown} leads to {address}, which is {why}; an address set through the API reaches public addresses and those that the settings file allows"
    )]
    Forbidden {
        /// The address, as far as it may be shown.
        shown: Shown,
        /// Where it leads.
        address: IpAddr,
        /// What is wrong with that.
        why: &'static str,
    },
}

/// Of an address what may be shown: scheme, host and port. Everything else of a webhook's address may be its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    pub(super) fn of(url: &Url) -> Self {
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let host = url.host_str().unwrap_or_default();
        Self(format!("{}://{host}{port}", url.scheme()))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Makes addresses of a name.
pub trait Resolve: Send + Sync {
    /// All addresses of a host, with this port.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// Asks the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Reads a webhook's address. Forms of an address as decimal, octal or hexadecimal numbers are read as browsers read them,
/// so that the checks see the address itself.
///
/// # Errors
/// When it is no URL of http or https, holds a user or a password, or leads to an address that the policy forbids.
pub(super) fn parse(text: &str, policy: &AddressPolicy) -> Result<Url, AddressError> {
    let mut url = Url::parse(text.trim()).map_err(|_| AddressError::NoUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::Scheme(url.scheme().chars().take(16).collect()));
    }
    let shown = Shown::of(&url);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials(shown));
    }
    match url.host() {
        Some(Host::Ipv4(address)) => policy.check(&shown, address.into())?,
        Some(Host::Ipv6(address)) => policy.check(&shown, address.into())?,
        Some(Host::Domain(_)) => {}
        None => return Err(AddressError::NoUrl),
    }
    // It is not sent.
    url.set_fragment(None);
    Ok(url)
}

impl AddressPolicy {
    /// Whether an address may be reached.
    ///
    /// # Errors
    /// When not, why.
    pub(super) fn check(&self, shown: &Shown, address: IpAddr) -> Result<(), AddressError> {
        let Self::Checked { allow, .. } = self else {
            return Ok(());
        };
        let canonical = address.to_canonical();
        if allow.iter().any(|network| network.contains(&canonical)) {
            return Ok(());
        }
        why_not(canonical).map_or(Ok(()), |why| {
            Err(AddressError::Forbidden {
                shown: shown.clone(),
                address,
                why,
            })
        })
    }
}

/// What keeps an address from being a public one.
fn why_not(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => why_not_v4(address),
        IpAddr::V6(address) => why_not_v6(address),
    }
}

/// By the registry of special addresses of IPv4 (RFC 6890).
fn why_not_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("of this host"),
        [127, ..] => Some("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private"),
        [100, 64..=127, ..] => Some("of a provider's inner network"),
        [169, 254, ..] => Some("link-local"),
        [192, 0, 0, _] => Some("reserved for protocols"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("reserved for documentation"),
        [192, 88, 99, _] => Some("a relay of 6to4"),
        [198, 18..=19, ..] => Some("reserved for measurements"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

/// By the registry of special addresses of IPv6: of global unicast those that lead somewhere else, and nothing beside it but
/// NAT64 to a public address.
fn why_not_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // The same as the IPv4 address in it.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => {
            Some(why_not_v4(v4(high, low)).unwrap_or("an outdated form of IPv4"))
        }
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => why_not_v4(v4(high, low)),
        [0x64, 0xff9b, ..] => Some("a translation to an inner network"),
        [0x2002, high, low, ..] => why_not_v4(v4(high, low)),
        [0x2001, 0, ..] => Some("a tunnel of Teredo"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("reserved for documentation"),
        [0x2001, 1..=0x1ff, ..] => Some("reserved for protocols"),
        [0x2000..=0x3fff, ..] => None,
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("private"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(allow: &[&str]) -> AddressPolicy {
        let allow = allow.iter().map(|network| network.parse().unwrap());
        AddressPolicy::Checked {
            allow: allow.collect(),
            files: None,
        }
    }

    #[test]
    fn addresses_are_public_or_not() {
        let check = |address: &str, expected: Option<&str>| {
            assert_eq!(
                why_not(address.parse::<IpAddr>().unwrap().to_canonical()),
                expected,
                "{address}"
            );
        };
        for public in [
            "1.1.1.1",
            "9.9.9.9",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "::ffff:1.1.1.1",
        ] {
            check(public, None);
        }
        check("0.0.0.0", Some("of this host"));
        check("127.255.255.254", Some("loopback"));
        check("10.0.0.1", Some("private"));
        check("172.16.0.1", Some("private"));
        check("172.31.255.255", Some("private"));
        check("192.168.1.1", Some("private"));
        check("100.64.0.1", Some("of a provider's inner network"));
        check("169.254.169.254", Some("link-local"));
        check("192.0.0.8", Some("reserved for protocols"));
        check("203.0.113.9", Some("reserved for documentation"));
        check("198.19.0.1", Some("reserved for measurements"));
        check("239.1.1.1", Some("multicast"));
        check("255.255.255.255", Some("reserved"));
        check("::", Some("of this host"));
        check("::1", Some("loopback"));
        check("::ffff:127.0.0.1", Some("loopback"));
        check("::127.0.0.1", Some("loopback"));
        check("::1.1.1.1", Some("an outdated form of IPv4"));
        check("64:ff9b::7f00:1", Some("loopback"));
        check("64:ff9b:1::1", Some("a translation to an inner network"));
        check("2002:a00:1::1", Some("private"));
        check("2001::1", Some("a tunnel of Teredo"));
        check("2001:db8::1", Some("reserved for documentation"));
        check("2001:2::1", Some("reserved for protocols"));
        check("fd00::1", Some("private"));
        check("fe80::1", Some("link-local"));
        check("ff02::1", Some("multicast"));
        check("100::1", Some("reserved"));
        check("4000::1", Some("reserved"));
    }

    #[test]
    fn what_the_file_allows_may_be_reached() {
        let check = |allow: &[&str], address: &str, expected: bool| {
            let url = parse(&format!("http://{address}/"), &checked(allow));
            assert_eq!(url.is_ok(), expected, "{address}: {url:?}");
        };
        check(&[], "10.1.2.3", false);
        check(&["10.1.0.0/16"], "10.1.2.3", true);
        check(&["10.1.0.0/16"], "10.2.2.3", false);
        check(&["10.1.0.0/16"], "[::ffff:10.1.2.3]", true);
        check(&["fd00::/8"], "[fd00::7]", true);
    }

    #[test]
    fn only_scheme_and_host_are_shown() {
        let check = |text: &str, expected: &str| {
            let url = Url::parse(text).unwrap();
            assert_eq!(Shown::of(&url).to_string(), expected);
        };
        check(
            "https://hooks.example.com/services/T0/B0/secret?key=1#x",
            "https://hooks.example.com",
        );
        check(
            "http://user:secret@[fd00::1]:8080/secret",
            "http://[fd00::1]:8080",
        );
        for text in [
            "secret",
            "http://",
            "http://:8080/secret",
            "https://user:secret@host/",
            "ftp://secret/",
        ] {
            let error = parse(text, &AddressPolicy::Any).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
