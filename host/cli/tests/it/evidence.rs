//! The packets of an alert: when they are there, when they are not, and who may have them.

use std::net::IpAddr;

use netsage_capture::decode::{DecodeOptions, Transport, decode};
use netsage_capture::file::CaptureReader;
use serde_json::Value;

use super::support::{Home, Server, packages_built};

const TOKEN: &str = "correct-horse-battery";

fn path(alert: &Value) -> String {
    format!("/api/v1/alerts/{}/pcap", alert["id"].as_str().unwrap())
}

/// The packets of an alert are a capture of its flow: both directions, the right time, and nothing else.
pub(crate) fn check_packets(server: &Server, alert: &Value) {
    let file = server.bytes(&path(alert), &[]).unwrap();
    #[cfg(feature = "live")]
    check_with_libpcap(&file);
    let mut reader = CaptureReader::new(file.as_slice()).unwrap();
    let mut packets = 0;
    while let Some(packet) = reader.next_packet().unwrap() {
        packets += 1;
        let milliseconds = packet.time_ns / 1_000_000;
        let (first, last) = (alert["first_seen"].as_i64(), alert["last_seen"].as_i64());
        assert!(
            (first.unwrap()..=last.unwrap()).contains(&milliseconds),
            "{alert}"
        );
        let decoded = decode(&packet, &DecodeOptions::default()).unwrap();
        let ports = match decoded.transport {
            Transport::Tcp(segment) => (segment.source_port, segment.destination_port),
            Transport::Udp(datagram) => (datagram.source_port, datagram.destination_port),
            _ => continue,
        };
        let end = |address: &str, port: &str| {
            let address: IpAddr = alert[address].as_str().unwrap().parse().unwrap();
            (address, u16::try_from(alert[port].as_u64().unwrap()).unwrap())
        };
        let mut expected = [
            end("source", "source_port"),
            end("destination", "destination_port"),
        ];
        let mut found = [(decoded.source, ports.0), (decoded.destination, ports.1)];
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{alert}");
    }
    assert!(packets > 0);
}

/// The library under tcpdump reads the file as this crate does.
#[cfg(feature = "live")]
fn check_with_libpcap(file: &[u8]) {
    let home = Home::new();
    let path = home.file("alert.pcapng", file);
    let mut theirs = pcap::Capture::from_file_with_precision(path, pcap::Precision::Nano).unwrap();
    let mut ours = CaptureReader::new(file).unwrap();
    while let Some(packet) = ours.next_packet().unwrap() {
        let link = theirs.get_datalink();
        let other = theirs.next_packet().unwrap();
        assert_eq!(link.0, i32::from(packet.link.number()));
        assert_eq!(other.data, packet.bytes);
        assert_eq!(other.header.len, packet.wire_length);
        let time = other.header.ts;
        assert_eq!(time.tv_sec * 1_000_000_000 + time.tv_usec, packet.time_ns);
    }
    assert!(matches!(theirs.next_packet(), Err(pcap::Error::NoMorePackets)));
}

/// A server that has replayed a generated capture, and its alerts.
fn replayed(home: &Home, flags: &[&str]) -> (Server, Vec<Value>) {
    let capture = home.capture(3_000);
    let server = Server::start(home, &[&["--pcap", capture.to_str().unwrap()], flags].concat());
    server.wait_until_finished();
    let alerts = server.all("/api/v1/alerts");
    assert!(!alerts.is_empty());
    (server, alerts)
}

#[test]
fn an_alert_gives_the_packets_of_its_flow() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let (server, alerts) = replayed(&home, &["--keep-packets", "256MiB"]);
    for alert in &alerts {
        check_packets(&server, alert);
    }
    let kept = &server.health()["kept_packets"];
    assert_eq!(kept["limit"], 256 << 20, "{kept}");
    assert_eq!(kept["packets"], server.health()["counters"]["packets"], "{kept}");
    let path = path(&alerts[0]);
    assert_eq!(
        server.header(&path, "content-type").as_deref(),
        Some("application/x-pcapng")
    );
    assert!(
        server
            .header(&path, "content-disposition")
            .unwrap()
            .contains(".pcapng")
    );
}

#[test]
fn packets_that_are_not_there_are_a_clear_404() {
    if !packages_built() {
        return;
    }
    let check = |server: &Server, path: &str, kind: &str, sentence: &str| {
        let (status, problem) = server.get(path);
        assert_eq!(status, 404, "{problem}");
        assert_eq!(problem["type"], format!("urn:netsage:problem:{kind}"));
        assert!(
            problem["detail"].as_str().unwrap().contains(sentence),
            "{problem}"
        );
    };
    let home = Home::new();
    let (server, alerts) = replayed(&home, &[]);
    check(&server, &path(&alerts[0]), "packets-not-kept", "--keep-packets");
    assert!(server.health()["kept_packets"].is_null());
    drop(server);
    let home = Home::new();
    let (server, alerts) = replayed(&home, &["--keep-packets", "1MiB"]);
    let oldest = alerts
        .iter()
        .min_by_key(|alert| alert["last_seen"].as_i64())
        .unwrap();
    check(&server, &path(oldest), "packets-gone", "overwritten");
    check(&server, "/api/v1/alerts/0123/pcap", "not-found", "no alert");
    let kept = &server.health()["kept_packets"];
    assert!(kept["bytes"].as_u64() <= kept["limit"].as_u64(), "{kept}");
}

#[test]
fn packets_need_the_token_also_for_reading() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let (server, alerts) = replayed(&home, &["--keep-packets", "256MiB", "--token", TOKEN]);
    let (status, problem) = server.get(&path(&alerts[0]));
    assert_eq!((status, &problem["status"]), (401, &Value::from(401)));
    let right = format!("Bearer {TOKEN}");
    assert!(
        server
            .bytes(&path(&alerts[0]), &[("authorization", &right)])
            .is_ok()
    );
    let wrong = server.bytes(
        &path(&alerts[0]),
        &[("authorization", "Bearer wrong-horse-battery")],
    );
    assert_eq!(wrong.unwrap_err(), 401);
}
