//! What a template can hold.

use netsage_api_types::{Alert, AlertSources};

use crate::documents::{Part, Told};
use crate::shorten::Shortened;
use crate::text::{plain, visible};
use crate::time::rfc3339;
use crate::{AlertMessage, Event, Message, Wording, words};

/// What is filled in from.
pub(super) enum Facts<'a> {
    Alert(&'a Told<'a>, &'a Wording),
    Part(&'a Part<'a>, &'a Wording),
    Event(&'a Event, Shortened, &'a Wording),
    Test(u64, &'a Wording),
}

impl<'a> Facts<'a> {
    fn wording(&self) -> &'a Wording {
        match self {
            Self::Alert(_, wording)
            | Self::Part(_, wording)
            | Self::Event(_, _, wording)
            | Self::Test(_, wording) => wording,
        }
    }

    /// The alert, or the first of a digest.
    fn message(&self) -> Option<&'a AlertMessage> {
        match self {
            Self::Alert(told, _) => Some(told.message),
            Self::Part(part, _) => part.alerts.first(),
            Self::Event(..) | Self::Test(..) => None,
        }
    }

    fn alert(&self) -> Option<&'a Alert> {
        self.message().map(|message| &message.alert)
    }

    fn sources(&self) -> Option<&'a AlertSources> {
        self.alert()?.sources.as_ref()
    }

    fn event(&self) -> Option<&'a Event> {
        match self {
            Self::Event(event, ..) => Some(event),
            Self::Alert(..) | Self::Part(..) | Self::Test(..) => None,
        }
    }

    fn shortened(&self) -> Shortened {
        match self {
            Self::Alert(told, _) => told.shortened,
            Self::Part(part, _) => part.shortened,
            Self::Event(_, shortened, _) => *shortened,
            Self::Test(..) => Shortened::default(),
        }
    }
}

/// A placeholder.
#[derive(Debug)]
pub struct Placeholder {
    /// Its name, without braces.
    pub name: &'static str,
    /// What is filled in.
    pub about: &'static str,
    /// Whether it lists every alert of a digest.
    pub(super) lists: bool,
    value: fn(&Facts<'_>) -> Option<String>,
    /// Whether the value is made by the program alone, as an address of the dashboard.
    is_own: bool,
}

impl Placeholder {
    /// What is filled in for it; empty where a message has nothing of the kind.
    pub(super) fn value(&self, facts: &Facts<'_>) -> String {
        let value = (self.value)(facts).unwrap_or_default();
        if self.is_own {
            return visible(&value).into_owned();
        }
        // Lines of a list are the program's own.
        let lines: Vec<_> = if self.lists {
            value.split('\n').map(plain).collect()
        } else {
            vec![plain(&value)]
        };
        lines.join("\n")
    }
}

/// The placeholder of a name; otherwise the name that is most like it.
pub(super) fn by_name(name: &str) -> Result<&'static Placeholder, &'static str> {
    if let Some(known) = PLACEHOLDERS.iter().find(|placeholder| placeholder.name == name) {
        return Ok(known);
    }
    // Names are short: of a long one the beginning is enough, and costs little.
    let name: String = name.chars().take(64).collect();
    // Of several that are as like it, the last of the iterator is taken: that is the first of the table.
    let names = PLACEHOLDERS.iter().rev().map(|placeholder| placeholder.name);
    let nearest = names.max_by(|one, other| {
        let likeness = |known: &str| strsim::jaro_winkler(known, &name);
        likeness(one).total_cmp(&likeness(other))
    });
    Err(nearest.unwrap_or("title"))
}

type Value = fn(&Facts<'_>) -> Option<String>;

const fn of(name: &'static str, about: &'static str, value: Value) -> Placeholder {
    Placeholder {
        name,
        about,
        lists: false,
        value,
        is_own: false,
    }
}

const fn listing(name: &'static str, about: &'static str, value: Value) -> Placeholder {
    Placeholder {
        name,
        about,
        lists: true,
        value,
        is_own: false,
    }
}

const fn own(name: &'static str, about: &'static str, value: Value) -> Placeholder {
    Placeholder {
        name,
        about,
        lists: false,
        value,
        is_own: true,
    }
}

/// Every placeholder. Those of `alert` are of the first alert of a digest, and empty in a message of no alert; those of
/// `event` are empty in a message of no event.
#[rustfmt::skip]
pub static PLACEHOLDERS: &[Placeholder] = &[
    of("title", "The message in some words.", |facts| Some(match facts {
        Facts::Alert(told, _) => words::title(&told.message.alert),
        Facts::Part(part, _) => words::digest_title(part),
        Facts::Event(event, ..) => words::event_title(event),
        Facts::Test(..) => "test of an output".to_owned(),
    })),
    listing("text", "The message in sentences; of a digest a line for each alert, with its id.", text),
    listing("ids", "The ids of all alerts, a line each; of other messages their id.", |facts| Some(match facts {
        Facts::Part(part, _) => {
            let ids: Vec<_> = part.alerts.iter().map(|message| one_line(&message.alert.id)).collect();
            ids.join("\n")
        }
        other => one_line(&id(other)),
    })),
    of("kind", "`alert`, `digest`, `event` or `test`.", |facts| Some(match facts {
        Facts::Alert(..) => "alert",
        Facts::Part(..) => "digest",
        Facts::Event(..) => "event",
        Facts::Test(..) => "test",
    }.to_owned())),
    of("id", "The id, by which a receiver knows a repeat together with the revision.", |facts| Some(id(facts))),
    of("revision", "The revision.", |facts| Some(match facts {
        Facts::Alert(told, _) => told.message.revision,
        Facts::Part(part, _) => part.revision(),
        Facts::Event(event, ..) => event.number,
        Facts::Test(..) => 0,
    }.to_string())),
    of("reason", "Why an alert is told: `begun`, `grown`, `state` or `severity`.", |facts| Some(facts.message()?.reason.name().to_owned())),
    of("severity", "Of an alert `low` to `critical`, of an event `info` to `error`.", |facts| Some(match (facts.alert(), facts.event()) {
        (Some(alert), _) => words::severity(alert.severity),
        (None, Some(event)) => event.severity.name(),
        (None, None) => "info",
    }.to_owned())),
    of("sensor", "The sensor.", |facts| Some(match facts.alert() {
        Some(alert) => words::sensor(alert, facts.wording()),
        None => &facts.wording().sensor,
    }.to_owned())),
    own("version", "The version of the program.", |facts| Some(facts.wording().product_version.clone())),
    own("link", "The address of the alert's source in the dashboard, where settings name a dashboard.", |facts| words::link(facts.alert()?, facts.wording())),
    of("shortened", "What was left out of a message that would have been too large.", |facts| facts.shortened().note()),
    of("alert.id", "Id of the alert.", |facts| Some(facts.alert()?.id.clone())),
    of("alert.first_seen", "Start of the first flow, RFC 3339.", |facts| Some(rfc3339(facts.alert()?.first_seen))),
    of("alert.last_seen", "End of the last flow, RFC 3339.", |facts| Some(rfc3339(facts.alert()?.last_seen))),
    of("alert.count", "Number of flows.", |facts| Some(facts.alert()?.count.to_string())),
    of("alert.kind", "Protocol and application, e.g. `tcp/ssh`.", |facts| Some(facts.alert()?.kind.clone())),
    of("alert.source", "Source address.", |facts| Some(facts.alert()?.source.clone())),
    of("alert.source_port", "Source port.", |facts| Some(facts.alert()?.source_port.to_string())),
    of("alert.destination", "Destination address.", |facts| Some(facts.alert()?.destination.clone())),
    of("alert.destination_port", "Destination port.", |facts| Some(facts.alert()?.destination_port.to_string())),
    of("alert.protocol", "Protocol, e.g. `tcp`.", |facts| Some(facts.alert()?.protocol.clone())),
    of("alert.network", "Network, where it has a name.", |facts| Some(facts.alert()?.network.clone())),
    of("alert.sensor", "The sensor that saw the flow with the highest score, where it has a name.", |facts| Some(facts.alert()?.sensor.clone())),
    of("alert.community_id", "Community ID.", |facts| Some(facts.alert()?.community_id.clone())),
    of("alert.score", "The highest score.", |facts| Some(facts.alert()?.score.to_string())),
    of("alert.threshold", "The threshold.", |facts| Some(facts.alert()?.threshold.to_string())),
    of("alert.severity", "`low`, `medium`, `high` or `critical`.", |facts| Some(words::severity(facts.alert()?.severity).to_owned())),
    of("alert.detector.name", "Name of the detector.", |facts| Some(facts.alert()?.detector.name.clone())),
    of("alert.detector.version", "Its version.", |facts| Some(facts.alert()?.detector.version.clone())),
    of("alert.detector.digest", "SHA-256 of its package.", |facts| Some(facts.alert()?.detector.digest.clone())),
    of("alert.detector.generation", "Number of its activation.", |facts| Some(facts.alert()?.detector.generation.to_string())),
    of("alert.schema", "The feature schema, e.g. `record-v1@1`.", |facts| Some(facts.alert()?.schema.clone())),
    of("alert.contributions", "What drove the score, in words, largest first.", |facts| {
        let all: Vec<_> = facts.alert()?.contributions.iter().map(words::contribution).collect();
        Some(all.join("; "))
    }),
    of("alert.state", "`new`, `acknowledged`, `closed` or `merged`.", |facts| Some(words::state(facts.alert()?.state).to_owned())),
    of("alert.changed_by", "Who changed the state last.", |facts| facts.alert()?.changed_by.clone()),
    of("alert.changed_at", "When, RFC 3339.", |facts| facts.alert()?.changed_at.map(rfc3339)),
    of("alert.sources.count", "Number of sources, of an alert of many.", |facts| Some(facts.sources()?.count.to_string())),
    of("alert.sources.top", "Those with the highest scores, with their scores.", |facts| {
        let all: Vec<_> = facts.sources()?.top.iter().map(|top| format!("{} ({})", top.source, top.score)).collect();
        Some(all.join("; "))
    }),
    of("alert.sources.held_back", "Alerts that the alert of a kind holds back.", |facts| Some(facts.sources()?.held_back?.to_string())),
    of("alert.merged_into", "Id of the alert that has taken this one in.", |facts| facts.alert()?.merged_into.clone()),
    of("event.kind", "What happened, e.g. `source-lost`.", |facts| Some(facts.event()?.kind.name().to_owned())),
    of("event.at", "When, RFC 3339.", |facts| Some(rfc3339(facts.event()?.at_ms))),
    of("event.severity", "`info`, `warning` or `error`.", |facts| Some(facts.event()?.severity.name().to_owned())),
    of("event.subject", "What it happened to.", |facts| Some(facts.event()?.subject.clone())),
    of("event.text", "A sentence.", |facts| Some(facts.event()?.text.clone())),
    of("event.program", "Id of the program.", |facts| Some(facts.event()?.program.clone())),
];

fn id(facts: &Facts<'_>) -> String {
    match facts {
        Facts::Alert(told, _) => told.message.alert.id.clone(),
        Facts::Part(part, _) => part.id(),
        Facts::Event(event, ..) => event.id(),
        Facts::Test(number, _) => Message::Test(*number).id(),
    }
}

fn text(facts: &Facts<'_>) -> Option<String> {
    Some(match facts {
        Facts::Alert(told, _) => one_line(&words::sentence(&told.message.alert)),
        Facts::Part(part, _) => {
            let lines: Vec<_> = part
                .alerts
                .iter()
                .map(|message| one_line(&words::entry(message)))
                .collect();
            lines.join("\n")
        }
        Facts::Event(event, ..) => one_line(&event.text),
        Facts::Test(..) => words::TEST.to_owned(),
    })
}

/// So that no line of a list is a stranger's.
fn one_line(text: &str) -> String {
    visible(text).into_owned()
}
