//! Documents of varied alerts against the schemas that others publish.

use std::collections::BTreeMap;

use netsage_messages::mapping::MAPPINGS;
use netsage_messages::{Event, EventKind, EventSeverity, Format, Message};
use netsage_testkit::schemas;
use serde_json::Value;

use crate::own_json::checker;
use crate::samples::{any_alert, event, every_kind, hostile_alert, leaves, message, some, wording};

/// Varied alerts, hostile ones, digests, every event, a test.
fn messages() -> Vec<Message> {
    let varied = some(&any_alert(), 100).into_iter().map(message);
    let hostile = some(&hostile_alert(), 20).into_iter().map(message);
    let events = EventKind::ALL.into_iter().flat_map(|kind| {
        EventSeverity::ALL.map(|severity| {
            Message::Event(Event {
                kind,
                severity,
                ..event()
            })
        })
    });
    varied.chain(hostile).chain(events).chain(every_kind()).collect()
}

fn documents(format: Format) -> Vec<Value> {
    let all = messages();
    // Some whole, some shortened.
    let written = all.iter().flat_map(|message| {
        [usize::MAX, 2_600]
            .into_iter()
            .flat_map(|limit| format.documents(message, &wording(), limit).unwrap_or_default())
    });
    written
        .map(|document| serde_json::from_str(&document).unwrap())
        .collect()
}

#[test]
fn ecs_documents_keep_to_the_schema_of_elastic() {
    let fields = match schemas::elastic_common_schema() {
        Ok(fields) => serde_json::from_str::<Value>(&fields).unwrap(),
        Err(why) => return println!("skipped: {why}"),
    };
    let documents = documents(Format::Ecs);
    assert!(documents.len() > 250, "{}", documents.len());
    for document in &documents {
        check_ecs(&fields, document);
    }
    // The check can fail.
    for (path, value) in [
        ("/event/kind", Value::from("other")),
        ("/event/severity", Value::from("3")),
        ("/source/ip", Value::from("here")),
        ("/event/category", Value::from("network")),
        ("/rule/nonsense", Value::from("x")),
    ] {
        let mut document = documents[0].clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value;
        assert!(
            std::panic::catch_unwind(|| check_ecs(&fields, &document)).is_err(),
            "{path}"
        );
    }
}

fn check_ecs(fields: &Value, document: &Value) {
    for (path, values) in leaves(document) {
        if path.starts_with("netsage.") {
            continue;
        }
        let (name, is_list) = match path.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (path.as_str(), false),
        };
        let field = &fields[name];
        let kind = field["type"]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is no field of ECS"));
        let is_array = field["normalize"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "array"));
        assert_eq!(is_list, is_array, "{name} is a list");
        for value in &values {
            assert!(is_of(kind, value), "{name} of type {kind} holds {value}");
            if let Some(allowed) = field["allowed_values"].as_array() {
                assert!(
                    allowed.iter().any(|allowed| allowed["name"] == *value),
                    "{name} must not be {value}"
                );
            }
        }
    }
    check_categories(fields, document);
}

/// A category goes with some types only.
fn check_categories(fields: &Value, document: &Value) {
    let allowed = fields["event.category"]["allowed_values"].as_array().unwrap();
    for category in document["event"]["category"]
        .as_array()
        .expect("a list of categories")
    {
        let category = allowed
            .iter()
            .find(|allowed| allowed["name"] == *category)
            .unwrap();
        let types = category["expected_event_types"].as_array().unwrap();
        for kind in document["event"]["type"].as_array().unwrap() {
            assert!(
                types.contains(kind),
                "{kind} does not go with {}",
                category["name"]
            );
        }
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "keyword" | "match_only_text" => value.is_string(),
        "long" => value.is_i64(),
        "float" => value.is_number(),
        "date" => value.as_str().is_some_and(is_date),
        "ip" => value
            .as_str()
            .is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
        other => panic!("no check of the type {other}"),
    }
}

/// As `2026-01-05T09:00:00.000Z`.
fn is_date(text: &str) -> bool {
    let digits = |text: &str, form: &str| {
        text.len() == form.len()
            && text.chars().zip(form.chars()).all(|(is, form)| {
                if form == '0' {
                    is.is_ascii_digit()
                } else {
                    is == form
                }
            })
    };
    digits(text, "0000-00-00T00:00:00.000Z")
}

/// An index refuses a document whose field has another type than in the one before.
#[test]
fn every_field_of_ecs_has_one_type() {
    let mut types = BTreeMap::<String, &str>::new();
    let mut check = |path: &str, kind: &'static str, document: &Value| {
        let known = types.entry(path.to_owned()).or_insert(kind);
        assert_eq!(*known, kind, "{path}: {document}");
    };
    for document in documents(Format::Ecs) {
        for (path, values) in leaves(&document) {
            // Elasticsearch knows no lists: one value and several are the same.
            let path = path.replace("[]", "");
            for value in &values {
                let kind = match value {
                    Value::Bool(_) => "boolean",
                    // Scores may be whole by chance.
                    Value::Number(_) => "number",
                    Value::String(_) => "text",
                    other => panic!("{path} holds {other}"),
                };
                check(&path, kind, &document);
            }
            // An object on the way is no leaf anywhere.
            let mut way = path.as_str();
            while let Some((above, _)) = way.rsplit_once('.') {
                check(above, "object", &document);
                way = above;
            }
        }
    }
}

/// The types that the table tells of the own fields are those of the values.
#[test]
fn the_types_of_the_table_are_those_of_the_values() {
    for document in documents(Format::Ecs) {
        let leaves = leaves(&document);
        for mapping in MAPPINGS {
            let kinds: Vec<_> = mapping.ecs_type.split("; ").collect();
            let own = mapping.ecs.iter().filter(|path| path.starts_with("netsage."));
            for values in own.filter_map(|path| leaves.get(*path)) {
                for value in values {
                    assert!(
                        kinds.iter().any(|kind| is_of(kind, value)),
                        "{}: {value}",
                        mapping.field
                    );
                }
            }
        }
    }
}

#[test]
fn ocsf_documents_keep_to_the_schema() {
    let documents = documents(Format::Ocsf);
    assert!(documents.len() > 250, "{}", documents.len());
    let mut checks = BTreeMap::new();
    for document in &documents {
        let class = match document["class_uid"].as_u64() {
            Some(2004) => "detection_finding",
            Some(6002) => "application_lifecycle",
            other => panic!("{other:?} is none of the classes"),
        };
        let version = document["metadata"]["version"].as_str().unwrap();
        if !checks.contains_key(class) {
            match schemas::ocsf(version, class) {
                Ok(schema) => checks.insert(class, checker(class, serde_json::from_str(&schema).unwrap())),
                Err(why) => return println!("skipped: {why}"),
            };
        }
        if let Err(error) = checks[class](document) {
            panic!("{error}\n{document}");
        }
        let sum = document["class_uid"].as_u64().unwrap() * 100 + document["activity_id"].as_u64().unwrap();
        assert_eq!(document["type_uid"], sum);
    }
    assert_eq!(checks.len(), 2);
    // The check can fail.
    for (path, value) in [
        ("/severity_id", Value::from(7)),
        ("/time", Value::from("now")),
        ("/evidences/0/src_endpoint/ip", Value::from("here")),
        ("/finding_info/nonsense", Value::from(1)),
    ] {
        let mut document = documents[0].clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value;
        assert!(checks["detection_finding"](&document).is_err(), "{path}");
    }
}
