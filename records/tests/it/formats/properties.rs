//! What holds of any bytes: nothing panics, each item is counted once, and how bytes are cut does not matter.

use netsage_records::formats::{Format, Items, Options, Reader, recognise};
use proptest::prelude::*;

const SEEDS: [&str; 6] = [
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n1655071198.444458\tCAAAAF2OBB4onCC0Dd\t192.0.2.167\t62771\t198.51.100.123\t443\ttcp\tssl\t1.135424\t900\t1100\tSF\t14\t1016\t16\t1226\n19.9\tC\\x2d\tfe80::1\t128\tff02::fb\t129\ticmp\t-\t-\t-\t-\tOTH\t1\t87\t0\t0\n",
    "{\"ts\":1700828217.314165,\"uid\":\"CBBBBB1IT1nCCCDDD3\",\"id.orig_h\":\"192.0.2.9\",\"id.orig_p\":50820,\"id.resp_h\":\"198.51.100.156\",\"id.resp_p\":443,\"proto\":\"tcp\",\"duration\":0.20696377754211426,\"conn_state\":\"REJ\",\"orig_pkts\":1,\"orig_ip_bytes\":60,\"resp_pkts\":1,\"resp_ip_bytes\":40}\n{\"conn\":{\"ts\":\"2022-06-12T21:59:58Z\"}}\n{\"dns\":{\"ts\":1}}\n",
    "{\"timestamp\":\"2021-06-06T15:57:37.272281+0200\",\"flow_id\":2232403389523415,\"event_type\":\"flow\",\"src_ip\":\"192.0.2.56\",\"src_port\":48938,\"dest_ip\":\"198.51.100.129\",\"dest_port\":445,\"proto\":\"TCP\",\"flow\":{\"pkts_toserver\":2,\"pkts_toclient\":2,\"bytes_toserver\":120,\"bytes_toclient\":120,\"start\":\"2021-06-06T17:34:31.140759+0200\",\"end\":\"2021-06-06T17:34:31.141012-0330\",\"state\":\"closed\"},\"tcp\":{\"tcp_flags_ts\":\"02\",\"tcp_flags_tc\":\"14\"}}\n{\"event_type\":\"alert\"}\n",
    "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label\n2019/04/04 16:23:00.325010,0.027947,udp,192.0.2.69,48427,  <->,198.51.100.8,53,CON,0,0,2,142,63,1,\n2019/04/04 16:23:00.355768,129.927856,tcp,192.0.2.69,48009,   ->,198.51.100.2,https,SPA_SRPA,0,164,26,5723,1621,13,\n1.5,1,icmp,10.0.0.1,0x0303,->,10.0.0.2,0x00,URP,0,,1,60,60,1,\n1,1,arp,,,,,,,,,,,,,\n",
    "{\"start_us\":1767603600000125,\"end_us\":1767603600200000,\"source\":\"192.0.2.7\",\"source_port\":51514,\"destination\":\"198.51.100.9\",\"destination_port\":443,\"protocol\":\"tcp\",\"service\":\"ssl\",\"state\":\"closed\",\"source_packets\":12,\"destination_packets\":15,\"sampling\":64,\"sensor\":\"hq-1\",\"network\":\"x\",\"uid\":\"C\"}\n",
    "[{\"start_us\":1,\"end_us\":2,\"source\":\"::1\",\"destination\":\"::2\",\"protocol\":58}, {\n\"start_us\":1\n},\n 7, \"x\"]\n{\n  \"start_us\": 1\n}\n",
];

/// Bytes that are nearly records: lines of formats with some bytes changed, left out, doubled or put in.
fn nearly_records() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..5_u8, any::<u8>());
    (0..SEEDS.len(), proptest::collection::vec(change, 0..12)).prop_map(|(seed, changes)| {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (place, kind, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => drop(bytes.remove(place)),
                2 => bytes.insert(place, b"\n\t,{}[]\"\\ "[usize::from(byte) % 10]),
                3 => bytes.truncate(place),
                _ => {
                    let end = (place + usize::from(byte)).min(bytes.len());
                    bytes.extend_from_within(place..end);
                }
            }
        }
        bytes
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => nearly_records(),
        1 => proptest::collection::vec(any::<u8>(), 0..600),
        1 => "[ \\[\\]{}\",:\\\\\na-z0-9]{0,200}".prop_map(String::into_bytes),
    ]
}

fn read_in_pieces(format: Format, bytes: &[u8], step: usize) -> (Items, Reader) {
    let mut reader = Reader::new(format, &Options::default());
    let mut items = Items::default();
    let (mut used, mut given) = (0, 0);
    while given < bytes.len() || used < bytes.len() {
        given = (given + step).min(bytes.len());
        let is_last = given == bytes.len();
        used += reader.read(&bytes[used..given], is_last, &mut items);
        assert!(used <= given && (!is_last || used == given));
    }
    (items, reader)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn each_item_is_counted_once_however_it_comes(bytes in any_bytes(), step in 1..90_usize) {
        for format in Format::ALL {
            let (items, reader) = read_in_pieces(format, &bytes, bytes.len().max(1));
            let counts = reader.counts();
            prop_assert_eq!(counts.items(), reader.items());
            prop_assert_eq!(counts.records, items.records.len() as u64);
            prop_assert_eq!(counts.refused.total(), items.refused.len() as u64);
            for record in &items.records {
                prop_assert!(0 <= record.start_us && record.start_us <= record.end_us);
                prop_assert!(record.source.is_ipv4() == record.destination.is_ipv4());
                prop_assert!(record.sampling > 0);
            }
            let (in_pieces, pieces) = read_in_pieces(format, &bytes, step);
            prop_assert_eq!(pieces.counts(), counts, "{}", bytes.escape_ascii());
            prop_assert_eq!(&in_pieces.records, &items.records);
            prop_assert_eq!(&in_pieces.refused, &items.refused);
        }
        let _ = recognise(&bytes);
    }

    #[test]
    fn reading_goes_on_behind_any_byte(bytes in any_bytes(), cut in any::<prop::sample::Index>()) {
        for format in Format::ALL {
            let (whole, all) = read_in_pieces(format, &bytes, bytes.len().max(1));
            let mut first = Reader::new(format, &Options::default());
            let mut items = Items::default();
            let used = first.read(&bytes[..cut.index(bytes.len() + 1)], false, &mut items);
            let mut second = Reader::new(format, &Options::default());
            second.resume(&first.header(), first.items());
            second.read(&bytes[used..], true, &mut items);
            prop_assert_eq!(&items.records, &whole.records, "{}", bytes.escape_ascii());
            prop_assert_eq!(second.items(), all.items(), "{}", bytes.escape_ascii());
        }
    }

    /// Of text that is no JSON list and has no objects over several lines, items are lines.
    #[test]
    fn items_of_argus_are_lines(bytes in any_bytes()) {
        let (_, reader) = read_in_pieces(Format::Argus, &bytes, bytes.len().max(1));
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').count();
        prop_assert_eq!(reader.items(), lines as u64);
    }

    #[test]
    fn a_message_is_as_the_same_bytes_read(bytes in any_bytes()) {
        for format in Format::ALL {
            let (items, _) = read_in_pieces(format, &bytes, bytes.len().max(1));
            let mut reader = Reader::new(format, &Options::default());
            let mut of_message = Items::default();
            reader.message(&bytes, &mut of_message);
            prop_assert_eq!(&of_message.records, &items.records);
            prop_assert_eq!(&of_message.refused, &items.refused);
        }
    }
}
