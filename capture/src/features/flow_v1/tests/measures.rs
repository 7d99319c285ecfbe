//! The measures against the same numbers computed the slow way.

use netsage_schema::flow_v1::FLOW_V1;
use netsage_windows::Counts;
use proptest::prelude::*;

use super::rows::segment;
use crate::decode::TcpFlags;
use crate::features::flow_v1::state::State;
use crate::features::flow_v1::summary::Summary;
use crate::features::flow_v1::{Measures, Observed, ObservedTcp, RowInput, row_of};

#[test]
fn a_flow_takes_few_bytes() {
    assert!(size_of::<Measures>() <= 336, "{}", size_of::<Measures>());
}

#[test]
fn a_steady_pace_has_no_deviation_however_long_it_lasts() {
    let mut measures = Measures::default();
    for index in 0..100_000 {
        measures.packet(&segment(0, index * 500, 0x10, 7));
    }
    let gaps = measures.gaps.summary(measures.packets());
    assert_eq!(
        gaps,
        Summary {
            mean: 0.5,
            std: 0.0,
            min: 0.5,
            max: 0.5
        }
    );
    let sizes = measures.directions[0].sizes();
    assert_eq!(
        sizes,
        Summary {
            mean: 47.0,
            std: 0.0,
            min: 47.0,
            max: 47.0
        }
    );
}

#[test]
fn a_deviation_far_smaller_than_the_mean_is_exact() {
    let mut measures = Measures::default();
    let mut time_ns = 1_700_000_000_000_000_000;
    for index in 0..10_001 {
        measures.packet(&Observed {
            time_ns,
            ..segment(0, 0, 0x10, 0)
        });
        time_ns += 30_000_000_000 + if index % 2 == 0 { 1 } else { -1 };
    }
    let gaps = measures.gaps.summary(measures.packets());
    assert_eq!((gaps.mean, gaps.std), (30.0, 1e-9));
}

fn observed() -> impl Strategy<Value = Observed> {
    let time = prop_oneof![
        8 => 0..60_000_000_000i64,
        1 => any::<i64>(),
    ];
    let bytes = prop_oneof![8 => 20..1500u32, 1 => any::<u32>()];
    let tcp = proptest::option::of((any::<u8>(), 0..3u32).prop_map(|(flags, window)| ObservedTcp {
        flags: TcpFlags(flags),
        window,
    }));
    (0..2usize, time, bytes, 0..2000u32, tcp).prop_map(|(direction, time_ns, bytes, payload, tcp)| Observed {
        direction,
        time_ns,
        bytes,
        payload,
        tcp,
    })
}

/// Two passes over the values.
fn slow(values: &[f64]) -> Summary {
    if values.is_empty() {
        return Summary::default();
    }
    let number = values.len() as f64;
    let mean = values.iter().sum::<f64>() / number;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / number;
    Summary {
        mean,
        std: variance.sqrt(),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(0.0, f64::max),
    }
}

/// The times between packets in seconds; a late one has none, and the next goes from the latest.
fn gaps(packets: &[Observed]) -> Vec<f64> {
    let mut latest = None;
    let mut gaps = Vec::new();
    for packet in packets {
        if let Some(latest) = latest {
            gaps.push(packet.time_ns.saturating_sub(latest).max(0) as f64 / 1e9);
        }
        latest = latest.max(Some(packet.time_ns));
    }
    gaps
}

fn check(found: Summary, expected: Summary) {
    let scale = expected.max.max(1e-9);
    for (found, expected) in [
        (found.mean, expected.mean),
        (found.std, expected.std),
        (found.min, expected.min),
        (found.max, expected.max),
    ] {
        assert!((found - expected).abs() <= 1e-9 * scale, "{found} for {expected}");
    }
    assert!(found.min <= found.mean && found.mean <= found.max);
}

proptest! {
    #[test]
    fn summaries_are_what_two_passes_give(
        packets in proptest::collection::vec(observed(), 0..40),
        earlier in proptest::collection::vec(observed(), 0..5),
    ) {
        let mut measures = Measures::default();
        for packet in &earlier {
            measures.packet(packet);
        }
        measures.restart_record();
        for packet in &packets {
            measures.packet(packet);
        }
        prop_assert_eq!(measures.packets(), packets.len() as u64);
        check(measures.gaps.summary(measures.packets()), slow(&gaps(&packets)));
        for (index, direction) in measures.directions.iter().enumerate() {
            let own: Vec<_> = packets.iter().copied().filter(|packet| packet.direction == index).collect();
            let sizes: Vec<_> = own.iter().map(|packet| f64::from(packet.bytes)).collect();
            check(direction.sizes(), slow(&sizes));
            check(direction.gaps.summary(own.len() as u64), slow(&gaps(&own)));
            prop_assert_eq!(direction.bytes, own.iter().map(|packet| u64::from(packet.bytes)).sum::<u64>());
            prop_assert_eq!(direction.payload, own.iter().map(|packet| u64::from(packet.payload)).sum::<u64>());
        }
        let times = packets.iter().map(|packet| packet.time_ns);
        prop_assert_eq!(measures.span(), times.clone().min().zip(times.max()));
        let values = row_of(&RowInput {
            source: 0,
            protocol: 0.0,
            service: 0.0,
            state: State::Midstream,
            measures: &measures,
            counts: &Counts::default(),
            handshake: (0.0, 0.0),
            retransmissions: [0, 0],
        });
        for (column, value) in FLOW_V1.columns.iter().zip(values) {
            prop_assert!(value.is_finite() && value >= 0.0, "{} is {}", column.name, value);
        }
    }
}
