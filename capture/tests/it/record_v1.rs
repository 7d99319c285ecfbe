//! Rows of `record-v1` from packets, and from records with the same content.

use netsage_capture::{LinkType, Meter, MeterConfig, Mode, Packet};
use netsage_records::{BytesOf, Origin, Partition, Record, Row, Sides, Standing, State, row_of};
use netsage_schema::{FLOW_V1, FlowBatch, Identity, RECORD_V1, Schema};
use netsage_synth::{Generator, SynthConfig};
use proptest::prelude::*;

use crate::captures;
use crate::packets::{ACK, FIN, From, MILLISECOND, RST, SECOND, START, SYN, metered, raw, tcp, udp};

fn config() -> MeterConfig {
    MeterConfig {
        schema: &RECORD_V1,
        ..MeterConfig::default()
    }
}

/// The records of a generated capture in the columns of each schema.
fn generated(schemas: [&'static Schema; 2]) -> [FlowBatch; 2] {
    let generator = Generator::new(SynthConfig {
        flows: 3_000,
        seed: 15,
        duration_ns: 10 * 60 * SECOND,
        attacks: true,
        ..SynthConfig::default()
    });
    let mut meters = schemas.map(|schema| Meter::new(MeterConfig { schema, ..config() }));
    let mut batches = schemas.map(FlowBatch::new);
    for (number, packet) in generator.enumerate() {
        for (meter, batch) in meters.iter_mut().zip(&mut batches) {
            meter.packet(&Packet {
                link: LinkType::Ethernet,
                time_ns: packet.time_ns,
                wire_length: u32::try_from(packet.bytes.len()).unwrap(),
                bytes: &packet.bytes,
            });
            if number % 256 == 0 {
                meter.drain(batch);
            }
        }
    }
    for (meter, batch) in meters.iter_mut().zip(&mut batches) {
        meter.finish();
        meter.drain(batch);
    }
    batches
}

/// The record of another meter that saw what a row of `flow-v1` says.
fn record_of(row: &[f64], identity: &Identity) -> Record {
    let value = |column: &str| row[FLOW_V1.index_of(column).unwrap()];
    let sides = |source, destination| {
        Some(Sides {
            source: value(source) as u64,
            destination: value(destination) as u64,
        })
    };
    let column = &FLOW_V1.columns[FLOW_V1.index_of("state").unwrap()];
    let state = match column.term(value("state")).unwrap() {
        "refused" => State::Refused,
        "aborted" | "reset-src" | "reset-dst" => State::Reset,
        "closed" => State::Closed,
        "half-closed" | "established" | "half-open" => State::Established,
        "attempt" => State::Attempt,
        "midstream" => State::Midstream,
        "two-way" => State::TwoWay,
        "one-way" => State::OneWay,
        other => panic!("`{other}` is no state"),
    };
    Record {
        start_us: identity.start_ns.div_euclid(1_000),
        end_us: identity.end_ns.div_euclid(1_000),
        source: identity.source,
        destination: identity.destination,
        source_port: identity.source_port,
        destination_port: identity.destination_port,
        protocol: identity.protocol,
        service: Some(value("service") as u16),
        state: Some(state),
        packets: sides("src_packets", "dst_packets"),
        bytes: sides("src_bytes", "dst_bytes"),
        bytes_of: BytesOf::Network,
        payload: None,
        sampling: 1,
        own_id: None,
        sensor: None,
        network: None,
        foreign: None,
    }
}

#[test]
fn rows_of_packets_are_those_of_records_with_the_same_content() {
    let [flows, expected] = generated([&FLOW_V1, &RECORD_V1]);
    assert!(expected.len() > 3_000, "{}", expected.len());
    let mut records: Vec<Record> = (flows.rows.iter().zip(&flows.identities))
        .map(|(row, identity)| record_of(row, identity))
        .collect();
    // In an order that has nothing to do with time, within the lateness.
    records.reverse();
    let mut partition = Partition::new(3_600_000_000, records.len(), 16 << 20);
    let mut found: Vec<(Record, Row)> = Vec::new();
    for record in records {
        partition.push(record, &Origin::default(), (), |_, _, _| {
            panic!("none leaves before the end")
        });
    }
    partition.finish(|ordered, standing, counts| {
        assert_eq!(standing, Standing::InOrder);
        let row = row_of(&ordered.record, counts);
        found.push((ordered.record, row));
    });
    assert_eq!(found.len(), expected.len());
    for ((record, row), (other, identity)) in found.iter().zip(expected.rows.iter().zip(&expected.identities))
    {
        assert_eq!(record.end_us, identity.end_ns.div_euclid(1_000));
        for (column, (found, expected)) in RECORD_V1.columns.iter().zip(row.iter().zip(other)) {
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{} of {record:?}: {found} and {expected}",
                column.name
            );
        }
    }
}

/// The state of the last record of these segments.
fn check_state(segments: &[(From, u8)], expected: &str) {
    let packets: Vec<_> = (0..)
        .zip(segments)
        .map(|(time_ms, (from, flags))| (time_ms, tcp(*from, 80, *flags, 100, 0, b"")))
        .collect();
    let batch = metered(config(), &packets);
    let state = RECORD_V1.index_of("state").unwrap();
    let found = RECORD_V1.columns[state].term(batch.rows.row(batch.len() - 1)[state]);
    assert_eq!(found, Some(expected), "{segments:?}");
}

#[test]
fn states_are_those_that_meters_have_in_common() {
    use From::{Client, Server};
    check_state(&[(Client, SYN)], "attempt");
    check_state(&[(Client, SYN), (Client, RST)], "attempt");
    check_state(&[(Client, SYN), (Server, RST | ACK)], "refused");
    check_state(&[(Client, SYN), (Server, SYN | ACK)], "established");
    let open = [(Client, SYN), (Server, SYN | ACK), (Client, ACK)];
    check_state(&open, "established");
    check_state(&[&open[..], &[(Client, FIN | ACK)]].concat(), "established");
    check_state(
        &[&open[..], &[(Client, FIN | ACK), (Server, FIN | ACK)]].concat(),
        "closed",
    );
    check_state(&[&open[..], &[(Server, RST)]].concat(), "reset");
    check_state(&[(Client, SYN), (Server, SYN | ACK), (Client, RST)], "reset");
    check_state(&[(Client, ACK), (Server, ACK)], "midstream");
    check_state(&[(Client, FIN)], "midstream");
}

#[test]
fn bytes_are_marked_when_they_include_the_link_header() {
    let mut ethernet = [0; 14];
    ethernet[12] = 8;
    let frame = [&ethernet[..], &udp(From::Client, 9, &[1; 4])].concat();
    for (count_link_bytes, bytes, term) in [(false, 32.0, "network"), (true, 46.0, "link")] {
        let mut meter = Meter::new(MeterConfig {
            count_link_bytes,
            ..config()
        });
        meter.packet(&Packet {
            link: LinkType::Ethernet,
            ..raw(START, &frame)
        });
        meter.finish();
        let mut batch = FlowBatch::new(&RECORD_V1);
        meter.drain(&mut batch);
        let value = |column: &str| batch.rows.row(0)[RECORD_V1.index_of(column).unwrap()];
        let kind = &RECORD_V1.columns[RECORD_V1.index_of("bytes_of").unwrap()];
        assert_eq!(
            (value("src_bytes"), kind.term(value("bytes_of"))),
            (bytes, Some(term))
        );
    }
}

#[test]
fn captures_give_sound_rows_in_the_order_of_their_ends() {
    for path in [captures::captures("good"), captures::captures("malformed")].concat() {
        let (batch, stats, _) = captures::meter_with(config(), &path);
        for row in batch.rows.iter() {
            assert!(
                row.iter().all(|value| value.is_finite() && *value >= 0.0),
                "{row:?}"
            );
        }
        // Packets out of order can be late, and time can begin anew.
        let is_ordered = batch
            .identities
            .is_sorted_by_key(|identity| identity.end_ns / 1_000);
        assert!(
            is_ordered || stats.clock_resets > 0 || path.to_string_lossy().contains("malformed"),
            "{}",
            path.display()
        );
    }
}

proptest! {
    #[test]
    fn live_and_replay_agree(steps in prop::collection::vec((0..400_i64, 0..6_u16, 0..64_u8), 1..60)) {
        // No flow lasts for a status interval, whose end a live meter may notice late.
        let run = |mode| {
            let mut meter = Meter::new(MeterConfig { mode, ..config() });
            let mut batch = FlowBatch::new(&RECORD_V1);
            let mut time_ms = 0;
            for &(step, port, flags) in &steps {
                time_ms += step;
                let from = if flags % 3 == 0 { From::Server } else { From::Client };
                let time_ns = START + time_ms * MILLISECOND;
                meter.packet(&raw(time_ns, &tcp(from, port, flags, 100, 200, b"data")));
                if mode == Mode::Live {
                    meter.advance(time_ns);
                }
                meter.drain(&mut batch);
            }
            if mode == Mode::Live {
                // The clock alone lets all of them leave.
                for second in 0..200 {
                    meter.advance(START + time_ms * MILLISECOND + second * SECOND);
                    meter.drain(&mut batch);
                }
            } else {
                meter.finish();
                meter.drain(&mut batch);
            }
            batch
        };
        let (live, replay) = (run(Mode::Live), run(Mode::Replay));
        prop_assert_eq!(&live.identities, &replay.identities);
        prop_assert_eq!(live.rows.values(), replay.rows.values());
    }
}
