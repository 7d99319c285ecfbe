//! Where a receiver is.

use std::fmt;

/// Host and port of a receiver, from an address `SCHEME://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or an IP address, the latter without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A scheme that an address may have, what it stands for, and the port where the address names none.
pub(crate) type Scheme<T> = (&'static str, T, u16);

/// Why an address is none. What is wrong is told without the address itself, which could hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has no scheme, or one that the receiver does not know.
    #[error("the address begins with none of {0}; write e.g. `{1}log.example`")]
    Scheme(String, String),
    /// There is no host in it.
    #[error("the address names no host; write SCHEME://HOST:PORT")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("the port of the address is no number from 1 to 65535; write SCHEME://HOST:PORT")]
    Port,
    /// A user, a path or a query, which have no meaning here.
    #[error("the address holds more than host and port; write SCHEME://HOST:PORT and nothing behind it")]
    More,
}

impl Address {
    /// Reads an address with one of these schemes.
    pub(crate) fn read<T: Copy>(text: &str, schemes: &[Scheme<T>]) -> Result<(T, Self), AddressError> {
        let known = schemes.iter().find_map(|(name, kind, port)| {
            Some((text.strip_prefix(name)?.strip_prefix("://")?, *kind, *port))
        });
        let Some((rest, kind, usual_port)) = known else {
            let written: Vec<String> = schemes.iter().map(|(name, ..)| format!("{name}://")).collect();
            let first = written.first().cloned().unwrap_or_default();
            return Err(AddressError::Scheme(written.join(", "), first));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '@', '?', '#']) || rest.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err(AddressError::More);
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(AddressError::Host)?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':').ok_or(AddressError::Port)?),
                };
                (host, port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() {
            return Err(AddressError::Host);
        }
        let port = match port {
            None => usual_port,
            Some(port) => (port.parse().ok())
                .filter(|port| *port > 0)
                .ok_or(AddressError::Port)?,
        };
        let host = host.to_owned();
        Ok((kind, Self { host, port }))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        let check = |text: &str, expected: Result<(u8, &str), &str>| {
            let found = Address::read(text, &[("tcp", 1, 514), ("tls", 2, 6514)]);
            match (found, expected) {
                (Ok((kind, address)), Ok(expected)) => {
                    assert_eq!((kind, address.to_string().as_str()), expected, "{text}");
                }
                (Err(error), Err(expected)) => {
                    let error = error.to_string();
                    assert!(error.contains(expected), "{text}: {error}");
                    assert!(!error.contains("tulip"), "{error}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        };
        check("tcp://log.example:10514", Ok((1, "log.example:10514")));
        check("tls://log.example", Ok((2, "log.example:6514")));
        check("tls://192.0.2.1/", Ok((2, "192.0.2.1:6514")));
        check("tcp://[2001:db8::1]", Ok((1, "[2001:db8::1]:514")));
        check("tcp://[2001:db8::1]:9", Ok((1, "[2001:db8::1]:9")));
        check("log.example", Err("none of tcp://, tls://"));
        check("udp://log.example", Err("`tcp://log.example`"));
        check("tcp://", Err("no host"));
        check("tcp://:514", Err("no host"));
        check("tcp://[::1", Err("no host"));
        check("tcp://[::1]514", Err("no number"));
        check("tcp://a:0", Err("no number"));
        check("tcp://a:70000", Err("no number"));
        check("tcp://a:b", Err("no number"));
        check("tcp://user:tulip@a:1", Err("more than host and port"));
        check("tcp://a:1/tulip", Err("more than host and port"));
        check("tcp://a b", Err("more than host and port"));
    }
}
