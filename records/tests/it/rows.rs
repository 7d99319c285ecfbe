//! Rows against what they are defined to be.

use netsage_records::{
    BytesOf, Counts, Network, Origin, Partition, Record, Row, Sides, Standing, State, Unrow, row_of,
};
use netsage_schema::{FLOW_V1, RECORD_V1, Schema, UNSW_NB15};
use proptest::prelude::*;

use crate::naive;
use crate::traffic::{SECOND, START, record, records};

/// The rows of these records as they arrive, and how each left.
pub(crate) fn rows_of(
    records: &[(Network, Record)],
    lateness_us: u64,
    most: usize,
) -> Vec<(usize, Row, Standing)> {
    let mut partition = Partition::new(lateness_us, most, 16 << 20);
    let mut rows = Vec::new();
    for (index, (network, record)) in records.iter().enumerate() {
        let origin = Origin {
            network: *network,
            exporter: None,
        };
        partition.push(record.clone(), &origin, index, |ordered, standing, counts| {
            rows.push((ordered.tag, row_of(&ordered.record, counts), standing));
        });
        assert!(partition.waiting() <= most);
    }
    partition.finish(|ordered, standing, counts| {
        rows.push((ordered.tag, row_of(&ordered.record, counts), standing));
    });
    rows
}

/// The columns of a record alone that are neither 0 nor counts of the window.
fn check(record: &Record, expected: &[(&str, &str)]) {
    let row = row_of(record, &Counts::default());
    let found: Vec<(&str, String)> = (RECORD_V1.columns.iter().zip(row))
        .filter(|(_, value)| *value != 0.0)
        .map(|(column, value)| match column.term(value) {
            Some(term) => (column.name, term.to_owned()),
            None => (column.name, value.to_string()),
        })
        .collect();
    let found: Vec<_> = found
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(found, expected, "{record:?}");
}

#[test]
fn a_row_says_what_its_record_says() {
    check(
        &record(),
        &[
            ("state", "closed"),
            ("duration", "1"),
            ("src_packets", "6"),
            ("dst_packets", "4"),
            ("src_bytes", "600"),
            ("dst_bytes", "2400"),
            ("packet_rate", "9"),
            ("byte_rate", "3000"),
            ("src_packet_share", "0.6"),
            ("src_byte_share", "0.2"),
            ("src_size_mean", "100"),
            ("dst_size_mean", "600"),
        ],
    );
    check(
        &Record {
            protocol: 17,
            start_us: START + SECOND,
            service: Some(1),
            state: Some(State::OneWay),
            packets: Some(Sides {
                source: 100,
                destination: 0,
            }),
            bytes: Some(Sides {
                source: 7_600,
                destination: 0,
            }),
            bytes_of: BytesOf::Link,
            sampling: 100,
            ..record()
        },
        &[
            ("proto", "udp"),
            ("service", "dns"),
            ("state", "one-way"),
            ("src_packets", "100"),
            ("src_bytes", "7600"),
            ("bytes_of", "link"),
            ("src_packet_share", "1"),
            ("src_byte_share", "1"),
            ("src_size_mean", "76"),
            ("sampled", "1"),
        ],
    );
}

#[test]
fn what_is_missing_is_said_by_group() {
    let nothing = Record {
        start_us: START + SECOND,
        service: None,
        state: None,
        packets: None,
        bytes: None,
        ..record()
    };
    check(
        &nothing,
        &[
            ("service_missing", "1"),
            ("state_missing", "1"),
            ("packets_missing", "1"),
            ("bytes_missing", "1"),
        ],
    );
    check(
        &Record {
            start_us: START,
            bytes: record().bytes,
            ..nothing
        },
        &[
            ("duration", "1"),
            ("src_bytes", "600"),
            ("dst_bytes", "2400"),
            ("byte_rate", "3000"),
            ("src_byte_share", "0.2"),
            ("service_missing", "1"),
            ("state_missing", "1"),
            ("packets_missing", "1"),
        ],
    );
}

#[test]
fn no_number_makes_a_value_that_is_none() {
    let sides = |count| {
        Some(Sides {
            source: count,
            destination: count,
        })
    };
    for (start_us, end_us) in [(0, 0), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 1)] {
        for count in [0, 1, u64::MAX] {
            let extreme = Record {
                start_us,
                end_us,
                packets: sides(count),
                bytes: sides(count),
                ..record()
            };
            for (_, row, _) in rows_of(&[(Network::UNNAMED, extreme)], 0, 1) {
                assert!(
                    row.iter().all(|value| value.is_finite() && *value >= 0.0),
                    "{row:?}"
                );
            }
        }
    }
}

#[test]
fn two_networks_share_no_host() {
    let mut second = record();
    second.end_us += 1;
    let flows = RECORD_V1.index_of("src_flows").unwrap();
    for (network, expected) in [(Network::UNNAMED, 2.0), (Network::named("branch"), 1.0)] {
        let rows = rows_of(&[(Network::UNNAMED, record()), (network, second.clone())], 0, 8);
        assert_eq!(rows[1].1[flows], expected);
    }
}

#[test]
fn a_network_that_the_record_names_comes_before_that_of_its_source() {
    let flows = RECORD_V1.index_of("src_flows").unwrap();
    for (named, expected) in [(None, 2.0), (Some("branch"), 2.0), (Some("other"), 1.0)] {
        let mut second = record();
        second.end_us += 1;
        second.network = named.map(Into::into);
        let branch = Network::named("branch");
        let rows = rows_of(&[(branch, record()), (branch, second)], 0, 8);
        assert_eq!(rows[1].1[flows], expected, "{named:?}");
    }
}

#[test]
fn a_full_window_is_shorter_and_stays_within_its_memory() {
    let memory = 1 << 20;
    let mut partition = Partition::new(0, 1, memory);
    for number in 0..20_000_i64 {
        let mut one = record();
        one.end_us += number;
        one.source = std::net::Ipv4Addr::from_bits(number as u32).into();
        partition.push(one, &Origin::default(), (), |_, _, _| {});
        assert!(partition.windows().memory() <= memory);
    }
    assert!(partition.windows().left_early() > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn rows_are_what_a_search_finds(records in records(80)) {
        let found: Vec<Row> = rows_of(&records, 1_000 * SECOND.unsigned_abs(), 1_000)
            .into_iter()
            .map(|(_, row, standing)| {
                assert_eq!(standing, Standing::InOrder);
                row
            })
            .collect();
        prop_assert_eq!(found, naive::rows(&records));
    }
}

proptest! {
    #[test]
    fn a_record_of_a_row_makes_the_same_row(records in records(20)) {
        let unrow = Unrow::of(&RECORD_V1);
        for (_, record) in records {
            let row = row_of(&record, &Counts::default());
            let again = unrow.record(&row, &record.identity());
            prop_assert_eq!(again.identity(), record.identity());
            prop_assert_eq!(row_of(&again, &Counts::default()), row);
        }
    }
}

#[test]
fn rows_of_other_schemas_say_what_records_do() {
    let check = |schema: &'static Schema, values: &[(&str, f64)]| {
        let mut row = vec![0.0; schema.width()];
        for (name, value) in values {
            row[schema.index_of(name).unwrap()] = *value;
        }
        let made = Unrow::of(schema).record(&row, &record().identity());
        (
            made.state,
            made.packets.unwrap(),
            made.bytes.unwrap(),
            made.bytes_of,
        )
    };
    let [packets, bytes] = [(6, 4), (600, 2_400)].map(|(source, destination)| Sides { source, destination });
    let term = |schema: &Schema, term| {
        let state = &schema.columns[schema.index_of("state").unwrap()];
        f64::from(state.vocabulary().unwrap().code_of(term).unwrap())
    };
    for (name, state) in [
        ("half-closed", State::Established),
        ("reset-dst", State::Reset),
        ("two-way", State::TwoWay),
    ] {
        let columns = [
            ("state", term(&FLOW_V1, name)),
            ("src_packets", 6.0),
            ("dst_packets", 4.0),
            ("src_bytes", 600.0),
            ("dst_bytes", 2_400.0),
        ];
        let expected = (Some(state), packets, bytes, BytesOf::Network);
        assert_eq!(check(&FLOW_V1, &columns), expected, "{name}");
    }
    let columns = [
        ("state", term(&UNSW_NB15, "FIN")),
        ("spkts", 6.0),
        ("dpkts", 4.0),
        ("sbytes", 600.0),
        ("dbytes", 2_400.0),
    ];
    assert_eq!(
        check(&UNSW_NB15, &columns),
        (None, packets, bytes, BytesOf::Network)
    );
}

#[test]
fn every_state_of_flow_v1_is_one_of_a_record() {
    let unrow = Unrow::of(&FLOW_V1);
    let state = FLOW_V1.index_of("state").unwrap();
    for (code, term) in FLOW_V1.columns[state]
        .vocabulary()
        .unwrap()
        .terms
        .iter()
        .enumerate()
    {
        let mut row = vec![0.0; FLOW_V1.width()];
        row[state] = code as f64;
        assert!(unrow.record(&row, &record().identity()).state.is_some(), "{term}");
    }
}
