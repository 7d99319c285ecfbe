//! Packets inside packets: which tunnels are known, and how they are opened.
//!
//! A tunnel is opened only on request, only as a whole (the pieces of a fragmented packet cannot be opened, and
//! all of them belong to one flow), and only when a packet that can be metered lies inside. Otherwise the
//! packet stays in the flow of the tunnel, which is always right, if less telling.

use super::frame::Frame;
use super::link::{self, Layer, Next};
use super::{Decoded, IpPayload, Transport, decode_network, geneve, gre, gtp, protocol, teredo, vxlan};

/// Goes on to the innermost packet that can be reached, if any. `headers` are those that may still be read.
pub(super) fn open<'a>(decoded: &mut Decoded<'a>, ip: &IpPayload<'a>, headers: usize) {
    let payload = Frame {
        bytes: ip.captured,
        before: decoded.link_header + ip.header,
        wire: ip.length.max(ip.captured.len()),
    };
    let Some(inside) = inside(decoded, payload) else {
        return;
    };
    let inner = match inside {
        Ok((layer, frame)) if decoded.fragment.is_none() => packet(layer, frame, headers),
        _ => None,
    };
    match inner {
        Some(inner) => {
            *decoded = inner;
            decoded.tunnels += 1;
        }
        None => decoded.is_closed_tunnel = true,
    }
}

/// What a tunnel holds; `None` for a packet that is no tunnel's.
fn inside<'a>(outer: &Decoded<'a>, payload: Frame<'a>) -> Option<Next<'a>> {
    match (outer.protocol, &outer.transport) {
        (protocol::IPV4 | protocol::IPV6, _) => Some(Ok((Layer::Ip, payload))),
        (protocol::GRE, _) => Some(gre::parse(payload)),
        (_, Transport::Udp(datagram)) => {
            let open = match (datagram.source_port, datagram.destination_port) {
                (_, vxlan::PORT | vxlan::LINUX_PORT) => vxlan::parse,
                (_, geneve::PORT) => geneve::parse,
                (gtp::PORT, _) | (_, gtp::PORT) => gtp::parse,
                (teredo::PORT, _) | (_, teredo::PORT) => teredo::parse,
                _ => teredo::parse_on_any_port,
            };
            let data = payload.skip(super::udp::HEADER)?;
            open(data.limit(datagram.length as usize))
        }
        _ => None,
    }
}

fn packet(layer: Layer, frame: Frame<'_>, headers: usize) -> Option<Decoded<'_>> {
    // The header of the tunnel is one, too: tunnels in tunnels end like tags behind tags.
    let mut headers = headers.checked_sub(1)?;
    let (kind, frame) = link::network(layer, frame, &mut headers).ok()?;
    decode_network(kind, frame, Some(headers)).ok()
}
