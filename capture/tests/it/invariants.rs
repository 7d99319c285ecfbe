//! What holds for every input.

use netsage_capture::decode::{DecodeOptions, decode};
use netsage_capture::file::CaptureReader;
use netsage_capture::{LinkType, Meter, MeterConfig, Packet};
use netsage_schema::FlowBatch;
use proptest::prelude::*;

use crate::packets::{From, MILLISECOND, icmp, meter, tcp, udp, value};

/// The identities of the features.
pub(crate) fn check_batch(batch: &FlowBatch) {
    assert_eq!(batch.len(), batch.rows.len());
    assert_eq!(batch.len(), batch.community_ids.len());
    for (record, row) in batch.rows.iter().enumerate() {
        assert!(
            row.iter().all(|value| value.is_finite() && *value >= 0.0),
            "record {record}: {row:?}"
        );
        let value = |column| value(batch, record, column);
        let packets = value("spkts") + value("dpkts");
        assert!(packets >= 1.0);
        assert_eq!(value("tcprtt"), value("synack") + value("ackdat"));
        for (mean, bytes, count) in [("smean", "sbytes", "spkts"), ("dmean", "dbytes", "dpkts")] {
            let expected = if value(count) == 0.0 {
                0.0
            } else {
                (value(bytes) / value(count) + 0.5).floor()
            };
            assert_eq!(value(mean), expected);
        }
        let duration = value("dur");
        let expected = if packets < 2.0 || duration == 0.0 {
            0.0
        } else {
            (packets - 1.0) / duration
        };
        assert_eq!(value("rate"), expected);
        for (load, bytes, count) in [("sload", "sbytes", "spkts"), ("dload", "dbytes", "dpkts")] {
            let expected = if value(count) > 1.0 && duration > 0.0 {
                let bytes = value(bytes) - (value(bytes) / value(count)).floor();
                f64::from((8.0 * bytes / duration) as f32)
            } else {
                0.0
            };
            assert_eq!(value(load), expected, "{load}");
        }
        for count in [
            "ct_srv_src",
            "ct_srv_dst",
            "ct_dst_ltm",
            "ct_src_ltm",
            "ct_dst_src_ltm",
        ] {
            assert!((1.0..=100.0).contains(&value(count)), "{count}");
        }
        assert!(value("ct_dst_src_ltm") <= value("ct_dst_ltm").min(value("ct_src_ltm")));
        let identity = &batch.identities[record];
        assert!(identity.start_ns <= identity.end_ns);
    }
}

fn link() -> impl Strategy<Value = LinkType> {
    prop_oneof![
        Just(LinkType::Ethernet),
        Just(LinkType::RawIp),
        Just(LinkType::LinuxCooked),
        Just(LinkType::LinuxCooked2),
        Just(LinkType::Loopback),
        Just(LinkType::Ppp),
        Just(LinkType::PppoeSession),
        Just(LinkType::CiscoHdlc),
        Just(LinkType::Nflog),
        Just(LinkType::Wireless),
        Just(LinkType::Radiotap),
    ]
}

/// Packets of a few flows with any flags, sizes and times.
pub(crate) fn traffic() -> impl Strategy<Value = Vec<(i64, Vec<u8>)>> {
    let from = prop_oneof![Just(From::Client), Just(From::Server)];
    let packet = (
        from,
        0..4_u16,
        any::<u8>(),
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(
            |(from, kind, flags, number, data): (From, u16, u8, u32, Vec<u8>)| match kind {
                0 => udp(from, 53, &data),
                1 => icmp(from, flags % 20, 0, number as u16 % 3),
                _ => tcp(from, 80, flags, number % 500, number % 700, &data),
            },
        );
    let step = prop_oneof![4 => 0..50_i64, 1 => 0..100_000_i64, 1 => -90_000..0_i64];
    prop::collection::vec((step, packet), 1..120).prop_map(|packets| {
        let mut time_ns = 1_000_000 * MILLISECOND;
        let timed = packets.into_iter().map(|(step, bytes)| {
            time_ns += step * MILLISECOND;
            (time_ns, bytes)
        });
        timed.collect()
    })
}

/// The columns that both directions have: the source's and the destination's.
const PAIRS: [(&str, &str); 8] = [
    ("spkts", "dpkts"),
    ("sbytes", "dbytes"),
    ("sttl", "dttl"),
    ("sload", "dload"),
    ("sloss", "dloss"),
    ("sinpkt", "dinpkt"),
    ("sjit", "djit"),
    ("smean", "dmean"),
];

/// The datagrams of a conversation between ports that no service has, each after a time.
fn datagrams(packets: &[(From, i64, usize)]) -> Vec<(i64, Vec<u8>)> {
    let mut time_ns = 1_000_000 * MILLISECOND;
    let timed = packets.iter().map(|(from, step, length)| {
        time_ns += step * MILLISECOND;
        (time_ns, udp(*from, 40_001, &vec![0; *length]))
    });
    timed.collect()
}

proptest! {
    #[test]
    fn exchanged_addresses_exchange_only_the_addresses(packets in traffic()) {
        let mut exchanged = packets.clone();
        for (_, bytes) in &mut exchanged {
            let (before, destination) = bytes.split_at_mut(16);
            before[12..].swap_with_slice(&mut destination[..4]);
        }
        let (batch, _) = meter(MeterConfig::default(), &packets);
        let (other, _) = meter(MeterConfig::default(), &exchanged);
        prop_assert_eq!(batch.len(), other.len());
        for record in 0..batch.len() {
            prop_assert_eq!(batch.rows.row(record), other.rows.row(record));
            let (one, other) = (&batch.identities[record], &other.identities[record]);
            prop_assert_eq!((one.source, one.destination), (other.destination, other.source));
            prop_assert_eq!((one.source_port, one.destination_port), (other.source_port, other.destination_port));
        }
    }

    #[test]
    fn the_directions_change_places_with_who_starts(
        packets in prop::collection::vec((prop_oneof![Just(From::Client), Just(From::Server)], 1..2_000_i64, 0..400_usize), 0..20),
        lengths in (0..400_usize, 0..400_usize),
    ) {
        // Both ends send at one time, and only which of the two packets comes first differs.
        let both = [(From::Client, 0, lengths.0), (From::Server, 0, lengths.1)];
        let with = |first: usize| {
            let mut all = vec![both[first], both[1 - first]];
            all.extend(&packets);
            meter(MeterConfig::default(), &datagrams(&all)).0
        };
        let (one, other) = (with(0), with(1));
        prop_assert_eq!((one.len(), other.len()), (1, 1));
        for (source, destination) in PAIRS {
            prop_assert_eq!(value(&one, 0, source), value(&other, 0, destination), "{}", source);
            prop_assert_eq!(value(&one, 0, destination), value(&other, 0, source), "{}", destination);
        }
        for column in ["dur", "rate", "proto", "service", "state"] {
            prop_assert_eq!(value(&one, 0, column), value(&other, 0, column), "{}", column);
        }
        let (one, other) = (&one.identities[0], &other.identities[0]);
        prop_assert_eq!((one.source, one.source_port), (other.destination, other.destination_port));
        prop_assert_eq!((one.destination, one.destination_port), (other.source, other.source_port));
    }

    #[test]
    fn any_bytes_decode_or_say_why_not(link in link(), decapsulate: bool, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&Packet { link, time_ns: 0, wire_length: 0, bytes: &bytes }, &DecodeOptions { decapsulate });
    }

    #[test]
    fn a_damaged_packet_is_metered_or_counted(
        link in link(),
        cut in 0..60_usize,
        place in 0..60_usize,
        byte in any::<u8>(),
        wire_length in any::<u32>(),
    ) {
        let mut bytes = tcp(From::Client, 80, 2, 1, 1, b"GET / HTTP/1.1\r\n\r\n");
        bytes[place.min(57)] = byte;
        bytes.truncate(cut);
        let mut meter = Meter::new(MeterConfig::default());
        meter.packet(&Packet { link, time_ns: 0, wire_length, bytes: &bytes });
        meter.finish();
        prop_assert_eq!(meter.stats().flows + meter.stats().not_metered(), 1);
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..300), pcapng in any::<bool>()) {
        if bytes.len() >= 12 {
            let start: &[u8] = if pcapng { &[10, 13, 13, 10, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a] } else { &[0xd4, 0xc3, 0xb2, 0xa1] };
            bytes[..start.len()].copy_from_slice(start);
        }
        if let Ok(mut reader) = CaptureReader::new(bytes.as_slice()) {
            while let Ok(Some(_)) = reader.next_packet() {}
        }
    }

    #[test]
    fn the_identities_of_the_features_hold(packets in traffic(), flows in 1..6_usize) {
        let (batch, meter) = meter(MeterConfig { flow_memory: flows << 17, ..MeterConfig::default() }, &packets);
        check_batch(&batch);
        let total = |one: &str, other: &str| -> f64 {
            (0..batch.len()).map(|record| value(&batch, record, one) + value(&batch, record, other)).sum()
        };
        prop_assert_eq!(total("spkts", "dpkts") as u64 + meter.stats().not_metered(), packets.len() as u64);
        if meter.stats().not_metered() == 0 {
            let bytes: usize = packets.iter().map(|(_, bytes)| bytes.len()).sum();
            prop_assert_eq!(total("sbytes", "dbytes") as usize, bytes);
        }
    }
}
