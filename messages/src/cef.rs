//! ArcSight's Common Event Format, version 0: a header between bars, and an extension of keys and values.
//!
//! Keys and their lengths are those of "Implementing ArcSight Common Event Format". A value never ends its field: in the
//! header the bar and the backslash are escaped and a line has no end; in the extension the equals sign and the backslash
//! are escaped, and line ends become letters. Characters that cannot be seen are shown.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use netsage_api_types::{Alert, Severity};

use crate::documents::{Part, Told, Write};
use crate::shorten::Shortened;
use crate::text::{cut, push_visible};
use crate::{Event, EventSeverity, Message, Wording, words};

/// The lines of a message: one for each alert. [`Format::Cef`](crate::Format::Cef) gives the same within a limit.
pub fn cef(message: &Message, wording: &Wording) -> Vec<String> {
    // Nothing is larger than there are bytes.
    crate::Format::Cef
        .documents(message, wording, usize::MAX)
        .unwrap_or_default()
}

/// Writes CEF.
#[derive(Debug)]
pub(crate) struct Cef;

impl Write for Cef {
    fn name(&self) -> &'static str {
        "cef"
    }

    fn writes_digests(&self) -> bool {
        false
    }

    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String {
        let message = told.message;
        let alert = &message.alert;
        let name = format!("Anomalous flows of {}", alert.kind);
        let mut line = Line::new(&alert.detector.name, &name, severity(alert.severity), wording);
        line.put("externalId", &alert.id, usize::MAX);
        line.number("cn1", "revision", message.revision);
        line.put("act", message.reason.name(), 63);
        line.put_number("start", alert.first_seen);
        line.put_number("end", alert.last_seen);
        line.put_number("rt", alert.last_seen);
        line.put_number("cnt", alert.count);
        line.put("cat", &alert.kind, 1_023);
        line.put("app", words::application(&alert.kind).unwrap_or_default(), 31);
        line.put("proto", &alert.protocol, 31);
        line.address(&SOURCE, &alert.source);
        line.put_number("spt", alert.source_port);
        line.address(&DESTINATION, &alert.destination);
        line.put_number("dpt", alert.destination_port);
        line.put("dvchost", words::sensor(alert, wording), 100);
        line.labelled("cs1", "communityId", &alert.community_id);
        line.labelled("cs2", "detectorDigest", &alert.detector.digest);
        line.labelled("cs3", "network", &alert.network);
        line.labelled("cs4", "schema", &alert.schema);
        line.labelled("cs5", "state", words::state(alert.state));
        line.labelled("cs6", "contributions", &contributions(alert));
        line.score("cfp1", "score", alert.score);
        line.score("cfp2", "threshold", alert.threshold);
        line.labelled("flexString1", "detectorVersion", &alert.detector.version);
        line.labelled(
            "flexString2",
            "mergedInto",
            alert.merged_into.as_deref().unwrap_or_default(),
        );
        if let Some(at) = alert.changed_at {
            line.number("deviceCustomDate1", "changedAt", at);
        }
        if let Some(sources) = &alert.sources {
            line.number("cn2", "sources", sources.count);
            if let Some(held_back) = sources.held_back {
                line.number("cn3", "heldBack", held_back);
            }
        }
        line.put("request", &words::link(alert, wording).unwrap_or_default(), 1_023);
        line.sentence(&words::sentence(alert), told.shortened);
        line.text
    }

    /// A digest has no document of its own here.
    fn part(&self, _: &Part<'_>, _: &Wording) -> String {
        String::new()
    }

    fn event(&self, event: &Event, shortened: Shortened, wording: &Wording) -> String {
        let name = words::event_title(event);
        let mut line = Line::new(event.kind.name(), &name, event_severity(event.severity), wording);
        line.put("externalId", &event.id(), usize::MAX);
        line.number("cn1", "revision", event.number);
        line.put_number("rt", event.at_ms);
        line.put("dvchost", &wording.sensor, 100);
        line.labelled("cs1", "subject", &event.subject);
        line.labelled("cs2", "program", &event.program);
        line.sentence(&event.text, shortened);
        line.text
    }

    fn test(&self, number: u64, wording: &Wording) -> String {
        let mut line = Line::new("test", "Test of an output", 0, wording);
        line.put("externalId", &Message::Test(number).id(), usize::MAX);
        line.put_number("rt", number);
        line.put("dvchost", &wording.sensor, 100);
        line.sentence(words::TEST, Shortened::default());
        line.text
    }
}

/// Keys of one end of a flow: version 0 knows IPv6 in fields of its own only.
struct End {
    ipv4: &'static str,
    ipv6: &'static str,
    ipv6_label: &'static str,
    name: &'static str,
}

const SOURCE: End = End {
    ipv4: "src",
    ipv6: "c6a2",
    ipv6_label: "Source IPv6 Address",
    name: "shost",
};

const DESTINATION: End = End {
    ipv4: "dst",
    ipv6: "c6a3",
    ipv6_label: "Destination IPv6 Address",
    name: "dhost",
};

/// A line that grows.
struct Line {
    text: String,
    /// Whether the extension has a field, so that the next one stands behind a space.
    has_field: bool,
}

impl Line {
    fn new(signature: &str, name: &str, severity: u8, wording: &Wording) -> Self {
        let mut line = "CEF:0".to_owned();
        for field in [
            words::PRODUCT,
            words::PRODUCT,
            &wording.product_version,
            &cut(signature, 1_023),
            &cut(name, 512),
        ] {
            line.push('|');
            escape_header(field, &mut line);
        }
        // Writing to a `String` never fails, here and below.
        let _ = write!(line, "|{severity}|");
        Self {
            text: line,
            has_field: false,
        }
    }

    /// Puts a value of at most so many bytes, and nothing where it is empty.
    fn put(&mut self, key: &str, value: &str, most: usize) {
        if value.is_empty() {
            return;
        }
        if self.has_field {
            self.text.push(' ');
        }
        self.has_field = true;
        let _ = write!(self.text, "{key}=");
        escape_extension(&cut(value, most), &mut self.text);
    }

    fn put_number(&mut self, key: &str, number: impl Display + Copy) {
        self.put(key, &number.to_string(), usize::MAX);
    }

    /// A text under a key of no meaning, whose label says the meaning.
    fn labelled(&mut self, key: &str, label: &str, value: &str) {
        if !value.is_empty() {
            self.put(key, value, 4_000);
            self.put(&format!("{key}Label"), label, usize::MAX);
        }
    }

    fn number(&mut self, key: &str, label: &str, number: impl Display + Copy) {
        self.labelled(key, label, &number.to_string());
    }

    fn score(&mut self, key: &str, label: &str, score: f32) {
        if score.is_finite() {
            self.number(key, label, score);
        }
    }

    fn address(&mut self, end: &End, text: &str) {
        match words::address(text) {
            Some(IpAddr::V4(address)) => self.put_number(end.ipv4, address),
            Some(IpAddr::V6(address)) => self.number(end.ipv6, end.ipv6_label, address),
            None => self.put(end.name, text, 1_023),
        }
    }

    /// The sentence for people, and what was left out.
    fn sentence(&mut self, sentence: &str, shortened: Shortened) {
        const MOST: usize = 1_023;
        match shortened.note() {
            Some(note) => {
                let sentence = cut(sentence, MOST.saturating_sub(note.len() + 3)).into_owned();
                self.put("msg", &format!("{sentence} ({note})"), MOST);
            }
            None => self.put("msg", sentence, MOST),
        }
    }
}

fn contributions(alert: &Alert) -> String {
    let all: Vec<_> = alert.contributions.iter().map(words::contribution).collect();
    all.join("; ")
}

fn escape_header(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '\\' | '|' => into.extend(['\\', character]),
            '\n' | '\r' => into.push(' '),
            other => push_visible(into, other),
        }
    }
}

fn escape_extension(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '\\' | '=' => into.extend(['\\', character]),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            other => push_visible(into, other),
        }
    }
}

/// From 0 to 10: 0 to 3 is low, 4 to 6 medium, 7 and 8 high, 9 and 10 very high.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

const fn event_severity(severity: EventSeverity) -> u8 {
    match severity {
        EventSeverity::Info => 1,
        EventSeverity::Warning => 5,
        EventSeverity::Error => 8,
    }
}
