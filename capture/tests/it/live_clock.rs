//! A live meter: what the clock ends, and when its records leave.

use netsage_capture::{Meter, MeterConfig, Mode};
use netsage_schema::{FlowBatch, Schema};

use super::packets::{ACK, From, MILLISECOND, SECOND, SYN, icmp, raw, tcp, udp};

/// Time between two looks at the clock, as the pipeline takes them.
const LOOK: i64 = 20 * MILLISECOND;

/// When the record of a lone packet leaves, with no other packet after it.
fn leaves_at(schema: &'static Schema, packet: &[u8]) -> i64 {
    let mut meter = Meter::new(MeterConfig {
        schema,
        mode: Mode::Live,
        ..MeterConfig::default()
    });
    let mut batch = FlowBatch::new(meter.config().schema);
    meter.packet(&raw(0, packet));
    let mut now = 0;
    while batch.is_empty() && now < 100 * SECOND {
        now += LOOK;
        meter.advance(now);
        meter.drain(&mut batch);
    }
    assert_eq!(batch.len(), 1);
    now
}

#[test]
fn a_flow_leaves_at_most_a_second_late_with_no_packet_arriving() {
    for packet in [
        icmp(From::Client, 8, 0, 1),
        udp(From::Client, 9999, b"?"),
        tcp(From::Client, 80, SYN, 1, 0, b""),
    ] {
        for schema in Schema::ALL {
            // A record lasts for the status interval.
            let late = leaves_at(schema, &packet) - 60 * SECOND;
            assert!((0..=SECOND).contains(&late), "{}: {late} ns late", schema.id);
        }
    }
}

#[test]
fn data_acknowledged_and_never_seen_is_counted() {
    let mut meter = Meter::new(MeterConfig::default());
    for (time, packet) in [
        (0, tcp(From::Client, 80, SYN, 99, 0, b"")),
        (1, tcp(From::Server, 80, SYN | ACK, 499, 100, b"")),
        (2, tcp(From::Client, 80, ACK, 100, 500, b"0123456789")),
        // 110 to 129 never came by, and the server has them.
        (3, tcp(From::Client, 80, ACK, 130, 500, b"0123456789")),
        (4, tcp(From::Server, 80, ACK, 500, 140, b"")),
    ] {
        meter.packet(&raw(time * MILLISECOND, &packet));
    }
    assert_eq!((meter.stats().tcp_gaps, meter.stats().tcp_gap_bytes), (1, 20));
}
