//! Records of a few hosts, for properties.

use netsage_records::{BytesOf, Network, OwnId, Record, Sides, State};
use proptest::prelude::*;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const START: i64 = 1_700_000_000 * SECOND;

/// A TCP record from 10.0.0.1 that lasted a second.
pub(crate) fn record() -> Record {
    Record {
        start_us: START,
        end_us: START + SECOND,
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        source_port: 40_001,
        destination_port: 443,
        protocol: 6,
        service: Some(0),
        state: Some(State::Closed),
        packets: Some(Sides {
            source: 6,
            destination: 4,
        }),
        bytes: Some(Sides {
            source: 600,
            destination: 2_400,
        }),
        bytes_of: BytesOf::Network,
        payload: None,
        sampling: 1,
        own_id: None,
        sensor: None,
        network: None,
        foreign: None,
    }
}

/// Records of few hosts and services, so that they have much in common. No two are equal: each has its number as its own
/// id.
pub(crate) fn records(most: usize) -> impl Strategy<Value = Vec<(Network, Record)>> {
    let state = prop_oneof![
        Just(None),
        Just(Some(State::Attempt)),
        Just(Some(State::Refused)),
        Just(Some(State::OneWay)),
        Just(Some(State::Midstream)),
        Just(Some(State::Established)),
    ];
    let end = prop_oneof![
        6 => 0..200 * SECOND,
        // Equal ends, and ends a window apart.
        2 => (0..4_i64).prop_map(|minutes| minutes * 60 * SECOND),
    ];
    let sides = |most: u64| proptest::option::of((0..most, 0..3_u64));
    let one = (
        0..2_usize,
        (
            0..4_u8,
            2..6_u8,
            0..3_u16,
            prop_oneof![Just(6_u8), Just(17), Just(1)],
        ),
        (end, 0..90 * SECOND),
        state,
        (sides(5), sides(2_000), proptest::option::of(0..3_u16), 1..3_u32),
    );
    let one = one.prop_map(
        |(network, (source, destination, port, protocol), times, state, counted)| {
            let (end, duration) = times;
            let (packets, bytes, service, sampling) = counted;
            let sides = |(source, destination)| Sides { source, destination };
            let record = Record {
                start_us: START + end - duration,
                end_us: START + end,
                source: [10, 0, 0, source].into(),
                destination: [10, 0, 0, destination].into(),
                source_port: port,
                destination_port: port + 1,
                protocol,
                service,
                state,
                packets: packets.map(sides),
                bytes: bytes.map(sides),
                bytes_of: BytesOf::Network,
                payload: None,
                sampling,
                own_id: None,
                sensor: None,
                network: None,
                foreign: None,
            };
            ([Network::UNNAMED, Network::named("branch")][network], record)
        },
    );
    proptest::collection::vec(one, 1..most).prop_map(|mut records| {
        for (number, (_, record)) in (0_u64..).zip(&mut records) {
            let mut own = [0; 16];
            own[..8].copy_from_slice(&number.to_be_bytes());
            record.own_id = Some(OwnId(own));
        }
        records
    })
}
