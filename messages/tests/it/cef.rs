//! The Common Event Format, read back by a small parser.

use std::collections::BTreeMap;

use netsage_api_types::Alert;
use netsage_messages::{Message, cef};
use proptest::prelude::*;

use crate::samples::{
    alert, event, full_alert, hostile_alert, hostile_event, is_hidden, message, shown, wording,
};

/// A line, read as the format says: the header under `header.`, the extension by its keys.
pub(crate) fn parse(line: &str) -> Result<BTreeMap<String, String>, String> {
    let mut fields = BTreeMap::new();
    let mut put = |key: &str, value: String| match fields.insert(key.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(format!("{key} is there twice: {line}")),
    };
    let mut rest = line.strip_prefix("CEF:0|").ok_or("no header")?;
    for name in ["vendor", "product", "version", "signature", "name", "severity"] {
        let (value, after) = header_field(rest)?;
        put(&format!("header.{name}"), value)?;
        rest = after;
    }
    // A key stands at the start or behind a space, and an equals sign that nothing escapes behind it.
    let mut starts = Vec::new();
    for (at, _) in rest.match_indices('=') {
        let key = rest[..at]
            .rsplit(|character: char| !character.is_ascii_alphanumeric())
            .next();
        let key = key.unwrap_or_default();
        let start = at - key.len();
        if !key.is_empty() && (start == 0 || rest[..start].ends_with(' ')) {
            starts.push((start, at));
        } else if !is_escaped(rest, at) {
            return Err(format!("an equals sign that belongs to nothing: {line}"));
        }
    }
    for (place, (start, equals)) in starts.iter().enumerate() {
        let end = starts.get(place + 1).map_or(rest.len(), |(next, _)| next - 1);
        put(&rest[*start..*equals], value(&rest[equals + 1..end])?)?;
    }
    Ok(fields)
}

fn is_escaped(text: &str, at: usize) -> bool {
    text[..at]
        .chars()
        .rev()
        .take_while(|character| *character == '\\')
        .count()
        % 2
        == 1
}

fn header_field(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '|' => return Ok((field, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ('\\' | '|'))) => field.push(escaped),
                other => return Err(format!("an escape of {other:?}")),
            },
            other => field.push(other),
        }
    }
    Err("the header ends early".to_owned())
}

fn value(text: &str) -> Result<String, String> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | '=')) => value.push(escaped),
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                other => return Err(format!("an escape of {other:?}")),
            },
            other => value.push(other),
        }
    }
    Ok(value)
}

fn only(lines: &[String]) -> BTreeMap<String, String> {
    assert_eq!(lines.len(), 1);
    parse(&lines[0]).unwrap()
}

#[test]
fn a_line_is_as_receivers_know_it() {
    let lines = cef(&message(alert()), &wording());
    assert_eq!(
        lines,
        [concat!(
            "CEF:0|NetSage|NetSage|0.1.0|iforest|Anomalous flows of tcp/ssh|8|",
            "externalId=00112233445566778899aabbccddeeff cn1=17 cn1Label=revision act=begun ",
            "start=1767603600000 end=1767603661500 rt=1767603661500 cnt=12 cat=tcp/ssh app=ssh proto=tcp ",
            "src=192.0.2.1 spt=40001 dst=198.51.100.7 dpt=22 dvchost=edge-1 ",
            "cs1=1:LQU9qZlK+B5F3KDmev6m5PMibrg\\= cs1Label=communityId ",
            "cs2=5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f cs2Label=detectorDigest ",
            "cs3=office cs3Label=network cs4=record-v1@1 cs4Label=schema cs5=new cs5Label=state ",
            "cs6=source_bytes 9000 B, typical 120 B (50 %); state attempt, typical closed (25 %) cs6Label=contributions ",
            "cfp1=0.93 cfp1Label=score cfp2=0.6 cfp2Label=threshold flexString1=1.0.0 flexString1Label=detectorVersion ",
            "request=https://netsage.example/alerts?source\\=192.0.2.1&network\\=office ",
            "msg=iforest 1.0.0 scored 12 flows of tcp/ssh from 192.0.2.1 to 198.51.100.7:22 up to 0.93; ",
            "its threshold is 0.6.",
        )]
    );
}

#[test]
fn an_address_of_ipv6_has_a_key_of_its_own() {
    let alert = Alert {
        source: "2001:db8::1".into(),
        destination: "not an address".into(),
        ..alert()
    };
    let fields = only(&cef(&message(alert), &wording()));
    assert_eq!(fields["c6a2"], "2001:db8::1");
    assert_eq!(fields["c6a2Label"], "Source IPv6 Address");
    assert_eq!(fields["dhost"], "not an address");
    assert!(!fields.contains_key("src") && !fields.contains_key("dst"));
}

#[test]
fn an_event_is_a_line() {
    let fields = only(&cef(&Message::Event(event()), &wording()));
    let check = |key: &str, expected: &str| assert_eq!(fields[key], expected, "{key}");
    check("header.signature", "source-lost");
    check("header.severity", "8");
    check("externalId", "event-7d0c5f2e9a1b-5");
    check("cs1", "eth0");
    check("msg", "The interface eth0 is down: packets are not seen.");
}

/// What a parser finds of a text in the extension: line ends are there again, and what else is hidden is shown.
fn found(text: &str, most: usize) -> String {
    let cut = match text.len() <= most {
        true => text.to_owned(),
        false => format!("{}…", &text[..text.floor_char_boundary(most - 3)]),
    };
    let characters = cut.chars().map(|character| match character {
        '\n' | '\r' => character.to_string(),
        other => shown(&other.to_string()),
    });
    characters.collect()
}

proptest! {
    #[test]
    fn no_text_forges_a_field(alert in hostile_alert()) {
        let keys: Vec<_> = only(&cef(&message(Alert { source: "x".into(), destination: "x".into(), ..full_alert() }), &wording())).into_keys().collect();
        let lines = cef(&message(alert.clone()), &wording());
        prop_assert!(!lines[0].contains(is_hidden), "{:?}", lines[0]);
        let fields = only(&lines);
        // The link is of addresses only.
        let without_link = keys.iter().filter(|key| *key != "request").collect::<Vec<_>>();
        prop_assert_eq!(fields.keys().collect::<Vec<_>>(), without_link);
        prop_assert_eq!(&fields["externalId"], &found(&alert.id, usize::MAX));
        prop_assert_eq!(&fields["shost"], &found(&alert.source, 1_023));
        prop_assert_eq!(&fields["dhost"], &found(&alert.destination, 1_023));
        prop_assert_eq!(&fields["cat"], &found(&alert.kind, 1_023));
        prop_assert_eq!(&fields["proto"], &found(&alert.protocol, 31));
        prop_assert_eq!(&fields["dvchost"], &found(&alert.sensor, 100));
        prop_assert_eq!(&fields["cs3"], &found(&alert.network, 4_000));
        prop_assert_eq!(&fields["cs4"], &found(&alert.schema, 4_000));
        prop_assert_eq!(&fields["flexString2"], &found(alert.merged_into.as_deref().unwrap(), 4_000));
        prop_assert_eq!(fields["header.severity"].as_str(), "8");
    }

    #[test]
    fn no_event_forges_a_field(event in hostile_event()) {
        let lines = cef(&Message::Event(event.clone()), &wording());
        prop_assert!(!lines[0].contains(is_hidden), "{:?}", lines[0]);
        let fields = only(&lines);
        prop_assert_eq!(fields.len(), 6 + 10, "six of the header");
        prop_assert_eq!(&fields["msg"], &found(&event.text, 1_023));
        prop_assert_eq!(&fields["cs1"], &found(&event.subject, 4_000));
    }
}
