//! Protocols without connections.

use super::frame::{self, Ip};
use super::{Case, MILLISECOND, SECOND};

const DNS: u16 = 53;

/// A DNS message of a transaction.
fn message(transaction: u16, answer: bool, length: usize) -> Vec<u8> {
    let mut bytes = transaction.to_be_bytes().to_vec();
    bytes.extend([if answer { 0x81 } else { 1 }, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    bytes.resize(12 + length, b'a');
    bytes
}

/// Name lookups: pairs on one 5-tuple, answers in another order, lost ones, and the same transaction again.
pub(super) fn names() -> Case {
    let mut case = Case::new("dns-pairs");
    let (client, server) = (20, 21);
    let ask = |case: &mut Case, at, port, id| {
        case.add(
            at,
            frame::udp(Ip::new(client, server), (port, DNS), &message(id, false, 20)),
        );
    };
    let answer = |case: &mut Case, at, port, id| {
        case.add(
            at,
            frame::udp(Ip::new(server, client), (DNS, port), &message(id, true, 60)),
        );
    };
    for pair in 0..40_u16 {
        let (at, port) = (i64::from(pair) * SECOND / 2, 30_000 + pair);
        // Two questions in the same microsecond, as resolvers ask.
        ask(&mut case, at, port, 2 * pair);
        ask(&mut case, at, port, 2 * pair + 1);
        let (first, second) = if pair % 2 == 0 { (0, 1) } else { (1, 0) };
        answer(&mut case, at + 10 * MILLISECOND, port, 2 * pair + first);
        if pair % 5 != 0 {
            answer(&mut case, at + 12 * MILLISECOND, port, 2 * pair + second);
        }
        if pair % 7 == 0 {
            ask(&mut case, at + 5 * SECOND, port, 2 * pair);
            answer(&mut case, at + 5 * SECOND + 9 * MILLISECOND, port, 2 * pair);
        }
    }
    // Between two servers, and over IPv6.
    case.add(
        SECOND,
        frame::udp(Ip::new(client, server), (DNS, DNS), &message(7, false, 20)),
    );
    case.add(
        SECOND + 900,
        frame::udp(Ip::new(server, client), (DNS, DNS), &message(7, true, 20)),
    );
    for id in [1, 2, 1] {
        let at = 2 * SECOND + i64::from(id);
        case.add(
            at,
            frame::udp_v6(client, server, (40_000, DNS), &message(id, false, 9)),
        );
        case.add(
            at + 500,
            frame::udp_v6(server, client, (DNS, 40_000), &message(id, true, 9)),
        );
    }
    case.with_traffic_around()
}

/// Datagrams in pieces: in order, in another order, with lost pieces, and answered in pieces.
pub(super) fn fragments() -> Case {
    let mut case = Case::new("fragments");
    let orders: [&[usize]; 10] = [
        &[0, 1, 2],
        &[0, 2, 1],
        &[2, 1, 0],
        &[1, 0, 2],
        &[0, 1],
        &[0],
        &[1, 2],
        &[2],
        &[0, 1, 2, 2],
        &[0, 1, 2, 0, 1, 2],
    ];
    for (number, order) in (0_u16..).zip(orders) {
        for (offset, turned) in [(0, false), (SECOND, true)] {
            let (source, destination) = if turned { (31, 30) } else { (30, 31) };
            let ip = Ip {
                identification: 700 + number + if turned { 100 } else { 0 },
                ..Ip::new(source, destination)
            };
            let client = 40_000 + number;
            let ports = if turned { (9_000, client) } else { (client, 9_000) };
            let pieces = frame::fragments(ip, ports, &[0xee; 3_000], 1_480);
            for (step, &piece) in (0_i64..).zip(order) {
                let at = i64::from(number) * 3 * SECOND + offset + step * 700;
                case.add(at, pieces[piece].clone());
            }
        }
    }
    case.with_traffic_around()
}

/// The same over IPv6.
pub(super) fn fragments_v6() -> Case {
    let mut case = Case::new("fragments-ipv6");
    let orders: [&[usize]; 2] = [&[0, 1, 2], &[0, 1]];
    for (number, order) in (0_u16..).zip(orders) {
        let pieces = frame::fragments_v6((32, 33), (40_000 + number, 9_000), &[0xee; 3_000], 1_448);
        for (step, &piece) in (0_i64..).zip(order) {
            case.add(
                i64::from(number) * 40 * SECOND + step * 700,
                pieces[piece].clone(),
            );
        }
    }
    case.with_traffic_around()
}

/// Identifier, sequence number and some data.
fn echo(identifier: u16, sequence: u16) -> Vec<u8> {
    let mut bytes = identifier.to_be_bytes().to_vec();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0xee; 16]);
    bytes
}

/// Types and codes of ICMP errors and of messages without answer.
#[rustfmt::skip]
const MESSAGES: [(u8, u8); 23] = [
    (3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (3, 6), (3, 7), (3, 9), (3, 10), (3, 13), (4, 0), (5, 0),
    (5, 1), (5, 2), (5, 3), (9, 0), (10, 0), (11, 0), (11, 1), (12, 0), (30, 0), (40, 1),
];

/// Questions and answers of ICMP, and its errors about other flows.
pub(super) fn icmp() -> Case {
    let mut case = Case::new("icmp");
    let (asks, answers, own) = (Ip::new(40, 41), Ip::new(41, 40), Ip::new(42, 42));
    for (number, (request, reply)) in (0_i64..).zip([(8, 0), (13, 14), (15, 16), (17, 18)]) {
        let start = number * SECOND;
        // As ping does, one sequence number after the other; then the same number for all.
        for turn in 0..10_u16 {
            let at = start + i64::from(turn) * 4 * SECOND;
            case.add(at, frame::icmp(asks, request, 0, &echo(77, turn)));
            case.add(at + 30, frame::icmp(answers, reply, 0, &echo(77, turn)));
            case.add(at + 60, frame::icmp(asks, request, 0, &echo(88, 1)));
            if turn % 2 == 0 {
                case.add(at + 90, frame::icmp(answers, reply, 0, &echo(88, 1)));
            }
        }
        // An answer alone, an answer before its question, and one to oneself.
        case.add(start, frame::icmp(answers, reply, 0, &echo(99, 1)));
        case.add(start + 5, frame::icmp(answers, reply, 0, &echo(100, 1)));
        case.add(start + 9, frame::icmp(asks, request, 0, &echo(100, 1)));
        case.add(start, frame::icmp(own, request, 0, &echo(101, 1)));
        case.add(start + 9, frame::icmp(own, reply, 0, &echo(101, 1)));
        // Across the interval, begun again by an answer.
        for turn in 0..15_i64 {
            let at = start + turn * 9 * SECOND;
            case.add(at, frame::icmp(asks, request, 0, &echo(111, 5)));
            case.add(
                at + 8_999 * MILLISECOND,
                frame::icmp(answers, reply, 0, &echo(111, 5)),
            );
        }
    }
    for (number, (kind, code)) in (0_u16..).zip(MESSAGES) {
        for (turn, port) in [(0, 5_000), (1, 5_001), (2, 5_000)] {
            let at = i64::from(number) * 4 * SECOND + turn * SECOND + 300;
            // About a flow that is known, and about one that is not.
            let ports = (3_000 + number, port);
            case.add(at, frame::udp(Ip::new(40, 43), ports, b"who is there"));
            let known = frame::icmp_error(Ip::new(43, 40), kind, code, &frame::quoted_udp(40, 43, ports));
            case.add(at + 20 * MILLISECOND, known.clone());
            case.add(at + 21 * MILLISECOND, known);
            let unknown = frame::quoted_udp(40, 45, (9, port));
            case.add(
                at + 40 * MILLISECOND,
                frame::icmp_error(Ip::new(44, 40), kind, code, &unknown),
            );
        }
    }
    case.with_traffic_around()
}

/// ICMPv6: questions, answers, neighbours, routers, listeners and errors.
pub(super) fn icmp_v6() -> Case {
    let mut case = Case::new("icmp-ipv6");
    let kinds = [
        1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143, 144, 145, 148, 200,
    ];
    for (number, kind) in (0_i64..).zip(kinds) {
        for turn in 0..3_u8 {
            let rest = [0, 9, 0, turn, 1, 2, 3, 4, 5, 6, 7, 8];
            let at = number * SECOND + i64::from(turn) * 500;
            case.add(at, frame::icmp_v6(50, 51, kind, 0, &rest));
        }
    }
    for turn in 0..4_u8 {
        let (at, rest) = (i64::from(turn) * SECOND, [0, 7, 0, turn, 1, 1, 1, 1]);
        for (request, reply) in [(128, 129), (135, 136), (133, 134)] {
            case.add(at, frame::icmp_v6(52, 53, request, 0, &rest));
            case.add(at + 700, frame::icmp_v6(53, 52, reply, 0, &rest));
        }
    }
    case.with_traffic_around()
}

/// ARP: questions and answers both ways, one's own address, and questions nobody answers.
pub(super) fn arp() -> Case {
    let mut case = Case::new("arp");
    for turn in 0..12_i64 {
        let at = turn * 7 * SECOND;
        case.add(at, frame::arp(1, 60, 61));
        case.add(at + 200, frame::arp(2, 61, 60));
        case.add(at + SECOND, frame::arp(1, 61, 60));
        case.add(at + SECOND + 300, frame::arp(2, 60, 61));
        case.add(at + 2 * SECOND, frame::arp(1, 62, 62));
        case.add(at + 3 * SECOND, frame::arp(1, 60, 63));
        case.add(at + 4 * SECOND, frame::arp(2, 64, 60));
    }
    case.with_traffic_around()
}

/// Datagrams with pauses around every timeout and interval, answered or not.
pub(super) fn pauses() -> Case {
    let mut case = Case::new("udp-pauses");
    let pauses = [
        1, 4, 6, 29, 31, 45, 59, 61, 65, 88, 91, 95, 119, 121, 125, 149, 151,
    ];
    for (number, pause) in (0_u16..).zip(pauses) {
        for answered in [false, true] {
            let (client, server) = (
                Ip::new(70 + u8::from(answered), 72),
                Ip::new(72, 70 + u8::from(answered)),
            );
            let (there, back) = ((30_000 + number, 9_000), (9_000, 30_000 + number));
            for turn in 0..4 {
                let at = i64::from(number) * 100 * MILLISECOND + turn * pause * SECOND;
                case.add(at, frame::udp(client, there, b"question"));
                if answered && turn != 1 {
                    case.add(at + 25 * MILLISECOND, frame::udp(server, back, b"an answer"));
                }
                // Often the first packet of a record comes from the destination.
                if answered {
                    case.add(at + pause * SECOND / 2, frame::udp(server, back, b"news"));
                }
            }
        }
    }
    case.with_traffic_around()
}
