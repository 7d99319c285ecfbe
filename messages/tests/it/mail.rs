//! Mails: order, headers, and what strangers cannot do.

use netsage_api_types::{Alert, Severity};
use netsage_messages::mail::digest;
use netsage_messages::{AlertMessage, Digest, Event, Message, Wording};
use proptest::prelude::*;

use crate::samples::{
    self, alert, event, hostile_alert, hostile_event, hostile_text, is_hidden, message, told, wording,
};

fn of(id: &str, severity: Severity, score: f32, threshold: f32) -> Message {
    message(Alert {
        id: id.into(),
        severity,
        score,
        threshold,
        ..alert()
    })
}

#[test]
fn a_mail_of_one_alert() {
    let mail = digest(&[message(alert())], &wording());
    assert_eq!(
        mail.subject,
        "NetSage edge-0: high: tcp/ssh from 192.0.2.1 to 198.51.100.7:22"
    );
    assert_eq!(
        mail.text,
        "high: tcp/ssh from 192.0.2.1 to 198.51.100.7:22
  Severity: high
  Kind: tcp/ssh
  Source: 192.0.2.1:40001
  Destination: 198.51.100.7:22
  Flows: 12
  Score: 0.93 (threshold 0.6)
  Detector: iforest 1.0.0
  Seen: 2026-01-05T09:00:00Z to 2026-01-05T09:01:01Z
  State: new
  Place: network office, sensor edge-1
  Driven by: source_bytes 9000 B, typical 120 B (50 %)
  Driven by: state attempt, typical closed (25 %)
  Id: 00112233445566778899aabbccddeeff revision 17
  https://netsage.example/alerts?source=192.0.2.1&network=office

"
    );
    let html = mail.html.unwrap();
    assert!(
        html.contains(r#"<a href="https://netsage.example/alerts?source=192.0.2.1&amp;network=office">"#),
        "{html}"
    );
}

#[test]
fn the_oddest_comes_first() {
    let messages = [
        of("lowest", Severity::Low, 9.0, 1.0),
        of("third", Severity::High, 0.7, 0.6),
        of("second", Severity::High, 30.0, 20.0),
        of("first", Severity::Critical, 0.2, 0.19),
        of("nan", Severity::Low, f32::NAN, 1.0),
    ];
    let text = digest(&messages, &wording()).text;
    let place = |id: &str| {
        text.find(&format!("Id: {id} "))
            .unwrap_or_else(|| panic!("{id} is missing"))
    };
    assert!(
        place("first") < place("second")
            && place("second") < place("third")
            && place("third") < place("lowest")
    );
}

#[test]
fn an_alert_that_is_told_twice_is_there_once_as_it_is_last() {
    let first = AlertMessage {
        alert: Alert { count: 3, ..alert() },
        ..told(alert())
    };
    let last = AlertMessage {
        alert: Alert {
            count: 400,
            ..alert()
        },
        revision: 18,
        ..told(alert())
    };
    let held_back = Message::Digest(Digest {
        alerts: vec![last],
        ..samples::digest(1)
    });
    let text = digest(&[held_back, Message::Alert(first)], &wording()).text;
    assert_eq!(text.matches("Id: ").count(), 1);
    assert!(text.contains("Flows: 400"), "{text}");
}

#[test]
fn a_mail_of_many_lists_every_id_and_says_how_many() {
    let mail = digest(
        &[Message::Digest(samples::digest(300)), Message::Event(event())],
        &wording(),
    );
    assert_eq!(
        mail.subject,
        "NetSage edge-0: 300 alerts, first of them high: tcp/ssh from 192.0.2.1 to 198.51.100.7:22"
    );
    let html = mail.html.unwrap();
    for number in 0..300 {
        let id = format!("{number:032x}");
        assert!(mail.text.contains(&id) && html.contains(&id), "{id}");
    }
    assert!(mail.text.contains("error: source-lost eth0") && html.contains("error: source-lost eth0"));
}

#[test]
fn mails_without_alerts_have_subjects_too() {
    let check = |messages: &[Message], subject: &str| {
        let mail = digest(messages, &Wording::default());
        assert_eq!(mail.subject, subject);
        assert!(mail.html.is_none());
    };
    check(&[Message::Event(event())], "NetSage: error: source-lost eth0");
    check(
        &[
            Message::Event(event()),
            Message::Event(Event { number: 6, ..event() }),
        ],
        "NetSage: 2 events",
    );
    check(&[Message::Test(1)], "NetSage: test of an output");
    check(&[], "NetSage: test of an output");
}

/// Tags that the program writes.
const TAGS: [&str; 22] = [
    "!doctype html",
    "html lang=\"en\"",
    "/html",
    "body",
    "/body",
    "h3",
    "/h3",
    "table",
    "/table",
    "tr",
    "/tr",
    "td",
    "/td",
    "th align=\"left\"",
    "/th",
    "p",
    "/p",
    "br",
    "ul",
    "/ul",
    "li",
    "/li",
];

fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
        .collect()
}

proptest! {
    #[test]
    fn no_text_forges_a_header_a_line_or_a_tag(alert in hostile_alert(), event in hostile_event(), sensor in hostile_text()) {
        let wording = Wording { sensor, ..wording() };
        let mail = digest(&[message(alert), Message::Event(event)], &wording);
        prop_assert!(!mail.subject.contains(is_hidden) && mail.subject.len() <= 200, "{:?}", mail.subject);
        let harmless = digest(&[message(samples::with_texts(samples::full_alert(), &["x".to_owned()])), Message::Event(samples::event())], &wording);
        prop_assert_eq!(mail.text.lines().count(), harmless.text.lines().count());
        prop_assert!(!mail.text.replace('\n', "").contains(is_hidden), "{}", mail.text);
        let (html, harmless) = (mail.html.unwrap(), harmless.html.unwrap());
        prop_assert_eq!(tags(&html), tags(&harmless));
        prop_assert!(tags(&html).iter().all(|tag| TAGS.contains(tag)), "{}", html);
    }
}
