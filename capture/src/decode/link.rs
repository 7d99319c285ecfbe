//! From the link type to the network header, through whatever lies between.

use super::frame::Frame;
use super::{chdlc, cooked, ethernet, llc, loopback, mpls, nflog, ppp, pppoe, radiotap, vlan, wireless};
use crate::packet::LinkType;
use crate::stats::NotMetered;

/// What a [`Frame`] starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Ethernet,
    Vlan,
    Llc,
    Mpls,
    Pppoe,
    Ppp,
    CiscoHdlc,
    Cooked,
    Cooked2,
    Loopback,
    Nflog,
    Radiotap,
    Wireless,
    /// IPv4 or IPv6, as the first four bits say.
    Ip,
    Network(NetworkKind),
}

/// A network header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkKind {
    Ipv4,
    Ipv6,
    Arp,
}

/// What a header hands on: what follows it, and where.
pub(super) type Next<'a> = Result<(Layer, Frame<'a>), NotMetered>;

impl Layer {
    pub(super) fn of(link: LinkType) -> Result<Self, NotMetered> {
        Ok(match link {
            LinkType::Ethernet => Self::Ethernet,
            LinkType::RawIp => Self::Ip,
            LinkType::LinuxCooked => Self::Cooked,
            LinkType::LinuxCooked2 => Self::Cooked2,
            LinkType::Loopback => Self::Loopback,
            LinkType::Ppp => Self::Ppp,
            LinkType::PppoeSession => Self::Pppoe,
            LinkType::CiscoHdlc => Self::CiscoHdlc,
            LinkType::Nflog => Self::Nflog,
            LinkType::Wireless => Self::Wireless,
            LinkType::Radiotap => Self::Radiotap,
            LinkType::Other(_) => return Err(NotMetered::LinkType),
        })
    }
}

/// Peels headers until the network header. Each takes one of `headers`, so that a packet that is nothing but
/// tags ends soon.
pub(super) fn network<'a>(
    mut layer: Layer,
    mut frame: Frame<'a>,
    headers: &mut usize,
) -> Result<(NetworkKind, Frame<'a>), NotMetered> {
    loop {
        let next = match layer {
            Layer::Network(kind) => return Ok((kind, frame)),
            Layer::Ethernet => ethernet::parse(frame),
            Layer::Vlan => vlan::parse(frame),
            Layer::Llc => llc::parse(frame),
            Layer::Mpls => mpls::parse(frame),
            Layer::Pppoe => pppoe::parse(frame),
            Layer::Ppp => ppp::parse(frame),
            Layer::CiscoHdlc => chdlc::parse(frame),
            Layer::Cooked => cooked::parse(frame),
            Layer::Cooked2 => cooked::parse2(frame),
            Layer::Loopback => loopback::parse(frame),
            Layer::Nflog => nflog::parse(frame),
            Layer::Radiotap => radiotap::parse(frame),
            Layer::Wireless => wireless::parse(frame, 0),
            Layer::Ip => by_version(frame),
        };
        *headers = headers.checked_sub(1).ok_or(NotMetered::TooManyHeaders)?;
        (layer, frame) = next?;
    }
}

fn by_version(frame: Frame<'_>) -> Next<'_> {
    let kind = match frame.bytes.first().ok_or(NotMetered::LinkHeader)? >> 4 {
        4 => NetworkKind::Ipv4,
        6 => NetworkKind::Ipv6,
        _ => return Err(NotMetered::NotIp),
    };
    Ok((Layer::Network(kind), frame))
}
