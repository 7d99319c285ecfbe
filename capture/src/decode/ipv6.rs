//! IPv6 (RFC 8200) and the extension headers between it and the transport.

use std::net::{IpAddr, Ipv6Addr};

use super::frame::Frame;
use super::{Fragment, IpPayload, u16_at, u32_at};
use crate::stats::NotMetered;

const HEADER: usize = 40;
/// A sound packet has each extension header once, destination options twice.
const MAX_EXTENSIONS: usize = 12;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

const MORE_FRAGMENTS: u16 = 1;
const FRAGMENT_OFFSET: u16 = 0xfff8;

pub(super) fn parse(frame: Frame<'_>) -> Result<IpPayload<'_>, NotMetered> {
    let (fixed, rest) = frame.header::<HEADER>().ok_or(NotMetered::Ipv6Header)?;
    if fixed[0] >> 4 != 6 {
        return Err(NotMetered::Ipv6Header);
    }
    // 0 says jumbogram, or a card that segments by itself: the wire length is then the best there is.
    let stated = match usize::from(u16_at(fixed, 4)) {
        0 => rest.wire,
        stated => stated,
    };
    let extensions = Extensions::parse(fixed[6], &rest.bytes[..rest.bytes.len().min(stated)])?;
    Ok(IpPayload {
        source: address(fixed, 8),
        destination: address(fixed, 24),
        protocol: extensions.protocol,
        time_to_live: fixed[7],
        identification: 0,
        fragment: extensions.fragment,
        header: HEADER + extensions.length,
        // Not below 0: the extensions lie within the captured part of what is stated.
        length: stated.saturating_sub(extensions.length),
        captured: extensions.rest,
        is_cut: frame.wire > frame.bytes.len(),
    })
}

fn address(header: &[u8; HEADER], offset: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[offset..offset + 16]);
    IpAddr::V6(Ipv6Addr::from(octets))
}

/// The extension headers of a packet.
struct Extensions<'a> {
    /// What follows them.
    protocol: u8,
    fragment: Option<Fragment>,
    /// Their bytes.
    length: usize,
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    fn parse(first: u8, bytes: &'a [u8]) -> Result<Self, NotMetered> {
        let mut extensions = Self {
            protocol: first,
            fragment: None,
            length: 0,
            rest: bytes,
        };
        for _ in 0..=MAX_EXTENSIONS {
            // Behind the header of a later piece lies data, whatever it names as next.
            if let Some(Fragment { first: false, .. }) = extensions.fragment {
                return Ok(extensions);
            }
            let length = match extensions.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT => {
                    let head = extensions.rest.first_chunk().ok_or(NotMetered::Ipv6Header)?;
                    extensions.head(head)
                }
                _ => return Ok(extensions),
            };
            extensions.rest = extensions.rest.get(length..).ok_or(NotMetered::Ipv6Header)?;
            extensions.length += length;
        }
        Err(NotMetered::Ipv6Header)
    }

    /// Takes note of the first bytes of an extension header, and gives its length.
    fn head(&mut self, head: &[u8; 8]) -> usize {
        let kind = std::mem::replace(&mut self.protocol, head[0]);
        if kind != FRAGMENT {
            return (usize::from(head[1]) + 1) * 8;
        }
        let offset_and_more = u16_at(head, 2);
        // A fragment without others is the whole packet (RFC 6946).
        if offset_and_more & (FRAGMENT_OFFSET | MORE_FRAGMENTS) != 0 {
            self.fragment = Some(Fragment {
                identification: u32_at(head, 4),
                protocol: head[0],
                first: offset_and_more & FRAGMENT_OFFSET == 0,
            });
        }
        8
    }
}
