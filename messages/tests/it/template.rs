//! Templates: what is filled in, and what is refused.

use netsage_messages::template::PLACEHOLDERS;
use netsage_messages::{Message, Template, TemplateError, Wording};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::samples::{
    alert, digest, event, every_kind, full_alert, hostile_alert, is_hidden, leaves, message, wording,
};

fn filled(template: &Value, message: &Message) -> Value {
    let template = Template::parse(&template.to_string()).unwrap();
    let documents = template.fill(message, &wording(), usize::MAX).unwrap();
    assert_eq!(documents.len(), 1);
    serde_json::from_str(&documents[0]).unwrap()
}

#[test]
fn placeholders_are_filled_within_texts_alone() {
    let check = |template: Value, expected: Value| assert_eq!(filled(&template, &message(alert())), expected);
    check(json!("{alert.source}"), json!("192.0.2.1"));
    check(json!({ "{alert.source}": 1 }), json!({ "{alert.source}": 1 }));
    check(
        json!(["a {alert.count} b", 7, null, true, ""]),
        json!(["a 12 b", 7, null, true, ""]),
    );
    check(json!("{{alert.source}}"), json!("{alert.source}"));
    check(json!("{{{alert.source}}}"), json!("{192.0.2.1}"));
    check(
        json!("{alert.source}{alert.source_port}"),
        json!("192.0.2.140001"),
    );
    check(json!("{alert.merged_into}"), json!(""));
    check(
        json!("{link}"),
        json!("https://netsage.example/alerts?source=192.0.2.1&network=office"),
    );
    check(json!("{event.text}"), json!(""));
}

#[test]
fn an_event_and_a_test_fill_what_they_have() {
    let template = json!({ "title": "{title}", "text": "{text}", "of": "{event.subject}", "key": "{id}/{revision}", "kind": "{kind}", "level": "{severity}", "source": "{alert.source}" });
    assert_eq!(
        filled(&template, &Message::Event(event())),
        json!({
            "title": "error: source-lost eth0", "text": "The interface eth0 is down: packets are not seen.", "of": "eth0",
            "key": "event-7d0c5f2e9a1b-5/5", "kind": "event", "level": "error", "source": "",
        })
    );
    let test = filled(&template, &Message::Test(9));
    assert_eq!(
        (&test["key"], &test["kind"], &test["level"]),
        (&json!("test-9/0"), &json!("test"), &json!("info"))
    );
}

#[test]
fn what_is_wrong_is_refused_with_what_to_do() {
    let check = |template: &str, expected: TemplateError| {
        let error = Template::parse(template).unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().contains(is_hidden), "{error}");
    };
    let unknown = |place: &str, name: &str, nearest: &'static str| TemplateError::Unknown {
        place: place.to_owned(),
        name: name.to_owned(),
        nearest,
    };
    check(
        r#"{ "a": { "b": ["x {alert.sorce}"] } }"#,
        unknown("/a/b/0", "alert.sorce", "alert.source"),
    );
    check(
        r#""{alert.Source}""#,
        unknown("the whole", "alert.Source", "alert.source"),
    );
    check(r#""{titel}""#, unknown("the whole", "titel", "title"));
    check(
        r#""{ alert.source }""#,
        unknown("the whole", " alert.source ", "alert.source"),
    );
    check(r#""{\n}""#, unknown("the whole", "⟨U+000A⟩", "title"));
    let brace = |place: &str| TemplateError::Brace {
        place: place.to_owned(),
    };
    check(r#"{ "a": "{alert.source" }"#, brace("/a"));
    check(r#"{ "a": "alert.source}" }"#, brace("/a"));
    check(r#"["{"]"#, brace("/0"));
    check(
        &format!("\"{}\"", "x".repeat(65_536)),
        TemplateError::TooLong { length: 65_538 },
    );
    for no_json in [
        "",
        "{alert.source}",
        "{ \"a\": {alert.count} }",
        &"[".repeat(10_000),
    ] {
        let error = Template::parse(no_json).unwrap_err();
        assert!(matches!(error, TemplateError::Json { .. }), "{error}");
    }
    let error = Template::parse(r#"{ "a": "{alert.sorce}" }"#)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "/a of the template has the placeholder {alert.sorce}, which is unknown: did you mean {alert.source}?"
    );
    let error = Template::parse(r#"{ "a": "{" }"#).unwrap_err().to_string();
    assert_eq!(
        error,
        "/a of the template has a single brace: close the placeholder, or write {{ or }} for a brace"
    );
}

#[test]
fn every_field_of_an_alert_has_a_placeholder() {
    let alert = serde_json::to_value(full_alert()).unwrap();
    for path in leaves(&alert).into_keys() {
        // Lists are filled in as a whole.
        let path = path.split("[]").next().unwrap();
        let name = format!("alert.{path}");
        assert!(
            PLACEHOLDERS.iter().any(|placeholder| placeholder.name == name),
            "{name}"
        );
        let value = filled(&json!(format!("{{{name}}}")), &message(full_alert()));
        assert_ne!(value, "", "{name}");
    }
}

#[test]
fn every_placeholder_is_filled_by_some_message() {
    let messages = every_kind();
    for placeholder in PLACEHOLDERS
        .iter()
        .filter(|placeholder| placeholder.name != "shortened")
    {
        let template = json!(format!("{{{}}}", placeholder.name));
        let template = Template::parse(&template.to_string()).unwrap();
        let some = messages.iter().any(|message| {
            let documents = template.fill(message, &wording(), usize::MAX).unwrap();
            documents.iter().any(|document| document != "\"\"")
        });
        assert!(some, "{}", placeholder.name);
    }
}

#[test]
fn a_digest_is_listed_where_the_template_has_a_place_for_a_list() {
    let message = Message::Digest(digest(3));
    let listing = filled(&json!({ "text": "{title}\n{text}", "ids": "{ids}" }), &message);
    let text = listing["text"].as_str().unwrap();
    assert_eq!(text.lines().count(), 4);
    assert!(
        text.starts_with("3 alerts held back by the rate limit\n"),
        "{text}"
    );
    let ids: Vec<_> = listing["ids"]
        .as_str()
        .unwrap()
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    assert_eq!(
        ids,
        (0..3).map(|number| format!("{number:032x}")).collect::<Vec<_>>()
    );
    let each = Template::parse(r#"{ "dedup": "{id}" }"#).unwrap();
    let documents = each.keyed_fill(&message, &wording(), usize::MAX).unwrap();
    assert_eq!(documents.len(), 3);
    for (number, document) in documents.iter().enumerate() {
        assert_eq!(document.id, format!("{number:032x}"));
        assert_eq!(document.text, format!("{{\"dedup\":\"{number:032x}\"}}"));
    }
}

proptest! {
    /// At any receiver: no line, no mention, no link.
    #[test]
    fn what_is_filled_in_is_harmless(alert in hostile_alert()) {
        for placeholder in PLACEHOLDERS {
            let value = filled(&json!(format!("{{{}}}", placeholder.name)), &message(alert.clone()));
            let value = value.as_str().unwrap();
            prop_assert!(!value.contains(is_hidden), "{}: {:?}", placeholder.name, value);
            prop_assert!(!value.contains(['<', '>', '@', '[', ']', '`']), "{}: {:?}", placeholder.name, value);
        }
    }

    #[test]
    fn no_template_makes_it_panic(template in "\\PC{0,80}", text in "[{}a-z.\\\\\"]{0,40}") {
        let _ = Template::parse(&template);
        if let Ok(template) = Template::parse(&json!([text]).to_string()) {
            let _ = template.fill(&message(full_alert()), &Wording::default(), usize::MAX);
        }
    }
}
