//! Rows of small flows, every column of them.

use netsage_schema::flow_v1::{FLOW_V1, STATE};
use netsage_windows::{Counts, Host, Pair, Service};

use crate::decode::TcpFlags;
use crate::features::flow_v1::state::{Facts, State};
use crate::features::flow_v1::{Early, Measures, Observed, ObservedTcp, Row, RowInput, row_of};

pub(super) const SOURCE: usize = 0;
pub(super) const DESTINATION: usize = 1;

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// A packet of `payload` bytes after 40 bytes of headers.
pub(super) fn segment(direction: usize, time_ms: i64, flags: u8, payload: u32) -> Observed {
    Observed {
        direction,
        time_ns: time_ms * 1_000_000,
        bytes: 40 + payload,
        payload,
        tcp: Some(ObservedTcp {
            flags: TcpFlags(flags),
            window: 8192,
        }),
    }
}

/// A datagram of `payload` bytes after 28 bytes of headers.
fn datagram(direction: usize, time_ms: i64, payload: u32) -> Observed {
    Observed {
        direction,
        time_ns: time_ms * 1_000_000,
        bytes: 28 + payload,
        payload,
        tcp: None,
    }
}

fn with_window(window: u32, mut observed: Observed) -> Observed {
    if let Some(tcp) = &mut observed.tcp {
        tcp.window = window;
    }
    observed
}

fn measured(packets: &[Observed]) -> Measures {
    let mut measures = Measures::default();
    for packet in packets {
        measures.packet(packet);
    }
    measures
}

fn row_by(measures: &Measures, counts: &Counts) -> Row {
    row_of(&RowInput {
        source: SOURCE,
        protocol: 0.0,
        service: 0.0,
        state: State::Refused,
        measures,
        counts,
        handshake: (0.0, 0.0),
        retransmissions: [0, 0],
    })
}

/// The columns that are not 0, in the order of the schema; the state by its term. Packets kept as they are give
/// the same measures.
fn check(packets: &[Observed], state: &str, expected: &[(&str, f64)]) {
    let measures = measured(packets);
    check_measures(&measures, expected);
    check_state(packets, state);
    let mut early = Early::default();
    if packets.iter().all(|packet| early.packet(packet)) {
        assert_eq!(early.measures(), measures);
    } else {
        assert!(packets.len() > 5);
    }
}

fn check_measures(measures: &Measures, expected: &[(&str, f64)]) {
    let values = row_by(measures, &Counts::default());
    let found: Vec<_> = (FLOW_V1.columns.iter().zip(values))
        .filter(|(_, value)| *value != 0.0)
        .map(|(column, value)| (column.name, value))
        .collect();
    assert_eq!(found, expected);
}

/// The state does not depend on which side is called the source.
pub(super) fn check_state(packets: &[Observed], expected: &str) {
    for source in [SOURCE, DESTINATION] {
        let mut facts = Facts::default();
        for packet in packets {
            let direction = packet.direction ^ source;
            facts.learn(&Observed { direction, ..*packet }, source);
        }
        assert_eq!(STATE.term(facts.state(source) as u16), Some(expected));
    }
}

#[test]
fn a_lone_packet() {
    let expected = [
        ("src_packets", 1.0),
        ("src_bytes", 40.0),
        ("src_packet_share", 1.0),
        ("src_byte_share", 1.0),
        ("src_size_mean", 40.0),
        ("src_size_min", 40.0),
        ("src_size_max", 40.0),
        ("syn_count", 1.0),
    ];
    check(&[segment(SOURCE, 5, SYN, 0)], "attempt", &expected);
    check(&[], "one-way", &[]);
}

#[test]
fn a_question_and_its_answer() {
    let packets = [datagram(SOURCE, 0, 32), datagram(DESTINATION, 250, 132)];
    let expected = [
        ("duration", 0.25),
        ("src_packets", 1.0),
        ("dst_packets", 1.0),
        ("src_bytes", 60.0),
        ("dst_bytes", 160.0),
        ("src_payload", 32.0),
        ("dst_payload", 132.0),
        ("packet_rate", 4.0),
        ("src_packet_share", 0.5),
        ("src_byte_share", 60.0 / 220.0),
        ("gap_mean", 0.25),
        ("gap_min", 0.25),
        ("gap_max", 0.25),
        ("src_size_mean", 60.0),
        ("src_size_min", 60.0),
        ("src_size_max", 60.0),
        ("dst_size_mean", 160.0),
        ("dst_size_min", 160.0),
        ("dst_size_max", 160.0),
        ("src_first_1", 32.0),
        ("dst_first_1", 132.0),
        ("first_gap_1", 0.25),
    ];
    check(&packets, "two-way", &expected);
}

#[test]
fn a_whole_connection() {
    let packets = [
        segment(SOURCE, 0, SYN, 0),
        segment(DESTINATION, 100, SYN | ACK, 0),
        segment(SOURCE, 200, ACK, 0),
        segment(SOURCE, 200, PSH | ACK, 60),
        with_window(0, segment(DESTINATION, 500, PSH | ACK | URG, 160)),
        segment(SOURCE, 600, FIN | ACK, 0),
        segment(DESTINATION, 1000, FIN | ACK, 0),
    ];
    let expected = [
        ("duration", 1.0),
        ("src_packets", 4.0),
        ("dst_packets", 3.0),
        ("src_bytes", 220.0),
        ("dst_bytes", 280.0),
        ("src_payload", 60.0),
        ("dst_payload", 160.0),
        ("packet_rate", 6.0),
        ("src_packet_share", 4.0 / 7.0),
        ("src_byte_share", 0.44),
        ("gap_mean", 1.0 / 6.0),
        // Gaps 100, 100, 0, 300, 100, 400 ms: mean square 280,000 / 6, squared mean 1,000,000 / 36.
        ("gap_std", (6.0 * 0.28_f64 - 1.0).sqrt() / 6.0),
        ("gap_max", 0.4),
        ("src_gap_mean", 0.2),
        // 200, 0, 400 ms.
        ("src_gap_std", (3.0 * 0.2_f64 - 0.36).sqrt() / 3.0),
        ("src_gap_max", 0.4),
        ("dst_gap_mean", 0.45),
        ("dst_gap_std", 0.05),
        ("dst_gap_min", 0.4),
        ("dst_gap_max", 0.5),
        ("src_size_mean", 55.0),
        ("src_size_std", 675.0_f64.sqrt()),
        ("src_size_min", 40.0),
        ("src_size_max", 100.0),
        ("dst_size_mean", 280.0 / 3.0),
        // 40, 200, 40.
        ("dst_size_std", (3.0 * 43_200.0_f64 - 78_400.0).sqrt() / 3.0),
        ("dst_size_min", 40.0),
        ("dst_size_max", 200.0),
        ("syn_count", 2.0),
        ("fin_count", 2.0),
        ("psh_count", 2.0),
        ("urg_count", 1.0),
        ("dst_zero_windows", 1.0),
        ("src_first_1", 60.0),
        ("dst_first_1", 160.0),
        ("first_gap_1", 0.3),
    ];
    let found = row_by(&measured(&packets), &Counts::default());
    let mut exact = expected.to_vec();
    for (name, value) in &mut exact {
        let position = FLOW_V1.index_of(name).unwrap();
        assert!(
            (found[position] - *value).abs() < 1e-12,
            "{name}: {}",
            found[position]
        );
        *value = found[position];
    }
    check(&packets, "closed", &exact);
}

#[test]
fn flags_that_no_connection_has() {
    for (flags, expected) in [
        (0, 1),
        (FIN, 1),
        (FIN | PSH | URG, 1),
        (SYN | FIN, 1),
        (SYN | RST, 1),
        (SYN, 0),
        (SYN | ACK, 0),
        (ACK, 0),
        (FIN | ACK, 0),
        (RST, 0),
        (RST | ACK, 0),
    ] {
        let measures = measured(&[segment(SOURCE, 0, flags, 0)]);
        assert_eq!(measures.flags.odd, expected, "flags {flags:#04x}");
    }
}

#[test]
fn the_first_packets_are_those_of_the_flow() {
    let packets = [
        segment(SOURCE, 0, ACK, 10),
        segment(SOURCE, 10, ACK, 0),
        segment(SOURCE, 30, ACK, 20),
        segment(DESTINATION, 70, ACK, 30),
    ];
    let mut measures = measured(&packets);
    measures.restart_record();
    let mut early = Early::default();
    assert!(packets.iter().all(|packet| early.packet(packet)));
    early.restart_record();
    assert_eq!(early.measures(), measures);
    let later = [
        ("src_first_1", 10.0),
        ("src_first_2", 20.0),
        ("dst_first_1", 30.0),
        ("first_gap_1", 0.03),
        ("first_gap_2", 0.04),
    ];
    check_measures(&measures, &later);
    for (time_ms, payload) in [(80, 40), (90, 50)] {
        measures.packet(&segment(SOURCE, time_ms, ACK, payload));
    }
    early.packet(&segment(SOURCE, 80, ACK, 40));
    early.packet(&segment(SOURCE, 90, ACK, 50));
    assert_eq!(early.measures(), measures);
    assert!(!early.packet(&segment(SOURCE, 100, ACK, 0)), "no room is left");
    assert_eq!(measures.beginning.sizes, [[10, 20, 40], [30, 0, 0]]);
    assert_eq!(measures.packets(), 2);
    assert_eq!(measures.span(), Some((80_000_000, 90_000_000)));
}

#[test]
fn the_counts_of_the_window() {
    let counts = Counts {
        source: Host {
            flows: 5,
            peers: 2,
            ports: 3,
            failed: 1,
        },
        destination: Host {
            flows: 1,
            peers: 1,
            ports: 1,
            failed: 0,
        },
        service: Service {
            flows: 9,
            sources: 4,
            destinations: 6,
            failed: 4,
        },
        pair: Pair {
            flows: 2,
            ports: 2,
            failed: 1,
        },
        includes_itself: true,
    };
    let tail =
        |counts: &Counts| row_by(&Measures::default(), counts)[FLOW_V1.position("src_flows")..].to_vec();
    assert_eq!(
        tail(&counts),
        [
            5.0, 2.0, 3.0, 0.25, 1.0, 1.0, 1.0, 0.0, 9.0, 4.0, 6.0, 0.5, 2.0, 2.0, 1.0
        ]
    );
    let without = Counts {
        includes_itself: false,
        ..counts
    };
    assert_eq!(tail(&without)[3], 0.2);
}

#[test]
fn what_the_caller_adds_is_in_its_place() {
    let values = row_of(&RowInput {
        source: SOURCE,
        protocol: 1.0,
        service: 2.0,
        state: State::OneWay,
        measures: &Measures::default(),
        counts: &Counts::default(),
        handshake: (0.25, 0.5),
        retransmissions: [3, 4],
    });
    for (name, expected) in [
        ("proto", 1.0),
        ("service", 2.0),
        ("syn_ack_time", 0.25),
        ("ack_time", 0.5),
        ("src_retransmissions", 3.0),
        ("dst_retransmissions", 4.0),
    ] {
        assert_eq!(values[FLOW_V1.index_of(name).unwrap()], expected, "{name}");
    }
}
