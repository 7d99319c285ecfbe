//! Messages gathered in an e-mail, the oddest alert first.
//!
//! Nothing of an alert stands in a header but in the subject, which is one line of visible characters. Lines of the text are
//! bounded by the values they hold; whoever sends the mail encodes it as quoted-printable.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::text::{cut, escape_html, escaped, visible};
use crate::time::moment;
use crate::{AlertMessage, Event, Message, Wording, words};

/// An e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The subject: one line of at most 200 bytes, without characters that cannot be seen.
    pub subject: String,
    /// The text, with lines that end in `\n`.
    pub text: String,
    /// The same as HTML. `None` where there is nothing to lay out.
    pub html: Option<String>,
}

/// Bytes of a subject.
const SUBJECT: usize = 200;
/// Alerts that are told at length; of the others there is a line.
const AT_LENGTH: usize = 20;
/// Bytes of a sentence of an event.
const SENTENCE: usize = 1_024;

/// One mail of all messages. Of an alert that is told several times the newest is there; the oddest comes first: the highest
/// severity, then the highest score in units of its threshold. Every alert's id is listed.
pub fn digest(messages: &[Message], wording: &Wording) -> Mail {
    let alerts = oddest_first(messages);
    let events = messages.iter().filter_map(|message| match message {
        Message::Event(event) => Some(event),
        Message::Alert(_) | Message::Digest(_) | Message::Test(_) => None,
    });
    let events: Vec<_> = events.collect();
    let is_test = messages.iter().any(|message| matches!(message, Message::Test(_)));
    Mail {
        subject: subject(&alerts, &events, wording),
        text: text(&alerts, &events, is_test, wording),
        html: (!alerts.is_empty()).then(|| html(&alerts, &events, is_test, wording)),
    }
}

fn oddest_first(messages: &[Message]) -> Vec<&AlertMessage> {
    let mut newest = BTreeMap::<&str, &AlertMessage>::new();
    for message in messages {
        let alerts = match message {
            Message::Alert(alert) => std::slice::from_ref(alert),
            Message::Digest(digest) => digest.alerts.as_slice(),
            Message::Event(_) | Message::Test(_) => &[],
        };
        for alert in alerts {
            let known = newest.entry(&alert.alert.id).or_insert(alert);
            if known.revision < alert.revision {
                *known = alert;
            }
        }
    }
    let mut alerts: Vec<_> = newest.into_values().collect();
    // The sort is stable: alerts that are as odd stand by their ids.
    alerts.sort_by(|one, other| {
        let severity = other.alert.severity.cmp(&one.alert.severity);
        severity.then_with(|| oddness(other).total_cmp(&oddness(one)))
    });
    alerts
}

/// The score in units of its threshold: detectors have scales of their own.
fn oddness(message: &AlertMessage) -> f32 {
    let (score, threshold) = (message.alert.score, message.alert.threshold);
    if threshold > 0.0 { score / threshold } else { score }
}

fn subject(alerts: &[&AlertMessage], events: &[&Event], wording: &Wording) -> String {
    let what = match (alerts, events) {
        ([alone], []) => words::title(&alone.alert),
        ([first, ..], _) => {
            let count = words::counted(alerts.len() as u64, "alert");
            format!("{count}, first of them {}", words::title(&first.alert))
        }
        ([], [alone]) => words::event_title(alone),
        ([], [_, ..]) => words::counted(events.len() as u64, "event"),
        ([], []) => "test of an output".to_owned(),
    };
    let subject = match wording.sensor.as_str() {
        "" => format!("{}: {what}", words::PRODUCT),
        sensor => format!("{} {}: {what}", words::PRODUCT, cut(sensor, 64)),
    };
    cut(&visible(&subject), SUBJECT).into_owned()
}

fn text(alerts: &[&AlertMessage], events: &[&Event], is_test: bool, wording: &Wording) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(&visible(line));
        text.push('\n');
    };
    if is_test {
        line(words::TEST);
        line("");
    }
    for message in alerts.iter().take(AT_LENGTH) {
        line(&words::title(&message.alert));
        for (name, value) in words::facts(message) {
            line(&format!("  {name}: {value}"));
        }
        for contribution in &message.alert.contributions {
            line(&format!("  Driven by: {}", words::contribution(contribution)));
        }
        line(&format!(
            "  Id: {} revision {}",
            message.alert.id, message.revision
        ));
        if let Some(link) = words::link(&message.alert, wording) {
            line(&format!("  {link}"));
        }
        line("");
    }
    for message in alerts.iter().skip(AT_LENGTH) {
        line(&words::entry(message));
    }
    if alerts.len() > AT_LENGTH {
        line("");
    }
    for event in events {
        line(&format!("{} {}", moment(event.at_ms), words::event_title(event)));
        line(&format!("  {}", cut(&event.text, SENTENCE)));
        line("");
    }
    text
}

fn html(alerts: &[&AlertMessage], events: &[&Event], is_test: bool, wording: &Wording) -> String {
    let mut html = "<!doctype html><html lang=\"en\"><body>".to_owned();
    // Writing to a `String` never fails, here and below.
    if is_test {
        let _ = write!(html, "<p>{}</p>", safe(words::TEST));
    }
    for message in alerts.iter().take(AT_LENGTH) {
        let _ = write!(html, "<h3>{}</h3><table>", safe(&words::title(&message.alert)));
        for (name, value) in words::facts(message) {
            row(&mut html, name, &value);
        }
        for contribution in &message.alert.contributions {
            row(&mut html, "Driven by", &words::contribution(contribution));
        }
        row(
            &mut html,
            "Id",
            &format!("{} revision {}", message.alert.id, message.revision),
        );
        html.push_str("</table>");
        if let Some(link) = words::link(&message.alert, wording) {
            let _ = write!(
                html,
                "<p><a href=\"{}\">Show the alerts of this source</a></p>",
                safe(&link)
            );
        }
    }
    if alerts.len() > AT_LENGTH {
        html.push_str("<ul>");
        for message in alerts.iter().skip(AT_LENGTH) {
            let _ = write!(html, "<li>{}</li>", safe(&words::entry(message)));
        }
        html.push_str("</ul>");
    }
    for event in events {
        let title = format!("{} {}", moment(event.at_ms), words::event_title(event));
        let _ = write!(
            html,
            "<p>{}<br>{}</p>",
            safe(&title),
            safe(&cut(&event.text, SENTENCE))
        );
    }
    html.push_str("</body></html>");
    html
}

fn row(html: &mut String, name: &str, value: &str) {
    let _ = write!(
        html,
        "<tr><th align=\"left\">{}</th><td>{}</td></tr>",
        safe(name),
        safe(value)
    );
}

fn safe(text: &str) -> String {
    escaped(text, usize::MAX, escape_html)
}
