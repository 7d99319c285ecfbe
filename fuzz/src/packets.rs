//! One packet in every wrapping that the decoder knows, for the corpus.

use netsage_capture::LinkType;

/// `packet` (from its IPv4 header on) behind the header of each link type, and of Ethernet's tags and labels.
pub fn on_links(packet: &[u8]) -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let llc = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], packet].concat();
    let data_frame = [&[0x88, 1][..], &[0; 24], &llc].concat();
    let ethernet = |ether_type: u16, header: &[u8]| ethernet(ether_type, &[header, packet].concat());
    let link = |header: &[u8]| [header, packet].concat();
    // Their lengths, in the forms that headers want them.
    let [high, low] = (packet.len() as u16 + 2).to_be_bytes();
    let [attribute_low, attribute_high] = (packet.len() as u16 + 4).to_le_bytes();
    vec![
        ("ethernet", LinkType::Ethernet, ethernet(IPV4, &[])),
        (
            "vlan",
            LinkType::Ethernet,
            ethernet(0x88a8, &[0, 1, 0x81, 0, 0, 2, 8, 0]),
        ),
        (
            "mpls",
            LinkType::Ethernet,
            ethernet(0x8847, &[0, 1, 0, 64, 0, 2, 1, 64]),
        ),
        (
            "pppoe",
            LinkType::Ethernet,
            ethernet(0x8864, &[0x11, 0, 0, 1, high, low, 0, 0x21]),
        ),
        ("raw", LinkType::RawIp, link(&[])),
        ("loopback", LinkType::Loopback, link(&[2, 0, 0, 0])),
        (
            "cooked",
            LinkType::LinuxCooked,
            link(&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0]),
        ),
        (
            "cooked2",
            LinkType::LinuxCooked2,
            link(&[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("ppp", LinkType::Ppp, link(&[0xff, 3, 0, 0x21])),
        (
            "pppoe_session",
            LinkType::PppoeSession,
            link(&[0x11, 0, 0, 1, high, low, 0, 0x21]),
        ),
        ("cisco", LinkType::CiscoHdlc, link(&[0x0f, 0, 8, 0])),
        (
            "nflog",
            LinkType::Nflog,
            link(&[
                2,
                0,
                0,
                1,
                8,
                0,
                10,
                0,
                b'a',
                0,
                0,
                0,
                attribute_low,
                attribute_high,
                9,
                0,
            ]),
        ),
        ("wireless", LinkType::Wireless, data_frame.clone()),
        (
            "radiotap",
            LinkType::Radiotap,
            [
                &[0, 0, 17, 0, 3, 0, 0, 0][..],
                &[0; 8],
                &[0x10],
                &data_frame,
                &[0; 4],
            ]
            .concat(),
        ),
    ]
}

/// `packet` (from its IPv4 header on) in each tunnel, on Ethernet.
pub fn in_tunnels(packet: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let bridged = ethernet(IPV4, packet);
    let [high, low] = (packet.len() as u16).to_be_bytes();
    let over_udp = |port: u16, header: &[u8], inner: &[u8]| {
        let data = [header, inner].concat();
        let length = data.len() as u16 + 8;
        let datagram = [
            &port.to_be_bytes()[..],
            &port.to_be_bytes(),
            &length.to_be_bytes(),
            &[0, 0],
            &data,
        ]
        .concat();
        ethernet(IPV4, &ipv4(17, &datagram))
    };
    let in_v6 = ipv6(4, packet);
    vec![
        ("ip_in_ip", ethernet(IPV4, &ipv4(4, packet))),
        ("ip6_in_ip", ethernet(IPV4, &ipv4(41, &in_v6))),
        ("ip_in_ip6", ethernet(IPV6, &in_v6)),
        (
            "gre",
            ethernet(
                IPV4,
                &ipv4(47, &[&[0xb0, 0, 8, 0][..], &[0; 12], packet].concat()),
            ),
        ),
        (
            "gre_bridged",
            ethernet(IPV4, &ipv4(47, &[&[0, 0, 0x65, 0x58], &bridged[..]].concat())),
        ),
        (
            "pptp",
            ethernet(
                IPV4,
                &ipv4(
                    47,
                    &[
                        &[0x30, 0x81, 0x88, 0x0b][..],
                        &[0; 12],
                        &[0xff, 3, 0, 0x21],
                        packet,
                    ]
                    .concat(),
                ),
            ),
        ),
        (
            "erspan_i",
            ethernet(IPV4, &ipv4(47, &[&[0, 0, 0x88, 0xbe], &bridged[..]].concat())),
        ),
        (
            "erspan_ii",
            ethernet(
                IPV4,
                &ipv4(
                    47,
                    &[
                        &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 2],
                        &bridged[..],
                    ]
                    .concat(),
                ),
            ),
        ),
        (
            "erspan_iii",
            ethernet(
                IPV4,
                &ipv4(
                    47,
                    &[
                        &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..],
                        &[0x20, 1, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1],
                        &[0; 8],
                        &bridged,
                    ]
                    .concat(),
                ),
            ),
        ),
        ("vxlan", over_udp(4789, &[8, 0, 0, 0, 0, 0, 7, 0], &bridged)),
        (
            "geneve",
            over_udp(6081, &[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 0], &bridged),
        ),
        (
            "gtp",
            over_udp(2152, &[0x30, 0xff, high, low, 0, 0, 0, 1], packet),
        ),
        (
            "teredo",
            over_udp(
                3544,
                &[
                    0, 1, 1, 1, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6,
                ],
                &in_v6,
            ),
        ),
        (
            "extensions",
            ethernet(
                IPV6,
                &ipv6(
                    0,
                    &[&[44, 0, 1, 4, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 7][..], packet].concat(),
                ),
            ),
        ),
    ]
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [
        &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..],
        &ether_type.to_be_bytes(),
        payload,
    ]
    .concat()
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16 + 20).to_be_bytes();
    [
        &[
            0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        ],
        payload,
    ]
    .concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let address = |last| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [
        &[0x60, 0, 0, 0, high, low, next, 64][..],
        &address(1),
        &address(2),
        payload,
    ]
    .concat()
}
