//! FTP: logins, and the data connections that a session announces (RFC 959, 2428).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use super::stream::starts_with_word;

const DATA_PORT: u16 = 20;
/// Announced connections that are remembered; a session has one at a time.
const MAX_EXPECTED: usize = 64;
/// Lines read of one segment.
const MAX_LINES: usize = 8;

/// A data connection that is about to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    /// Where it goes; `None` says the address of whoever announced it.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

/// The data connections that sessions have announced, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    expected: VecDeque<(IpAddr, u16)>,
}

impl Expectations {
    pub(super) fn add(&mut self, address: IpAddr, port: u16) {
        if self.expected.len() == MAX_EXPECTED {
            self.expected.pop_front();
        }
        self.expected.push_back((address, port));
    }

    /// Whether a connection to this place was announced; an announcement counts once.
    pub(super) fn take(&mut self, address: IpAddr, port: u16) -> bool {
        let position = self
            .expected
            .iter()
            .position(|&expected| expected == (address, port));
        position
            .and_then(|position| self.expected.remove(position))
            .is_some()
    }
}

/// Whether one of the ports of a TCP connection is that of FTP's data.
pub(super) fn is_data_port(source_port: u16, destination_port: u16) -> bool {
    source_port == DATA_PORT || destination_port == DATA_PORT
}

/// A control connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ftp {
    user: bool,
    pub(super) logins: u32,
}

impl Ftp {
    /// Reads new data of either side.
    pub(super) fn data(&mut self, data: &[u8]) -> Option<Expected> {
        let mut expected = None;
        for line in data.split(|&byte| byte == b'\n').take(MAX_LINES) {
            if starts_with_word(line, "USER") {
                self.user = true;
            } else if starts_with_word(line, "PASS") {
                if std::mem::take(&mut self.user) {
                    self.logins += 1;
                }
            } else if starts_with_word(line, "PORT") || line.starts_with(b"227 ") {
                expected = host_and_port(&line[4..]).or(expected);
            } else if starts_with_word(line, "EPRT") || line.starts_with(b"229 ") {
                expected = extended(line).or(expected);
            }
        }
        expected
    }
}

/// The six numbers `h1,h2,h3,h4,p1,p2`, wherever they stand in the line.
fn host_and_port(line: &[u8]) -> Option<Expected> {
    let text = std::str::from_utf8(line).ok()?;
    let is_part = |character: char| character.is_ascii_digit() || character == ',';
    let numbers = text
        .split(|character| !is_part(character))
        .find(|part| part.contains(','))?;
    let mut octets = [0_u8; 6];
    let mut parts = numbers.split(',');
    for octet in &mut octets {
        *octet = parts.next()?.parse().ok()?;
    }
    let [a, b, c, d, high, low] = octets;
    Some(Expected {
        address: Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        port: u16::from_be_bytes([high, low]),
    })
}

/// `|family|address|port|` of a command, `|||port|` of a reply.
fn extended(line: &[u8]) -> Option<Expected> {
    let text = std::str::from_utf8(line).ok()?;
    let mut parts = text.split('|').skip(2);
    let address = parts.next()?;
    let port = parts.next()?.parse().ok()?;
    let address = if address.is_empty() {
        None
    } else {
        Some(address.parse().ok()?)
    };
    Some(Expected { address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(Option<&str>, u16)>) {
        let expected = expected.map(|(address, port)| Expected {
            address: address.map(|address| address.parse().unwrap()),
            port,
        });
        assert_eq!(Ftp::default().data(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn announced_connections() {
        check(
            "227 Entering Passive Mode (10,0,0,2,4,1).\r\n",
            Some((Some("10.0.0.2"), 1025)),
        );
        check("PORT 10,0,0,1,200,10\r\n", Some((Some("10.0.0.1"), 51210)));
        check(
            "229 Entering Extended Passive Mode (|||6446|)\r\n",
            Some((None, 6446)),
        );
        check("EPRT |2|::1|5282|\r\n", Some((Some("::1"), 5282)));
        check("PORT 10,0,0,1,200,310\r\n", None);
        check("227 no numbers here\r\n", None);
    }

    #[test]
    fn a_login_is_a_user_and_a_password() {
        let mut session = Ftp::default();
        session.data(b"PASS early\r\n");
        session.data(b"USER anonymous\r\n");
        session.data(b"PASS guest\r\n");
        assert_eq!(session.logins, 1);
    }
}
