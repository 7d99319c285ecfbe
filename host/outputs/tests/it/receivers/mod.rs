//! Receivers against real ones, which are told to fail.
//!
//! What stands in for a delivery here does what [`netsage_outputs::Delivery`] does with an answer: it tries again, leaves out,
//! or stops; so that a receiver can be tried without a store.

mod addresses;
pub(crate) mod contract;
mod file;
mod mail;
mod webhook;
mod webhook_tls;

use std::time::Duration;

use netsage_api_types::{Alert, AlertState, Contribution, DetectorRef, Severity};
use netsage_messages::{AlertMessage, Digest, HeldBackBy, Message, Reason};
use netsage_outputs::{Failure, Output};

/// Messages handed over at once.
const PAGE: usize = 100;

/// Attempts after which a test gives up.
const MOST_ATTEMPTS: usize = 10_000;

/// Text as strangers write it.
pub(crate) const HOSTILE: &str =
    "a\r\nX-Forged: 1\r\n\r\n\"}],{{title}} <!channel> </b>`\u{2028}\u{202e}\0=|\\";

/// An alert of this number after its last change.
pub(crate) fn alert(number: u64) -> AlertMessage {
    AlertMessage {
        alert: Alert {
            id: format!("{number:032x}"),
            first_seen: 1_700_000_000_000,
            last_seen: 1_700_000_060_000,
            count: number + 1,
            kind: "tcp/ssh".to_owned(),
            source: "10.0.0.1".to_owned(),
            source_port: 40_000,
            destination: "192.0.2.7".to_owned(),
            destination_port: 22,
            protocol: "tcp".to_owned(),
            network: "plant".to_owned(),
            sensor: "gate".to_owned(),
            community_id: "1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
            score: 0.75,
            threshold: 0.5,
            severity: Severity::High,
            detector: DetectorRef {
                name: "iforest".to_owned(),
                version: "1.0.0".to_owned(),
                digest: "ab".repeat(32),
                generation: 1,
            },
            schema: "flow-v1@1".to_owned(),
            contributions: vec![Contribution {
                column: "bytes".to_owned(),
                unit: "B".to_owned(),
                weight: 0.5,
                value: "9000".to_owned(),
                typical: "120".to_owned(),
            }],
            state: AlertState::New,
            changed_by: None,
            changed_at: None,
            sources: None,
            merged_into: None,
        },
        revision: 1_000 + number,
        reason: Reason::Begun,
    }
}

/// The first alerts as messages.
pub(crate) fn alerts(count: u64) -> Vec<Message> {
    (0..count).map(|number| Message::Alert(alert(number))).collect()
}

/// A digest of the first alerts.
pub(crate) fn digest(count: u64) -> Message {
    Message::Digest(Digest {
        held_back_by: HeldBackBy::RateLimit,
        since_ms: 1_700_000_000_000,
        until_ms: 1_700_000_600_000,
        alerts: (0..count).map(alert).collect(),
    })
}

/// An alert whose texts are hostile, of so many repeats of what strangers write.
pub(crate) fn hostile(repeats: usize) -> Message {
    let mut message = alert(7);
    let text = HOSTILE.repeat(repeats);
    let alert = &mut message.alert;
    for field in [
        &mut alert.kind,
        &mut alert.network,
        &mut alert.sensor,
        &mut alert.detector.name,
    ] {
        field.clone_from(&text);
    }
    alert.contributions[0].value = text;
    Message::Alert(message)
}

/// What became of messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many of them are done with, from the first on.
    pub(crate) done: usize,
    /// The ids of those that were left out.
    pub(crate) refused: Vec<String>,
    /// Attempts after which the receiver was not available.
    pub(crate) unavailable: usize,
    /// The longest rest that the receiver has asked for.
    pub(crate) rest: Option<Duration>,
    /// Why the receiver takes nothing of this sender.
    pub(crate) sender_refused: Option<String>,
    /// All reasons.
    pub(crate) reasons: Vec<String>,
}

/// Hands messages over until all are done with or the sender is refused. `before` is called before each attempt with how many
/// are done with.
pub(crate) async fn deliver(
    output: &mut dyn Output,
    messages: &[Message],
    mut before: impl FnMut(usize),
) -> Outcome {
    let mut outcome = Outcome::default();
    for _ in 0..MOST_ATTEMPTS {
        before(outcome.done);
        let rest = &messages[outcome.done..];
        let page = &rest[..rest.len().min(PAGE)];
        if page.is_empty() {
            return outcome;
        }
        let Err(undelivered) = output.deliver(page).await else {
            outcome.done += page.len();
            continue;
        };
        outcome.done += undelivered.taken;
        outcome.reasons.push(undelivered.failure.to_string());
        match undelivered.failure {
            Failure::Refused(_) => {
                outcome.refused.push(messages[outcome.done].id());
                outcome.done += 1;
            }
            Failure::Unavailable { retry_after, .. } => {
                outcome.unavailable += 1;
                outcome.rest = outcome.rest.max(retry_after);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Failure::SenderRefused(reason) => {
                outcome.sender_refused = Some(reason);
                return outcome;
            }
            Failure::Gone => panic!("an output of one receiver never ends"),
        }
    }
    panic!(
        "not delivered after {MOST_ATTEMPTS} attempts: {:?}",
        outcome.reasons.last()
    );
}
