//! Tunnels: one flow when closed, what they carry when open.

use netsage_capture::decode::MAX_HEADERS;

use super::{ETHERNET, IPV4, IPV6, bytes, ethernet, ipv6, query, read, request, transport};
use crate::packets::{From::Client, ipv4, udp};

/// Checks a tunnel: closed it is `outer`, open it is `inner`.
#[track_caller]
fn check_tunnel(packet: &[u8], outer: &str, inner: &str) {
    let frame = ethernet(if packet[0] >> 4 == 6 { IPV6 } else { IPV4 }, packet);
    let closed = read(ETHERNET, false, &frame, frame.len());
    assert!(closed.starts_with(outer), "closed: {closed}");
    assert_eq!(read(ETHERNET, true, &frame, frame.len()), inner);
}

#[test]
fn tunnels_in_ip() {
    let (v4, v6) = (request(), ipv6(17, transport(&query())));
    let outer4 = |protocol| format!("10.0.0.1 > 10.0.0.2 protocol {protocol} at 14");
    let outer6 = |protocol| format!("2001:db8::1 > 2001:db8::2 protocol {protocol} at 14");
    let inner4 =
        |before, tunnels| format!("10.0.0.1 40000 > 10.0.0.2 80 tcp at {before} of 45 with 5 in {tunnels}");
    let inner6 = |before| format!("2001:db8::1 40000 > 2001:db8::2 53 udp at {before} of 54 with 6 in 1");
    check_tunnel(&ipv4(Client, 4, &v4), &outer4(4), &inner4(34, 1));
    check_tunnel(&ipv4(Client, 41, &v6), &outer4(41), &inner6(34));
    check_tunnel(&ipv6(4, &v4), &outer6(4), &inner4(54, 1));
    check_tunnel(&ipv6(41, &v6), &outer6(41), &inner6(54));
    // GRE: plain, with checksum, key and sequence, bridged, labelled, and PPTP's.
    check_tunnel(
        &ipv4(Client, 47, &bytes![[0, 0, 8, 0], v4]),
        &outer4(47),
        &inner4(38, 1),
    );
    check_tunnel(
        &ipv4(Client, 47, &bytes![[0xb0, 0, 8, 0], [0; 12], v4]),
        &outer4(47),
        &inner4(50, 1),
    );
    check_tunnel(
        &ipv6(47, &bytes![[0, 0, 0x65, 0x58], ethernet(IPV4, &v4)]),
        &outer6(47),
        &inner4(72, 1),
    );
    check_tunnel(
        &ipv4(Client, 47, &bytes![[0, 0, 0x88, 0x47], [0, 1, 1, 64], v6]),
        &outer4(47),
        &inner6(42),
    );
    let pptp = bytes![[0x30, 0x81, 0x88, 0x0b], [0; 12], [0xff, 3, 0, 0x21], v4];
    check_tunnel(&ipv4(Client, 47, &pptp), &outer4(47), &inner4(54, 1));
    // Mirrored frames: ERSPAN I without a header, II, III, III with a subheader, and III of an IP packet.
    let mirrored = ethernet(IPV4, &v4);
    let erspan_i = bytes![[0, 0, 0x88, 0xbe], mirrored];
    check_tunnel(&ipv4(Client, 47, &erspan_i), &outer4(47), &inner4(52, 1));
    let erspan_ii = bytes![[0x10, 0, 0x88, 0xbe], [0; 4], [0x10, 1, 0, 1], [0; 4], mirrored];
    check_tunnel(&ipv4(Client, 47, &erspan_ii), &outer4(47), &inner4(64, 1));
    for (flags, subheader, inside, before) in [
        (0_u16, 0, &mirrored, 68),
        (0x83fe, 0, &mirrored, 68),
        (0x0001, 8, &mirrored, 76),
        (0x0800, 0, &v4, 54),
    ] {
        let header = bytes![[0x20, 1, 0, 1], [0; 6], flags.to_be_bytes()];
        let erspan_iii = bytes![[0x10, 0, 0x22, 0xeb], [0; 4], header, vec![0; subheader], inside];
        check_tunnel(&ipv4(Client, 47, &erspan_iii), &outer4(47), &inner4(before, 1));
    }
    // One in another.
    let nested = ipv4(Client, 4, &ipv4(Client, 47, &bytes![[0, 0, 8, 0], v4]));
    check_tunnel(&nested, &outer4(4), &inner4(58, 2));
}

#[test]
fn tunnels_in_udp() {
    let (v4, v6) = (request(), ipv6(17, transport(&query())));
    let check_port = |port: u16, data: &[u8], inner: &str| {
        check_tunnel(
            &udp(Client, port, data),
            &format!("10.0.0.1 40000 > 10.0.0.2 {port} udp at 14"),
            inner,
        );
    };
    let inner4 = |before| format!("10.0.0.1 40000 > 10.0.0.2 80 tcp at {before} of 45 with 5 in 1");
    let inner6 = |before| format!("2001:db8::1 40000 > 2001:db8::2 53 udp at {before} of 54 with 6 in 1");
    for port in [4789, 8472] {
        check_port(
            port,
            &bytes![[8, 0, 0, 0, 0, 0, 7, 0], ethernet(IPV4, &v4)],
            &inner4(64),
        );
    }
    check_port(
        6081,
        &bytes![[2, 0, 0x65, 0x58, 0, 0, 7, 0], [0; 8], ethernet(IPV4, &v4)],
        &inner4(72),
    );
    check_port(6081, &bytes![[0, 0, 0x86, 0xdd, 0, 0, 7, 0], v6], &inner6(50));
    check_port(3544, &v6, &inner6(42));
    let authentication = bytes![[0, 1, 2, 3], [9; 5], [0; 9]];
    check_port(
        3544,
        &bytes![authentication, [0, 0, 1, 2, 3, 4, 5, 6], v6],
        &inner6(68),
    );
    // Between Teredo peers, on any port.
    let mut peer = v6.clone();
    peer[8 + 2..8 + 4].fill(0);
    check_port(
        32_900,
        &peer,
        "2001::1 40000 > 2001:db8::2 53 udp at 42 of 54 with 6 in 1",
    );
    check_port(2152, &bytes![[0x30, 0xff, 0, 45, 0, 0, 0, 1], v4], &inner4(50));
    let options = [0x36, 0xff, 0, 57, 0, 0, 0, 1, 0, 1, 0, 0x85];
    check_port(
        2152,
        &bytes![options, [1, 0, 0, 0xc0], [1, 0, 0, 0], v4],
        &inner4(62),
    );
}

/// Checks that a packet stays the tunnel's, and whether it counts as one that should have been opened.
#[track_caller]
fn check_closed(packet: &[u8], counted: bool) {
    let text = read(101, true, packet, packet.len());
    assert!(text.starts_with("10.0.0.1 "), "{text}");
    assert!(!text.contains(" in "), "{text}");
    assert_eq!(text.ends_with(" closed"), counted, "{text}");
}

#[test]
fn tunnels_that_stay_closed() {
    let v4 = request();
    // Nothing that can be metered lies inside.
    check_closed(&ipv4(Client, 4, &v4[..30]), true);
    check_closed(&ipv4(Client, 4, &[]), true);
    check_closed(&ipv4(Client, 47, &bytes![[0x40, 0, 8, 0], v4]), true);
    check_closed(&ipv4(Client, 47, &bytes![[0, 0, 0x20, 0], v4]), true);
    check_closed(&ipv4(Client, 47, &[0; 3]), true);
    // ERSPAN of other versions, of what is neither Ethernet nor IP, and cut within its header.
    let mirrored = ethernet(IPV4, &v4);
    for (ether_type, header) in [
        ([0x88, 0xbe], vec![0x20, 1, 0, 1, 0, 0, 0, 0]),
        ([0x22, 0xeb], vec![0x10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ([0x22, 0xeb], vec![0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0]),
    ] {
        let inside = bytes![[0x10, 0], ether_type, [0; 4], header];
        check_closed(&ipv4(Client, 47, &bytes![inside, mirrored]), true);
        check_closed(&ipv4(Client, 47, &inside[..inside.len() - 1]), true);
    }
    check_closed(
        &udp(Client, 4789, &bytes![[8, 0, 0, 0, 0, 0, 7, 0], [0; 20]]),
        true,
    );
    // Other traffic on the port of a tunnel.
    check_closed(&udp(Client, 4789, b"no tunnel"), false);
    check_closed(&udp(Client, 3544, &[0x20; 50]), false);
    check_closed(
        &udp(Client, 2152, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]),
        false,
    );
    check_closed(&udp(Client, 32_900, &ipv6(17, transport(&query()))), false);
    // A piece of a packet.
    let mut piece = ipv4(Client, 4, &v4);
    piece[6] = 0x20;
    check_closed(&piece, true);
    // Too many of them: the last that can be reached is metered.
    let mut nested = v4;
    for _ in 0..MAX_HEADERS {
        nested = ipv4(Client, 4, &nested);
    }
    let text = read(101, true, &nested, nested.len());
    // Each takes two headers, its own and that of the packet; the first packet took one.
    let opened = (MAX_HEADERS - 1) / 2;
    assert!(text.starts_with("10.0.0.1 > 10.0.0.2 protocol 4"), "{text}");
    assert!(text.ends_with(&format!(" in {opened} closed")), "{text}");
}
