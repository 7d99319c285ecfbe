//! The own JSON and its schema.

use std::path::Path;

use netsage_api_types::Alert;
use netsage_messages::{Event, EventKind, EventSeverity, Format, HeldBackBy, Message, Reason};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::samples::{
    alert, any_alert, digest, event, every_kind, full_alert, hostile_alert, hostile_event, is_hidden,
    message, wording,
};

fn document(message: &Message) -> Value {
    let documents = Format::Json.documents(message, &wording(), usize::MAX).unwrap();
    assert_eq!(documents.len(), 1);
    serde_json::from_str(&documents[0]).unwrap()
}

#[test]
fn an_alert_stands_in_an_envelope() {
    let mut document = document(&message(alert()));
    let inner = document.as_object_mut().unwrap().remove("alert").unwrap();
    assert_eq!(serde_json::from_value::<Alert>(inner).unwrap(), alert());
    let expected = json!({
        "version": 1,
        "kind": "alert",
        "id": "00112233445566778899aabbccddeeff",
        "revision": 17,
        "reason": "begun",
        "program": { "name": "netsage", "version": "0.1.0" },
        "sensor": "edge-0",
        "link": "https://netsage.example/alerts?source=192.0.2.1&network=office",
    });
    assert_eq!(document, expected);
}

#[test]
fn numbers_are_as_short_as_those_of_the_api() {
    let document = &Format::Json
        .documents(&message(alert()), &wording(), usize::MAX)
        .unwrap()[0];
    assert!(document.contains(r#""score":0.93,"threshold":0.6"#), "{document}");
    for format in [Format::Ecs, Format::Ocsf] {
        let document = &format
            .documents(&message(alert()), &wording(), usize::MAX)
            .unwrap()[0];
        assert!(document.contains(":0.93"), "{document}");
    }
}

#[test]
fn a_digest_names_each_alert_with_revision_and_reason() {
    let document = document(&Message::Digest(digest(3)));
    assert_eq!(document["kind"], "digest");
    assert_eq!(document["id"], digest(3).id());
    assert_eq!(document["revision"], 102);
    let expected = json!({
        "id": digest(3).id(), "part": 1, "of": 1, "held_back_by": "rate-limit",
        "since_ms": digest(3).since_ms, "until_ms": digest(3).until_ms,
    });
    assert_eq!(document["digest"], expected);
    let alerts = document["alerts"].as_array().unwrap();
    let known: Vec<_> = alerts
        .iter()
        .map(|entry| (entry["revision"].clone(), entry["reason"].clone()))
        .collect();
    assert_eq!(
        known,
        [
            (json!(100), json!("grown")),
            (json!(101), json!("grown")),
            (json!(102), json!("grown"))
        ]
    );
}

#[test]
fn an_event_and_a_test_are_messages_too() {
    let told = document(&Message::Event(event()));
    assert_eq!(
        (&told["kind"], &told["id"], &told["revision"]),
        (&json!("event"), &json!("event-7d0c5f2e9a1b-5"), &json!(5))
    );
    assert_eq!(
        serde_json::from_value::<Event>(told["event"].clone()).unwrap(),
        event()
    );
    let test = document(&Message::Test(7));
    assert_eq!(
        (&test["kind"], &test["id"], &test["revision"]),
        (&json!("test"), &json!("test-7"), &json!(0))
    );
}

#[test]
fn a_program_without_names_leaves_them_out() {
    let documents = Format::Json.documents(
        &message(alert()),
        &netsage_messages::Wording::default(),
        usize::MAX,
    );
    let document: Value = serde_json::from_str(&documents.unwrap()[0]).unwrap();
    let document = document.as_object().unwrap();
    assert!(!document.contains_key("sensor") && !document.contains_key("link"));
    assert_eq!(document["program"], json!({ "name": "netsage" }));
}

proptest! {
    #[test]
    fn what_is_written_is_read(alert in hostile_alert(), event in hostile_event()) {
        let told = document(&message(alert.clone()));
        prop_assert_eq!(serde_json::from_value::<Alert>(told["alert"].clone()).unwrap(), alert);
        let told = document(&Message::Event(event.clone()));
        prop_assert_eq!(serde_json::from_value::<Event>(told["event"].clone()).unwrap(), event);
    }

    #[test]
    fn a_document_is_one_line_for_every_reader(alert in hostile_alert()) {
        for format in [Format::Json, Format::Ecs, Format::Ocsf] {
            let documents = format.documents(&message(alert.clone()), &wording(), usize::MAX).unwrap();
            prop_assert!(!documents[0].contains(is_hidden), "{}", documents[0]);
        }
    }
}

/// The schema lies in `docs/message.schema.json`; `NETSAGE_BLESS=1` writes it.
#[test]
fn the_schema_in_the_documents_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/message.schema.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("NETSAGE_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == expected,
        "docs/message.schema.json is not that of the code: NETSAGE_BLESS=1 cargo test --release -p netsage-messages schema"
    );
}

#[test]
fn documents_keep_to_the_schema_and_have_no_other_members() {
    let mut schema = schema();
    forbid_others(&mut schema);
    let check = checker("message", schema);
    let varied = crate::samples::some(&any_alert(), 100).into_iter().map(message);
    let shortened = message(Alert {
        kind: "x".repeat(9_000),
        ..full_alert()
    });
    let mut count = 0;
    for message in every_kind().into_iter().chain(varied).chain([shortened]) {
        for document in Format::Json.documents(&message, &wording(), 4_000).unwrap() {
            check(&serde_json::from_str(&document).unwrap())
                .unwrap_or_else(|error| panic!("{error}\n{document}"));
            count += 1;
        }
    }
    assert!(count > 100);
    for event in EventKind::ALL.map(|kind| Event { kind, ..event() }) {
        check(&document(&Message::Event(event))).unwrap();
    }
}

#[test]
fn the_schema_refuses_what_is_no_message() {
    let check = checker("message", schema());
    let good = document(&message(alert()));
    let refused = |change: fn(&mut Map<String, Value>)| {
        let mut document = good.clone();
        change(document.as_object_mut().unwrap());
        assert!(check(&document).is_err(), "{document}");
    };
    assert!(check(&good).is_ok());
    refused(|document| drop(document.remove("id")));
    refused(|document| drop(document.remove("alert")));
    refused(|document| drop(document.insert("kind".to_owned(), json!("digest"))));
    refused(|document| drop(document.insert("version".to_owned(), json!(2))));
    refused(|document| drop(document.insert("revision".to_owned(), json!(-1))));
    refused(|document| drop(document.insert("reason".to_owned(), json!("other"))));
}

type Check = Box<dyn Fn(&Value) -> Result<(), String>>;

/// Whether a document keeps to a schema; an error says where it does not.
pub(crate) fn checker(name: &str, schema: Value) -> Check {
    let name = format!("https://netsage.example/{name}.json");
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource(&name, schema).unwrap();
    let index = compiler.compile(&name, &mut schemas).unwrap();
    Box::new(move |document| {
        schemas
            .validate(document, index)
            .map_err(|error| format!("{error:#}"))
    })
}

/// Objects may have no members but those that the schema names.
fn forbid_others(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            // What stands in a condition is only a part of an object.
            members
                .iter_mut()
                .filter(|(name, _)| *name != "allOf")
                .for_each(|(_, value)| forbid_others(value));
            if members.get("properties").is_some_and(Value::is_object) {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(forbid_others),
        _ => {}
    }
}

/// The JSON Schema of a document (draft 2020-12). That of an alert is the one of the API.
fn schema() -> Value {
    let mut parts = Vec::new();
    Alert::schemas(&mut parts);
    parts.push((Alert::name().into_owned(), Alert::schema()));
    let mut definitions: Map<String, Value> = parts
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap()))
        .collect();
    definitions.insert("Event".to_owned(), event_schema());
    definitions.values_mut().for_each(point_to_definitions);
    let time =
        |about: &str| json!({ "type": "integer", "description": format!("{about}, ms since the epoch.") });
    let count = |about: &str| json!({ "type": "integer", "minimum": 0, "description": about });
    let text = |about: &str| json!({ "type": "string", "description": about });
    let needs = |kind: &str, members: &[&str]| {
        json!({
            "if": { "properties": { "kind": { "const": kind } } },
            "then": { "required": members },
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Message",
        "description": "One document of a message, as outputs send it in the format json. A receiver ignores members that it does not know.",
        "type": "object",
        "properties": {
            "version": { "const": 1, "description": "Version of this envelope: it rises when a member gets another meaning." },
            "kind": { "enum": ["alert", "digest", "event", "test"], "description": "What the message is about." },
            "id": text("By which, together with `revision`, a receiver knows that it has had a document already. Of an alert its id."),
            "revision": count("Of an alert the number of its last change; rises over all alerts of a store."),
            "reason": { "enum": Reason::ALL.map(Reason::name), "description": "Why an alert is told." },
            "program": {
                "type": "object",
                "properties": { "name": { "const": "netsage" }, "version": text("Its version.") },
                "required": ["name"],
            },
            "sensor": text("Name of the sensor that the program is; missing where it has none."),
            "link": { "type": "string", "format": "uri", "description": "The alert's source in the dashboard, where settings name a dashboard." },
            "shortened": {
                "type": "object",
                "description": "What was left out, since the document would have been too large; missing where nothing was.",
                "properties": {
                    "contributions": count("Contributions left out, those with the least weight."),
                    "sources": count("Sources of an alert of many left out."),
                    "texts": count("Texts that were cut; each ends with `…`."),
                },
                "required": ["contributions", "sources", "texts"],
            },
            "alert": { "$ref": "#/$defs/Alert" },
            "digest": {
                "type": "object",
                "properties": {
                    "id": text("Id of the whole digest."),
                    "part": { "type": "integer", "minimum": 1, "description": "Which part this document is." },
                    "of": { "type": "integer", "minimum": 1, "description": "How many parts there are." },
                    "held_back_by": { "enum": HeldBackBy::ALL.map(HeldBackBy::name), "description": "What held the alerts back." },
                    "since_ms": time("When the first would have gone out"),
                    "until_ms": time("When the digest was made"),
                },
                "required": ["id", "part", "of", "held_back_by", "since_ms", "until_ms"],
            },
            "alerts": {
                "type": "array",
                "minItems": 1,
                "description": "The alerts of a digest, or of this part of it, the highest severity first.",
                "items": {
                    "type": "object",
                    "properties": {
                        "revision": count("As `revision` of a message of the alert alone."),
                        "reason": { "enum": Reason::ALL.map(Reason::name), "description": "Why the alert is told." },
                        "alert": { "$ref": "#/$defs/Alert" },
                    },
                    "required": ["revision", "reason", "alert"],
                },
            },
            "event": { "$ref": "#/$defs/Event" },
            "text": text("What a test says."),
        },
        "required": ["version", "kind", "id", "revision", "program"],
        "allOf": [
            needs("alert", &["reason", "alert"]),
            needs("digest", &["digest", "alerts"]),
            needs("event", &["event"]),
            needs("test", &["text"]),
        ],
        "$defs": definitions,
    })
}

fn event_schema() -> Value {
    json!({
        "type": "object",
        "description": "Something that happened to the program itself.",
        "properties": {
            "program": { "type": "string", "description": "Id of the program, kept in its data folder." },
            "number": { "type": "integer", "minimum": 0, "description": "Its number in the log of the program; numbers rise by one." },
            "at_ms": { "type": "integer", "description": "When it happened, ms since the epoch." },
            "kind": { "enum": EventKind::ALL.map(EventKind::name), "description": "What happened." },
            "severity": { "enum": EventSeverity::ALL.map(EventSeverity::name), "description": "How bad it is." },
            "subject": { "type": "string", "description": "What it happened to: the name of a source, detector, store or output." },
            "text": { "type": "string", "description": "A sentence for people." },
        },
        "required": ["program", "number", "at_ms", "kind", "severity", "subject", "text"],
    })
}

/// The API's document has its parts at another place.
fn point_to_definitions(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("#/components/schemas/") {
                *text = format!("#/$defs/{name}");
            }
        }
        Value::Object(members) => members.values_mut().for_each(point_to_definitions),
        Value::Array(values) => values.iter_mut().for_each(point_to_definitions),
        _ => {}
    }
}
