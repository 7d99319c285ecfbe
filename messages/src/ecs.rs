//! The Elastic Common Schema. What it has no place for stands under `netsage`; [`crate::mapping`] names both.

use std::collections::BTreeSet;

use netsage_api_types::{Alert, Contribution, Severity};
use serde_json::{Value, json};

use crate::documents::{Part, Told, Write};
use crate::shorten::Shortened;
use crate::text::line;
use crate::time::rfc3339;
use crate::tree::{Tree, long, number};
use crate::{Event, EventKind, EventSeverity, Message, Wording, words};

/// The version of the schema that documents keep to.
const VERSION: &str = "9.4.0";

/// Writes ECS.
#[derive(Debug)]
pub(crate) struct Ecs;

impl Write for Ecs {
    fn name(&self) -> &'static str {
        "ecs"
    }

    fn writes_digests(&self) -> bool {
        false
    }

    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String {
        let message = told.message;
        let alert = &message.alert;
        let mut tree = base("alert", alert.last_seen, words::sensor(alert, wording), wording);
        tree.put("message", words::sentence(alert));
        tree.put("event.kind", "alert");
        tree.put("event.category", json!(["intrusion_detection", "network"]));
        tree.put("event.type", json!(["info"]));
        tree.put("event.id", alert.id.as_str());
        tree.put("event.sequence", long(message.revision));
        tree.put("event.action", message.reason.name());
        tree.put("event.start", rfc3339(alert.first_seen));
        tree.put("event.end", rfc3339(alert.last_seen));
        tree.put("event.severity", severity_number(alert.severity));
        tree.put("event.risk_score", number(alert.score));
        tree.put("event.url", words::link(alert, wording));
        put_detector(&mut tree, alert);
        put_network(&mut tree, alert);
        put_own(&mut tree, alert);
        if let Some(digest) = told.digest {
            tree.put("netsage.digest.id", digest.id());
            tree.put("netsage.digest.held_back_by", digest.held_back_by.name());
        }
        put_shortened(&mut tree, told.shortened);
        line(&tree.into_value())
    }

    /// A digest has no document of its own here.
    fn part(&self, _: &Part<'_>, _: &Wording) -> String {
        String::new()
    }

    fn event(&self, event: &Event, shortened: Shortened, wording: &Wording) -> String {
        let mut tree = base("event", event.at_ms, &wording.sensor, wording);
        tree.put("message", event.text.as_str());
        tree.put("event.kind", "event");
        tree.put("event.category", json!(["process"]));
        tree.put("event.type", json!([event_type(event.kind)]));
        tree.put("event.id", event.id());
        tree.put("event.sequence", long(event.number));
        tree.put("event.action", event.kind.name());
        tree.put("log.level", event.severity.name());
        tree.put("event.severity", event_severity_number(event.severity));
        tree.put("netsage.program", event.program.as_str());
        tree.put("netsage.subject", event.subject.as_str());
        put_shortened(&mut tree, shortened);
        line(&tree.into_value())
    }

    fn test(&self, number: u64, wording: &Wording) -> String {
        let at_ms = i64::try_from(number).unwrap_or(i64::MAX);
        let mut tree = base("test", at_ms, &wording.sensor, wording);
        tree.put("message", words::TEST);
        tree.put("event.kind", "event");
        tree.put("event.category", json!(["process"]));
        tree.put("event.type", json!(["info"]));
        tree.put("event.id", Message::Test(number).id());
        tree.put("event.action", "test");
        line(&tree.into_value())
    }
}

/// What every document has.
fn base(dataset: &str, at_ms: i64, sensor: &str, wording: &Wording) -> Tree {
    let mut tree = Tree::default();
    tree.put("@timestamp", rfc3339(at_ms));
    tree.put("ecs.version", VERSION);
    tree.put("event.module", "netsage");
    tree.put("event.dataset", format!("netsage.{dataset}"));
    tree.put("observer.vendor", words::PRODUCT);
    tree.put("observer.product", words::PRODUCT);
    tree.put("observer.version", wording.product_version.as_str());
    tree.put("observer.type", "sensor");
    tree.put("observer.name", sensor);
    tree
}

fn put_detector(tree: &mut Tree, alert: &Alert) {
    tree.put("rule.name", alert.detector.name.as_str());
    tree.put("rule.version", alert.detector.version.as_str());
    tree.put("rule.uuid", alert.detector.digest.as_str());
    tree.put("rule.ruleset", alert.schema.as_str());
    tree.put("netsage.detector.generation", long(alert.detector.generation));
}

fn put_network(tree: &mut Tree, alert: &Alert) {
    let addresses = [words::address(&alert.source), words::address(&alert.destination)];
    // Where a text is no address, a field of type `ip` would have the document refused.
    for (side, address, text, port) in [
        ("source", addresses[0], &alert.source, alert.source_port),
        (
            "destination",
            addresses[1],
            &alert.destination,
            alert.destination_port,
        ),
    ] {
        tree.put(&format!("{side}.address"), text.as_str());
        tree.put(&format!("{side}.ip"), address.map(|address| address.to_string()));
        tree.put(&format!("{side}.port"), port);
    }
    let kind_of_address = addresses[0].map(|address| if address.is_ipv4() { "ipv4" } else { "ipv6" });
    tree.put("network.type", kind_of_address);
    tree.put("network.transport", alert.protocol.as_str());
    tree.put("network.protocol", words::application(&alert.kind));
    tree.put("network.name", alert.network.as_str());
    tree.put("network.community_id", alert.community_id.as_str());

    let top = alert.sources.iter().flat_map(|sources| &sources.top);
    let of_top = top.filter_map(|source| words::address(&source.source));
    let related: BTreeSet<_> = addresses.into_iter().flatten().chain(of_top).collect();
    let related: Vec<_> = related.iter().map(ToString::to_string).collect();
    if !related.is_empty() {
        tree.put("related.ip", related);
    }
}

fn put_own(tree: &mut Tree, alert: &Alert) {
    tree.put("netsage.kind", alert.kind.as_str());
    tree.put("netsage.count", long(alert.count));
    tree.put("netsage.severity", words::severity(alert.severity));
    tree.put("netsage.threshold", number(alert.threshold));
    tree.put("netsage.state", words::state(alert.state));
    tree.put("netsage.changed_by", alert.changed_by.as_deref());
    tree.put("netsage.changed_at", alert.changed_at.map(rfc3339));
    tree.put("netsage.merged_into", alert.merged_into.as_deref());
    if !alert.contributions.is_empty() {
        let all: Vec<Value> = alert.contributions.iter().map(contribution).collect();
        tree.put("netsage.contributions", all);
    }
    let Some(sources) = &alert.sources else { return };
    tree.put("netsage.sources.count", long(sources.count));
    tree.put("netsage.sources.held_back", sources.held_back.map(long));
    if !sources.top.is_empty() {
        let top = sources.top.iter();
        let top: Vec<_> = top
            .map(|source| json!({ "address": source.source, "score": number(source.score) }))
            .collect();
        tree.put("netsage.sources.top", top);
    }
}

fn contribution(contribution: &Contribution) -> Value {
    json!({
        "column": contribution.column,
        "unit": contribution.unit,
        "weight": number(contribution.weight),
        "value": contribution.value,
        "typical": contribution.typical,
    })
}

fn put_shortened(tree: &mut Tree, shortened: Shortened) {
    if shortened.is_any() {
        tree.put("netsage.shortened.contributions", shortened.contributions);
        tree.put("netsage.shortened.sources", shortened.sources);
        tree.put("netsage.shortened.texts", shortened.texts);
    }
}

/// From 2 to 5, as OCSF numbers them, so that both formats sort alike.
const fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

const fn event_severity_number(severity: EventSeverity) -> u8 {
    match severity {
        EventSeverity::Info => 1,
        EventSeverity::Warning => 3,
        EventSeverity::Error => 4,
    }
}

const fn event_type(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started => "start",
        EventKind::Stopped => "end",
        EventKind::DetectorRolledBack | EventKind::DetectorActivated => "change",
        EventKind::SourceLost
        | EventKind::SourceBack
        | EventKind::StoreAway
        | EventKind::StoreBack
        | EventKind::OutputPaused
        | EventKind::Problem
        | EventKind::ProblemOver => "info",
    }
}
