//! Damaged datagrams and floods do no harm, and memory stays within its limit.

use std::net::{Ipv4Addr, SocketAddr};

use netsage_records::netflow::Options;
use netsage_testkit::datagrams::{
    FLOW, FLOW_ABSOLUTE, Head, VARIABLE, flow, ipfix, ipfix_options, set, template, v5, v5_flow, v9,
    v9_options,
};
use netsage_testkit::random::Random;

use super::{Kept, unpaired};

const A: [u8; 4] = [192, 0, 2, 10];
const B: [u8; 4] = [198, 51, 100, 20];

fn head(sequence: u32) -> Head {
    Head {
        sequence,
        ..Head::default()
    }
}

/// Bytes that a collector may hold, pairs included.
fn limit(options: &Options) -> usize {
    options.memory + options.unpaired * 1_024
}

#[test]
fn a_flood_of_templates_stays_within_its_limit() {
    let options = Options {
        memory: 1 << 20,
        ..unpaired()
    };
    let mut kept = Kept::new(options);
    let known = v9(
        &head(0),
        &[
            set(0, &[template(300, &FLOW)]),
            set(300, &[flow(A, B, (1, 2), 1, (1, 2))]),
        ],
    );
    kept.take(&known);
    let fields: Vec<(u16, u16)> = (0..300).map(|number| (1 + number % 2, 4)).collect();
    for number in 0..50_000_u32 {
        let address = Ipv4Addr::from(0x0a00_0000 + number / 50);
        let domain = number % 7;
        let id = 256 + (number % 60_000) as u16;
        let sets = [
            set(0, &[template(id, &fields)]),
            set(id + 1, &[vec![0xff; 1_000]]),
        ];
        let datagram = v9(
            &Head {
                domain,
                ..head(number)
            },
            &sets,
        );
        kept.take_from(SocketAddr::new(address.into(), 9_995), &datagram);
        assert!(
            kept.collector.memory() <= options.memory,
            "{}",
            kept.collector.memory()
        );
    }
    assert!(kept.collector.streams().count() <= options.streams);
    // Who was heard before is known still.
    kept.take(&v9(&head(1), &[set(300, &[flow(A, B, (3, 4), 1, (1, 2))])]));
    assert_eq!(kept.records.len(), 2, "{}", kept.counted());
    kept.finish();
}

#[test]
fn forged_exporters_do_not_push_out_those_that_are_heard() {
    let mut kept = Kept::new(Options {
        streams: 10,
        ..unpaired()
    });
    let heard: Vec<SocketAddr> = (0..10)
        .map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1_000 + port))
        .collect();
    let data = |sequence| v5(&head(sequence), 1, &[v5_flow(A, B, (1, 2), 1, (1, 2))]);
    for exporter in &heard {
        kept.take_from(*exporter, &data(0));
    }
    for port in 2_000..3_000 {
        kept.take_from(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), &data(0));
    }
    assert_eq!(kept.records.len(), 10);
    assert!(
        kept.counted()
            .ends_with("refused: 1000 (more exporters than are kept)"),
        "{}",
        kept.counted()
    );
    // After an hour of silence they are gone.
    kept.advance(3_600_000_001);
    kept.take_from(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 2_000), &data(0));
    assert_eq!(kept.records.len(), 11);
}

#[test]
fn damaged_datagrams_do_no_harm() {
    let absolute: Vec<(u16, u16)> = (FLOW_ABSOLUTE.into_iter()).chain([(82, VARIABLE)]).collect();
    let record = [flow(A, B, (1, 2), 1, (1, 2)), b"\x04eth0".to_vec()].concat();
    let whole = [
        v5(
            &head(0),
            2,
            &[v5_flow(A, B, (1, 2), 1, (1, 2)), v5_flow(B, A, (2, 1), 1, (1, 2))],
        ),
        v9(
            &head(0),
            &[
                set(1, &[v9_options(257, &[(1, 4)], &[(48, 2), (50, 4)])]),
                set(257, &[vec![1; 10]]),
            ],
        ),
        v9(
            &head(1),
            &[
                set(0, &[template(300, &FLOW)]),
                set(300, &[flow(A, B, (1, 2), 1, (1, 2))]),
            ],
        ),
        ipfix(
            &head(0),
            &[
                set(3, &[ipfix_options(256, 1, &[(149, 4), (160, 8)])]),
                set(256, &[vec![1; 12]]),
            ],
        ),
        ipfix(
            &head(1),
            &[
                set(2, &[template(300, &absolute)]),
                set(300, &[record.clone(), record]),
            ],
        ),
    ];
    let options = Options {
        memory: 256 << 10,
        unpaired: 64,
        ..Options::default()
    };
    let mut kept = Kept::new(options);
    let mut random = Random::new(5);
    for _ in 0..20_000 {
        let mut datagram = whole[random.below(whole.len() as u64) as usize].clone();
        for _ in 0..=random.below(4) {
            let place = random.below(datagram.len() as u64) as usize;
            match random.below(4) {
                0 => datagram.truncate(place.max(1)),
                1 => datagram.extend_from_within(place..),
                _ => datagram[place] = random.below(256) as u8,
            }
        }
        kept.take(&datagram).advance(1_000);
        assert!(kept.collector.memory() <= limit(&options));
        assert!(
            kept.records
                .drain(..)
                .all(|(record, _)| record.start_us <= record.end_us)
        );
    }
    kept.finish();
    assert_eq!(kept.collector.unpaired(), 0);
}
