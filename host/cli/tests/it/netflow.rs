//! Exporters of NetFlow and IPFIX, through the program: what is stored is what they were given, and nothing is called lost.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use netsage_testkit::exporters::{self, Ends, Whole};

use super::support::{Home, Server, packages_built};

/// Conversations of a capture.
const CONVERSATIONS: u32 = 600;

/// A flow as it stands in a store: packets and bytes of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stored {
    packets: u64,
    bytes: u64,
    start_ms: i64,
    end_ms: i64,
}

impl From<&Whole> for Stored {
    fn from(whole: &Whole) -> Self {
        Self {
            packets: whole.from_low.packets + whole.from_high.packets,
            bytes: whole.from_low.bytes + whole.from_high.bytes,
            start_ms: whole.start_us / 1_000,
            end_ms: whole.end_us / 1_000,
        }
    }
}

/// A program that listens for exporters, and its address.
fn start(home: &Home) -> (Server, SocketAddr) {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let flags = ["--lateness", "1s", "--netflow-pairing", "2s"];
    let server = Server::start(home, &[&["--netflow", &address.to_string()], &flags[..]].concat());
    (server, address)
}

/// Every flow of the store, each of its ends once.
fn stored(server: &Server) -> BTreeMap<Ends, Stored> {
    let mut flows = BTreeMap::new();
    for flow in server.all("/api/v1/flows") {
        let end = |address: &str, port: &str| {
            let address = flow[address].as_str().unwrap().parse().unwrap();
            SocketAddr::new(address, u16::try_from(flow[port].as_u64().unwrap()).unwrap())
        };
        let (one, other) = (
            end("source", "source_port"),
            end("destination", "destination_port"),
        );
        let protocol = match flow["protocol"].as_str().unwrap() {
            "tcp" => 6,
            "udp" => 17,
            other => panic!("{other}"),
        };
        let found = Stored {
            packets: flow["packets"].as_u64().unwrap(),
            bytes: flow["bytes"].as_u64().unwrap(),
            start_ms: flow["start"].as_i64().unwrap(),
            end_ms: flow["end"].as_i64().unwrap(),
        };
        let before = flows.insert((one.min(other), one.max(other), protocol), found);
        assert_eq!(before, None, "two flows of the same ends: {flow}");
    }
    flows
}

/// Waits for all flows, and asserts that they are those of the capture, their times up to this.
fn check(server: &Server, capture: &Path, most_ms: i64) {
    let expected = exporters::sent(capture);
    server.wait("the flows", |server| {
        server.counter("flows_scored") >= expected.len() as u64
    });
    let found = stored(server);
    assert_eq!(found.len(), expected.len());
    for (ends, expected) in &expected {
        let (expected, found) = (Stored::from(expected), found[ends]);
        assert_eq!(
            (found.packets, found.bytes),
            (expected.packets, expected.bytes),
            "{ends:?}"
        );
        for (found, expected) in [
            (found.start_ms, expected.start_ms),
            (found.end_ms, expected.end_ms),
        ] {
            let is_near = (found - expected).abs() <= most_ms;
            assert!(is_near, "{ends:?}: {found} in place of {expected}");
        }
    }
    let health = server.health();
    assert_eq!(health["problems"], serde_json::json!([]));
    assert_eq!(health["notes"], serde_json::json!([]));
    let metrics = server.bytes("/metrics", &[]).unwrap();
    let metrics = String::from_utf8(metrics).unwrap();
    let lost: Vec<&str> = (metrics.lines())
        .filter(|line| line.starts_with("netsage_") && line.contains("_lost_total{"))
        .collect();
    assert_eq!(lost.len(), 2, "of the source and of its exporter: {lost:?}");
    assert!(lost.iter().all(|line| line.ends_with(" 0")), "{lost:?}");
}

#[test]
fn flows_of_exporters_are_stored_as_they_were_sent() {
    if !packages_built() {
        return;
    }
    // How far times may be from those of packets: those of v9 go by the whole seconds of headers.
    for (arguments, most_ms) in [
        (&["-v", "5", "-a"][..], 2),
        (&["-v", "9", "-a"], 1_002),
        (&["-v", "10", "-A", "milli"], 1),
    ] {
        let home = Home::new();
        let capture = exporters::capture(home.path(), CONVERSATIONS);
        let (server, address) = start(&home);
        let arguments = [arguments, &["ip and (tcp or udp)"]].concat();
        if exporters::export(home.path(), &capture, address, &arguments).is_none() {
            return;
        }
        check(&server, &capture, most_ms);
    }
}
