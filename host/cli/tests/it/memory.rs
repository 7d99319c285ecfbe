//! What a detector remembers, over a restart of the whole program.

use std::collections::BTreeMap;
use std::ops::Range;

use super::support::{Home, Server, packages_built, stderr};

/// Visits of the beacon, and of these how many come before the restart.
const VISITS: u32 = 40;
const BEFORE: u32 = 25;

/// A datagram in IPv4 in Ethernet.
fn datagram(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: u16) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([0x08, 0x00, 0x45, 0]);
    bytes.extend((28 + payload).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    bytes.extend([from.0, to.0].concat());
    for word in [from.1, to.1, 8 + payload, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.resize(bytes.len() + usize::from(payload), 0);
    bytes
}

/// A capture of a host that visits another one every minute, with up to half a second of jitter.
fn beacon(visits: Range<u32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Of microseconds, version 2.4, Ethernet.
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
        bytes.extend(word.to_le_bytes());
    }
    for visit in visits {
        let (seconds, jitter) = (1_700_000_000 + visit * 60, visit * 7_919 % 500_009);
        let client = ([10, 0, 0, 1], 40_000 + visit as u16);
        let server = ([203, 0, 113, 7], 4_444);
        for (microseconds, packet) in [
            (jitter, datagram(client, server, 300)),
            (jitter + 100_000, datagram(server, client, 100)),
        ] {
            let length = packet.len() as u32;
            for word in [seconds, microseconds, length, length] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(packet);
        }
    }
    bytes
}

#[test]
fn a_beacon_is_known_again_after_a_restart() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    for (name, visits) in [
        ("whole.pcap", 0..VISITS),
        ("first.pcap", 0..BEFORE),
        ("second.pcap", BEFORE..VISITS),
    ] {
        home.file(name, &beacon(visits));
    }
    let expected = scores(&home, "whole.pcap", "whole");
    assert_eq!(expected.len(), VISITS as usize);

    let first = replay("first.pcap", "restarted");
    let output = home.run(
        &[
            &["run", "--listen", "127.0.0.1:0", "--exit-when-done"],
            &first[..],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(scores(&home, "second.pcap", "restarted"), expected);

    let forgotten = scores(&home, "second.pcap", "new");
    assert!(
        forgotten.iter().all(|(id, score)| expected[id] != *score),
        "the memory counts: {forgotten:?}"
    );
}

/// What `run` is told to replay a capture into a data folder.
fn replay<'a>(capture: &'a str, data: &'a str) -> [&'a str; 8] {
    [
        "--pcap",
        capture,
        "--data-dir",
        data,
        "--schema",
        "flow-v1",
        "--detector",
        "rhythm-flow-v1",
    ]
}

/// The score of every flow that the store of a data folder has once the capture is through, by the id of the flow.
fn scores(home: &Home, capture: &str, data: &str) -> BTreeMap<String, String> {
    let server = Server::start(home, &replay(capture, data));
    server.wait_until_finished();
    let flows = server.all("/api/v1/flows");
    flows
        .iter()
        .map(|flow| (flow["id"].to_string(), flow["scores"][0]["score"].to_string()))
        .collect()
}
