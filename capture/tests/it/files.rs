//! Capture files, sound and damaged.

use netsage_capture::LinkType;
use netsage_capture::file::{CaptureReader, FileError};

const LITTLE_MICRO: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];
const BIG_NANO: [u8; 4] = [0xa1, 0xb2, 0x3c, 0x4d];

fn pcap(magic: [u8; 4], records: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let big = magic[0] == 0xa1;
    let word = |value: u32| {
        if big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    };
    let mut file = magic.to_vec();
    file.extend([0; 12]);
    file.extend(word(65_535));
    file.extend(word(1));
    for (seconds, fraction, captured, bytes) in records {
        for value in [*seconds, *fraction, *captured, *captured] {
            file.extend(word(value));
        }
        file.extend(*bytes);
    }
    file
}

/// Reads everything: the times of the packets, and the error at the end.
fn read(file: &[u8]) -> (Vec<i64>, Option<FileError>) {
    let mut reader = match CaptureReader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut times = Vec::new();
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => {
                assert_eq!(packet.link, LinkType::Ethernet);
                times.push(packet.time_ns);
            }
            Ok(None) => return (times, None),
            Err(error) => {
                assert!(
                    matches!(reader.next_packet(), Ok(None)),
                    "nothing follows an error"
                );
                return (times, Some(error));
            }
        }
    }
}

fn check_error(file: &[u8], packets: usize, expected: &str) {
    let (times, error) = read(file);
    let error = error.expect("an error").to_string();
    assert_eq!(times.len(), packets, "{error}");
    assert!(error.contains(expected), "`{error}` should say `{expected}`");
}

#[test]
fn both_byte_orders_and_clocks() {
    let records: &[(u32, u32, u32, &[u8])] = &[(1, 5, 2, b"ab"), (2, 6, 0, b"")];
    assert_eq!(
        read(&pcap(LITTLE_MICRO, records)).0,
        [1_000_005_000, 2_000_006_000]
    );
    assert_eq!(read(&pcap(BIG_NANO, records)).0, [1_000_000_005, 2_000_000_006]);
}

#[test]
fn pcapng_with_a_nanosecond_clock() {
    let block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(12 + body.len()).unwrap().to_le_bytes();
        [&kind.to_le_bytes(), &length, body, &length].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let packet = [
        &[0; 8][..],
        &7_u32.to_le_bytes(),
        &[2, 0, 0, 0, 2, 0, 0, 0],
        b"ab\0\0",
    ]
    .concat();
    let file = [
        block(0x0a0d_0d0a, &section),
        block(1, &interface),
        block(6, &packet),
    ]
    .concat();
    let (times, error) = read(&file);
    assert_eq!(
        (times.as_slice(), error.map(|error| error.to_string())),
        (&[7][..], None)
    );
    check_error(
        &file[..file.len() - 1],
        0,
        "truncated: the file ends inside packet 1",
    );
    check_error(
        &[block(0x0a0d_0d0a, &section), block(6, &packet)].concat(),
        0,
        "was not described",
    );
}

#[test]
fn damaged_files_say_what_and_where() {
    let file = pcap(LITTLE_MICRO, &[(1, 0, 2, b"ab"), (2, 0, 2, b"cd")]);
    check_error(b"", 0, "empty");
    check_error(b"PK\x03\x04 and so on", 0, "not a capture");
    check_error(&LITTLE_MICRO[..3], 0, "not a capture");
    check_error(&file[..20], 0, "inside its file header");
    check_error(&file[..file.len() - 1], 1, "inside packet 2");
    check_error(&file[..50], 1, "inside packet 2");
    check_error(
        &pcap(LITTLE_MICRO, &[(1, 0, 0x7fff_ffff, b"ab")]),
        0,
        "packet 1: the record claims 2147483647",
    );
}

#[test]
fn zeros_in_place_of_records_are_passed_over() {
    let one = |seconds| pcap(LITTLE_MICRO, &[(seconds, 0, 4, &[1, 2, 3, 4][..])])[24..].to_vec();
    let header = pcap(LITTLE_MICRO, &[]);
    // Bytes of zeros before, between and behind two packets; a tail need not be whole records.
    for zeros in [
        [0, 0, 0],
        [0, 0, 7],
        [0, 0, 64],
        [0, 0, 4097],
        [0, 32, 0],
        [0, 1_001, 0],
        [16, 65_536, 65_543],
    ] {
        let [before, between, behind] = zeros.map(|zeros| vec![0; zeros]);
        let file = [&header[..], &before, &one(7), &between, &one(9), &behind].concat();
        let (times, error) = read(&file);
        assert_eq!(times, [7_000_000_000, 9_000_000_000], "{zeros:?}");
        assert!(error.is_none(), "{zeros:?}: {error:?}");
        let mut reader = CaptureReader::new(file.as_slice()).unwrap();
        while let Ok(Some(_)) = reader.next_packet() {}
        assert_eq!(reader.padding(), zeros.iter().sum::<usize>() as u64, "{zeros:?}");
    }
    // The seconds of a record may begin with a zero themselves.
    for seconds in [0x6553_f100, 0x6500_0000] {
        for zeros in 16..40 {
            let file = [&header[..], &one(7), &vec![0; zeros], &one(seconds)].concat();
            let (times, error) = read(&file);
            assert_eq!(
                times,
                [7_000_000_000, i64::from(seconds) * 1_000_000_000],
                "{zeros}"
            );
            assert!(error.is_none(), "{zeros}: {error:?}");
        }
    }
}

#[test]
fn blocks_without_packets_may_have_any_size() {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let section = |comment: usize| block(0x0a0d_0d0a, &[&section[..], &vec![0x20; comment]].concat());
    let interface = block(1, &[1, 0, 0, 0, 0, 0, 0, 0]);
    let packet = block(3, &[4, 0, 0, 0, 1, 2, 3, 4]);
    for (kind, bytes) in [(10, 2 << 20), (5, 1 << 20), (0x0bad, (8 << 20) + 4), (1, 2 << 20)] {
        let large = block(kind, &vec![0x55; bytes]);
        let file = [
            &section(0)[..],
            &interface,
            &large,
            &packet,
            &large,
            &section(3 << 20),
            &interface,
            &packet,
        ]
        .concat();
        let (times, error) = read(&file);
        assert_eq!(
            (times.len(), error.map(|error| error.to_string())),
            (2, None),
            "kind {kind}"
        );
        let cut = &file[..file.len() - packet.len() - interface.len() - (2 << 20)];
        check_error(cut, 1, "truncated");
    }
    let large_packet = block(6, &vec![0; 2 << 20]);
    check_error(
        &[&section(0)[..], &interface, &large_packet].concat(),
        0,
        "record claims",
    );
}
