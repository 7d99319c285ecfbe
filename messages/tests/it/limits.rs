//! Documents within limits: what is left out, and that no alert of a digest is.

use std::collections::BTreeSet;

use netsage_api_types::{Alert, Contribution};
use netsage_messages::{AlertMessage, Digest, Event, Format, Message, Template};
use proptest::prelude::*;
use serde_json::Value;

use crate::samples::{alert, digest, event, every_kind, full_alert, is_hidden, message, some, wording};

const JSON_FORMATS: [Format; 5] = [
    Format::Json,
    Format::Ecs,
    Format::Ocsf,
    Format::Slack,
    Format::Teams,
];

fn template() -> Template {
    Template::parse(
        r#"{ "text": "{text}", "title": "{title}", "why": "{alert.contributions}", "kind": "{alert.kind}", "id": "{id}" }"#,
    )
    .unwrap()
}

/// The documents in every format, and by a template.
fn in_every_way(
    message: &Message,
    limit: usize,
) -> Vec<(&'static str, Result<Vec<String>, netsage_messages::TooLarge>)> {
    let formats = Format::ALL.into_iter();
    let mut all: Vec<_> = formats
        .map(|format| (format.name(), format.documents(message, &wording(), limit)))
        .collect();
    all.push(("template", template().fill(message, &wording(), limit)));
    all
}

#[test]
fn contributions_go_first_and_the_weightiest_last() {
    let contributions = (0..20).map(|number| Contribution {
        column: format!("column_{number}"),
        weight: 0.05,
        ..full_alert().contributions[0].clone()
    });
    let alert = Alert {
        contributions: contributions.collect(),
        ..full_alert()
    };
    let whole = &Format::Json
        .documents(&message(alert.clone()), &wording(), usize::MAX)
        .unwrap()[0];
    let documents = Format::Json
        .documents(&message(alert), &wording(), whole.len() - 1)
        .unwrap();
    let document: Value = serde_json::from_str(&documents[0]).unwrap();
    let left = document["alert"]["contributions"].as_array().unwrap();
    // What the note takes is made room for too.
    assert!((17..=19).contains(&left.len()), "{}", left.len());
    assert_eq!(left[0]["column"], "column_0");
    assert_eq!(document["shortened"]["contributions"], 20 - left.len());
    assert_eq!(document["shortened"]["texts"], 0);
}

#[test]
fn texts_are_cut_when_nothing_else_is_left_and_ids_never() {
    let alert = Alert {
        kind: "k".repeat(65_536),
        ..full_alert()
    };
    let documents = Format::Json
        .documents(&message(alert), &wording(), 4_096)
        .unwrap();
    let document: Value = serde_json::from_str(&documents[0]).unwrap();
    assert!(document["alert"]["kind"].as_str().unwrap().ends_with('…'));
    assert_eq!(document["id"], full_alert().id);
    assert_eq!(document["shortened"]["texts"], 1);
    assert_eq!(document["shortened"]["contributions"], 2);
    assert_eq!(document["shortened"]["sources"], 2);
}

#[test]
fn a_message_that_cannot_be_short_enough_is_an_error_of_one_line() {
    for message in every_kind() {
        for (name, documents) in in_every_way(&message, 50) {
            let error = documents.expect_err(name);
            assert_eq!(error.limit, 50);
            assert!(error.least > 50, "{error}");
            assert!(!error.to_string().contains(is_hidden), "{error}");
        }
    }
    let alert = Alert {
        id: "\r\n".repeat(30_000),
        ..alert()
    };
    for (name, documents) in in_every_way(&message(alert.clone()), 32_768) {
        let error = documents.expect_err(name).to_string();
        assert!(error.len() < 1_000 && !error.contains(is_hidden), "{error}");
    }
}

/// Slack and Teams have limits of their own, which a generous setting does not raise.
#[test]
fn receivers_with_a_limit_get_no_more_than_they_take() {
    for (format, most) in [(Format::Slack, 40_000), (Format::Teams, 28_000)] {
        let documents = format
            .documents(&Message::Digest(digest(1_000)), &wording(), usize::MAX)
            .unwrap();
        assert!(documents.len() > 1);
        assert!(documents.iter().all(|document| document.len() <= most));
    }
}

#[test]
fn a_digest_lists_every_alert_once() {
    for count in [1_u32, 2, 3, 17, 1_000] {
        let expected: BTreeSet<_> = (0..count).map(|number| format!("{number:032x}")).collect();
        for limit in [6_000, 30_000, 1 << 20] {
            for (name, documents) in in_every_way(&Message::Digest(digest(count)), limit) {
                let documents = documents.unwrap();
                let mut found = Vec::new();
                for document in &documents {
                    assert!(document.len() <= limit, "{name}: {} of {limit}", document.len());
                    found.extend(expected.iter().filter(|id| document.contains(*id)));
                }
                assert_eq!(
                    found.len(),
                    expected.len(),
                    "{name}, {count} alerts, limit {limit}"
                );
            }
        }
    }
}

#[test]
fn parts_have_ids_of_their_own_and_the_same_ones_each_time() {
    let message = Message::Digest(digest(200));
    for format in Format::ALL {
        let once = format.keyed_documents(&message, &wording(), 20_000).unwrap();
        let keys: BTreeSet<_> = once
            .iter()
            .map(|document| (document.id.clone(), document.revision))
            .collect();
        assert_eq!(keys.len(), once.len(), "{format}");
        assert!(once.len() > 1, "{format}");
        assert_eq!(
            once,
            format.keyed_documents(&message, &wording(), 20_000).unwrap()
        );
    }
    let whole = Format::Json
        .keyed_documents(&message, &wording(), usize::MAX)
        .unwrap();
    assert_eq!(whole[0].id, digest(200).id());
    assert_eq!(whole[0].revision, message.revision());
}

#[test]
fn a_digest_of_formats_without_lists_says_so_in_each_document() {
    let documents = Format::Ecs
        .documents(&Message::Digest(digest(2)), &wording(), usize::MAX)
        .unwrap();
    for document in documents {
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["netsage"]["digest"]["id"], digest(2).id());
        assert_eq!(document["netsage"]["digest"]["held_back_by"], "rate-limit");
    }
}

/// 64 KiB of one character in one field after the other.
#[test]
fn a_huge_name_fits_and_is_said_to_be_cut() {
    let fill = |text: &str| text.repeat(65_536 / text.len());
    for text in [
        "k", "\n", "\0", "\"", "\\", "|", "=", "<", "&", "\u{202e}", "é", "{{",
    ] {
        let huge = fill(text);
        let alerts: [Alert; 6] = [
            Alert {
                kind: huge.clone(),
                ..full_alert()
            },
            Alert {
                source: huge.clone(),
                ..full_alert()
            },
            Alert {
                network: huge.clone(),
                ..full_alert()
            },
            Alert {
                sensor: huge.clone(),
                ..full_alert()
            },
            Alert {
                changed_by: Some(huge.clone()),
                ..full_alert()
            },
            Alert {
                contributions: vec![Contribution {
                    value: huge.clone(),
                    ..full_alert().contributions[0].clone()
                }],
                ..full_alert()
            },
        ];
        let events = [
            Event {
                text: huge.clone(),
                ..event()
            },
            Event {
                subject: huge.clone(),
                ..event()
            },
        ];
        let messages = alerts.map(message).into_iter().chain(events.map(Message::Event));
        for message in messages {
            for (name, documents) in in_every_way(&message, 16_384) {
                let documents = documents.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(documents.len(), 1, "{name}");
                assert!(documents[0].len() <= 16_384, "{name}");
                assert!(!documents[0].contains(is_hidden), "{name}");
                assert!(documents[0].contains(&message.id()), "{name}");
            }
        }
    }
}

proptest! {
    /// Whatever the limit: documents keep to it, or there is an error.
    #[test]
    fn no_document_is_larger_than_its_limit(limit in 0_usize..6_000, count in 1_u32..9, kind in "[a-z]{1,200}") {
        let contributions: Vec<_> = some(&"[a-z]{1,99}", 6).into_iter().map(|column| Contribution { column, ..full_alert().contributions[0].clone() }).collect();
        let mut digest: Digest = digest(count);
        for AlertMessage { alert, .. } in &mut digest.alerts {
            alert.kind = kind.clone();
            alert.contributions = contributions.clone();
        }
        for (name, documents) in in_every_way(&Message::Digest(digest), limit) {
            let Ok(documents) = documents else { continue };
            for document in documents {
                prop_assert!(document.len() <= limit, "{}: {} of {}", name, document.len(), limit);
            }
        }
    }
}

#[test]
fn documents_of_json_are_json() {
    for message in every_kind() {
        for format in JSON_FORMATS {
            for document in format.documents(&message, &wording(), usize::MAX).unwrap() {
                let value: Value = serde_json::from_str(&document).unwrap();
                assert!(value.is_object(), "{format}: {document}");
                assert_eq!(format.content_type(), "application/json");
            }
        }
    }
}
