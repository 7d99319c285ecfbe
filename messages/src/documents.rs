//! From a message to documents within a limit, whatever the format.

use std::slice;

use netsage_api_types::Severity;

use crate::message::{digest_id, newest};
use crate::shorten::{self, Shortened};
use crate::text::{cut, visible};
use crate::{AlertMessage, Digest, Event, EventSeverity, Message, TooLarge, Wording};

/// One document of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What a receiver knows repeats by, together with the revision: the id of the alert, the part of a digest, the event or
    /// the test that the document is about.
    pub id: String,
    /// The revision; see [`Self::id`].
    pub revision: u64,
    /// When what it is about happened, ms since the epoch: the last flow of an alert, the end of a digest.
    pub at_ms: i64,
    /// How bad it is.
    pub urgency: Urgency,
    /// The document: one line, without its end.
    pub text: String,
}

/// How bad what a document is about is, in one scale for alerts and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// For the record, or a test.
    Info,
    /// An alert of low severity.
    Low,
    /// An alert of medium severity, or an event that somebody should look at.
    Medium,
    /// An alert of high severity, or an event while which something is lost.
    High,
    /// An alert of critical severity.
    Critical,
}

impl From<Severity> for Urgency {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        }
    }
}

impl From<EventSeverity> for Urgency {
    fn from(severity: EventSeverity) -> Self {
        match severity {
            EventSeverity::Info => Self::Info,
            EventSeverity::Warning => Self::Medium,
            EventSeverity::Error => Self::High,
        }
    }
}

/// An alert to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    /// The alert, already without what was left out.
    pub(crate) message: &'a AlertMessage,
    /// The digest that it is told in.
    pub(crate) digest: Option<&'a Digest>,
    /// What was left out.
    pub(crate) shortened: Shortened,
}

/// A part of a digest to be written, or the whole of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// The whole digest.
    pub(crate) digest: &'a Digest,
    /// The alerts of this part, already without what was left out.
    pub(crate) alerts: &'a [AlertMessage],
    /// Which part, from 1.
    pub(crate) number: usize,
    /// How many there are.
    pub(crate) of: usize,
    /// What was left out.
    pub(crate) shortened: Shortened,
}

impl Part<'_> {
    /// The id of this part: that of a digest of its alerts.
    pub(crate) fn id(&self) -> String {
        digest_id(self.alerts)
    }

    /// The highest revision in this part.
    pub(crate) fn revision(&self) -> u64 {
        newest(self.alerts)
    }
}

/// How a format writes each kind of message. Whatever it is given, a document is one line.
pub(crate) trait Write {
    /// Its name, in errors.
    fn name(&self) -> &'static str;

    /// The most bytes that its receivers take.
    fn most(&self) -> usize {
        usize::MAX
    }

    /// Whether alerts of a digest stand in one document.
    fn writes_digests(&self) -> bool;

    /// An alert.
    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String;

    /// A part of a digest; of a format that writes no digests never asked.
    fn part(&self, part: &Part<'_>, wording: &Wording) -> String;

    /// An event.
    fn event(&self, event: &Event, shortened: Shortened, wording: &Wording) -> String;

    /// A test.
    fn test(&self, number: u64, wording: &Wording) -> String;
}

/// The documents of a message, each at most `limit` bytes.
pub(crate) fn of(
    writer: &dyn Write,
    message: &Message,
    wording: &Wording,
    limit: usize,
) -> Result<Vec<Document>, TooLarge> {
    let limit = limit.min(writer.most());
    let make = Make {
        writer,
        wording,
        limit,
    };
    match message {
        Message::Alert(alert) => Ok(vec![make.alert(alert, None)?]),
        Message::Digest(digest) if writer.writes_digests() => make.digest(digest),
        Message::Digest(digest) => {
            let alerts = digest.alerts.iter();
            alerts.map(|alert| make.alert(alert, Some(digest))).collect()
        }
        Message::Event(event) => Ok(vec![make.event(event)?]),
        Message::Test(number) => Ok(vec![make.test(*number)?]),
    }
}

struct Make<'a> {
    writer: &'a dyn Write,
    wording: &'a Wording,
    limit: usize,
}

impl Make<'_> {
    fn alert(&self, message: &AlertMessage, digest: Option<&Digest>) -> Result<Document, TooLarge> {
        let text = shorten::alert(message, self.limit, &|message, shortened| {
            let told = Told {
                message,
                digest,
                shortened,
            };
            self.writer.alert(&told, self.wording)
        });
        Ok(Document {
            id: message.alert.id.clone(),
            revision: message.revision,
            at_ms: message.alert.last_seen,
            urgency: message.alert.severity.into(),
            text: text.map_err(|least| self.too_large(&message.alert.id, least))?,
        })
    }

    fn digest(&self, digest: &Digest) -> Result<Vec<Document>, TooLarge> {
        // Not yet known are the numbers of parts: these have as many digits as any.
        let most = digest.alerts.len();
        let fits = |alerts: &[AlertMessage]| {
            let part = Part {
                digest,
                alerts,
                number: most,
                of: most,
                shortened: Shortened::default(),
            };
            self.writer.part(&part, self.wording).len() <= self.limit
        };
        let parts = halves(&digest.alerts, &fits);
        let of = parts.len();
        let parts = parts.into_iter().enumerate();
        parts
            .map(|(place, alerts)| self.part(digest, alerts, place + 1, of))
            .collect()
    }

    fn part(
        &self,
        digest: &Digest,
        alerts: &[AlertMessage],
        number: usize,
        of: usize,
    ) -> Result<Document, TooLarge> {
        let write = |alerts: &[AlertMessage], shortened: Shortened| {
            let part = Part {
                digest,
                alerts,
                number,
                of,
                shortened,
            };
            self.writer.part(&part, self.wording)
        };
        let id = digest_id(alerts);
        let text = match alerts {
            [alone] => shorten::alert(alone, self.limit, &|message, shortened| {
                write(slice::from_ref(message), shortened)
            })
            .map_err(|least| self.too_large(&alone.alert.id, least))?,
            several => write(several, Shortened::default()),
        };
        let urgency = alerts.iter().map(|message| message.alert.severity).max();
        Ok(Document {
            id,
            revision: newest(alerts),
            at_ms: digest.until_ms,
            urgency: urgency.map_or(Urgency::Info, Urgency::from),
            text,
        })
    }

    fn event(&self, event: &Event) -> Result<Document, TooLarge> {
        let text = shorten::event(event, self.limit, &|event, shortened| {
            self.writer.event(event, shortened, self.wording)
        });
        Ok(Document {
            id: event.id(),
            revision: event.number,
            at_ms: event.at_ms,
            urgency: event.severity.into(),
            text: text.map_err(|least| self.too_large(&event.id(), least))?,
        })
    }

    fn test(&self, number: u64) -> Result<Document, TooLarge> {
        let test = Message::Test(number);
        let text = self.writer.test(number, self.wording);
        if text.len() > self.limit {
            return Err(self.too_large(&test.id(), text.len()));
        }
        Ok(Document {
            id: test.id(),
            revision: test.revision(),
            at_ms: i64::try_from(number).unwrap_or(i64::MAX),
            urgency: Urgency::Info,
            text,
        })
    }

    fn too_large(&self, id: &str, least: usize) -> TooLarge {
        TooLarge {
            id: visible(&cut(id, 64)).into_owned(),
            format: self.writer.name(),
            least,
            limit: self.limit,
        }
    }
}

/// Cuts into pieces that fit, by halves; a single alert is a piece in any case.
fn halves<'a>(alerts: &'a [AlertMessage], fits: &dyn Fn(&[AlertMessage]) -> bool) -> Vec<&'a [AlertMessage]> {
    let mut pieces = Vec::new();
    let mut waiting = vec![alerts];
    while let Some(piece) = waiting.pop() {
        if piece.len() <= 1 || fits(piece) {
            pieces.push(piece);
        } else {
            let (first, second) = piece.split_at(piece.len() / 2);
            waiting.extend([second, first]);
        }
    }
    pieces
}
