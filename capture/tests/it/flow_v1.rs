//! Rows of `flow-v1`, from packets to columns.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netsage_capture::{LinkType, Meter, MeterConfig, Mode, Packet};
use netsage_schema::{FLOW_V1, FlowBatch, Identity, UNSW_NB15};
use proptest::prelude::*;

use crate::captures;
use crate::invariants::traffic;
use crate::packets::{ACK, FIN, From, MILLISECOND, RST, START, SYN, icmp, metered, raw, tcp, udp};

fn config() -> MeterConfig {
    MeterConfig {
        schema: &FLOW_V1,
        ..MeterConfig::default()
    }
}

fn value(batch: &FlowBatch, record: usize, column: &str) -> f64 {
    let schema = batch.rows.schema();
    batch.rows.row(record)[schema.index_of(column).expect("a column of the schema")]
}

/// The columns of the only record that are not 0, terms as they are written.
fn check(packets: &[(i64, Vec<u8>)], expected: &[(&str, &str)]) {
    let batch = metered(config(), packets);
    assert_eq!(batch.len(), 1);
    let found: Vec<(&str, String)> = (FLOW_V1.columns.iter().zip(batch.rows.row(0)))
        .filter(|(column, value)| **value != 0.0 || column.vocabulary().is_some())
        .map(|(column, &value)| match column.term(value) {
            Some(term) => (column.name, term.to_owned()),
            None => (column.name, format!("{}", (value * 1e6).round() / 1e6)),
        })
        .collect();
    let found: Vec<_> = found
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(found, expected);
}

fn check_column(batch: &FlowBatch, column: &str, expected: &[f64]) {
    let found: Vec<_> = (0..batch.len())
        .map(|record| value(batch, record, column))
        .collect();
    assert_eq!(found, expected, "{column}");
}

const PSH: u8 = 8;

#[test]
fn a_web_request() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (asked, answered) = (101 + 27, 501 + 40);
    let packets = [
        (0, tcp(From::Client, 80, SYN, 100, 0, b"")),
        (20, tcp(From::Server, 80, SYN | ACK, 500, 101, b"")),
        (50, tcp(From::Client, 80, ACK, 101, 501, b"")),
        (50, tcp(From::Client, 80, PSH | ACK, 101, 501, request)),
        (150, tcp(From::Server, 80, PSH | ACK, 501, asked, reply)),
        (160, tcp(From::Client, 80, FIN | ACK, asked, answered, b"")),
        (200, tcp(From::Server, 80, FIN | ACK, answered, asked + 1, b"")),
        (250, tcp(From::Client, 80, ACK, asked + 1, answered + 1, b"")),
    ];
    let expected = [
        ("proto", "tcp"),
        ("service", "http"),
        ("state", "closed"),
        ("duration", "0.25"),
        ("src_packets", "5"),
        ("dst_packets", "3"),
        ("src_bytes", "227"),
        ("dst_bytes", "160"),
        ("src_payload", "27"),
        ("dst_payload", "40"),
        ("packet_rate", "28"),
        ("src_packet_share", "0.625"),
        ("src_byte_share", "0.586563"),
        ("gap_mean", "0.035714"),
        ("gap_std", "0.030639"),
        ("gap_max", "0.1"),
        ("src_gap_mean", "0.0625"),
        ("src_gap_std", "0.042057"),
        ("src_gap_max", "0.11"),
        ("dst_gap_mean", "0.09"),
        ("dst_gap_std", "0.04"),
        ("dst_gap_min", "0.05"),
        ("dst_gap_max", "0.13"),
        ("src_size_mean", "45.4"),
        ("src_size_std", "10.8"),
        ("src_size_min", "40"),
        ("src_size_max", "67"),
        ("dst_size_mean", "53.333333"),
        ("dst_size_std", "18.856181"),
        ("dst_size_min", "40"),
        ("dst_size_max", "80"),
        ("syn_count", "2"),
        ("fin_count", "2"),
        ("psh_count", "2"),
        ("syn_ack_time", "0.02"),
        ("ack_time", "0.03"),
        ("src_first_1", "27"),
        ("dst_first_1", "40"),
        ("first_gap_1", "0.1"),
        ("src_flows", "1"),
        ("src_peers", "1"),
        ("src_ports", "1"),
        ("dst_flows", "1"),
        ("dst_peers", "1"),
        ("dst_ports", "1"),
        ("service_flows", "1"),
        ("service_sources", "1"),
        ("service_destinations", "1"),
        ("pair_flows", "1"),
        ("pair_ports", "1"),
    ];
    check(&packets, &expected);
}

#[test]
fn an_attempt_that_is_repeated() {
    let syn = || tcp(From::Client, 81, SYN, 100, 0, b"");
    let expected = [
        ("proto", "tcp"),
        ("service", "-"),
        ("state", "attempt"),
        ("duration", "3"),
        ("src_packets", "3"),
        ("src_bytes", "120"),
        ("packet_rate", "0.666667"),
        ("src_packet_share", "1"),
        ("src_byte_share", "1"),
        ("gap_mean", "1.5"),
        ("gap_std", "0.5"),
        ("gap_min", "1"),
        ("gap_max", "2"),
        ("src_gap_mean", "1.5"),
        ("src_gap_std", "0.5"),
        ("src_gap_min", "1"),
        ("src_gap_max", "2"),
        ("src_size_mean", "40"),
        ("src_size_min", "40"),
        ("src_size_max", "40"),
        ("syn_count", "3"),
        ("src_retransmissions", "2"),
        ("src_flows", "1"),
        ("src_peers", "1"),
        ("src_ports", "1"),
        ("dst_flows", "1"),
        ("dst_peers", "1"),
        ("dst_ports", "1"),
        ("service_flows", "1"),
        ("service_sources", "1"),
        ("service_destinations", "1"),
        ("pair_flows", "1"),
        ("pair_ports", "1"),
    ];
    check(&[(0, syn()), (1000, syn()), (3000, syn())], &expected);
}

#[test]
fn a_scan_shows_in_the_window() {
    let mut packets = Vec::new();
    for port in 0..8_u16 {
        let time_ms = i64::from(port) * 500;
        packets.push((time_ms, tcp(From::Client, 8000 + port, SYN, 100, 0, b"")));
        if port % 2 == 1 {
            packets.push((
                time_ms + 1,
                tcp(From::Server, 8000 + port, RST | ACK, 0, 101, b""),
            ));
        }
    }
    let batch = in_order(&metered(config(), &packets));
    let running: Vec<_> = (1..=8).map(f64::from).collect();
    for column in [
        "src_flows",
        "src_ports",
        "dst_flows",
        "dst_ports",
        "pair_flows",
        "pair_ports",
    ] {
        check_column(&batch, column, &running);
    }
    check_column(&batch, "service_flows", &[1.0; 8]);
    // The refused ones at once, the unanswered ones after a second.
    let failed = [0.0, 0.0, 1.0, 2.0 / 3.0, 1.0, 0.8, 1.0, 6.0 / 7.0];
    check_column(&batch, "src_failed", &failed);
    check_column(&batch, "service_failed", &[0.0; 8]);
    let state = FLOW_V1.index_of("state").unwrap();
    let states: Vec<_> = (batch.rows.iter())
        .map(|row| FLOW_V1.columns[state].term(row[state]).unwrap())
        .collect();
    assert_eq!(states, ["attempt", "refused"].repeat(4));
}

#[test]
fn a_late_answer_takes_a_failure_back() {
    let question = |port, time_ms| (time_ms, udp(From::Client, port, b"?"));
    let packets = [
        question(1001, 0),
        question(1002, 1500),
        (1600, udp(From::Server, 1001, b"!")),
        question(1003, 1700),
    ];
    let batch = in_order(&metered(config(), &packets));
    check_column(&batch, "pair_failed", &[0.0, 1.0, 0.0]);
}

#[test]
fn a_long_flow_gives_records_that_remember_their_beginning() {
    let mut packets: Vec<_> = (0..8)
        .map(|step| (step * 10_000, udp(From::Client, 5000, &[0; 9])))
        .collect();
    packets.push((65_000, udp(From::Client, 5001, b"")));
    packets.sort_by_key(|(time_ms, _)| *time_ms);
    let batch = in_order(&metered(config(), &packets));
    check_column(&batch, "src_packets", &[6.0, 2.0, 1.0]);
    check_column(&batch, "src_first_3", &[9.0, 9.0, 0.0]);
    check_column(&batch, "first_gap_2", &[10.0, 10.0, 0.0]);
    check_column(&batch, "gap_mean", &[10.0, 10.0, 0.0]);
    // At 60 s the flow itself has just left the window; at 65 s the other one is alone in it.
    check_column(&batch, "src_flows", &[1.0, 0.0, 1.0]);
}

#[test]
fn the_type_of_an_icmp_message_is_its_service() {
    let packets = [
        (0, icmp(From::Client, 8, 0, 1)),
        (10, icmp(From::Client, 8, 0, 2)),
        (20, icmp(From::Client, 13, 0, 3)),
    ];
    let batch = in_order(&metered(config(), &packets));
    check_column(&batch, "service_flows", &[1.0, 2.0, 1.0]);
    check_column(&batch, "src_ports", &[1.0, 1.0, 2.0]);
}

/// Who opened each record, by its port, and its packets in both directions; the client has port 40000.
fn check_sessions(packets: &[(i64, Vec<u8>)], expected: &[(u16, f64, f64)]) {
    let batch = in_order(&metered(config(), packets));
    let found: Vec<_> = (batch.identities.iter().enumerate())
        .map(|(record, identity)| {
            let packets = ["src_packets", "dst_packets"].map(|column| value(&batch, record, column));
            (identity.source_port, packets[0], packets[1])
        })
        .collect();
    assert_eq!(found, expected);
}

/// Segments with the times in milliseconds at which they come.
type Segments<'a> = &'a [(i64, From, u8, u32, u32)];

fn segments(port: u16, segments: Segments<'_>) -> Vec<(i64, Vec<u8>)> {
    let built = segments
        .iter()
        .map(|&(time_ms, from, flags, sequence, acknowledgement)| {
            (time_ms, tcp(from, port, flags, sequence, acknowledgement, b""))
        });
    built.collect()
}

#[test]
fn whoever_was_seen_first_is_the_source_unless_more_says_otherwise() {
    use From::{Client, Server};
    let check = |port, trace: Segments<'_>, expected: (u16, f64, f64)| {
        check_sessions(&segments(port, trace), &[expected]);
    };
    // A scan by SYN-ACK, with and without an answer.
    check(80, &[(0, Server, SYN | ACK, 7, 1)], (80, 1.0, 0.0));
    check(
        80,
        &[(0, Server, SYN | ACK, 7, 1), (5, Client, RST, 1, 0)],
        (80, 1.0, 1.0),
    );
    // A connection whose SYN was not seen, or late.
    check(
        80,
        &[(0, Server, SYN | ACK, 7, 1), (5, Client, ACK, 1, 8)],
        (40_000, 1.0, 1.0),
    );
    check(
        80,
        &[
            (0, Server, SYN | ACK, 7, 1),
            (1, Client, SYN, 0, 0),
            (5, Client, ACK, 1, 8),
        ],
        (40_000, 2.0, 1.0),
    );
    // From the middle the ports decide, and where they say nothing the first packet.
    check(
        80,
        &[(0, Server, ACK, 7, 1), (5, Client, ACK, 1, 8)],
        (40_000, 1.0, 1.0),
    );
    check(
        50_000,
        &[(0, Server, ACK, 7, 1), (5, Client, ACK, 1, 8)],
        (50_000, 1.0, 1.0),
    );
}

#[test]
fn a_new_initial_number_opens_a_session_and_a_late_syn_does_not() {
    use From::{Client, Server};
    let check =
        |trace: Segments<'_>, expected: &[(u16, f64, f64)]| check_sessions(&segments(80, trace), expected);
    let connection = |time_ms: i64, client: u32| {
        [
            (time_ms, Client, SYN, client, 0),
            (time_ms + 10, Server, SYN | ACK, 900, client + 1),
            (time_ms + 20, Client, ACK, client + 1, 901),
        ]
    };
    let [syn, syn_ack, ack] = connection(0, 100);
    let whole = (40_000, 2.0, 1.0);
    // Ports used again without an end, also by the other side.
    check(
        &[connection(0, 100), connection(20_000, 5_000)].concat(),
        &[whole, whole],
    );
    check(
        &[&connection(0, 100)[..], &[(20_000, Server, SYN, 5_000, 0)]].concat(),
        &[whole, (80, 1.0, 0.0)],
    );
    check(&[syn, (1_000, Client, SYN, 101, 0)], &[(40_000, 1.0, 0.0); 2]);
    // The same SYN again, or late: of the same connection.
    check(&[syn, (1_000, Client, SYN, 100, 0)], &[(40_000, 2.0, 0.0)]);
    let late = (30, Client, SYN, 100, 0);
    check(&[syn_ack, late, ack], &[whole]);
    check(&[syn_ack, ack, late], &[whole]);
    check(&[ack, late], &[(40_000, 2.0, 0.0)]);
    check(&[syn, syn_ack, ack, late], &[(40_000, 3.0, 1.0)]);
    // The record of a status interval forgets no number.
    let much_later = (70_000, Client, SYN, 100, 0);
    check(
        &[syn, syn_ack, ack, (50_000, Client, ACK, 200, 901), much_later],
        &[(40_000, 3.0, 1.0), (40_000, 1.0, 0.0)],
    );
    // After the end, what comes late belongs to the connection and what comes again to another one.
    let fins = [
        (40, Client, FIN | ACK, 101, 901),
        (50, Server, FIN | ACK, 901, 102),
    ];
    check(
        &[&[syn_ack, ack], &fins[..], &[(60, Client, SYN, 100, 0)]].concat(),
        &[(40_000, 3.0, 2.0)],
    );
    check(
        &[&[syn, syn_ack, ack], &fins[..], &[(60, Client, SYN, 100, 0)]].concat(),
        &[(40_000, 3.0, 2.0), (40_000, 1.0, 0.0)],
    );
    // Both sides open at once; and a side that knows nothing of the connection answers first.
    check(&[syn, (1, Server, SYN, 900, 0), syn_ack], &[(40_000, 1.0, 2.0)]);
    check(
        &[syn, (1, Server, ACK, 7, 8), (2, Server, SYN, 900, 0)],
        &[(40_000, 1.0, 2.0)],
    );
}

#[test]
fn a_scan_by_syn_ack_shows_in_the_window_of_the_scanner() {
    let packets: Vec<_> = (0..6_u16)
        .map(|number| {
            (
                i64::from(number) * 100,
                tcp(From::Server, 1024 + number, SYN | ACK, 7, 1, b""),
            )
        })
        .collect();
    let batch = in_order(&metered(config(), &packets));
    let running: Vec<_> = (1..=6).map(f64::from).collect();
    check_column(&batch, "src_flows", &running);
    check_column(&batch, "src_packets", &[1.0; 6]);
    // A connection whose SYN was missed is turned round in the window too.
    let packets = [
        (0, tcp(From::Server, 80, SYN | ACK, 7, 1, b"")),
        (5, tcp(From::Client, 80, ACK, 1, 8, b"")),
        (2_000, tcp(From::Client, 81, SYN, 5, 0, b"")),
    ];
    let batch = in_order(&metered(config(), &packets));
    check_column(&batch, "src_flows", &[1.0, 2.0]);
    check_column(&batch, "src_ports", &[1.0, 2.0]);
    check_column(&batch, "src_failed", &[0.0, 0.0]);
}

#[test]
fn lengths_are_those_of_the_ip_header() {
    let mut ethernet = [0; 14];
    ethernet[12] = 8;
    for trailer in [0, 1, 6, 1_000] {
        let frame = [&ethernet[..], &udp(From::Client, 9, &[1; 4]), &vec![0; trailer]].concat();
        for (count_link_bytes, expected) in [(false, 32.0), (true, 46.0)] {
            let mut meter = Meter::new(MeterConfig {
                count_link_bytes,
                ..config()
            });
            meter.packet(&Packet {
                link: LinkType::Ethernet,
                ..raw(START, &frame)
            });
            meter.finish();
            let mut batch = FlowBatch::new(&FLOW_V1);
            meter.drain(&mut batch);
            check_column(&batch, "src_bytes", &[expected]);
            check_column(&batch, "src_size_max", &[expected]);
            check_column(&batch, "src_payload", &[4.0]);
        }
    }
}

/// The records by their first packets.
fn in_order(batch: &FlowBatch) -> FlowBatch {
    let mut order: Vec<usize> = (0..batch.len()).collect();
    order.sort_by_key(|&record| batch.identities[record]);
    let mut sorted = FlowBatch::new(batch.rows.schema());
    for record in order {
        sorted.rows.push(batch.rows.row(record));
        sorted.identities.push(batch.identities[record]);
        sorted.community_ids.push(batch.community_ids[record]);
        sorted.ids.push(batch.ids[record]);
        sorted.provenances.push(batch.provenances[record].clone());
        sorted.besides.push(batch.besides[record].clone());
    }
    sorted
}

/// The identities of the features.
fn check_batch(batch: &FlowBatch) {
    for (record, row) in batch.rows.iter().enumerate() {
        for (column, value) in FLOW_V1.columns.iter().zip(row) {
            assert!(value.is_finite() && *value >= 0.0, "{} is {value}", column.name);
        }
        let value = |column: &str| value(batch, record, column);
        for series in ["gap", "src_gap", "dst_gap", "src_size", "dst_size"] {
            let [mean, std, min, max] =
                ["mean", "std", "min", "max"].map(|part| value(&format!("{series}_{part}")));
            assert!(
                min <= mean && mean <= max && 2.0 * std <= max - min + 1e-9,
                "{series} {row:?}"
            );
        }
        let packets = value("src_packets") + value("dst_packets");
        assert!(packets >= 1.0);
        assert!(value("gap_mean") * (packets - 1.0) <= value("duration") + 1e-6);
        for side in ["src", "dst"] {
            let of = |part: &str| value(&format!("{side}_{part}"));
            assert!((of("size_mean") * of("packets") - of("bytes")).abs() <= 1e-6 * of("bytes"));
            assert!(of("payload") <= of("bytes"));
            assert!(of("zero_windows") <= of("packets"));
            assert!(of("peers") <= of("flows") && of("ports") <= of("flows"));
            assert!((0.0..=1.0).contains(&of("failed")));
        }
        for share in [
            "src_packet_share",
            "src_byte_share",
            "service_failed",
            "pair_failed",
        ] {
            assert!((0.0..=1.0).contains(&value(share)), "{share}");
        }
        for flag in [
            "syn_count",
            "fin_count",
            "rst_count",
            "psh_count",
            "urg_count",
            "odd_flags",
        ] {
            assert!(value(flag) <= packets, "{flag}");
        }
        assert!(value("pair_flows") <= value("src_flows").min(value("dst_flows")));
        assert!(value("pair_ports") <= value("src_ports").min(value("dst_ports")));
    }
}

/// A protocol and the two ends that speak it, in order.
type Ends = (u8, [(IpAddr, u16); 2]);

/// Packets and bytes between two ends, whatever their direction and however many records they have.
fn totals(batch: &FlowBatch, columns: [&str; 4]) -> BTreeMap<Ends, (f64, f64)> {
    let mut totals = BTreeMap::new();
    for (record, identity) in batch.identities.iter().enumerate() {
        let mut ends = [
            (identity.source, identity.source_port),
            (identity.destination, identity.destination_port),
        ];
        ends.sort();
        let [packets, answers, bytes, answered] = columns.map(|column| value(batch, record, column));
        let total = totals.entry((identity.protocol, ends)).or_insert((0.0, 0.0));
        total.0 += packets + answers;
        total.1 += bytes + answered;
    }
    totals
}

/// What both schemas count is the same in both, as long as no packet is longer than its IP header says. They tell
/// different records of it where Argus joins connections. `parity` compares them session by session.
fn check_both(flow_v1: &FlowBatch, unsw_nb15: &FlowBatch) {
    assert_eq!(
        totals(flow_v1, ["src_packets", "dst_packets", "src_bytes", "dst_bytes"]),
        totals(unsw_nb15, ["spkts", "dpkts", "sbytes", "dbytes"])
    );
}

#[test]
fn sound_captures_give_sound_rows() {
    for path in captures::captures("good") {
        check_batch(&captures::meter_with(config(), &path).0);
    }
}

#[test]
fn damaged_captures_give_sound_rows() {
    for path in captures::captures("malformed") {
        check_batch(&captures::meter_with(config(), &path).0);
    }
}

/// Rows with their identities, in an order of their own.
fn rows_of(batch: &FlowBatch) -> Vec<(Identity, Vec<u64>)> {
    let bits = batch
        .rows
        .iter()
        .map(|row| row.iter().map(|value| value.to_bits()).collect());
    let mut rows: Vec<_> = batch.identities.iter().copied().zip(bits).collect();
    rows.sort();
    rows
}

proptest! {
    #[test]
    fn the_identities_hold_for_any_traffic(packets in traffic()) {
        let packets: Vec<_> = packets.into_iter().map(|(time_ns, bytes)| (time_ns / MILLISECOND, bytes)).collect();
        let batch = metered(config(), &packets);
        check_batch(&batch);
        let both = metered(MeterConfig { schema: &UNSW_NB15, ..MeterConfig::default() }, &packets);
        check_both(&batch, &both);
    }

    #[test]
    fn live_and_replay_agree(steps in prop::collection::vec((0..400_i64, 0..6_u16, 0..64_u8), 1..60)) {
        // No flow lasts for a status interval, whose end a live meter may notice late.
        let mut time_ms = 0;
        let packets: Vec<_> = (steps.into_iter())
            .map(|(step, port, flags)| {
                time_ms += step;
                let from = if flags % 3 == 0 { From::Server } else { From::Client };
                (time_ms, tcp(from, port, flags, 100, 200, b"data"))
            })
            .collect();
        let live = MeterConfig { mode: Mode::Live, ..config() };
        prop_assert_eq!(rows_of(&metered(live, &packets)), rows_of(&metered(config(), &packets)));
    }
}
