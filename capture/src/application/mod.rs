//! The application protocol of a flow, recognised by its first bytes, and the few facts about it that a schema needs.
//!
//! The engine knows [`Applications`] and no protocol: it asks for the [`Conversation`] of each new flow, lets each
//! packet be read, and passes on what a feature set may want to read itself ([`Said`]).
//!
//! A parser sees the data of a direction in order and each byte once; it keeps a few words per flow and never
//! the data. What is not recognised within the first segments stays unknown.

mod datagram;
mod ftp;
mod http;
mod stream;

use std::net::IpAddr;

use netsage_schema::unsw_nb15::SERVICE;

use crate::decode::{Decoded, TcpSegment, Transport, UdpDatagram, protocol};
use ftp::{Expectations, Expected};
pub(crate) use http::{Http, HttpData};

/// An application protocol that the schema names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Service {
    #[default]
    Unknown,
    Dns,
    Http,
    FtpData,
    Smtp,
    Ssh,
    Ftp,
    Pop3,
    Radius,
    Snmp,
    Dhcp,
    Irc,
    Ssl,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "-",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::FtpData => "ftp-data",
            Self::Smtp => "smtp",
            Self::Ssh => "ssh",
            Self::Ftp => "ftp",
            Self::Pop3 => "pop3",
            Self::Radius => "radius",
            Self::Snmp => "snmp",
            Self::Dhcp => "dhcp",
            Self::Irc => "irc",
            Self::Ssl => "ssl",
        }
    }
}

/// The place in the stream up to which a direction was read.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    next: Option<u32>,
}

impl Cursor {
    /// The part of a segment that is new, and how many bytes before it were lost.
    fn advance<'a>(&mut self, segment: &TcpSegment<'a>) -> Option<(u32, &'a [u8])> {
        let start = segment.sequence.wrapping_add(u32::from(segment.flags.syn()));
        let end = start.wrapping_add(segment.length);
        let expected = self.next.unwrap_or(start);
        // Distances in the sequence space are signed: a segment lies ahead or behind.
        let ahead = start.wrapping_sub(expected).cast_signed();
        let fresh = end.wrapping_sub(expected).cast_signed();
        if fresh <= 0 {
            self.next = Some(expected);
            return None;
        }
        self.next = Some(end);
        let known = usize::try_from(-i64::from(ahead)).unwrap_or(0);
        let lost = u32::try_from(ahead).unwrap_or(0);
        Some((lost, segment.payload.get(known..).unwrap_or(&[])))
    }
}

/// New data of a conversation that is for a feature set to read, where its columns ask for it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'a> {
    /// Of an HTTP connection; few flows need the room that reading it takes.
    Http(HttpData<'a>),
}

/// What a segment told beside what the conversation keeps.
#[derive(Debug)]
enum Told<'a> {
    Nothing,
    Said(Said<'a>),
    /// An FTP session announces a data connection.
    Announced(Expected),
}

/// What the flows of a meter speak, and what one flow tells of another.
#[derive(Debug, Default)]
pub(crate) struct Applications {
    expectations: Expectations,
}

impl Applications {
    /// The conversation of a flow that begins, by its IP protocol, source port, and destination.
    pub(crate) fn begin(&mut self, number: u8, source_port: u16, destination: (IpAddr, u16)) -> Conversation {
        let (address, port) = destination;
        let is_ftp_data = number == protocol::TCP
            && (self.expectations.take(address, port) || ftp::is_data_port(source_port, port));
        if is_ftp_data {
            Conversation::ftp_data()
        } else {
            Conversation::default()
        }
    }

    /// Reads a packet of a flow.
    pub(crate) fn read<'a>(
        &mut self,
        conversation: &mut Conversation,
        sender: usize,
        packet: &Decoded<'a>,
    ) -> Option<Said<'a>> {
        match &packet.transport {
            Transport::Udp(datagram) => conversation.datagram(datagram),
            Transport::Tcp(segment) => match conversation.segment(sender, segment) {
                Told::Nothing => {}
                Told::Said(said) => return Some(said),
                Told::Announced(expected) => {
                    let address = expected.address.unwrap_or(packet.source);
                    self.expectations.add(address, expected.port);
                }
            },
            Transport::Sctp(_) | Transport::Icmp(_) | Transport::Arp { .. } | Transport::Other => {}
        }
        None
    }
}

/// What a flow has said so far; index 0 of its pairs is the source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversation {
    service: Service,
    cursors: [Cursor; 2],
    hints: stream::Hints,
    ftp: ftp::Ftp,
}

impl Conversation {
    /// A connection that an FTP session has announced, or that uses its data port.
    fn ftp_data() -> Self {
        Self {
            service: Service::FtpData,
            ..Self::default()
        }
    }

    /// Reads a datagram.
    fn datagram(&mut self, datagram: &UdpDatagram<'_>) {
        if self.service == Service::Unknown && self.hints.may_look() {
            self.service = datagram::recognise(datagram);
        }
    }

    /// Reads a segment.
    fn segment<'a>(&mut self, sender: usize, segment: &TcpSegment<'a>) -> Told<'a> {
        if segment.length == 0 {
            if segment.flags.syn() {
                self.cursors[sender].next = Some(segment.sequence.wrapping_add(1));
            }
            return Told::Nothing;
        }
        let reading = match self.service {
            Service::Unknown => self.hints.wants_more(),
            Service::Http | Service::Ftp => true,
            _ => false,
        };
        if !reading {
            return Told::Nothing;
        }
        let Some((lost, data)) = self.cursors[sender].advance(segment) else {
            return Told::Nothing;
        };
        if self.service == Service::Unknown {
            let ports = (segment.source_port, segment.destination_port);
            self.service = self.hints.recognise(sender, ports, data);
        }
        match self.service {
            Service::Http => {
                // The bytes that were not captured count for the length of a body all the same.
                let cut = usize::try_from(segment.length)
                    .unwrap_or(0)
                    .saturating_sub(segment.payload.len());
                Told::Said(Said::Http(HttpData {
                    sender,
                    lost: u64::from(lost),
                    data,
                    cut: cut as u64,
                }))
            }
            Service::Ftp => self.ftp.data(data).map_or(Told::Nothing, Told::Announced),
            _ => Told::Nothing,
        }
    }

    /// The code of the service in the vocabulary.
    pub(crate) fn service_code(&self) -> u16 {
        SERVICE
            .code_of(self.service.name())
            .expect("every service is a term of the vocabulary")
    }

    /// FTP logins with user and password.
    pub(crate) fn ftp_logins(&self) -> u32 {
        self.ftp.logins
    }
}
