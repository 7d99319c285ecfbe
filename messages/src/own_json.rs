//! The own JSON: an envelope, and in it alerts and events as the API writes them.

use netsage_api_types::Alert;
use serde::Serialize;

use crate::documents::{Part, Told, Write};
use crate::message::AlertMessage;
use crate::shorten::Shortened;
use crate::text::line;
use crate::{Event, HeldBackBy, Message, Reason, Wording, words};

/// The version of the envelope. A receiver ignores members that it does not know; what changes the meaning of one raises
/// the number.
const VERSION: u32 = 1;

/// Writes the own JSON.
#[derive(Debug)]
pub(crate) struct OwnJson;

/// What every document is.
#[derive(Serialize)]
struct Envelope<'a> {
    version: u32,
    kind: &'static str,
    id: &'a str,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    program: Program<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    sensor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shortened: Option<Shortened>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'a Alert>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<DigestPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<Vec<Entry<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
}

#[derive(Serialize)]
struct Program<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
}

/// What a digest is, and which part of it this is.
#[derive(Serialize)]
struct DigestPart {
    id: String,
    part: usize,
    of: usize,
    held_back_by: HeldBackBy,
    since_ms: i64,
    until_ms: i64,
}

/// An alert of a digest.
#[derive(Serialize)]
struct Entry<'a> {
    revision: u64,
    reason: Reason,
    alert: &'a Alert,
}

impl<'a> Entry<'a> {
    fn of(message: &'a AlertMessage) -> Self {
        Self {
            revision: message.revision,
            reason: message.reason,
            alert: &message.alert,
        }
    }
}

impl<'a> Envelope<'a> {
    fn new(kind: &'static str, id: &'a str, revision: u64, wording: &'a Wording) -> Self {
        Self {
            version: VERSION,
            kind,
            id,
            revision,
            reason: None,
            program: Program {
                name: "netsage",
                version: &wording.product_version,
            },
            sensor: &wording.sensor,
            link: None,
            shortened: None,
            alert: None,
            digest: None,
            alerts: None,
            event: None,
            text: None,
        }
    }

    fn shortened(self, shortened: Shortened) -> Self {
        Self {
            shortened: shortened.is_any().then_some(shortened),
            ..self
        }
    }
}

impl Write for OwnJson {
    fn name(&self) -> &'static str {
        "json"
    }

    fn writes_digests(&self) -> bool {
        true
    }

    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String {
        let message = told.message;
        let envelope = Envelope {
            reason: Some(message.reason),
            link: words::link(&message.alert, wording),
            alert: Some(&message.alert),
            ..Envelope::new("alert", &message.alert.id, message.revision, wording)
        };
        line(&envelope.shortened(told.shortened))
    }

    fn part(&self, part: &Part<'_>, wording: &Wording) -> String {
        let id = part.id();
        let digest = DigestPart {
            id: part.digest.id(),
            part: part.number,
            of: part.of,
            held_back_by: part.digest.held_back_by,
            since_ms: part.digest.since_ms,
            until_ms: part.digest.until_ms,
        };
        let envelope = Envelope {
            digest: Some(digest),
            alerts: Some(part.alerts.iter().map(Entry::of).collect()),
            ..Envelope::new("digest", &id, part.revision(), wording)
        };
        line(&envelope.shortened(part.shortened))
    }

    fn event(&self, event: &Event, shortened: Shortened, wording: &Wording) -> String {
        let id = event.id();
        let envelope = Envelope {
            event: Some(event),
            ..Envelope::new("event", &id, event.number, wording)
        };
        line(&envelope.shortened(shortened))
    }

    fn test(&self, number: u64, wording: &Wording) -> String {
        let message = Message::Test(number);
        let id = message.id();
        let envelope = Envelope {
            text: Some(words::TEST),
            ..Envelope::new("test", &id, message.revision(), wording)
        };
        line(&envelope)
    }
}
