//! The Open Cybersecurity Schema Framework: alerts as Detection Finding (2004), events of the program as Application
//! Lifecycle (6002). What the classes have no place for stands under `unmapped`; [`crate::mapping`] names both.

use netsage_api_types::{Alert, AlertState};
use serde_json::{Map, Value, json};

use crate::documents::{Part, Told, Urgency, Write};
use crate::shorten::Shortened;
use crate::text::line;
use crate::tree::{Tree, long, number};
use crate::{AlertMessage, Event, EventKind, Message, Reason, Wording, words};

/// The version of the schema that documents keep to: the first with everything that they use.
const VERSION: &str = "1.6.0";

/// Writes OCSF.
#[derive(Debug)]
pub(crate) struct Ocsf;

impl Write for Ocsf {
    fn name(&self) -> &'static str {
        "ocsf"
    }

    fn writes_digests(&self) -> bool {
        false
    }

    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String {
        let message = told.message;
        let alert = &message.alert;
        let mut tree = Tree::default();
        put_class(&mut tree, &FINDING, activity(message));
        put_severity(&mut tree, alert.severity.into());
        put_metadata(
            &mut tree,
            &alert.id,
            message.revision,
            words::sensor(alert, wording),
            wording,
        );
        tree.put("message", words::sentence(alert));
        tree.put("time", alert.last_seen);
        tree.put("start_time", alert.first_seen);
        tree.put("end_time", alert.last_seen);
        tree.put("count", long(alert.count));
        tree.put("is_alert", !is_over(alert.state));
        let (status_id, status) = status(alert.state);
        tree.put("status_id", status_id);
        tree.put("status", status);
        put_finding(&mut tree, alert, wording);
        tree.put("evidences", json!([evidence(alert)]));
        tree.put("observables", observables(alert));
        if !alert.contributions.is_empty() {
            tree.put("anomaly_analyses", json!([anomalies(alert)]));
        }
        put_unmapped(&mut tree, message);
        if let Some(digest) = told.digest {
            tree.put("unmapped.digest.id", digest.id());
            tree.put("unmapped.digest.held_back_by", digest.held_back_by.name());
        }
        put_shortened(&mut tree, told.shortened);
        line(&tree.into_value())
    }

    /// A digest has no document of its own here.
    fn part(&self, _: &Part<'_>, _: &Wording) -> String {
        String::new()
    }

    fn event(&self, event: &Event, shortened: Shortened, wording: &Wording) -> String {
        let activity = match event.kind {
            EventKind::Started => Activity(3, "Start"),
            EventKind::Stopped => Activity(4, "Stop"),
            other => Activity(99, other.name()),
        };
        let mut tree = lifecycle(activity, event.at_ms, wording);
        put_severity(&mut tree, event.severity.into());
        put_metadata(&mut tree, &event.id(), event.number, &wording.sensor, wording);
        tree.put("message", event.text.as_str());
        tree.put("metadata.event_code", event.kind.name());
        tree.put("unmapped.program", event.program.as_str());
        tree.put("unmapped.subject", event.subject.as_str());
        put_shortened(&mut tree, shortened);
        line(&tree.into_value())
    }

    fn test(&self, number: u64, wording: &Wording) -> String {
        let at_ms = i64::try_from(number).unwrap_or(i64::MAX);
        let mut tree = lifecycle(Activity(99, "test"), at_ms, wording);
        put_severity(&mut tree, Urgency::Info);
        put_metadata(
            &mut tree,
            &Message::Test(number).id(),
            0,
            &wording.sensor,
            wording,
        );
        tree.put("message", words::TEST);
        line(&tree.into_value())
    }
}

/// A class: its number and name, and those of its category.
struct Class {
    uid: u32,
    name: &'static str,
    category_uid: u32,
    category: &'static str,
}

const FINDING: Class = Class {
    uid: 2004,
    name: "Detection Finding",
    category_uid: 2,
    category: "Findings",
};

const LIFECYCLE: Class = Class {
    uid: 6002,
    name: "Application Lifecycle",
    category_uid: 6,
    category: "Application Activity",
};

/// What is done: number and name.
#[derive(Clone, Copy)]
struct Activity(u32, &'static str);

fn activity(message: &AlertMessage) -> Activity {
    match message.reason {
        _ if is_over(message.alert.state) => Activity(3, "Close"),
        Reason::Begun => Activity(1, "Create"),
        Reason::Grown | Reason::State | Reason::Severity => Activity(2, "Update"),
    }
}

/// Whether nobody has to look at an alert any more.
const fn is_over(state: AlertState) -> bool {
    matches!(state, AlertState::Closed | AlertState::Merged)
}

const fn status(state: AlertState) -> (u32, &'static str) {
    match state {
        AlertState::New => (1, "New"),
        AlertState::Acknowledged => (2, "In Progress"),
        AlertState::Closed => (4, "Resolved"),
        AlertState::Merged => (99, "merged"),
    }
}

const fn severity(urgency: Urgency) -> (u32, &'static str) {
    match urgency {
        Urgency::Info => (1, "Informational"),
        Urgency::Low => (2, "Low"),
        Urgency::Medium => (3, "Medium"),
        Urgency::High => (4, "High"),
        Urgency::Critical => (5, "Critical"),
    }
}

fn put_class(tree: &mut Tree, class: &Class, Activity(activity, name): Activity) {
    tree.put("category_uid", class.category_uid);
    tree.put("category_name", class.category);
    tree.put("class_uid", class.uid);
    tree.put("class_name", class.name);
    tree.put("activity_id", activity);
    tree.put("activity_name", name);
    tree.put("type_uid", class.uid * 100 + activity);
    tree.put("type_name", format!("{}: {name}", class.name));
}

fn put_severity(tree: &mut Tree, urgency: Urgency) {
    let (id, name) = severity(urgency);
    tree.put("severity_id", id);
    tree.put("severity", name);
}

fn put_metadata(tree: &mut Tree, id: &str, revision: u64, sensor: &str, wording: &Wording) {
    tree.put("metadata.version", VERSION);
    tree.put("metadata.product", product(wording));
    // One for each change of an alert, and the same in each repeat.
    tree.put("metadata.uid", format!("{id}-{revision}"));
    tree.put("metadata.sequence", long(revision));
    tree.put("metadata.log_provider", sensor);
}

fn product(wording: &Wording) -> Value {
    let mut product = Tree::default();
    product.put("name", words::PRODUCT);
    product.put("vendor_name", words::PRODUCT);
    product.put("version", wording.product_version.as_str());
    product.into_value()
}

fn put_finding(tree: &mut Tree, alert: &Alert, wording: &Wording) {
    let info = |name: &str| format!("finding_info.{name}");
    tree.put(&info("uid"), alert.id.as_str());
    tree.put(&info("title"), words::title(alert));
    tree.put(&info("types"), json!([alert.kind]));
    tree.put(&info("first_seen_time"), alert.first_seen);
    tree.put(&info("last_seen_time"), alert.last_seen);
    tree.put(&info("modified_time"), alert.changed_at);
    tree.put(&info("src_url"), words::link(alert, wording));
    tree.put(&info("data_sources"), json!([alert.schema]));
    let other = alert.merged_into.as_ref();
    tree.put(
        &info("related_events"),
        other.map(|other| json!([{ "uid": other }])),
    );
    // Learning: every detector of the project scores by a trained or a learned model.
    tree.put(&info("analytic.type_id"), 4);
    tree.put(&info("analytic.type"), "Learning (ML/DL)");
    tree.put(&info("analytic.name"), alert.detector.name.as_str());
    tree.put(&info("analytic.version"), alert.detector.version.as_str());
    tree.put(&info("analytic.uid"), alert.detector.digest.as_str());
}

fn evidence(alert: &Alert) -> Value {
    let mut connection = Tree::default();
    connection.put("direction_id", 0);
    connection.put("direction", "Unknown");
    connection.put("protocol_name", alert.protocol.as_str());
    connection.put("community_uid", alert.community_id.as_str());
    json!({
        "src_endpoint": endpoint(&alert.source, alert.source_port, &alert.network),
        "dst_endpoint": endpoint(&alert.destination, alert.destination_port, &alert.network),
        "connection_info": connection.into_value(),
    })
}

fn endpoint(address: &str, port: u16, network: &str) -> Value {
    let mut endpoint = Map::new();
    match words::address(address) {
        Some(address) => endpoint.insert("ip".to_owned(), address.to_string().into()),
        // An endpoint has one of the two.
        None => endpoint.insert("name".to_owned(), address.into()),
    };
    endpoint.insert("port".to_owned(), port.into());
    if !network.is_empty() {
        endpoint.insert("zone".to_owned(), network.into());
    }
    Value::Object(endpoint)
}

/// What a search begins with: the addresses.
fn observables(alert: &Alert) -> Value {
    let observable = |name: &str, text: &str| {
        let address = words::address(text)?.to_string();
        Some(json!({ "name": name, "type_id": 2, "type": "IP Address", "value": address }))
    };
    let ends = [
        observable("evidences[].src_endpoint.ip", &alert.source),
        observable("evidences[].dst_endpoint.ip", &alert.destination),
    ];
    let top = alert.sources.iter().flat_map(|sources| &sources.top);
    let top = top.map(|source| observable("unmapped.sources.top[].source", &source.source));
    let all: Vec<_> = ends.into_iter().chain(top).flatten().collect();
    if all.is_empty() { Value::Null } else { all.into() }
}

/// What drove the score: what was seen of each column, beside what would have been typical.
fn anomalies(alert: &Alert) -> Value {
    let observed = |column: &str, value: &str| {
        json!({
            "observation_parameter": column,
            "observations": [{ "value": value }],
        })
    };
    let all = &alert.contributions;
    let anomalies: Vec<_> = all.iter().map(|of| observed(&of.column, &of.value)).collect();
    let baselines: Vec<_> = all.iter().map(|of| observed(&of.column, &of.typical)).collect();
    json!({
        "analysis_targets": [{ "name": alert.source, "type": "source address" }],
        "anomalies": anomalies,
        "baselines": baselines,
    })
}

fn put_unmapped(tree: &mut Tree, message: &AlertMessage) {
    let alert = &message.alert;
    tree.put("unmapped.reason", message.reason.name());
    tree.put("unmapped.score", number(alert.score));
    tree.put("unmapped.threshold", number(alert.threshold));
    tree.put("unmapped.detector.generation", long(alert.detector.generation));
    tree.put("unmapped.changed_by", alert.changed_by.as_deref());
    if !alert.contributions.is_empty() {
        let all = alert.contributions.iter();
        let all: Vec<_> = all
            .map(|of| json!({ "column": of.column, "unit": of.unit, "weight": number(of.weight) }))
            .collect();
        tree.put("unmapped.contributions", all);
    }
    let Some(sources) = &alert.sources else { return };
    tree.put("unmapped.sources.count", long(sources.count));
    tree.put("unmapped.sources.held_back", sources.held_back.map(long));
    if !sources.top.is_empty() {
        let top = sources.top.iter();
        let top: Vec<_> = top
            .map(|source| json!({ "source": source.source, "score": number(source.score) }))
            .collect();
        tree.put("unmapped.sources.top", top);
    }
}

fn lifecycle(activity: Activity, at_ms: i64, wording: &Wording) -> Tree {
    let mut tree = Tree::default();
    put_class(&mut tree, &LIFECYCLE, activity);
    tree.put("time", at_ms);
    tree.put("app", product(wording));
    tree
}

fn put_shortened(tree: &mut Tree, shortened: Shortened) {
    if shortened.is_any() {
        tree.put("metadata.is_truncated", true);
        tree.put("unmapped.shortened.contributions", shortened.contributions);
        tree.put("unmapped.shortened.sources", shortened.sources);
        tree.put("unmapped.shortened.texts", shortened.texts);
    }
}
