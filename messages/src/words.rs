//! What is said to people, in words. Nothing here is escaped: that is for the format to do.

use std::net::IpAddr;

use netsage_api_types::{Alert, AlertState, Contribution, Severity};

use crate::documents::Part;
use crate::text::{cut, percent};
use crate::time::moment;
use crate::{AlertMessage, Event, HeldBackBy, Wording};

/// The product in every format.
pub(crate) const PRODUCT: &str = "NetSage";

/// What a test says.
pub(crate) const TEST: &str = "This is a test of the output, asked for by a person. Nothing has happened.";

/// Bytes of a value in text for people.
const VALUE: usize = 256;

pub(crate) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

pub(crate) const fn state(state: AlertState) -> &'static str {
    match state {
        AlertState::New => "new",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Closed => "closed",
        AlertState::Merged => "merged",
    }
}

/// The application of a kind, as `ssh` of `tcp/ssh`; `None` where the meter found none.
pub(crate) fn application(kind: &str) -> Option<&str> {
    let (_, application) = kind.split_once('/')?;
    (!application.is_empty() && application != "-").then_some(application)
}

/// The address in a text, if it is one.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Address and port; without the port where it is 0.
pub(crate) fn endpoint(address: &str, port: u16) -> String {
    let shown = cut(address, VALUE);
    match port {
        0 => shown.into_owned(),
        port if address.contains(':') => format!("[{shown}]:{port}"),
        port => format!("{shown}:{port}"),
    }
}

/// The number and what it counts.
pub(crate) fn counted(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}

/// Where the flows of an alert come from.
fn from(alert: &Alert) -> String {
    match &alert.sources {
        Some(sources) => counted(sources.count, "source"),
        None => cut(&alert.source, VALUE).into_owned(),
    }
}

/// Where they go. The alert of what a kind holds back has no one destination.
fn to(alert: &Alert) -> Option<String> {
    let is_of_kind = alert
        .sources
        .as_ref()
        .is_some_and(|sources| sources.held_back.is_some());
    (!is_of_kind).then(|| endpoint(&alert.destination, alert.destination_port))
}

/// An alert in some words: how bad, what, from where, to where.
pub(crate) fn title(alert: &Alert) -> String {
    format!("{}: {}", severity(alert.severity), what(alert))
}

/// What an alert is of, from where and to where.
pub(crate) fn what(alert: &Alert) -> String {
    let (kind, from) = (cut(&alert.kind, VALUE), from(alert));
    match to(alert) {
        Some(to) => format!("{kind} from {from} to {to}"),
        None => format!("{kind} from {from}"),
    }
}

/// An alert as a sentence.
pub(crate) fn sentence(alert: &Alert) -> String {
    format!(
        "{} {} scored {} of {} up to {}; its threshold is {}.",
        cut(&alert.detector.name, VALUE),
        cut(&alert.detector.version, VALUE),
        counted(alert.count, "flow"),
        what(alert),
        alert.score,
        alert.threshold,
    )
}

/// An alert in a list. The id is whole.
pub(crate) fn entry(message: &AlertMessage) -> String {
    let alert = &message.alert;
    format!(
        "{}, score {}, {}, {}, id {} revision {}",
        title(alert),
        alert.score,
        counted(alert.count, "flow"),
        message.reason.name(),
        alert.id,
        message.revision,
    )
}

/// What there is to know of an alert, each under its name; ten at most.
pub(crate) fn facts(message: &AlertMessage) -> Vec<(&'static str, String)> {
    let alert = &message.alert;
    let mut facts = vec![
        ("Severity", severity(alert.severity).to_owned()),
        ("Kind", cut(&alert.kind, VALUE).into_owned()),
        (
            "Source",
            match &alert.sources {
                Some(_) => format!(
                    "{}, first of them {}",
                    from(alert),
                    endpoint(&alert.source, alert.source_port)
                ),
                None => endpoint(&alert.source, alert.source_port),
            },
        ),
        (
            "Destination",
            endpoint(&alert.destination, alert.destination_port),
        ),
        ("Flows", alert.count.to_string()),
        (
            "Score",
            format!("{} (threshold {})", alert.score, alert.threshold),
        ),
        (
            "Detector",
            format!(
                "{} {}",
                cut(&alert.detector.name, VALUE),
                cut(&alert.detector.version, VALUE)
            ),
        ),
        (
            "Seen",
            format!("{} to {}", moment(alert.first_seen), moment(alert.last_seen)),
        ),
        ("State", state_by(alert)),
    ];
    let place = [("network", &alert.network), ("sensor", &alert.sensor)];
    let place = place.iter().filter(|(_, name)| !name.is_empty());
    let place: Vec<_> = place
        .map(|(what, name)| format!("{what} {}", cut(name, VALUE)))
        .collect();
    if !place.is_empty() {
        facts.push(("Place", place.join(", ")));
    }
    facts
}

fn state_by(alert: &Alert) -> String {
    let state = state(alert.state);
    match (&alert.changed_by, &alert.merged_into) {
        (_, Some(other)) => format!("{state} into {other}"),
        (Some(by), None) => format!("{state} by {}", cut(by, VALUE)),
        (None, None) => state.to_owned(),
    }
}

/// What drove a score, in a line.
pub(crate) fn contribution(contribution: &Contribution) -> String {
    let unit = match contribution.unit.as_str() {
        "" => String::new(),
        unit => format!(" {}", cut(unit, VALUE)),
    };
    format!(
        "{} {}{unit}, typical {}{unit} ({:.0} %)",
        cut(&contribution.column, VALUE),
        cut(&contribution.value, VALUE),
        cut(&contribution.typical, VALUE),
        contribution.weight * 100.0,
    )
}

/// What a digest, or a part of one, is.
pub(crate) fn digest_title(part: &Part<'_>) -> String {
    let why = match part.digest.held_back_by {
        HeldBackBy::RateLimit => "held back by the rate limit",
        HeldBackBy::QuietHours => "held back in quiet hours",
        HeldBackBy::Schedule => "gathered",
    };
    let all = counted(part.digest.alerts.len() as u64, "alert");
    match part.of {
        1 => format!("{all} {why}"),
        of => format!("{all} {why}, part {} of {of}", part.number),
    }
}

/// The time that a digest is of.
pub(crate) fn digest_span(part: &Part<'_>) -> String {
    format!(
        "{} to {}",
        moment(part.digest.since_ms),
        moment(part.digest.until_ms)
    )
}

/// An event in some words.
pub(crate) fn event_title(event: &Event) -> String {
    let (severity, kind) = (event.severity.name(), event.kind.name());
    match event.subject.as_str() {
        "" => format!("{severity}: {kind}"),
        subject => format!("{severity}: {kind} {}", cut(subject, VALUE)),
    }
}

/// The sensor that an alert was seen by, or that this program is.
pub(crate) fn sensor<'a>(alert: &'a Alert, wording: &'a Wording) -> &'a str {
    if alert.sensor.is_empty() {
        &wording.sensor
    } else {
        &alert.sensor
    }
}

/// The address of the dashboard's page that lists the alerts of this one's source and network. `None` without a dashboard,
/// or where the source is no address.
pub(crate) fn link(alert: &Alert, wording: &Wording) -> Option<String> {
    let base = wording.dashboard.as_deref()?.trim_end_matches('/');
    let source = address(&alert.source)?;
    let mut link = format!("{base}/alerts?source={}", percent(&source.to_string()));
    if !alert.network.is_empty() {
        link.push_str("&network=");
        link.push_str(&percent(&cut(&alert.network, VALUE)));
    }
    Some(link)
}
