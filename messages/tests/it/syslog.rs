//! Lines of syslog, read back by a small parser of RFC 5424.

use netsage_api_types::{Alert, Severity};
use netsage_messages::syslog::{Clock, Facility, Framing, Sender, framed, lines};
use netsage_messages::{Event, EventSeverity, Format, Message, Wording};
use proptest::prelude::*;
use serde_json::Value;

use crate::samples::{
    alert, digest, event, every_kind, hostile_alert, hostile_event, hostile_text, is_hidden, message, shown,
    wording,
};

fn sender() -> Sender {
    Sender {
        hostname: "edge-1.example".into(),
        app_name: "netsage".into(),
        process_id: Some(4_711),
        facility: Facility::LOCAL0,
        clock: Clock::Trusted,
        enterprise: None,
    }
}

/// A line, read as RFC 5424 says.
#[derive(Debug, PartialEq)]
struct Read {
    priority: u32,
    time: String,
    header: [String; 4],
    elements: Vec<(String, Vec<(String, String)>)>,
    message: String,
}

fn parse(line: &str) -> Result<Read, String> {
    let (priority, rest) = line
        .strip_prefix('<')
        .and_then(|rest| rest.split_once(">1 "))
        .ok_or("no priority")?;
    let mut fields = rest.splitn(6, ' ');
    let mut next = |most: usize| {
        let field = fields.next().ok_or("the header ends early")?;
        let is_good =
            (1..=most).contains(&field.len()) && field.chars().all(|character| character.is_ascii_graphic());
        if is_good {
            Ok(field.to_owned())
        } else {
            Err(format!("a field of {field:?}"))
        }
    };
    let time = next(32)?;
    let header = [next(255)?, next(48)?, next(128)?, next(32)?];
    let mut rest = fields.next().ok_or("no structured data")?;
    let mut elements = Vec::new();
    if let Some(after) = rest.strip_prefix('-') {
        rest = after;
    }
    while let Some(element) = rest.strip_prefix('[') {
        let (read, after) = read_element(element)?;
        elements.push(read);
        rest = after;
    }
    let message = match rest {
        "" => "",
        rest => rest
            .strip_prefix(' ')
            .ok_or_else(|| format!("behind the structured data stands {rest:?}"))?,
    };
    Ok(Read {
        priority: priority.parse().map_err(|_| "no number of a priority")?,
        time,
        header,
        elements,
        message: message.to_owned(),
    })
}

type Element = (String, Vec<(String, String)>);

/// An element behind its bracket, and what follows.
fn read_element(text: &str) -> Result<(Element, &str), String> {
    let end = text.find([' ', ']']).ok_or("an element without an end")?;
    let (id, mut rest) = text.split_at(end);
    let mut parameters = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']') {
            return Ok(((id.to_owned(), parameters), after));
        }
        let parameter = rest
            .strip_prefix(' ')
            .ok_or_else(|| format!("in an element stands {rest:?}"))?;
        let (name, quoted) = parameter.split_once("=\"").ok_or("a parameter without a value")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next().ok_or("a value without an end")? {
                (at, '"') => break at,
                (_, ']') => return Err("a bracket that nothing escapes".to_owned()),
                (_, '\\') => value.push(characters.next().ok_or("an escape of nothing")?.1),
                (_, other) => value.push(other),
            }
        };
        parameters.push((name.to_owned(), value));
        rest = &quoted[end + 1..];
    }
}

fn only(message: &Message, format: Format, sender: &Sender) -> String {
    let mut lines = lines(message, format, &wording(), sender, usize::MAX).unwrap();
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

#[test]
fn a_line_has_the_header_of_the_standard() {
    let line = only(&Message::Event(event()), Format::Cef, &sender());
    assert_eq!(
        line,
        concat!(
            "<131>1 2026-01-05T09:00:00.000000Z edge-1.example netsage 4711 event ",
            r#"[origin software="NetSage" swVersion="0.1.0"] "#,
            "CEF:0|NetSage|NetSage|0.1.0|source-lost|error: source-lost eth0|8|externalId=event-7d0c5f2e9a1b-5 ",
            "cn1=5 cn1Label=revision rt=1767603600000 dvchost=edge-0 cs1=eth0 cs1Label=subject cs2=7d0c5f2e9a1b ",
            "cs2Label=program msg=The interface eth0 is down: packets are not seen.",
        )
    );
}

#[test]
fn a_priority_is_of_facility_and_severity() {
    let check = |message: &Message, facility: &str, expected: u32| {
        let sender = Sender {
            facility: facility.parse().unwrap(),
            ..sender()
        };
        assert_eq!(
            parse(&only(message, Format::Json, &sender)).unwrap().priority,
            expected
        );
    };
    let of = |severity| message(Alert { severity, ..alert() });
    check(&of(Severity::Critical), "local0", 16 * 8 + 2);
    check(&of(Severity::High), "local0", 16 * 8 + 3);
    check(&of(Severity::Medium), "daemon", 3 * 8 + 4);
    check(&of(Severity::Low), "kern", 5);
    let of = |severity| Message::Event(Event { severity, ..event() });
    check(&of(EventSeverity::Error), "local7", 23 * 8 + 3);
    check(&of(EventSeverity::Info), "local7", 23 * 8 + 6);
    check(&Message::Test(0), "local7", 23 * 8 + 6);
}

#[test]
fn a_clock_that_is_not_trusted_is_marked() {
    let line = only(
        &message(alert()),
        Format::Json,
        &Sender {
            clock: Clock::Untrusted,
            ..sender()
        },
    );
    let read = parse(&line).unwrap();
    let quality = (
        "timeQuality".to_owned(),
        vec![
            ("tzKnown".to_owned(), "1".to_owned()),
            ("isSynced".to_owned(), "0".to_owned()),
        ],
    );
    assert_eq!(read.elements[0], quality);
    let trusted = parse(&only(&message(alert()), Format::Json, &sender())).unwrap();
    assert!(trusted.elements.iter().all(|(id, _)| id != "timeQuality"));
}

#[test]
fn times_are_utc_whatever_they_are() {
    let check = |at_ms: i64, expected: &str| {
        let line = only(
            &Message::Event(Event { at_ms, ..event() }),
            Format::Json,
            &sender(),
        );
        assert_eq!(parse(&line).unwrap().time, expected);
    };
    check(0, "1970-01-01T00:00:00.000000Z");
    check(1_767_603_600_123, "2026-01-05T09:00:00.123000Z");
    check(-1, "1969-12-31T23:59:59.999000Z");
    check(i64::MIN, "0000-01-01T00:00:00.000000Z");
    check(i64::MAX, "9999-12-30T22:00:00.999999Z");
}

#[test]
fn an_enterprise_with_a_number_says_id_and_revision() {
    let line = only(
        &message(alert()),
        Format::Json,
        &Sender {
            enterprise: Some(4_242),
            ..sender()
        },
    );
    let read = parse(&line).unwrap();
    let expected = [("id", "00112233445566778899aabbccddeeff"), ("revision", "17")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        read.elements.last(),
        Some(&("netsage@4242".to_owned(), expected.to_vec()))
    );
}

#[test]
fn a_header_holds_what_it_can() {
    let check = |hostname: &str, expected: &str| {
        let sender = Sender {
            hostname: hostname.into(),
            process_id: None,
            ..sender()
        };
        let read = parse(&only(&message(alert()), Format::Json, &sender)).unwrap();
        assert_eq!(read.header, [expected, "netsage", "-", "alert"]);
    };
    check("", "-");
    check("edge 1\n<34>1", "edge-1-<34>1");
    check("büro", "b-ro");
    check(&"h".repeat(300), &"h".repeat(255));
}

/// JSON is ASCII and needs no mark; text that is not says so by the mark.
#[test]
fn utf_8_is_marked() {
    let named = message(Alert {
        network: "Büro 日本 😀".into(),
        ..alert()
    });
    for format in [Format::Json, Format::Ecs, Format::Ocsf] {
        let line = only(&named, format, &sender());
        assert!(line.is_ascii(), "{line}");
        let read: Value = serde_json::from_str(&parse(&line).unwrap().message).unwrap();
        assert!(read.to_string().contains("Büro 日本 😀"), "{read}");
    }
    assert!(
        parse(&only(&named, Format::Cef, &sender()))
            .unwrap()
            .message
            .starts_with("\u{feff}CEF:0|")
    );
    let plain = message(alert());
    assert!(
        parse(&only(&plain, Format::Cef, &sender()))
            .unwrap()
            .message
            .starts_with("CEF:0|")
    );
}

#[test]
fn framing_tells_lines_apart() {
    let check = |line: &str, counted: &str, ended: &str| {
        assert_eq!(framed(line, Framing::OctetCounting), counted.as_bytes());
        assert_eq!(framed(line, Framing::LineFeed), ended.as_bytes());
    };
    check("<6>1", "4 <6>1", "<6>1\n");
    // Octets, and not characters.
    check("é", "2 é", "é\n");
    check("a\nb", "3 a\nb", "a#012b\n");
}

#[test]
fn a_line_keeps_to_its_limit() {
    for message in every_kind().into_iter().chain([Message::Digest(digest(100))]) {
        for format in [Format::Json, Format::Ecs, Format::Ocsf, Format::Cef] {
            for limit in [2_048, 4_096, 8_192] {
                let Ok(lines) = lines(&message, format, &wording(), &sender(), limit) else {
                    assert!(limit < 4_096, "{format}: {limit}");
                    continue;
                };
                assert!(lines.iter().all(|line| line.len() <= limit), "{format}: {limit}");
                let all = lines.concat();
                if let Message::Digest(digest) = &message {
                    assert!(
                        digest
                            .alerts
                            .iter()
                            .all(|message| all.contains(&message.alert.id)),
                        "{format}: {limit}"
                    );
                }
            }
        }
    }
    let error = lines(&message(alert()), Format::Json, &wording(), &sender(), 200).unwrap_err();
    assert!(error.limit == 200 && error.least > 200, "{error}");
}

proptest! {
    #[test]
    fn no_text_forges_a_line_or_an_element(
        alert in hostile_alert(),
        event in hostile_event(),
        names in [hostile_text(), hostile_text(), hostile_text()],
    ) {
        let [hostname, app_name, product_version] = names;
        let sender = Sender { hostname, app_name, enterprise: Some(4_242), ..sender() };
        let wording = Wording { product_version: product_version.clone(), ..wording() };
        for message in [message(alert), Message::Event(event)] {
            for format in [Format::Json, Format::Ecs, Format::Ocsf, Format::Cef] {
                let lines = lines(&message, format, &wording, &sender, usize::MAX).unwrap();
                prop_assert_eq!(lines.len(), 1);
                let read = parse(&lines[0]).unwrap();
                let without_mark = lines[0].replacen('\u{feff}', "", 1);
                prop_assert!(!without_mark.contains(is_hidden), "{:?}", lines[0]);
                let ids: Vec<_> = read.elements.iter().map(|(id, _)| id.as_str()).collect();
                prop_assert_eq!(ids, ["origin", "netsage@4242"]);
                let version: String = product_version.chars().take(32).collect();
                prop_assert_eq!(&read.elements[0].1[1].1, &shown(&version));
                prop_assert_eq!(&read.elements[1].1[0].1, &shown(&message.id()));
                prop_assert_eq!(&read.elements[1].1[1].1, &message.revision().to_string());
            }
        }
    }
}
