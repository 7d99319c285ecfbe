//! Outputs against real receivers that are down, slow, cut off and started again.
//!
//! A message is handed over again until it is acknowledged, as a delivery does. What must hold: every message arrives, a
//! repeat has the same id and revision, and no text of a stranger makes a line, a field or a message of its own.

mod contract;
#[cfg(feature = "kafka")]
mod kafka;
mod mqtt;
mod syslog;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use netsage_api_types::{Alert, AlertState, Contribution, DetectorRef, Severity};
use netsage_messages::{AlertMessage, Event, EventKind, EventSeverity, Message, Reason, Wording};
use netsage_outputs::{Failure, Output, Pauses, Undelivered};
use serde_json::Value;
use tokio::time::{sleep, timeout};

/// Far longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages handed over at once.
const PAGE: usize = 100;

/// Text of a stranger who knows the formats.
const HOSTILE: &str = "a\r\n<0>1 2026-01-01T00:00:00Z forged forged 1 alert - \u{feff}forged\nb|c=d\\e\"]f[x@1 id=\"forged\"] \
    ${HOST} {{id}} %msg% \u{0}\u{1b}[31m\u{2028}\u{85} 12 <1>forged";

fn wording() -> Wording {
    Wording {
        product_version: "0.1.0".to_owned(),
        sensor: "tower".to_owned(),
        dashboard: None,
    }
}

/// An alert of a number, which is its revision too.
fn alert(number: u64, kind: &str) -> Message {
    let began = 1_790_000_000_000 + i64::try_from(number).unwrap();
    let severities = [
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
    Message::Alert(AlertMessage {
        alert: Alert {
            id: format!("{number:032x}"),
            first_seen: began,
            last_seen: began + 500,
            count: number,
            kind: kind.to_owned(),
            source: "192.0.2.7".to_owned(),
            source_port: 40_000,
            destination: "198.51.100.9".to_owned(),
            destination_port: 22,
            protocol: "tcp".to_owned(),
            network: String::new(),
            sensor: "tower".to_owned(),
            community_id: "1:abc=".to_owned(),
            score: 0.9,
            threshold: 0.5,
            severity: severities[usize::try_from(number % 4).unwrap()],
            detector: DetectorRef {
                name: "iforest".to_owned(),
                version: "1.0.0".to_owned(),
                digest: "0".repeat(64),
                generation: 1,
            },
            schema: "flow-v1@1".to_owned(),
            contributions: vec![Contribution {
                column: "bytes".to_owned(),
                unit: "B".to_owned(),
                weight: 1.0,
                value: kind.to_owned(),
                typical: "10".to_owned(),
            }],
            state: AlertState::New,
            changed_by: None,
            changed_at: None,
            sources: None,
            merged_into: None,
        },
        revision: number,
        reason: Reason::Begun,
    })
}

/// Alerts of these numbers.
fn alerts(numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers.map(|number| alert(number, "tcp/ssh")).collect()
}

/// Messages of every kind, with the text of a stranger wherever there is room for some.
fn hostile() -> Vec<Message> {
    let long = HOSTILE.repeat(400);
    let event = Event {
        program: "1f".to_owned(),
        number: 9,
        at_ms: 1_790_000_000_000,
        kind: EventKind::SourceLost,
        severity: EventSeverity::Warning,
        subject: HOSTILE.to_owned(),
        text: HOSTILE.to_owned(),
    };
    vec![
        alert(1, HOSTILE),
        alert(2, &long),
        Message::Event(event),
        Message::Test(7),
        alert(3, "tcp/ssh"),
    ]
}

/// Hands messages over as a delivery does: again after a pause, from the first that was not acknowledged. Before each
/// hand-over `before` is called with the number of messages that are acknowledged; gives the failures on the way.
async fn feed(output: &mut dyn Output, messages: &[Message], mut before: impl FnMut(usize)) -> Vec<Failure> {
    let (mut taken, mut failures) = (0, Vec::new());
    let began = Instant::now();
    let mut pauses = Pauses::new(Duration::from_millis(5), Duration::from_millis(200));
    while taken < messages.len() {
        assert!(
            began.elapsed() < PATIENCE,
            "{taken} of {}: {failures:?}",
            messages.len()
        );
        before(taken);
        let page = &messages[taken..messages.len().min(taken + PAGE)];
        match output.deliver(page).await {
            Ok(()) => {
                taken += page.len();
                pauses.reset();
            }
            Err(Undelivered { taken: some, failure }) => {
                taken += some;
                if matches!(failure, Failure::Refused(_)) {
                    taken += 1;
                }
                failures.push(failure);
                sleep(pauses.take()).await;
            }
        }
    }
    failures
}

/// Feeds as [`feed`] does, and kills the program that sends some times on the way, in the middle of a hand-over: the next one
/// begins with the first message that was not acknowledged.
async fn feed_with_kills<O: Output>(new: impl Fn() -> O, messages: &[Message], kills: usize) {
    let mut taken = 0;
    for kill in 0..kills {
        let mut output = new();
        let until = messages.len() * (kill + 1) / (kills + 1);
        while taken < until {
            let page = &messages[taken..messages.len().min(taken + 10)];
            match output.deliver(page).await {
                Ok(()) => taken += page.len(),
                Err(undelivered) => taken += undelivered.taken,
            }
        }
        let page = &messages[taken..messages.len().min(taken + PAGE)];
        // Dropped at some point between nothing and everything.
        let some = Duration::from_micros(200 << (kill * 2));
        let _ = timeout(some, output.deliver(page)).await;
    }
    feed(&mut new(), &messages[taken..], |_| ()).await;
}

/// Waits until something has happened.
async fn until<T>(what: &str, mut happened: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = happened() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Messages by id and revision, from documents of the own JSON. Checks that a repeat is the same.
fn by_id<'a>(documents: impl IntoIterator<Item = &'a str>) -> BTreeMap<(String, u64), Value> {
    let mut found = BTreeMap::new();
    for document in documents {
        let value: Value =
            serde_json::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}"));
        let key = (
            value["id"].as_str().unwrap_or_default().to_owned(),
            value["revision"].as_u64().unwrap_or_default(),
        );
        let known = found.entry(key).or_insert_with(|| value.clone());
        assert_eq!(*known, value, "a repeat is the same");
    }
    found
}

fn ids(messages: &[Message]) -> Vec<(String, u64)> {
    let mut ids: Vec<_> = messages
        .iter()
        .map(|message| (message.id(), message.revision()))
        .collect();
    ids.sort();
    ids
}

/// What `documents` gives once all messages are there, in any order and some more than once.
async fn all_arrive(messages: &[Message], documents: impl Fn() -> Vec<String>) -> Vec<String> {
    let expected = ids(messages);
    let missing = || {
        let documents = documents();
        let found = by_id(documents.iter().map(String::as_str));
        expected.iter().filter(|id| !found.contains_key(*id)).count()
    };
    let began = Instant::now();
    while missing() > 0 {
        assert!(
            began.elapsed() < PATIENCE,
            "{} of {} are missing",
            missing(),
            messages.len()
        );
        sleep(Duration::from_millis(20)).await;
    }
    let documents = documents();
    let found = by_id(documents.iter().map(String::as_str));
    assert_eq!(
        found.into_keys().collect::<Vec<_>>(),
        expected,
        "and nothing else"
    );
    documents
}

fn unavailable(failure: &Failure) -> bool {
    matches!(failure, Failure::Unavailable { .. })
}
