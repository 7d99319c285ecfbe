//! The network and transport headers, and the lengths that they state.

use super::{IPV4, bytes, check, check_request, ethernet, ipv6, query, read, request, transport};
use crate::packets::{From::Client, icmp, ipv4, tcp, udp};

#[test]
fn arp() {
    let mut message = bytes![
        [0, 1, 8, 0, 6, 4, 0, 1],
        [0; 6],
        [10, 0, 0, 1],
        [0; 6],
        [10, 0, 0, 2]
    ];
    let expected = |reply| format!("10.0.0.1 > 10.0.0.2 arp reply {reply} at 14 of 28 with 0");
    check(1, &ethernet(0x0806, &message), &expected(false));
    message[7] = 2;
    check(1, &ethernet(0x0806, &bytes![message, [0; 18]]), &expected(true));
    message[4] = 8;
    check(1, &ethernet(0x0806, &message), "arp");
    check(1, &ethernet(0x0806, &message[..27]), "arp");
}

#[test]
fn protocols_of_ip() {
    check(
        101,
        &icmp(Client, 8, 0, 7),
        "10.0.0.1 > 10.0.0.2 icmp 8 458753 at 0 of 28 with 8",
    );
    check(
        101,
        &ipv6(58, &[128, 0, 0, 0, 0, 7, 0, 1]),
        "2001:db8::1 > 2001:db8::2 icmp 128 0 at 0 of 48 with 8",
    );
    check(
        101,
        &ipv4(Client, 132, &bytes![[0x0b, 0x59, 0x0b, 0x5a], [0; 12]]),
        "10.0.0.1 2905 > 10.0.0.2 2906 sctp at 0 of 36 with 16",
    );
    check(101, &ipv4(Client, 132, &[0; 11]), "sctp_header");
    check(
        101,
        &ipv4(Client, 2, &[0; 8]),
        "10.0.0.1 > 10.0.0.2 protocol 2 at 0 of 28 with 8",
    );
    check(
        101,
        &ipv4(Client, 200, &[]),
        "10.0.0.1 > 10.0.0.2 protocol 200 at 0 of 20 with 0",
    );
    check(101, &ipv4(Client, 6, &[0; 19]), "tcp_header");
    check(101, &ipv4(Client, 6, &[0; 20]), "tcp_header");
    check(101, &ipv4(Client, 17, &[0; 7]), "udp_header");
    check(101, &ipv4(Client, 1, &[8, 0]), "icmp_header");
    check(101, &[0x44; 20], "ipv4_header");
    check(101, &[0x45; 19], "ipv4_header");
    check(101, &[0x60; 39], "ipv6_header");
    check(101, &[0x70; 60], "not_ip");
    check(101, &[], "link_header");
}

#[test]
fn extension_headers_and_pieces_of_ipv6() {
    let datagram = transport(&query()).to_vec();
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let piece =
        |next: u8, offset_and_more: u16| bytes![[next, 0], offset_and_more.to_be_bytes(), [0, 1, 0, 0]];
    let ends = "2001:db8::1 40000 > 2001:db8::2 53 udp at 0";
    check(
        101,
        &ipv6(0, &bytes![options(43), options(60), options(17), datagram]),
        &format!("{ends} of 78 with 6"),
    );
    check(
        101,
        &ipv6(44, &bytes![piece(17, 0), datagram]),
        &format!("{ends} of 62 with 6"),
    );
    // The options of the receiver are in the first piece only; all pieces name them.
    check(
        101,
        &ipv6(44, &bytes![piece(60, 1), options(17), datagram]),
        &format!("{ends} of 70 with 6 piece of 65536/60"),
    );
    check(
        101,
        &ipv6(44, &bytes![piece(60, 8), [0xff; 16]]),
        "2001:db8::1 > 2001:db8::2 protocol 60 at 0 of 64 with 16 piece of 65536/60",
    );
    check(101, &ipv6(0, &options(0).repeat(20)), "ipv6_header");
    check(101, &ipv6(60, &[17, 4, 0, 0, 0, 0, 0, 0]), "ipv6_header");
}

#[test]
fn lengths_are_those_of_the_headers() {
    let mut long = tcp(Client, 80, 16, 1, 1, &[7; 1400]);
    let expected = "10.0.0.1 40000 > 10.0.0.2 80 tcp at 14 of 1440 with 1400";
    let frame = ethernet(IPV4, &long);
    for snapped in [54, 60, 96, frame.len()] {
        assert_eq!(read(1, false, &frame[..snapped], frame.len()), expected);
        assert_eq!(read(1, false, &frame[..snapped], snapped), expected);
    }
    // The ports are enough for a flow, and the header states the length.
    for snapped in 38..54 {
        assert_eq!(
            read(1, false, &frame[..snapped], frame.len()),
            expected,
            "{snapped}"
        );
    }
    for snapped in 34..38 {
        assert_eq!(
            read(1, false, &frame[..snapped], frame.len()),
            "tcp_header",
            "{snapped}"
        );
    }
    // Padding is no data, and a card that segments by itself leaves the length to the wire.
    check_request(1, &ethernet(IPV4, &bytes![request(), [0; 20]]), 14);
    long[2..4].fill(0);
    assert_eq!(read(1, false, &ethernet(IPV4, &long)[..60], 1454), expected);
    let datagram = udp(Client, 53, &[7; 600]);
    for snapped in [24, 27, 28, 40] {
        assert_eq!(
            read(101, false, &datagram[..snapped], 628),
            "10.0.0.1 40000 > 10.0.0.2 53 udp at 0 of 628 with 600"
        );
    }
}
