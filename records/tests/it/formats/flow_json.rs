//! The project's own JSON and its schema.

use std::path::Path;
use std::sync::LazyLock;

use netsage_records::formats::Format;
use netsage_records::formats::flow_json::{FIELDS, json_schema, write};
use netsage_records::{BytesOf, OwnId, Record, Sides, State};
use netsage_schema::unsw_nb15::SERVICE;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{counted, read, record};

fn full() -> Value {
    json!({
        "start_us": 1_767_603_600_000_125_i64,
        "end_us": 1_767_603_600_200_000_i64,
        "source": "192.0.2.7",
        "source_port": 51_514,
        "destination": "198.51.100.9",
        "destination_port": 443,
        "protocol": "tcp",
        "service": "ssl",
        "state": "closed",
        "source_packets": 12,
        "destination_packets": 15,
        "source_bytes": 1_822,
        "destination_bytes": 9_133,
        "bytes_of": "link",
        "source_payload": 1_100,
        "destination_payload": 8_200,
        "sampling": 64,
        "sensor": "hq-1",
        "network": "Zürich \"north\"",
        "uid": "CAAAAF2OBB4onCC0Dd",
    })
}

fn expected() -> Record {
    let sides = |source, destination| Some(Sides { source, destination });
    Record {
        start_us: 1_767_603_600_000_125,
        end_us: 1_767_603_600_200_000,
        source: "192.0.2.7".parse().unwrap(),
        destination: "198.51.100.9".parse().unwrap(),
        source_port: 51_514,
        destination_port: 443,
        protocol: 6,
        service: SERVICE.code_of("ssl"),
        state: Some(State::Closed),
        packets: sides(12, 15),
        bytes: sides(1_822, 9_133),
        bytes_of: BytesOf::Link,
        payload: sides(1_100, 8_200),
        sampling: 64,
        own_id: Some(OwnId::of(b"CAAAAF2OBB4onCC0Dd")),
        sensor: Some("hq-1".into()),
        network: Some("Zürich \"north\"".into()),
        foreign: None,
    }
}

#[test]
fn one_flow_a_list_and_lines_are_read() {
    let one = full().to_string();
    let many = Value::from(vec![full(); 3]);
    let check = |text: String, records: usize| {
        let (items, reader) = read(Format::FlowJson, &text);
        assert_eq!(
            reader.counts().to_string(),
            format!("{records} records"),
            "{text}"
        );
        assert!(items.records.iter().all(|record| *record == expected()));
    };
    check(one.clone(), 1);
    check(format!("{one}\n{one}\n"), 2);
    check(serde_json::to_string_pretty(&full()).unwrap(), 1);
    check(many.to_string(), 3);
    check(serde_json::to_string_pretty(&many).unwrap(), 3);
    check(format!("{many}\n{many}\n"), 6);
}

#[test]
fn the_least_that_a_flow_says_is_read() {
    let least = json!({ "start_us": 0, "end_us": 0, "source": "::1", "destination": "::2", "protocol": 47 });
    let read = record(Format::FlowJson, least.to_string());
    assert_eq!(read.protocol, 47);
    assert_eq!(
        (read.source_port, read.destination_port, read.sampling),
        (0, 0, 1)
    );
    assert_eq!(
        (read.service, read.state, read.packets, read.bytes),
        (None, None, None, None)
    );
    assert_eq!(read.bytes_of, BytesOf::Network);
    // Members that are not known, as programs on the way add them.
    let mut more = least;
    more["@timestamp"] = json!({ "a": [1, 2] });
    assert_eq!(record(Format::FlowJson, more.to_string()), read);
}

#[test]
fn what_another_program_said_is_kept_as_it_was() {
    let check = |row: Option<Value>, scores: Option<Value>| {
        let mut flow = full();
        let mut expected = serde_json::Map::new();
        for (name, value) in [("row", row), ("scores", scores)] {
            if let Some(value) = value {
                flow[name] = value.clone();
                expected.insert(name.to_owned(), value);
            }
        }
        let text = serde_json::to_string_pretty(&Value::from(vec![flow])).unwrap();
        let read = record(Format::FlowJson, text);
        let mut written = Vec::new();
        write(&read, &mut written).unwrap();
        assert!(!written.contains(&b'\n'));
        assert_eq!(record(Format::FlowJson, written), read);
        let kept = read
            .foreign
            .map(|text| serde_json::from_str::<Value>(&text).unwrap());
        assert_eq!(kept, (!expected.is_empty()).then_some(Value::Object(expected)));
    };
    let row = json!({ "schema": "flow-v1@3", "values": [0.1, 2.5e-9, 1e21, 7] });
    let scores = json!([{ "detector": "a \"b\"\n", "version": "1.0.0", "score": 0.625, "threshold": 0.5 }]);
    check(None, None);
    check(Some(row.clone()), None);
    check(None, Some(scores.clone()));
    check(Some(row), Some(scores));
}

#[test]
fn arp_is_no_protocol_of_ip_and_has_a_name() {
    let arp = json!({ "start_us": 0, "end_us": 9, "source": "10.0.0.1", "destination": "10.0.0.2", "protocol": "ARP" });
    let read = record(Format::FlowJson, arp.to_string());
    assert_eq!(read.protocol, netsage_schema::protocol::ARP);
    let mut written = Vec::new();
    write(&read, &mut written).unwrap();
    let written = String::from_utf8(written).unwrap();
    assert_eq!(record(Format::FlowJson, written), read);
}

#[test]
fn a_flow_that_is_none_is_refused_by_reason() {
    let check = |name: &str, value: Value, expected: &str| {
        let mut flow = full();
        flow[name] = value;
        if flow[name].is_null() {
            flow.as_object_mut().unwrap().remove(name);
        }
        let (items, _) = read(Format::FlowJson, flow.to_string());
        let refused: Vec<_> = items.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused, [format!("line 1: {expected}")], "{flow}");
    };
    for required in ["start_us", "end_us", "source", "destination", "protocol"] {
        check(required, Value::Null, &format!("`{required}` is missing"));
    }
    check(
        "start_us",
        json!("2026-01-05T09:00:00Z"),
        "`start_us` is no time since 1970",
    );
    check("start_us", json!(-1), "`start_us` is no time since 1970");
    check(
        "end_us",
        json!(1_767_603_600_000_124_i64),
        "the flow ends before it starts",
    );
    check("source", json!("host"), "`source` is no address");
    check(
        "source",
        json!("::1"),
        "one address is of IPv4, the other of IPv6",
    );
    check(
        "source_port",
        json!(65_536),
        "`source_port` is no port (0 to 65535)",
    );
    check(
        "source_port",
        json!("443"),
        "`source_port` is no port (0 to 65535)",
    );
    check("protocol", json!(255), "`protocol` is no IP protocol");
    check("protocol", json!("xyz"), "`protocol` is no IP protocol");
    check("state", json!("FIN"), "`state` is no term of this format");
    check("bytes_of", json!("wire"), "`bytes_of` is no term of this format");
    check(
        "source_bytes",
        json!(1.5),
        "`source_bytes` is no whole number of 0 or more",
    );
    check(
        "source_packets",
        Value::Null,
        "`destination_packets` is there without the same of the other direction",
    );
    check("sampling", json!(0), "`sampling` is no whole number of 0 or more");
    check("sensor", json!(""), "`sensor` is no text of fitting length");
    check(
        "network",
        json!("x".repeat(129)),
        "`network` is no text of fitting length",
    );
    check(
        "own_id",
        json!("00112233445566778899aabbccddeeff"),
        "`uid` and `own_id` are both there; give one of them",
    );
    check(
        "own_id",
        json!("0011"),
        "`own_id` is no digest of 32 hexadecimal digits",
    );
    assert_eq!(
        counted(Format::FlowJson, format!("[{}, 7, {{}}]", full())),
        "1 records; refused: 1 (no JSON object), 1 (`start_us` is missing)"
    );
}

#[test]
fn refused_elements_of_a_list_have_places() {
    let (items, _) = read(Format::FlowJson, format!("[{}, 7,\n\n {{}}]", full()));
    let places: Vec<_> = items
        .refused
        .iter()
        .map(|refused| refused.place.to_string())
        .collect();
    assert_eq!(places, ["element 2", "element 3"]);
}

/// The schema lies in `docs/flow.schema.json`; `NETSAGE_BLESS=1` writes it.
#[test]
fn the_schema_in_the_documents_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flow.schema.json");
    let expected = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("NETSAGE_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == expected,
        "docs/flow.schema.json is not that of the code: NETSAGE_BLESS=1 cargo test --release -p netsage-records schema"
    );
}

/// The page names every member with what it says.
#[test]
fn the_page_has_every_member() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sources/flow-json.md");
    let page = std::fs::read_to_string(path).unwrap();
    for field in &FIELDS {
        let row = format!("| `{}` |", field.name);
        let line = page.lines().find(|line| line.starts_with(&row));
        let line = line.unwrap_or_else(|| panic!("the page has no row {row}"));
        assert!(line.contains(field.about), "{line} should say: {}", field.about);
        assert_eq!(line.contains("| yes |"), field.is_required, "{line}");
    }
}

/// Whether a flow keeps to the schema.
fn is_valid(flow: &Value) -> bool {
    static SCHEMA: LazyLock<(boon::Schemas, boon::SchemaIndex)> = LazyLock::new(|| {
        const NAME: &str = "https://netsage.example/flow.schema.json";
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource(NAME, json_schema()).unwrap();
        let index = compiler.compile(NAME, &mut schemas).unwrap();
        (schemas, index)
    });
    let (schemas, index) = &*SCHEMA;
    schemas.validate(flow, *index).is_ok()
}

#[test]
fn the_schema_takes_what_is_read_and_refuses_what_is_refused() {
    assert!(is_valid(&full()));
    // Each member with each of these values: schema and reader agree on which of them are flows. What a schema cannot say
    // (an order of times, two versions of IP, names of protocols) is left out.
    let values = [
        json!(0),
        json!(-1),
        json!(1),
        json!(1.5),
        json!(255),
        json!(65_535),
        json!(65_536),
        json!(4_294_967_296_u64),
        json!(253_402_300_799_999_999_i64),
        // A second too late: the validator compares floats, which do not part single microseconds of that year.
        json!(253_402_300_801_000_000_i64),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("tcp"),
        json!("ssl"),
        json!("closed"),
        json!("link"),
        json!("192.0.2.1"),
        json!("192.0.2.1.5"),
        json!("00112233445566778899aabbccddeeff"),
        json!("00112233445566778899AABBCCDDEEFF"),
        json!("x".repeat(128)),
        json!("é".repeat(128)),
        json!("x".repeat(129)),
        json!(true),
        json!([]),
        json!({}),
        json!({ "schema": "flow-v1@1", "values": [] }),
        json!({ "schema": "flow-v1@1", "values": [0.25, 7, -1e300] }),
        json!({ "schema": "flow-v1@1", "values": [null] }),
        json!({ "schema": "flow-v1@1", "values": vec![0; 513] }),
        json!({ "schema": "", "values": [] }),
        json!({ "values": [] }),
        json!([{ "detector": "iforest", "score": 0.5 }]),
        json!([{ "detector": "iforest", "version": null, "digest": "00", "score": 0.5, "threshold": null, "new": 1 }]),
        json!([{ "detector": "iforest", "version": "1", "score": 0.5, "threshold": 0.75 }]),
        json!([{ "detector": "iforest" }]),
        json!([{ "detector": "x".repeat(129), "score": 1 }]),
        json!(vec![json!({ "detector": "iforest", "score": 0.5 }); 65]),
    ];
    let mut read_some = 0;
    for field in &FIELDS {
        for value in &values {
            let mut flow = full();
            if field.name == "own_id" {
                flow.as_object_mut().unwrap().remove("uid");
            }
            if field.name == "start_us" {
                flow["end_us"] = json!(253_402_300_799_999_999_i64);
            }
            flow[field.name] = value.clone();
            let unsaid = (field.name == "end_us"
                && value.as_i64().is_some_and(|end| end < 1_767_603_600_000_125))
                || (field.name == "protocol" && value.is_string());
            if unsaid {
                continue;
            }
            let is_read = read(Format::FlowJson, flow.to_string()).0.records.len() == 1;
            assert_eq!(is_valid(&flow), is_read, "{}: {value}", field.name);
            read_some += usize::from(is_read);
        }
        let mut without = full();
        without.as_object_mut().unwrap().remove(field.name);
        let is_read = read(Format::FlowJson, without.to_string()).0.records.len() == 1;
        assert_eq!(is_valid(&without), is_read, "without {}", field.name);
    }
    assert!(read_some > FIELDS.len(), "{read_some} of the flows are read");
    let mut late = full();
    late["end_us"] = json!(253_402_300_800_000_000_i64);
    let read_late = read(Format::FlowJson, late.to_string()).0.records;
    assert!(read_late.is_empty(), "a microsecond too late: {read_late:?}");
}

fn any_record() -> impl Strategy<Value = Record> {
    let sides = || {
        proptest::option::of((0..=i64::MAX as u64, 0..=i64::MAX as u64))
            .prop_map(|sides| sides.map(|(source, destination)| Sides { source, destination }))
    };
    let addresses = prop_oneof![
        any::<[[u8; 4]; 2]>().prop_map(|addresses| addresses.map(std::net::IpAddr::from)),
        any::<[[u8; 16]; 2]>().prop_map(|addresses| addresses.map(std::net::IpAddr::from)),
    ];
    let states = [
        None,
        Some(State::Attempt),
        Some(State::Refused),
        Some(State::Established),
        Some(State::Closed),
        Some(State::Reset),
        Some(State::Midstream),
        Some(State::TwoWay),
        Some(State::OneWay),
    ];
    let label = || proptest::option::of("\\PC{1,128}".prop_map(|text| std::sync::Arc::from(text.as_str())));
    (
        (
            0..200_000_000_000_000_000_i64,
            0..50_000_000_000_000_000_i64,
            addresses,
            any::<[u16; 2]>(),
            0..255_u8,
        ),
        (
            proptest::option::of(0..13_u16),
            proptest::sample::select(states.to_vec()),
            sides(),
            sides(),
            proptest::sample::select(vec![BytesOf::Network, BytesOf::Link, BytesOf::Payload]),
            sides(),
        ),
        (
            1..=u32::MAX,
            proptest::option::of(any::<[u8; 16]>()),
            label(),
            label(),
        ),
    )
        .prop_map(|(who, what, about)| {
            let (start_us, duration, [source, destination], [source_port, destination_port], protocol) = who;
            let (service, state, packets, bytes, bytes_of, payload) = what;
            let (sampling, own_id, sensor, network) = about;
            Record {
                start_us,
                end_us: start_us + duration,
                source,
                destination,
                source_port,
                destination_port,
                protocol,
                service,
                state,
                packets,
                bytes,
                bytes_of,
                payload,
                sampling,
                own_id: own_id.map(OwnId),
                sensor,
                network,
                foreign: None,
            }
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(written in any_record()) {
        let mut text = Vec::new();
        write(&written, &mut text).unwrap();
        prop_assert_eq!(record(Format::FlowJson, &text), written);
        let value: Value = serde_json::from_slice(&text).unwrap();
        prop_assert!(is_valid(&value), "{}", value);
    }
}
