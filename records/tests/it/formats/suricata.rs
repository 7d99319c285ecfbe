//! Suricata's EVE.

use netsage_records::formats::Format;
use netsage_records::{BytesOf, OwnId, Record, Sides, State};
use netsage_schema::unsw_nb15::SERVICE;

use super::{counted, read, record};

const FLOW: &str = r#"{"timestamp":"2021-06-06T15:57:37.272281+0200","flow_id":2232403389523415,"event_type":"flow","src_ip":"192.0.2.56","src_port":48938,"dest_ip":"192.0.2.129","dest_port":445,"proto":"TCP","app_proto":"tls","flow":{"pkts_toserver":2,"pkts_toclient":3,"bytes_toserver":120,"bytes_toclient":180,"start":"2021-06-06T17:34:31.140759+0200","end":"2021-06-06T17:34:31.141012+0200","age":0,"state":"closed","reason":"timeout","alerted":false},"tcp":{"tcp_flags":"16","tcp_flags_ts":"02","tcp_flags_tc":"14","syn":true,"state":"closed"},"host":"h"}"#;

#[test]
fn a_flow_event_is_a_record() {
    let expected = Record {
        start_us: 1_622_993_671_140_759,
        end_us: 1_622_993_671_141_012,
        source: "192.0.2.56".parse().unwrap(),
        destination: "192.0.2.129".parse().unwrap(),
        source_port: 48_938,
        destination_port: 445,
        protocol: 6,
        service: SERVICE.code_of("ssl"),
        state: Some(State::Refused),
        packets: Some(Sides {
            source: 2,
            destination: 3,
        }),
        bytes: Some(Sides {
            source: 120,
            destination: 180,
        }),
        bytes_of: BytesOf::Link,
        payload: None,
        sampling: 1,
        own_id: Some(OwnId::of(b"2232403389523415")),
        sensor: None,
        network: None,
        foreign: None,
    };
    let check = |text: &str| assert_eq!(record(Format::Suricata, text), expected, "{text}");
    check(FLOW);
    // Both signs of a zone, with a colon or without, and `timestamp` is another time.
    for (zone, hour) in [
        ("+02:00", "17"),
        ("-0330", "12"),
        ("-03:30", "12"),
        ("Z", "15"),
        ("+0000", "15"),
    ] {
        let minutes = if zone.contains("30") { "04" } else { "34" };
        check(
            &FLOW
                .replace(":34:31", &format!(":{minutes}:31"))
                .replace("T17", &format!("T{hour}"))
                .replace("+0200\",\"end", &format!("{zone}\",\"end"))
                .replace("+0200\",\"age", &format!("{zone}\",\"age")),
        );
    }
    check(&FLOW.replace(r#"{"timestamp":"2021-06-06T15:57:37.272281+0200","#, "{"));
    check(&format!("[{FLOW}\n]"));
}

#[test]
fn protocols_have_ports_or_a_type() {
    let check = |from: &str, to: &str, expected: (u8, u16, u16)| {
        assert!(FLOW.contains(from));
        let read = record(Format::Suricata, FLOW.replace(from, to));
        assert_eq!(
            (read.protocol, read.source_port, read.destination_port),
            expected,
            "{to}"
        );
    };
    check("\"TCP\"", "\"UDP\"", (17, 48_938, 445));
    check("\"TCP\"", "\"ICMP\",\"icmp_type\":3,\"icmp_code\":13", (1, 3, 13));
    check("\"TCP\"", "\"ICMP\"", (1, 0, 0));
    check("\"TCP\"", "\"GRE\"", (47, 0, 0));
    check("\"TCP\"", "\"002\"", (2, 0, 0));
    let v6 = FLOW
        .replace("192.0.2.", "2001:db8::")
        .replace("\"src_port\":48938,", "")
        .replace("\"dest_port\":445,", "")
        .replace("\"TCP\"", "\"IPv6-ICMP\",\"icmp_type\":128,\"icmp_code\":0");
    let read = record(Format::Suricata, v6);
    assert_eq!(
        (read.protocol, read.source_port, read.destination_port),
        (58, 128, 0)
    );
}

#[test]
fn states_come_from_flags_then_from_names() {
    let check = |source: &str, destination: &str, name: &str, answers: u32, expected: Option<State>| {
        let text = FLOW
            .replace("\"02\"", &format!("\"{source}\""))
            .replace("\"14\"", &format!("\"{destination}\""))
            .replace(
                "\"state\":\"closed\",\"reason\"",
                &format!("\"state\":\"{name}\",\"reason\""),
            )
            .replace("\"pkts_toclient\":3", &format!("\"pkts_toclient\":{answers}"));
        assert_eq!(
            record(Format::Suricata, text).state,
            expected,
            "{source} {destination} {name}"
        );
    };
    check("02", "00", "new", 0, Some(State::Attempt));
    check("02", "14", "closed", 1, Some(State::Refused));
    check("1a", "12", "established", 1, Some(State::Established));
    check("1b", "1b", "closed", 1, Some(State::Closed));
    check("1e", "1a", "closed", 1, Some(State::Reset));
    check("18", "18", "established", 1, Some(State::Midstream));
    // Without flags Suricata did not follow the connection.
    check("00", "00", "new", 0, Some(State::Attempt));
    check("00", "00", "new", 2, None);
    check("00", "00", "established", 2, Some(State::Established));
    check("00", "00", "bypassed", 2, Some(State::Established));
    check("00", "00", "closed", 2, Some(State::Closed));
    let without = FLOW.replace(
        r#""tcp":{"tcp_flags":"16","tcp_flags_ts":"02","tcp_flags_tc":"14","syn":true,"state":"closed"},"#,
        "",
    );
    assert_eq!(record(Format::Suricata, &without).state, Some(State::Closed));
    let udp = without.replace("\"TCP\"", "\"UDP\"");
    assert_eq!(record(Format::Suricata, &udp).state, Some(State::TwoWay));
    assert_eq!(
        record(
            Format::Suricata,
            udp.replace("\"pkts_toclient\":3", "\"pkts_toclient\":0")
        )
        .state,
        Some(State::OneWay)
    );
}

#[test]
fn other_events_are_passed_over_and_counted() {
    let stream = [
        FLOW,
        r#"{"event_type":"alert","src_ip":"192.0.2.1","flow":{"start":"2021-06-06T15:59:46.457984+0200"}}"#,
        r#"{"event_type":"alert"}"#,
        r#"{"event_type":"netflow"}"#,
        r#"{"event_type":"of another version"}"#,
    ];
    assert_eq!(
        counted(Format::Suricata, stream.join("\n")),
        "1 records; passed over: 2 alert events, 1 netflow events, 1 other events"
    );
}

#[test]
fn a_broken_line_is_refused_once() {
    let check = |text: &str, expected: &str| {
        let (items, reader) = read(Format::Suricata, format!("{text}\n{FLOW}\n"));
        assert_eq!(
            (items.records.len(), items.refused.len()),
            (1, 1),
            "{}",
            reader.counts()
        );
        assert_eq!(items.refused[0].to_string(), expected);
    };
    let but = |from: &str, to: &str| {
        assert!(FLOW.contains(from));
        FLOW.replacen(from, to, 1)
    };
    check(&FLOW[..FLOW.len() / 2], "line 1: no JSON object");
    check("{}", "line 1: `event_type` is missing");
    check(
        &but("\"event_type\":\"flow\"", "\"event_type\":7"),
        "line 1: `event_type` is no text of fitting length",
    );
    check(&but("\"flow\":{", "\"flow2\":{"), "line 1: `flow` is missing");
    check(
        &but("\"flow\":{", "\"flow\":7,\"flow2\":{"),
        "line 1: `flow` is no term of this format",
    );
    check(&but("\"start\"", "\"began\""), "line 1: `flow.start` is missing");
    check(
        &but("\"end\":\"2021", "\"end\":\"2020"),
        "line 1: the flow ends before it starts",
    );
    check(
        &but("2021-06-06T17:34:31.141012+0200", "x"),
        "line 1: `flow.end` is no time since 1970",
    );
    check(&but("192.0.2.56", "x"), "line 1: `src_ip` is no address");
    check(
        &but("192.0.2.56", "::1"),
        "line 1: one address is of IPv4, the other of IPv6",
    );
    check(&but("\"TCP\"", "\"x\""), "line 1: `proto` is no IP protocol");
    check(
        &but("48938", "70000"),
        "line 1: `src_port` is no port (0 to 65535)",
    );
    check(
        &but("\"pkts_toserver\":2", "\"pkts_toserver\":-2"),
        "line 1: `flow.pkts_toserver` is no whole number of 0 or more",
    );
    check(
        &but("\"bytes_toserver\":120,", ""),
        "line 1: `flow.bytes_toclient` is there without the same of the other direction",
    );
    check(
        &but("\"02\"", "\"SYN\""),
        "line 1: `tcp.tcp_flags_ts` is no term of this format",
    );
}
