//! Alerts and events to be written, and what is found again in documents.

use std::collections::BTreeMap;

use netsage_api_types::{Alert, AlertSources, AlertState, Contribution, DetectorRef, Severity, SourceScore};
use netsage_messages::{
    AlertMessage, Digest, Event, EventKind, EventSeverity, HeldBackBy, Message, Reason, Wording,
};
use proptest::prelude::*;
use serde_json::Value;

pub(crate) const T0: i64 = 1_767_603_600_000;

/// An alert with every field.
pub(crate) fn full_alert() -> Alert {
    Alert {
        id: "00112233445566778899aabbccddeeff".into(),
        first_seen: T0,
        last_seen: T0 + 61_500,
        count: 12,
        kind: "tcp/ssh".into(),
        source: "192.0.2.1".into(),
        source_port: 40_001,
        destination: "198.51.100.7".into(),
        destination_port: 22,
        protocol: "tcp".into(),
        network: "office".into(),
        sensor: "edge-1".into(),
        community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".into(),
        score: 0.93,
        threshold: 0.6,
        severity: Severity::High,
        detector: DetectorRef {
            name: "iforest".into(),
            version: "1.0.0".into(),
            digest: "5f".repeat(32),
            generation: 3,
        },
        schema: "record-v1@1".into(),
        contributions: vec![
            contribution("source_bytes", "B", 0.5, "9000", "120"),
            contribution("state", "", 0.25, "attempt", "closed"),
        ],
        state: AlertState::New,
        changed_by: Some("ada".into()),
        changed_at: Some(T0 + 70_000),
        sources: Some(AlertSources {
            count: 812,
            top: vec![
                SourceScore {
                    source: "192.0.2.1".into(),
                    score: 0.93,
                },
                SourceScore {
                    source: "192.0.2.2".into(),
                    score: 0.875,
                },
            ],
            held_back: Some(4),
        }),
        merged_into: Some("ffeeddccbbaa99887766554433221100".into()),
    }
}

/// The usual alert: of one source, and nobody has looked at it.
pub(crate) fn alert() -> Alert {
    Alert {
        changed_by: None,
        changed_at: None,
        sources: None,
        merged_into: None,
        ..full_alert()
    }
}

fn contribution(column: &str, unit: &str, weight: f32, value: &str, typical: &str) -> Contribution {
    Contribution {
        column: column.into(),
        unit: unit.into(),
        weight,
        value: value.into(),
        typical: typical.into(),
    }
}

pub(crate) fn told(alert: Alert) -> AlertMessage {
    AlertMessage {
        alert,
        revision: 17,
        reason: Reason::Begun,
    }
}

pub(crate) fn message(alert: Alert) -> Message {
    Message::Alert(told(alert))
}

/// A digest of so many alerts, each with an id of its own.
pub(crate) fn digest(count: u32) -> Digest {
    let alerts = (0..count).map(|number| AlertMessage {
        alert: Alert {
            id: format!("{number:032x}"),
            ..alert()
        },
        revision: u64::from(100 + number),
        reason: Reason::Grown,
    });
    Digest {
        held_back_by: HeldBackBy::RateLimit,
        since_ms: T0,
        until_ms: T0 + 60_000,
        alerts: alerts.collect(),
    }
}

pub(crate) fn event() -> Event {
    Event {
        program: "7d0c5f2e9a1b".into(),
        number: 5,
        at_ms: T0,
        kind: EventKind::SourceLost,
        severity: EventSeverity::Error,
        subject: "eth0".into(),
        text: "The interface eth0 is down: packets are not seen.".into(),
    }
}

pub(crate) fn wording() -> Wording {
    Wording {
        product_version: "0.1.0".into(),
        sensor: "edge-0".into(),
        dashboard: Some("https://netsage.example/".into()),
    }
}

/// Every leaf of a JSON value by its path, in which `[]` stands for every element of a list.
pub(crate) fn leaves(value: &Value) -> BTreeMap<String, Vec<Value>> {
    fn walk(value: &Value, path: &str, into: &mut BTreeMap<String, Vec<Value>>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    walk(value, &path, into);
                }
            }
            Value::Array(values) => values
                .iter()
                .for_each(|value| walk(value, &format!("{path}[]"), into)),
            leaf => into.entry(path.to_owned()).or_default().push(leaf.clone()),
        }
    }
    let mut into = BTreeMap::new();
    walk(value, "", &mut into);
    into
}

/// Whether a character ends a line, turns the direction of writing, or is not seen: none may stand in a document as it is.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{61c}'
        )
}

/// The text as it is shown to people.
pub(crate) fn shown(text: &str) -> String {
    let characters = text.chars().map(|character| match is_hidden(character) {
        true => format!("⟨U+{:04X}⟩", u32::from(character)),
        false => character.to_string(),
    });
    characters.collect()
}

/// What a stranger would write into a name.
const HOSTILE: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\t",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\"",
    "'",
    "|",
    "\\",
    "\\\\",
    "=",
    "]",
    "[",
    "}",
    "{",
    "{{ alert.id }}",
    "{alert.source}",
    "{{",
    "<@channel>",
    "<!here>",
    "@channel",
    "&",
    "&amp;",
    "<",
    ">",
    "<at>all</at>",
    "<script>alert(1)</script>",
    "[a](https://evil.example)",
    "<https://evil.example|a>",
    "`",
    "*",
    "_",
    "CEF:0|a|b|c|d|e|9|",
    " src=203.0.113.9",
    " cs1Label=forged cs1=forged",
    "\" forged=\"1\"]",
    "[forged@32473 a=\"b\"]",
    "\n<34>1 - - - - - - forged",
    "\r\nBcc: eve@evil.example\r\n\r\n",
    "\r\n.\r\nMAIL FROM:<eve@evil.example>",
    "\\n",
    "\\u000a",
    "%0a",
    "\",\"kind\":\"forged",
    "é",
    "日本",
    "😀",
    "plain",
    " ",
    "-",
    "/",
];

/// Text of a stranger: never empty, so that a document has the same fields whatever it is.
pub(crate) fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = proptest::collection::vec(proptest::sample::select(HOSTILE), 0..6);
    let pieces = pieces.prop_map(|pieces| format!("x{}", pieces.concat()));
    prop_oneof![
        9 => pieces.clone(),
        3 => "[\\PC]{1,40}".prop_map(|text| format!("x{text}")),
        1 => pieces.prop_map(|text| text.repeat(300)),
    ]
}

/// The alert with a stranger's text in every field of text, each another one.
pub(crate) fn hostile_alert() -> impl Strategy<Value = Alert> {
    proptest::collection::vec(hostile_text(), 40).prop_map(|texts| {
        let alert = with_texts(full_alert(), &texts);
        let merged_into = alert.merged_into.as_deref().map(short);
        Alert {
            id: short(&alert.id),
            merged_into,
            ..alert
        }
    })
}

/// Ids are never cut, so that long ones fit nowhere.
fn short(id: &str) -> String {
    id.chars().take(100).collect()
}

/// The alert with these texts in its fields of text, ids among them.
pub(crate) fn with_texts(mut alert: Alert, texts: &[String]) -> Alert {
    let mut texts = texts.iter().cloned().cycle();
    let mut next = || texts.next().unwrap();
    alert.id = next();
    alert.kind = format!("tcp/{}", next());
    alert.source = next();
    alert.destination = next();
    alert.protocol = next();
    alert.network = next();
    alert.sensor = next();
    alert.community_id = next();
    alert.detector.name = next();
    alert.detector.version = next();
    alert.detector.digest = next();
    alert.schema = next();
    for of in &mut alert.contributions {
        for text in [&mut of.column, &mut of.unit, &mut of.value, &mut of.typical] {
            *text = next();
        }
    }
    alert.changed_by = alert.changed_by.map(|_| next());
    alert.merged_into = alert.merged_into.map(|_| next());
    for top in alert.sources.iter_mut().flat_map(|sources| &mut sources.top) {
        top.source = next();
    }
    alert
}

/// The event with a stranger's text in every field of text.
pub(crate) fn hostile_event() -> impl Strategy<Value = Event> {
    [hostile_text(), hostile_text(), hostile_text()].prop_map(|[program, subject, text]| Event {
        program: short(&program),
        subject,
        text,
        ..event()
    })
}

/// Alerts as detectors raise them, of every kind.
pub(crate) fn any_alert() -> impl Strategy<Value = Alert> {
    let address = || {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|address| std::net::IpAddr::from(address).to_string()),
            any::<[u8; 16]>().prop_map(|address| std::net::IpAddr::from(address).to_string()),
        ]
    };
    let name = || prop_oneof![Just(String::new()), "[a-z]{1,8}(-[0-9])?"];
    let score = || (1_u32..2_000).prop_map(|thousandths| thousandths as f32 / 1_000.0);
    let contribution = (
        "[a-z_]{1,20}",
        prop_oneof![Just(""), Just("B"), Just("s")],
        score(),
        "[0-9a-z.]{1,9}",
        "[0-9a-z.]{0,9}",
    )
        .prop_map(|(column, unit, weight, value, typical)| {
            contribution(&column, unit, weight / 2.0, &value, &typical)
        });
    let source = (address(), score()).prop_map(|(source, score)| SourceScore { source, score });
    let sources = (
        1_u64..1 << 40,
        proptest::collection::vec(source, 0..=10),
        any::<Option<u32>>(),
    )
        .prop_map(|(count, top, held_back)| AlertSources {
            count,
            top,
            held_back: held_back.map(u64::from),
        });
    let kinds = prop_oneof![
        Just(("tcp", "ssh")),
        Just(("udp", "dns")),
        Just(("icmp", "-")),
        Just(("ipv6-icmp", "-")),
        Just(("arp", "-"))
    ];
    let severity = prop_oneof![
        Just(Severity::Low),
        Just(Severity::Medium),
        Just(Severity::High),
        Just(Severity::Critical)
    ];
    let state = prop_oneof![
        Just(AlertState::New),
        Just(AlertState::Acknowledged),
        Just(AlertState::Closed),
        Just(AlertState::Merged)
    ];
    (
        (
            any::<u128>(),
            0..4_000_000_000_000_i64,
            0..86_400_000_i64,
            1_u64..1 << 40,
            kinds,
        ),
        (address(), any::<u16>(), address(), any::<u16>(), name(), name()),
        (
            score(),
            score(),
            severity,
            state,
            proptest::collection::vec(contribution, 0..=8),
        ),
        (
            any::<Option<u32>>(),
            proptest::option::of(sources),
            any::<Option<u128>>(),
            any::<u32>(),
        ),
    )
        .prop_map(|(what, flow, judged, rest)| {
            let (id, first_seen, length, count, (protocol, service)) = what;
            let (source, source_port, destination, destination_port, network, sensor) = flow;
            let (score, threshold, severity, state, contributions) = judged;
            let (changed, sources, merged_into, generation) = rest;
            Alert {
                id: format!("{id:032x}"),
                first_seen,
                last_seen: first_seen + length,
                count,
                kind: format!("{protocol}/{service}"),
                source,
                source_port,
                destination,
                destination_port,
                protocol: protocol.into(),
                network,
                sensor,
                score,
                threshold,
                severity,
                detector: DetectorRef {
                    generation: generation.into(),
                    ..full_alert().detector
                },
                contributions,
                state,
                changed_by: changed.map(|number| format!("person {number}")),
                changed_at: changed.map(i64::from),
                sources,
                merged_into: merged_into.map(|id| format!("{id:032x}")),
                ..full_alert()
            }
        })
}

/// So many of what a strategy gives, the same every time.
pub(crate) fn some<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    use proptest::strategy::ValueTree as _;

    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut one = || strategy.new_tree(&mut runner).unwrap().current();
    (0..count).map(|_| one()).collect()
}

/// A message of every kind.
pub(crate) fn every_kind() -> Vec<Message> {
    vec![
        message(alert()),
        message(full_alert()),
        Message::Digest(digest(3)),
        Message::Event(event()),
        Message::Test(1_767_603_600_000),
    ]
}
