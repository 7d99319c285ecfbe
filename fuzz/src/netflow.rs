//! Datagrams of NetFlow and IPFIX: what holds of any run of them, and the runs to start from.
//!
//! An input is a byte of settings, then datagrams, each behind its head: who sent it (1 byte), how long after the one before
//! (1 byte, tenths of a second), its length (2 bytes).

use std::net::{Ipv4Addr, SocketAddr};

use netsage_records::netflow::{Collector, Datagram, Options};
use netsage_records::{Exporter, Record};

/// Small, so that every limit is met.
const MEMORY: usize = 24 << 10;
const UNPAIRED: usize = 16;
/// Bytes of a record that waits; the collector says about 700.
const UNPAIRED_BYTES: usize = 1_024;

/// Checks a collector: memory stays within its limit, each record is in one flow, and what leaves can be used.
pub fn netflow(data: &[u8]) {
    let Some((&settings, mut rest)) = data.split_first() else {
        return;
    };
    let options = Options {
        pairing_us: if settings & 1 == 0 { 10_000_000 } else { 0 },
        reordering_us: if settings & 2 == 0 { 1_000_000 } else { 0 },
        streams: 4,
        templates: 8,
        memory: MEMORY,
        unpaired: UNPAIRED,
        out_is_reverse: settings & 4 != 0,
    };
    let mut collector = Collector::new(options);
    let mut flows = 0;
    let mut each = |record: Record, _: Exporter| {
        assert!(record.start_us <= record.end_us);
        assert_eq!(record.source.is_ipv4(), record.destination.is_ipv4());
        assert!(record.sampling >= 1);
        flows += 1;
    };
    let mut now_us = 1_767_603_600_000_000;
    while let Some((&[sender, elapsed, high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (bytes, after) = after.split_at(length);
        rest = after;
        now_us += i64::from(elapsed) * 100_000;
        let datagram = Datagram {
            exporter: SocketAddr::new(Ipv4Addr::new(192, 0, 2, sender % 4).into(), u16::from(sender / 4)),
            arrival_us: now_us,
            bytes,
        };
        collector.take(&datagram, &mut each);
        assert!(collector.memory() <= MEMORY + UNPAIRED * UNPAIRED_BYTES);
        assert!(collector.streams().count() <= options.streams);
        if elapsed & 1 != 0 {
            collector.advance(now_us, &mut each);
        }
    }
    collector.finish(now_us, &mut each);
    assert_eq!(collector.unpaired(), 0);
    let counts = collector.counts();
    assert_eq!(flows, counts.records - counts.pairs);
}

/// Numbers, each with its bytes.
fn numbers(numbers: &[(u64, usize)]) -> Vec<u8> {
    let tail = |&(number, width): &(u64, usize)| number.to_be_bytes().into_iter().skip(8 - width);
    numbers.iter().flat_map(tail).collect()
}

/// A run of datagrams, each from the first sender and a tenth of a second after the one before.
fn run(settings: u8, datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut input = vec![settings];
    for datagram in datagrams {
        input.extend(numbers(&[(0, 1), (1, 1), (datagram.len() as u64, 2)]));
        input.extend(datagram);
    }
    input
}

fn set(id: u64, body: &[u8]) -> Vec<u8> {
    [&numbers(&[(id, 2), (body.len() as u64 + 4, 2)]), body].concat()
}

fn v9(sequence: u64, sets: &[Vec<u8>]) -> Vec<u8> {
    let head = [
        (9, 2),
        (sets.len() as u64, 2),
        (100_000, 4),
        (1_767_603_600, 4),
        (sequence, 4),
        (7, 4),
    ];
    [numbers(&head), sets.concat()].concat()
}

fn ipfix(sequence: u64, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let head = [
        (10, 2),
        (sets.len() as u64 + 16, 2),
        (1_767_603_600, 4),
        (sequence, 4),
        (7, 4),
    ];
    [numbers(&head), sets].concat()
}

/// Fields of a template, those with an enterprise behind bit 15.
fn template(id: u64, fields: &[(u64, u64)]) -> Vec<u8> {
    let mut template = numbers(&[(id, 2), (fields.len() as u64, 2)]);
    for &(number, length) in fields {
        template.extend(numbers(&[(number, 2), (length, 2)]));
        if number & 0x8000 != 0 {
            template.extend(numbers(&[(29_305, 4)]));
        }
    }
    template
}

/// Inputs to start from: each version with what it has of its own.
pub(crate) fn inputs() -> Vec<Vec<u8>> {
    let ends = |from: u64, to: u64| {
        [
            (from, 4),
            (to, 4),
            (0, 8),
            (3, 4),
            (300, 4),
            (90_000, 4),
            (99_000, 4),
            (from & 0xffff, 2),
            (to & 0xffff, 2),
        ]
    };
    let v5_record = |from, to| {
        let rest = numbers(&[(0, 1), (0x1b, 1), (6, 1), (0, 1), (0, 8)]);
        [numbers(&ends(from, to)), rest].concat()
    };
    let v5_head = |sequence| {
        numbers(&[
            (5, 2),
            (2, 2),
            (100_000, 4),
            (1_767_603_600, 4),
            (0, 4),
            (sequence, 4),
            (1, 2),
            (0x4064, 2),
        ])
    };
    let v5 = |sequence| {
        [
            v5_head(sequence),
            v5_record(0xc000_0201, 0xc633_6401),
            v5_record(0xc633_6401, 0xc000_0201),
        ]
        .concat()
    };
    let flow = [
        (8, 4),
        (12, 4),
        (7, 2),
        (11, 2),
        (4, 1),
        (2, 4),
        (1, 4),
        (6, 1),
        (22, 4),
        (21, 4),
        (48, 1),
    ];
    let record = numbers(&[
        (1, 4),
        (2, 4),
        (50_000, 2),
        (53, 2),
        (17, 1),
        (1, 4),
        (70, 4),
        (0, 1),
        (90_000, 4),
        (91_000, 4),
        (1, 1),
    ]);
    let v9_options = numbers(&[
        (257, 2),
        (4, 2),
        (8, 2),
        (1, 2),
        (4, 2),
        (48, 2),
        (1, 2),
        (50, 2),
        (4, 2),
    ]);
    let v9_option = numbers(&[(1, 4), (1, 1), (100, 4)]);
    let biflow = [
        (27, 16),
        (28, 16),
        (4, 1),
        (1, 4),
        (0x8001, 4),
        (152, 8),
        (82, 0xffff),
        (21, 4),
        (160, 8),
    ];
    let two_way = [
        numbers(&[
            (1, 8),
            (1, 8),
            (1, 8),
            (2, 8),
            (6, 1),
            (99, 4),
            (999, 4),
            (1_767_603_590_000, 8),
        ]),
        b"\x04eth0".to_vec(),
        numbers(&[(5_000, 4), (1_767_603_590_000, 8)]),
    ]
    .concat();
    let ipfix_options = numbers(&[
        (256, 2),
        (4, 2),
        (1, 2),
        (143, 2),
        (4, 2),
        (160, 2),
        (8, 2),
        (305, 2),
        (4, 2),
        (306, 2),
        (4, 2),
    ]);
    let ipfix_option = numbers(&[(1, 4), (1_767_603_500_000, 8), (1, 4), (9, 4)]);
    vec![
        run(0, &[v5(0), v5(4), v5(2), v5(9)]),
        run(
            1,
            &[
                v9(0, &[set(300, &record), set(1, &v9_options)]),
                v9(2, &[set(257, &v9_option)]),
                v9(1, &[set(0, &template(300, &flow)), set(300, &record)]),
            ],
        ),
        run(
            4,
            &[
                ipfix(
                    0,
                    &[
                        set(3, &ipfix_options),
                        set(2, &template(300, &biflow)),
                        set(256, &ipfix_option),
                        set(300, &two_way),
                    ],
                ),
                ipfix(2, &[set(2, &template(300, &[])), set(300, &two_way)]),
            ],
        ),
        run(
            2,
            &[
                ipfix(0, &[set(2, &template(301, &flow)), set(301, &record)]),
                ipfix(1, &[set(3, &ipfix_options), set(256, &ipfix_option)]),
            ],
        ),
    ]
}
