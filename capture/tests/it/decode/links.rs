//! Link types, tags and labels.

use netsage_capture::decode::MAX_HEADERS;

use super::{IPV4, IPV6, bytes, check, check_request, ethernet, ipv6, query, request, transport};

#[test]
fn link_types() {
    let ip = request();
    check_request(1, &ethernet(IPV4, &ip), 14);
    check_request(101, &ip, 0);
    check_request(12, &ip, 0);
    check_request(228, &ip, 0);
    // Linux cooked, 1 and 2.
    check_request(
        113,
        &bytes![[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0], ip],
        16,
    );
    check_request(276, &bytes![[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6], [0; 8], ip], 20);
    // Loopback in both byte orders.
    check_request(0, &bytes![[2, 0, 0, 0], ip], 4);
    check_request(0, &bytes![[0, 0, 0, 2], ip], 4);
    check_request(108, &bytes![[0, 0, 0, 2], ip], 4);
    // PPP: framed, not framed, with a short number, and with Cisco's framing.
    check_request(9, &bytes![[0xff, 3, 0, 0x21], ip], 4);
    check_request(9, &bytes![[0, 0x21], ip], 2);
    check_request(9, &bytes![[0x21], ip], 1);
    check_request(50, &bytes![[0x0f, 0, 8, 0], ip], 4);
    check_request(51, &bytes![[0x11, 0, 0, 1, 0, 47, 0, 0x21], ip], 8);
    check_request(104, &bytes![[0x8f, 0, 8, 0], ip], 4);
    check(104, &bytes![[0x8f, 0, 0x80, 0x35], [0; 14]], "not_ip");
    check(147, &ip, "link_type");
}

#[test]
fn ipv6_under_link_types() {
    let ip = ipv6(17, transport(&query()));
    let expected = |before| format!("2001:db8::1 40000 > 2001:db8::2 53 udp at {before} of 54 with 6");
    check(1, &ethernet(IPV6, &ip), &expected(14));
    check(101, &ip, &expected(0));
    for family in [10, 23, 24, 28, 30] {
        check(0, &bytes![[family, 0, 0, 0], ip], &expected(4));
        check(108, &bytes![[0, 0, 0, family], ip], &expected(4));
    }
    check(9, &bytes![[0xff, 3, 0, 0x57], ip], &expected(4));
    check(104, &bytes![[0x0f, 0, 0x86, 0xdd], ip], &expected(4));
    check(0, &bytes![[7, 0, 0, 0], ip], "not_ip");
}

#[test]
fn netfilter_logs() {
    let ip = request();
    // A prefix of 5 bytes, padded to 8, and the packet, in both byte orders.
    let little = [2, 0, 0, 1, 6, 0, 10, 0, b'x', 0, 0, 0, 49, 0, 9, 0];
    let big = [2, 0, 0, 1, 0, 6, 0, 10, b'x', 0, 0, 0, 0, 49, 0, 9];
    check_request(239, &bytes![little, ip], 16);
    check_request(239, &bytes![big, ip, [0xff; 9]], 16);
    check(239, &[2, 0, 0, 1, 3, 0, 10, 0, 0, 0], "link_header");
    check(239, &[2, 0, 0, 1, 8, 0, 10, 0, 0, 0, 0, 0], "link_header");
}

#[test]
fn wireless_frames() {
    let snap = bytes![[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], request()];
    let plain = bytes![[0x08, 1], [0; 22], snap];
    check_request(105, &plain, 32);
    check_request(105, &bytes![[0x08, 3], [0; 28], snap], 38);
    check_request(105, &bytes![[0x88, 1], [0; 24], snap], 34);
    check_request(105, &bytes![[0x88, 0x81], [0; 28], snap], 38);
    check(105, &bytes![[0x80, 0], [0; 40]], "wireless_no_data");
    check(105, &bytes![[0x48, 1], [0; 22]], "wireless_no_data");
    check(105, &bytes![[0x08, 0x41], [0; 40]], "wireless_encrypted");
    check(
        105,
        &bytes![[0x88, 1], [0; 22], [0x80, 0], snap],
        "wireless_aggregate",
    );
    // Radiotap: without fields; with time and flags, the frame with a check sequence; padded behind its header.
    check_request(127, &bytes![[0, 0, 8, 0, 0, 0, 0, 0], plain], 40);
    let flags = bytes![[0, 0, 17, 0, 3, 0, 0, 0], [0; 8], [0x10]];
    check_request(127, &bytes![flags, plain, [1, 2, 3, 4]], 49);
    let padded = bytes![[0, 0, 13, 0, 2, 0, 0, 0x80], [0; 4], [0x20]];
    check_request(127, &bytes![padded, [0x88, 1], [0; 24], [0; 2], snap], 49);
    check(
        127,
        &bytes![[0, 0, 9, 0, 0, 0, 0, 0x80], [0xff; 9]],
        "link_header",
    );
}

#[test]
fn tags_labels_and_sessions() {
    let ip = request();
    let tag = |kind: u16| bytes![[0, 1], kind.to_be_bytes()];
    check_request(1, &ethernet(0x8100, &bytes![tag(IPV4), ip]), 18);
    check_request(
        1,
        &ethernet(0x88a8, &bytes![tag(0x8100), tag(0x9100), tag(IPV4), ip]),
        26,
    );
    let tags = |count: usize| ethernet(0x8100, &bytes![tag(0x8100).repeat(count - 1), tag(IPV4), ip]);
    check_request(1, &tags(MAX_HEADERS - 1), 14 + 4 * (MAX_HEADERS - 1));
    check(1, &tags(MAX_HEADERS), "too_many_headers");
    // 802.3 with SNAP, its length without the padding; plain LLC; what is no IP.
    let snap = bytes![[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], ip];
    check_request(1, &ethernet(53, &bytes![snap, [0; 9]]), 22);
    check_request(1, &ethernet(48, &bytes![[6, 6, 3], ip]), 17);
    check(1, &ethernet(38, &bytes![[0x42, 0x42, 3], [0; 43]]), "not_ip");
    check(1, &ethernet(0x88cc, &[0; 46]), "not_ip");
    // MPLS: two labels with IP, Ethernet with and without the control word.
    let labels = [0, 1, 0x20, 64, 0, 2, 0x21, 64];
    check_request(1, &ethernet(0x8847, &bytes![labels, ip]), 22);
    check_request(
        1,
        &ethernet(0x8847, &bytes![labels, [0; 4], ethernet(IPV4, &ip)]),
        40,
    );
    check_request(1, &ethernet(0x8848, &bytes![labels, ethernet(IPV4, &ip)]), 36);
    let ip6 = ipv6(17, transport(&query()));
    check(
        1,
        &ethernet(0x8847, &bytes![labels, ip6]),
        "2001:db8::1 40000 > 2001:db8::2 53 udp at 22 of 54 with 6",
    );
    check(1, &ethernet(0x8847, &bytes![labels, [0x10; 40]]), "not_ip");
    check(1, &ethernet(0x8847, &[0; 40]), "link_header");
    // PPPoE: a session, padded, with IP and with MPLS; discovery.
    check_request(
        1,
        &ethernet(0x8864, &bytes![[0x11, 0, 0, 1, 0, 47, 0, 0x21], ip, [0; 4]]),
        22,
    );
    let labelled = bytes![[0x11, 0, 0, 1, 0, 55, 2, 0x81], labels, ip];
    check_request(1, &ethernet(0x8864, &labelled), 30);
    check(1, &ethernet(0x8863, &[0x11, 9, 0, 0, 0, 0]), "not_ip");
    check(1, &ethernet(0x8864, &[0x21, 0, 0, 0, 0, 0]), "link_header");
}
