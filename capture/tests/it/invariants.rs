//! What holds for every input.

use netsage_capture::decode::{DecodeOptions, decode};
use netsage_capture::file::CaptureReader;
use netsage_capture::{FlowBatch, LinkType, Meter, MeterConfig, Packet};
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
        if value("spkts") > 1.0 && duration > 0.0 {
            let bytes = value("sbytes") - (value("sbytes") / value("spkts")).floor();
            assert_eq!(value("sload"), f64::from((8.0 * bytes / duration) as f32));
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

proptest! {
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
        let metered: f64 = (0..batch.len()).map(|record| value(&batch, record, "spkts") + value(&batch, record, "dpkts")).sum();
        prop_assert_eq!(metered as u64 + meter.stats().not_metered(), packets.len() as u64);
    }
}
