//! What exporters in the field do, and what is right then.

use netsage_records::Sides;
use netsage_testkit::datagrams::{
    FLOW, FLOW_ABSOLUTE, Head, REVERSE, VARIABLE, bytes, enterprise_template, flow, ipfix, ipfix_options,
    set, template, v5, v5_flow, v9, v9_options,
};

use super::{EXPORTER, Kept, read, unpaired};

const A: [u8; 4] = [192, 0, 2, 10];
const B: [u8; 4] = [198, 51, 100, 20];
/// The header's time less its uptime, in microseconds: when the exporter started.
const BOOT_US: i64 = (1_767_603_600 - 100) * 1_000_000;

fn head(sequence: u32) -> Head {
    Head {
        sequence,
        ..Head::default()
    }
}

/// A flow whose port and packets say which it is.
fn numbered(number: u16) -> Vec<u8> {
    flow(A, B, (number, 443), number.into(), (1_000, 2_000))
}

#[track_caller]
fn check(datagrams: &[Vec<u8>], flows: &[(u16, u64, u64)], counted: &str) {
    let kept = read(datagrams);
    assert_eq!(kept.flows(), flows, "{}", kept.counted());
    assert_eq!(kept.counted(), counted);
}

#[test]
fn each_version_is_read() {
    let record = v5_flow(A, B, (7, 443), 3, (1_000, 2_500));
    let kept = read(&[v5(&head(0), 1, &[record])]);
    let (record, exporter) = &kept.records[0];
    assert_eq!(
        (record.start_us - BOOT_US, record.end_us - BOOT_US),
        (1_000_000, 2_500_000)
    );
    assert_eq!(
        (record.source.to_string(), record.destination.to_string()),
        ("192.0.2.10".into(), "198.51.100.20".into())
    );
    assert_eq!(
        (record.source_port, record.destination_port, record.protocol),
        (7, 443, 6)
    );
    let sides = |source| {
        Some(Sides {
            source,
            destination: 0,
        })
    };
    assert_eq!(
        (record.packets, record.bytes, record.sampling),
        (sides(3), sides(300), 1)
    );
    assert_eq!((exporter.address, exporter.domain), (EXPORTER.ip(), 0));

    let flows = [(7, 7, 700)];
    let sets = [set(0, &[template(300, &FLOW)]), set(300, &[numbered(7)])];
    check(&[v9(&head(0), &sets)], &flows, "1 records in 1 datagrams");
    let record = flow(A, B, (7, 443), 7, (1_767_603_590, 1_767_603_591));
    let sets = [set(2, &[template(300, &FLOW_ABSOLUTE)]), set(300, &[record])];
    check(&[ipfix(&head(0), &sets)], &flows, "1 records in 1 datagrams");
}

#[test]
fn templates_belong_to_an_exporter_and_a_domain() {
    let swapped: Vec<(u16, u16)> = FLOW
        .iter()
        .map(|&(number, length)| match number {
            7 => (11, length),
            11 => (7, length),
            _ => (number, length),
        })
        .collect();
    let other = "192.0.2.2:9995".parse().unwrap();
    let second_port = "192.0.2.1:9996".parse().unwrap();
    let second_domain = Head { domain: 1, ..head(0) };
    let mut kept = Kept::new(unpaired());
    kept.take(&v9(&head(0), &[set(0, &[template(300, &FLOW)])]));
    for exporter in [other, second_port] {
        kept.take_from(exporter, &v9(&head(0), &[set(0, &[template(300, &swapped)])]));
    }
    kept.take(&v9(&second_domain, &[set(0, &[template(300, &swapped)])]));
    let data = |head: Head| v9(&Head { sequence: 1, ..head }, &[set(300, &[numbered(7)])]);
    kept.take(&data(head(0)));
    kept.take_from(other, &data(head(0)));
    kept.take_from(second_port, &data(head(0)));
    kept.take(&data(second_domain));
    let ports: Vec<u16> = kept.flows().iter().map(|flow| flow.0).collect();
    assert_eq!(ports, [7, 443, 443, 443]);
}

#[test]
fn the_last_definition_of_an_id_holds() {
    let options = v9_options(300, &[(1, 4)], &[(34, 4)]);
    let record = bytes(&[(1, 4), (1, 4)]);
    // From data to options and back, in one datagram and over several.
    check(
        &[
            v9(&head(0), &[set(0, &[template(300, &FLOW)])]),
            v9(&head(1), &[set(1, &[options]), set(300, &[record])]),
            v9(
                &head(2),
                &[set(0, &[template(300, &FLOW)]), set(300, &[numbered(9)])],
            ),
        ],
        &[(9, 9, 900)],
        "1 records in 3 datagrams",
    );
    let shorter: Vec<(u16, u16)> = FLOW[..9].to_vec();
    let ending = [
        FLOW[0],
        FLOW[1],
        FLOW[2],
        FLOW[3],
        FLOW[4],
        FLOW[5],
        FLOW[6],
        (22, 4),
        (21, 4),
    ];
    let mut record = numbered(5);
    // Without the flags.
    record.remove(21);
    check(
        &[
            v9(&head(0), &[set(0, &[template(300, &shorter)])]),
            v9(
                &head(1),
                &[set(0, &[template(300, &ending)]), set(300, &[record])],
            ),
        ],
        &[(5, 5, 500)],
        "1 records in 2 datagrams",
    );
}

#[test]
fn early_data_is_held_until_its_template_comes() {
    check(
        &[
            v9(&head(0), &[set(300, &[numbered(3)])]),
            v9(&head(1), &[set(300, &[numbered(4)])]),
            v9(
                &head(2),
                &[set(0, &[template(300, &FLOW)]), set(300, &[numbered(5)])],
            ),
        ],
        &[(3, 3, 300), (4, 4, 400), (5, 5, 500)],
        "3 records in 3 datagrams",
    );
    // What never gets one is counted.
    check(
        &[v9(
            &head(0),
            &[set(300, &[numbered(3)]), set(301, &[numbered(3)])],
        )],
        &[],
        "0 records in 1 datagrams; refused: 2 (a set had no template in time)",
    );
}

#[test]
fn all_sets_of_a_datagram_are_used_in_order() {
    let sampling = v9_options(257, &[(1, 4)], &[(48, 1), (50, 4)]);
    let fields: Vec<(u16, u16)> = FLOW.into_iter().chain([(48, 1)]).collect();
    let record = [numbered(2), bytes(&[(1, 1)])].concat();
    check(
        &[v9(
            &head(0),
            &[
                set(1, &[sampling]),
                set(0, &[template(300, &fields), template(301, &FLOW)]),
                set(257, &[bytes(&[(1, 4), (1, 1), (100, 4)])]),
                set(300, &[record]),
                set(301, &[numbered(3)]),
            ],
        )],
        // The only sampler of the domain rules records that name none.
        &[(2, 200, 20_000), (3, 300, 30_000)],
        "2 records in 1 datagrams",
    );
}

#[test]
fn sampling_of_v5_has_a_mode_in_its_upper_bits() {
    let rate = |sampling: u16| {
        let head = Head { sampling, ..head(0) };
        let kept = read(&[v5(&head, 1, &[v5_flow(A, B, (7, 443), 3, (1_000, 2_000))])]);
        let record = &kept.records[0].0;
        (
            record.sampling,
            record.packets.unwrap().source,
            record.bytes.unwrap().source,
        )
    };
    assert_eq!(rate(0x4000 | 100), (100, 300, 30_000));
    assert_eq!(rate(0x8000 | 1_000), (1_000, 3_000, 300_000));
    assert_eq!(rate(0), (1, 3, 300));
    assert_eq!(rate(1), (1, 3, 300));
    assert_eq!(rate(0x4000), (1, 3, 300));
}

#[test]
fn rates_are_those_of_options() {
    let rate = |fields: &[(u16, u16)], values: &[(u64, usize)]| {
        let scope: Vec<(u16, u16)> = [(149, 4)].into_iter().chain(fields.iter().copied()).collect();
        let option = [bytes(&[(0, 4)]), bytes(values)].concat();
        let kept = read(&[ipfix(
            &head(0),
            &[
                set(3, &[ipfix_options(256, 1, &scope)]),
                set(256, &[option]),
                set(2, &[template(300, &FLOW_ABSOLUTE)]),
                set(300, &[numbered(3)]),
            ],
        )]);
        (kept.records[0].0.sampling, kept.flows()[0].1)
    };
    // Packets taken and skipped: 1 of 100, 2 of 100.
    assert_eq!(rate(&[(305, 4), (306, 4)], &[(1, 4), (99, 4)]), (100, 300));
    assert_eq!(rate(&[(305, 4), (306, 4)], &[(2, 4), (98, 4)]), (50, 150));
    assert_eq!(rate(&[(34, 4)], &[(64, 4)]), (64, 192));
    assert_eq!(rate(&[(34, 4), (35, 1)], &[(0, 4), (1, 1)]), (1, 3));
    assert_eq!(rate(&[(309, 4), (310, 4)], &[(1, 4), (512, 4)]), (512, 1_536));
    assert_eq!(rate(&[(305, 4), (306, 4)], &[(0, 4), (99, 4)]), (1, 3));
}

#[test]
fn a_record_names_its_sampler() {
    let sampler = v9_options(257, &[(1, 4)], &[(48, 2), (49, 1), (50, 4)]);
    let fields: Vec<(u16, u16)> = FLOW.into_iter().chain([(48, 2)]).collect();
    let record = |number: u16, id| [numbered(number), bytes(&[(id, 2)])].concat();
    let options = [
        bytes(&[(0, 4), (1, 2), (2, 1), (10, 4)]),
        bytes(&[(0, 4), (7, 2), (2, 1), (1_000, 4)]),
    ];
    let mut kept = Kept::new(unpaired());
    // The options come from another port.
    let other_port = "192.0.2.1:1024".parse().unwrap();
    kept.take_from(
        other_port,
        &v9(&head(0), &[set(1, &[sampler]), set(257, &options)]),
    );
    kept.take(&v9(
        &head(0),
        &[
            set(0, &[template(300, &fields)]),
            set(300, &[record(1, 1), record(2, 7), record(3, 0)]),
        ],
    ));
    assert_eq!(kept.flows(), [(1, 10, 1_000), (2, 2_000, 200_000), (3, 3, 300)]);
    let rates: Vec<u32> = kept.records.iter().map(|(record, _)| record.sampling).collect();
    assert_eq!(rates, [10, 1_000, 1]);
}

/// Start and end, in microseconds, of the only flow.
#[track_caller]
fn times(datagram: Vec<u8>) -> (i64, i64) {
    let kept = read(&[datagram]);
    assert_eq!(kept.records.len(), 1, "{}", kept.counted());
    (kept.records[0].0.start_us, kept.records[0].0.end_us)
}

#[test]
fn uptime_wraps_after_49_days() {
    let wrapped = Head {
        uptime_ms: 500,
        ..head(0)
    };
    let header_us = 1_767_603_600_000_000;
    let record = v5_flow(A, B, (7, 443), 3, (u32::MAX - 499, 200));
    assert_eq!(
        times(v5(&wrapped, 1, &[record])),
        (header_us - 1_000_000, header_us - 300_000)
    );
    // A flow that ends after the header's time, whose seconds are cut.
    let record = v5_flow(A, B, (7, 443), 3, (400, 900));
    assert_eq!(
        times(v5(&wrapped, 1, &[record])),
        (header_us - 100_000, header_us + 400_000)
    );
}

/// A flow of IPFIX with its addresses, protocol and packets, and these fields.
fn timed(fields: &[(u16, u16)], values: &[(u64, usize)], more: &[Vec<u8>]) -> Vec<u8> {
    let all: Vec<(u16, u16)> = [(8, 4), (12, 4), (4, 1), (2, 4)]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    let record = [&A[..], &B, &bytes(&[(6, 1), (1, 4)]), &bytes(values)].concat();
    let mut sets = vec![set(2, &[template(300, &all)]), set(300, &[record])];
    sets.extend_from_slice(more);
    ipfix(&head(0), &sets)
}

#[test]
fn times_come_in_many_elements() {
    let second = 1_767_603_590;
    let (start_us, end_us) = (1_767_603_590_125_000, 1_767_603_591_250_000);
    let ntp = |us: i64| {
        let (seconds, rest) = (us / 1_000_000 + 2_208_988_800, us % 1_000_000);
        ((seconds as u64) << 32) | (((rest as u64) << 32) / 1_000_000)
    };
    let check = |fields: &[(u16, u16)], values: &[(u64, usize)], expected| {
        assert_eq!(times(timed(fields, values, &[])), expected, "{fields:?}");
    };
    let whole = (second * 1_000_000, (second + 1) * 1_000_000);
    check(
        &[(150, 4), (151, 4)],
        &[(second as u64, 4), (second as u64 + 1, 4)],
        whole,
    );
    let [start_ms, end_ms] = [start_us, end_us].map(|time| (time / 1_000) as u64);
    check(
        &[(152, 8), (153, 8)],
        &[(start_ms, 8), (end_ms, 8)],
        (start_us, end_us),
    );
    check(
        &[(154, 8), (155, 8)],
        &[(ntp(start_us), 8), (ntp(end_us), 8)],
        (start_us, end_us),
    );
    check(
        &[(156, 8), (157, 8)],
        &[(ntp(start_us), 8), (ntp(end_us), 8)],
        (start_us, end_us),
    );
    check(
        &[(152, 8), (161, 4)],
        &[(start_ms, 8), (1_125, 4)],
        (start_us, end_us),
    );
    check(
        &[(158, 4), (159, 4)],
        &[(9_875_000, 4), (8_750_000, 4)],
        (start_us, end_us),
    );
    // The finer unit, in any order.
    check(
        &[(150, 4), (153, 8), (152, 8), (151, 4)],
        &[(1, 4), (end_ms, 8), (start_ms, 8), (2, 4)],
        (start_us, end_us),
    );
}

#[test]
fn the_start_of_the_exporter_is_found_anywhere() {
    let boot_ms = 1_767_000_000_000_u64;
    let expected = (
        boot_ms.cast_signed() * 1_000 + 1_000_000,
        boot_ms.cast_signed() * 1_000 + 2_000_000,
    );
    let check = |fields: &[(u16, u16)], values: &[(u64, usize)], more: &[Vec<u8>]| {
        assert_eq!(times(timed(fields, values, more)), expected, "{fields:?}");
    };
    check(
        &[(160, 8), (22, 4), (21, 4)],
        &[(boot_ms, 8), (1_000, 4), (2_000, 4)],
        &[],
    );
    check(
        &[(22, 4), (21, 4), (160, 8)],
        &[(1_000, 4), (2_000, 4), (boot_ms, 8)],
        &[],
    );
    // In options, behind the records.
    let options = [
        set(3, &[ipfix_options(256, 1, &[(143, 4), (160, 8)])]),
        set(256, &[bytes(&[(1, 4), (boot_ms, 8)])]),
    ];
    check(&[(22, 4), (21, 4)], &[(1_000, 4), (2_000, 4)], &options);
    // Absolute times win over a header and an uptime that say nothing.
    let started = 1_767_603_590_000_u64;
    assert_eq!(
        times(timed(
            &[(22, 4), (21, 4), (152, 8), (153, 8)],
            &[(0, 4), (0, 4), (started, 8), (started + 5, 8)],
            &[]
        )),
        (started.cast_signed() * 1_000, (started.cast_signed() + 5) * 1_000)
    );
    // Nobody says when it started.
    let kept = read(&[timed(&[(22, 4), (21, 4)], &[(1_000, 4), (2_000, 4)], &[])]);
    assert_eq!(
        kept.counted(),
        "0 records in 1 datagrams; refused: 1 (a set had no template in time)"
    );
}

#[test]
fn fields_of_enterprises_are_skipped_by_their_length() {
    let fields: Vec<(u16, u16, u32)> = [
        (8, 4, 0),
        (100, 6, 9),
        (12, 4, 0),
        (4, 1, 0),
        (1, 8, 5_951),
        (101, VARIABLE, 9),
        (7, 2, 0),
        (2, 4, 0),
        (152, 8, 0),
    ]
    .to_vec();
    let start_ms = 1_767_603_590_000_u64;
    let record = |long: bool| {
        let text = if long {
            [&[255, 1, 0][..], &[b'x'; 256]].concat()
        } else {
            b"\x03abc".to_vec()
        };
        [
            &A[..],
            &[0; 6],
            &B,
            &[17],
            &[9; 8],
            &text,
            &bytes(&[(53, 2), (4, 4), (start_ms, 8)]),
        ]
        .concat()
    };
    check(
        &[ipfix(
            &head(0),
            &[
                set(2, &[enterprise_template(300, &fields)]),
                set(300, &[record(false), record(true), vec![0; 7]]),
            ],
        )],
        &[(53, 4, 0), (53, 4, 0)],
        "2 records in 1 datagrams",
    );
}

#[test]
fn padding_is_no_record() {
    // Of a template, of a set of fixed records, and of one whose shortest record has more bytes than the padding.
    let padded = [template(300, &FLOW), vec![0; 3]].concat();
    check(
        &[v9(
            &head(0),
            &[
                set(0, &[padded]),
                set(300, &[numbered(1), numbered(2), vec![0; 2]]),
            ],
        )],
        &[(1, 1, 100), (2, 2, 200)],
        "2 records in 1 datagrams",
    );
}

#[test]
fn a_template_without_fields_is_refused() {
    check(
        &[
            v9(&head(0), &[set(0, &[template(300, &[])])]),
            v9(
                &head(1),
                &[
                    set(0, &[template(301, &[(1, 0), (2, 0)])]),
                    set(301, &[vec![1; 8]]),
                ],
            ),
        ],
        &[],
        "0 records in 2 datagrams; refused: 2 (a template has no fields), 1 (a set had no template in time)",
    );
    check(
        &[v9(&head(0), &[set(0, &[template(20, &FLOW)])])],
        &[],
        "0 records in 1 datagrams; refused: 1 (a template has an id below 256)",
    );
}

#[test]
fn withdrawals_over_udp_mean_nothing() {
    check(
        &[
            ipfix(&head(0), &[set(2, &[template(300, &FLOW_ABSOLUTE)])]),
            ipfix(
                &head(0),
                &[set(2, &[template(300, &[])]), set(2, &[template(2, &[])])],
            ),
            ipfix(&head(0), &[set(300, &[numbered(6)])]),
        ],
        &[(6, 6, 600)],
        "1 records in 3 datagrams; passed over: 2 withdrawals of templates",
    );
}

#[test]
fn whole_records_of_a_cut_datagram_are_read() {
    let record = |number: u16| v5_flow(A, B, (number, 443), number.into(), (1_000, 2_000));
    let flows: Vec<(u16, u64, u64)> = (0..28)
        .map(|number: u16| (number, number.into(), u64::from(number) * 100))
        .collect();
    let mut records: Vec<Vec<u8>> = (0..28).map(record).collect();
    records.push(vec![1; 20]);
    // The next one follows the 30 that were sent.
    check(
        &[v5(&head(0), 30, &records), v5(&head(30), 1, &[record(99)])],
        &[&flows[..], &[(99, 99, 9_900)]].concat(),
        "29 records in 2 datagrams; 1 datagrams cut",
    );
    let whole = v9(
        &head(0),
        &[
            set(0, &[template(300, &FLOW)]),
            set(300, &[numbered(1), numbered(2)]),
        ],
    );
    check(
        &[whole[..whole.len() - 5].to_vec()],
        &[(1, 1, 100)],
        "1 records in 1 datagrams; 1 datagrams cut",
    );
    let whole = timed(&[(150, 4)], &[(1_767_603_590, 4)], &[]);
    check(
        &[whole[..whole.len() - 5].to_vec()],
        &[],
        "0 records in 1 datagrams; 1 datagrams cut",
    );
}

#[test]
fn gaps_are_lost_in_the_unit_of_the_version() {
    let five = |sequence, count: u16| {
        let records: Vec<Vec<u8>> = (0..count).map(|_| v5_flow(A, B, (1, 2), 1, (1, 2))).collect();
        v5(&head(sequence), count, &records)
    };
    let lost = |datagrams: &[Vec<u8>]| {
        let kept = read(datagrams);
        let counts = kept.collector.counts();
        (counts.lost_records, counts.lost_datagrams)
    };
    assert_eq!(lost(&[five(100, 2), five(102, 3), five(115, 1)]), (10, 0));
    let nine = |sequence| v9(&head(sequence), &[set(0, &[template(300, &FLOW)])]);
    assert_eq!(lost(&[nine(7), nine(8), nine(11)]), (0, 2));
    // Templates are no records.
    let ten = |sequence| ipfix(&head(sequence), &[set(2, &[template(300, &FLOW)])]);
    assert_eq!(lost(&[ten(50), ten(50), ten(53)]), (3, 0));
    // Each domain has its own.
    let of = |domain, sequence| {
        v9(
            &Head {
                domain,
                ..head(sequence)
            },
            &[],
        )
    };
    assert_eq!(lost(&[of(1, 5), of(2, 90), of(1, 6), of(2, 91)]), (0, 0));
}

#[test]
fn datagrams_are_put_back_in_order() {
    let nine = |sequence: u32| {
        let number = u16::try_from(sequence).unwrap();
        v9(
            &head(sequence),
            &[set(0, &[template(300, &FLOW)]), set(300, &[numbered(number)])],
        )
    };
    let order = |sequence: &[u32]| {
        let kept = read(&sequence.iter().map(|&number| nine(number)).collect::<Vec<_>>());
        let ports: Vec<u16> = kept.flows().iter().map(|flow| flow.0).collect();
        (ports, kept.collector.counts().lost_datagrams)
    };
    assert_eq!(order(&[1, 2, 4, 3, 5]), (vec![1, 2, 3, 4, 5], 0));
    assert_eq!(order(&[1, 5, 4, 3, 2, 6]), (vec![1, 2, 3, 4, 5, 6], 0));
    assert_eq!(order(&[1, 5, 4, 2, 6]), (vec![1, 2, 4, 5, 6], 1));
    // Those missing are waited for a second, then they count as lost; one that comes later is still read.
    let mut kept = Kept::new(unpaired());
    kept.take(&nine(1)).take(&nine(3)).advance(900_000);
    assert_eq!(kept.flows().len(), 1);
    kept.advance(200_000).take(&nine(2)).take(&nine(4));
    let ports: Vec<u16> = kept.flows().iter().map(|flow| flow.0).collect();
    assert_eq!(ports, [1, 3, 2, 4]);
    assert_eq!(
        kept.counted(),
        "4 records in 4 datagrams; 1 datagrams lost; 1 datagrams behind their turn"
    );
}

#[test]
fn events_of_a_firewall_are_flows_once_they_have_counters() {
    let fields = [
        (8, 4),
        (12, 4),
        (7, 2),
        (11, 2),
        (4, 1),
        (152, 8),
        (323, 8),
        (233, 1),
        (231, 4),
        (232, 4),
        (298, 4),
        (299, 4),
    ];
    let event = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (323, 8), (233, 1)];
    let start = 1_767_603_590_000_u64;
    let who = |number| [&A[..], &B, &bytes(&[(number, 2), (443, 2), (6, 1)])].concat();
    let torn_down = [
        who(5),
        bytes(&[
            (start, 8),
            (start + 900, 8),
            (2, 1),
            (700, 4),
            (9_000, 4),
            (7, 4),
            (9, 4),
        ]),
    ]
    .concat();
    let created = [who(6), bytes(&[(start, 8), (1, 1)])].concat();
    let denied = [who(7), bytes(&[(start, 8), (3, 1)])].concat();
    let kept = read(&[v9(
        &head(0),
        &[
            set(0, &[template(263, &fields), template(256, &event)]),
            set(263, &[torn_down]),
            set(256, &[created, denied]),
        ],
    )]);
    assert_eq!(
        kept.counted(),
        "1 records in 1 datagrams; passed over: 2 events of a firewall without counters"
    );
    let record = &kept.records[0].0;
    let sides = |source, destination| Some(Sides { source, destination });
    assert_eq!((record.packets, record.bytes), (sides(7, 9), sides(700, 9_000)));
    assert_eq!(record.end_us - record.start_us, 900_000);
}

#[test]
fn bytes_on_the_way_out_are_never_added() {
    let fields: Vec<(u16, u16)> = FLOW.into_iter().chain([(23, 4), (24, 4)]).collect();
    let record = [numbered(4), bytes(&[(999, 4), (9, 4)])].concat();
    let datagram = v9(
        &head(0),
        &[set(0, &[template(300, &fields)]), set(300, &[record])],
    );
    let sides = |out_is_reverse| {
        let mut kept = Kept::new(netsage_records::netflow::Options {
            out_is_reverse,
            ..unpaired()
        });
        kept.take(&datagram).finish();
        (
            kept.records[0].0.packets.unwrap(),
            kept.records[0].0.bytes.unwrap(),
        )
    };
    let of = |source, destination| Sides { source, destination };
    assert_eq!(sides(false), (of(4, 0), of(400, 0)));
    assert_eq!(sides(true), (of(4, 9), of(400, 999)));
    // Where nothing else is told, they are what a router sent on.
    let fields: Vec<(u16, u16)> = FLOW
        .iter()
        .map(|&(number, length)| match number {
            1 => (23, length),
            2 => (24, length),
            _ => (number, length),
        })
        .collect();
    check(
        &[v9(
            &head(0),
            &[set(0, &[template(300, &fields)]), set(300, &[numbered(4)])],
        )],
        &[(4, 4, 400)],
        "1 records in 1 datagrams",
    );
}

#[test]
fn the_reverse_side_makes_a_whole_flow() {
    let fields = [
        (8, 4, 0),
        (12, 4, 0),
        (7, 2, 0),
        (11, 2, 0),
        (4, 1, 0),
        (1, 4, 0),
        (2, 4, 0),
        (1, 4, REVERSE),
        (2, 4, REVERSE),
        (6, 1, 0),
        (6, 1, REVERSE),
        (152, 8, 0),
        (153, 8, 0),
    ];
    let start = 1_767_603_590_000_u64;
    let record = [
        &A[..],
        &B,
        &bytes(&[
            (5, 2),
            (443, 2),
            (6, 1),
            (100, 4),
            (1, 4),
            (200, 4),
            (2, 4),
            (0x1b, 1),
            (0x1b, 1),
            (start, 8),
            (start + 1, 8),
        ]),
    ]
    .concat();
    // With pairing on: it waits for nothing.
    let mut kept = Kept::new(netsage_records::netflow::Options::default());
    kept.take(&ipfix(
        &head(0),
        &[set(2, &[enterprise_template(300, &fields)]), set(300, &[record])],
    ));
    let record = &kept.records[0].0;
    let sides = |source, destination| Some(Sides { source, destination });
    assert_eq!((record.packets, record.bytes), (sides(1, 2), sides(100, 200)));
    assert_eq!(record.state, Some(netsage_records::State::Closed));
}

#[test]
fn what_is_no_datagram_is_refused_by_its_reason() {
    check(
        &[vec![]],
        &[],
        "0 records in 1 datagrams; refused: 1 (a datagram of less than two bytes)",
    );
    check(
        &[vec![0, 1, 2, 3]],
        &[],
        "0 records in 1 datagrams; refused: 1 (a datagram that is neither NetFlow v5 nor v9 nor IPFIX)",
    );
    check(
        &[vec![0, 9, 0, 0, 0]],
        &[],
        "0 records in 1 datagrams; refused: 1 (the header of a datagram is cut off)",
    );
    check(
        &[v9(&head(0), &[vec![1, 44, 0, 3]])],
        &[],
        "0 records in 1 datagrams; refused: 1 (a set is shorter than its own header)",
    );
    let backwards = flow(A, B, (1, 2), 1, (3_000, 2_000));
    check(
        &[v9(
            &head(0),
            &[set(0, &[template(300, &FLOW)]), set(300, &[backwards])],
        )],
        &[],
        "0 records in 1 datagrams; refused: 1 (a record ends before it starts)",
    );
    check(
        &[v9(
            &head(0),
            &[
                set(0, &[template(300, &[(1, 4), (2, 4)])]),
                set(300, &[vec![1; 8]]),
            ],
        )],
        &[],
        "0 records in 1 datagrams; passed over: 1 records without addresses",
    );
}
