//! Two records of one direction each are one flow.

use netsage_records::netflow::Options;
use netsage_records::{Sides, State};
use netsage_testkit::datagrams::{Head, bytes, v5};
use proptest::prelude::*;

use super::Kept;

const CLIENT: [u8; 4] = [192, 0, 2, 10];
const SERVER: [u8; 4] = [198, 51, 100, 20];

/// A record of v5: from, to, ports, packets, times since the start of the exporter, protocol, flags.
#[derive(Debug, Clone, Copy)]
struct Way {
    to_server: bool,
    ports: (u16, u16),
    packets: u32,
    times: (u32, u32),
    protocol: u8,
    flags: u8,
}

impl Way {
    fn bytes(&self) -> Vec<u8> {
        let (from, to) = if self.to_server {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let numbers = bytes(&[
            (0, 8),
            (self.packets.into(), 4),
            (u64::from(self.packets) * 100, 4),
            (self.times.0.into(), 4),
            (self.times.1.into(), 4),
            (self.ports.0.into(), 2),
            (self.ports.1.into(), 2),
            (0, 1),
            (self.flags.into(), 1),
            (self.protocol.into(), 1),
            (0, 1),
            (0, 8),
        ]);
        [&from[..], &to, &numbers].concat()
    }
}

fn way(to_server: bool, packets: u32, times: (u32, u32)) -> Way {
    let ports = if to_server { (50_000, 443) } else { (443, 50_000) };
    Way {
        to_server,
        ports,
        packets,
        times,
        protocol: 6,
        flags: 0x1b,
    }
}

/// Source port, packets of each side, start and end, state.
type Flow<P> = (u16, P, (i64, i64), Option<State>);

/// The flows of some ways, sent in one datagram: source port, packets of each side, start and end, state.
fn flows(ways: &[Way]) -> Vec<Flow<Sides>> {
    let mut kept = Kept::new(Options::default());
    let records: Vec<Vec<u8>> = ways.iter().map(Way::bytes).collect();
    let head = Head::default();
    kept.take(&v5(&head, records.len() as u16, &records)).finish();
    let boot_us = (i64::from(head.seconds) * 1_000 - i64::from(head.uptime_ms)) * 1_000;
    (kept.records.iter())
        .map(|(record, _)| {
            let times = [record.start_us, record.end_us].map(|time| (time - boot_us) / 1_000);
            (
                record.source_port,
                record.packets.unwrap(),
                times.into(),
                record.state,
            )
        })
        .collect()
}

#[track_caller]
fn check(ways: &[Way], expected: &[Flow<(u64, u64)>]) {
    let expected: Vec<_> = (expected.iter())
        .map(|&(port, (source, destination), times, state)| {
            (port, Sides { source, destination }, times, state)
        })
        .collect();
    assert_eq!(flows(ways), expected, "{ways:?}");
}

#[test]
fn two_directions_are_one_flow() {
    let closed = Some(State::Closed);
    // Who comes first does not matter; who begins does.
    check(
        &[way(true, 5, (1_000, 2_000)), way(false, 7, (1_010, 2_100))],
        &[(50_000, (5, 7), (1_000, 2_100), closed)],
    );
    check(
        &[way(false, 7, (1_010, 2_100)), way(true, 5, (1_000, 2_000))],
        &[(50_000, (5, 7), (1_000, 2_100), closed)],
    );
    // Equal times: a refusal has no SYN.
    let refused = Way {
        flags: 0x14,
        ports: (50_001, 50_000),
        ..way(false, 1, (0, 1))
    };
    let asked = Way {
        flags: 0x02,
        ports: (50_000, 50_001),
        ..way(true, 1, (0, 1))
    };
    check(
        &[refused, asked],
        &[(50_000, (1, 1), (0, 1), Some(State::Refused))],
    );
    let refused = Way {
        ports: (50_000, 50_001),
        ..refused
    };
    let asked = Way {
        ports: (50_001, 50_000),
        ..asked
    };
    check(
        &[refused, asked],
        &[(50_001, (1, 1), (0, 1), Some(State::Refused))],
    );
    // Else the server has the lower port.
    check(
        &[way(false, 7, (1_000, 2_000)), way(true, 5, (1_000, 2_000))],
        &[(50_000, (5, 7), (1_000, 2_000), closed)],
    );
}

#[test]
fn pieces_are_paired_with_those_of_their_time() {
    let closed = Some(State::Closed);
    check(
        &[
            way(true, 1, (0, 60_000)),
            way(true, 2, (60_001, 90_000)),
            way(false, 3, (60_050, 90_000)),
            way(false, 4, (50, 60_000)),
        ],
        &[
            (50_000, (2, 3), (60_001, 90_000), closed),
            (50_000, (1, 4), (0, 60_000), closed),
        ],
    );
    // An answer begins after the question; what is a minute later is another flow.
    let one_way = Some(State::Established);
    let part = |packets, times| Way {
        flags: 0x12,
        ..way(false, packets, times)
    };
    check(
        &[way(true, 1, (0, 0)), part(1, (40, 40))],
        &[(50_000, (1, 1), (0, 40), Some(State::Established))],
    );
    check(
        &[
            Way {
                flags: 0x12,
                ..way(true, 1, (0, 0))
            },
            part(2, (60_000, 60_000)),
        ],
        &[
            (50_000, (1, 0), (0, 0), one_way),
            (443, (2, 0), (60_000, 60_000), one_way),
        ],
    );
}

#[test]
fn what_finds_no_partner_has_one_direction() {
    let of = |protocol, flags| Way {
        protocol,
        flags,
        ..way(true, 1, (0, 10))
    };
    let state = |way: Way| flows(&[way])[0].3;
    assert_eq!(state(of(6, 0x02)), Some(State::Attempt));
    assert_eq!(state(of(6, 0x12)), Some(State::Established));
    assert_eq!(state(of(6, 0x1b)), None, "whether both sides closed is not told");
    assert_eq!(state(of(6, 0x14)), Some(State::Midstream));
    assert_eq!(state(of(6, 0)), None);
    assert_eq!(state(of(17, 0)), Some(State::OneWay));
}

#[test]
fn an_echo_and_its_reply_are_one_flow() {
    let echo = |to_server, kind: u16, times| Way {
        ports: (0, kind << 8),
        protocol: 1,
        flags: 0,
        ..way(to_server, 3, times)
    };
    check(
        &[echo(false, 0, (5, 25)), echo(true, 8, (5, 25))],
        &[(8, (3, 3), (5, 25), Some(State::TwoWay))],
    );
    // Unreachable has no answer.
    check(
        &[echo(true, 3, (5, 25)), echo(false, 3, (5, 25))],
        &[
            (3, (3, 0), (5, 25), Some(State::OneWay)),
            (3, (3, 0), (5, 25), Some(State::OneWay)),
        ],
    );
}

#[test]
fn a_record_waits_for_the_stated_time() {
    let mut kept = Kept::new(Options {
        pairing_us: 10_000_000,
        ..Options::default()
    });
    let one = |sequence, way: Way| {
        v5(
            &Head {
                sequence,
                ..Head::default()
            },
            1,
            &[way.bytes()],
        )
    };
    kept.take(&one(0, way(true, 1, (0, 10)))).advance(9_000_000);
    assert!(kept.records.is_empty());
    kept.take(&one(1, way(false, 1, (0, 10))));
    assert_eq!(kept.records.len(), 1);
    kept.take(&one(2, way(true, 1, (0, 10)))).advance(10_000_000);
    assert_eq!(kept.records.len(), 2);
    kept.take(&one(3, way(false, 1, (0, 10)))).advance(10_000_000);
    assert_eq!(kept.records.len(), 3, "its partner has left");
    // For want of room the first leaves.
    let mut kept = Kept::new(Options {
        unpaired: 2,
        ..Options::default()
    });
    for number in 0..3 {
        let way = Way {
            ports: (number, 443),
            ..way(true, 1, (0, 10))
        };
        kept.take(&one(number.into(), way));
    }
    assert_eq!(
        (
            kept.records.len(),
            kept.collector.unpaired(),
            kept.collector.counts().hurried
        ),
        (1, 2, 1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each record is in one flow and no other, whatever the order.
    #[test]
    fn nothing_is_lost_or_doubled(ways in prop::collection::vec((any::<bool>(), 0..4_u16, 1..99_u32, 0..9_u32, 0..5_u32), 1..60)) {
        let ways: Vec<Way> = ways
            .into_iter()
            .map(|(to_server, port, packets, start, length)| {
                let ports = if to_server { (port, 2) } else { (2, port) };
                Way { ports, ..way(to_server, packets, (start * 1_000, (start + length) * 1_000)) }
            })
            .collect();
        let mut kept = Kept::new(Options { unpaired: 9, ..Options::default() });
        for (number, way) in ways.iter().enumerate() {
            let head = Head { sequence: number as u32, ..Head::default() };
            kept.take(&v5(&head, 1, &[way.bytes()])).advance(100_000);
        }
        kept.finish();
        let sent: u64 = ways.iter().map(|way| u64::from(way.packets)).sum();
        let found: u64 = kept.records.iter().map(|(record, _)| record.packets.unwrap()).map(|packets| packets.source + packets.destination).sum();
        prop_assert_eq!(sent, found);
        let counts = kept.collector.counts();
        prop_assert_eq!(counts.records, ways.len() as u64);
        prop_assert_eq!(kept.records.len() as u64, counts.records - counts.pairs);
        prop_assert_eq!(kept.collector.unpaired(), 0);
    }
}
