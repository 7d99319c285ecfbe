//! What a message is.

use netsage_api_types::Alert;
use serde::{Deserialize, Serialize};

/// One message to a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every message is an alert, which a box would only move elsewhere"
)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// An alert that began or changed.
    Alert(AlertMessage),
    /// Alerts that were held back, together.
    Digest(Digest),
    /// Something that happened to the program itself.
    Event(Event),
    /// A test that a person asked for; the number tells one test from another, and is the time of asking, ms since the epoch.
    Test(u64),
}

impl Message {
    /// What a receiver knows repeats by, together with [`Self::revision`]: the id of the alert, or one of the digest, event or
    /// test, which no alert has.
    pub fn id(&self) -> String {
        match self {
            Self::Alert(message) => message.alert.id.clone(),
            Self::Digest(digest) => digest.id(),
            Self::Event(event) => event.id(),
            Self::Test(number) => format!("test-{number}"),
        }
    }

    /// The revision; see [`Self::id`].
    pub fn revision(&self) -> u64 {
        match self {
            Self::Alert(message) => message.revision,
            Self::Digest(digest) => newest(&digest.alerts),
            Self::Event(event) => event.number,
            Self::Test(_) => 0,
        }
    }

    /// What kind of message it is, as the own JSON says.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Alert(_) => "alert",
            Self::Digest(_) => "digest",
            Self::Event(_) => "event",
            Self::Test(_) => "test",
        }
    }
}

/// The highest revision among alerts; 0 of none.
pub(crate) fn newest(alerts: &[AlertMessage]) -> u64 {
    alerts.iter().map(|alert| alert.revision).max().unwrap_or(0)
}

/// An alert after its last change, and why it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertMessage {
    /// The alert.
    pub alert: Alert,
    /// The number of its last change, which rises over all alerts of a store.
    pub revision: u64,
    /// What a receiver has not been told before.
    pub reason: Reason,
}

/// Why an alert is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It has counted further flows.
    Grown,
    /// Its state has changed: a person has taken or closed it, or another alert has taken it in.
    State,
    /// Its severity has risen.
    Severity,
    /// It has begun, as far as the output knows; after a restart an alert that goes on may be told as begun once more.
    Begun,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Grown, Self::State, Self::Severity, Self::Begun];

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grown => "grown",
            Self::State => "state",
            Self::Severity => "severity",
            Self::Begun => "begun",
        }
    }
}

/// Alerts that were held back, told together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// What held them back.
    pub held_back_by: HeldBackBy,
    /// When the first of them would have gone out, ms since the epoch.
    pub since_ms: i64,
    /// When the digest was made, ms since the epoch.
    pub until_ms: i64,
    /// All of them, the highest severity first, then the highest score; never empty.
    pub alerts: Vec<AlertMessage>,
}

impl Digest {
    /// The id: made of the ids and revisions of its alerts, so that the same alerts give the same id.
    pub fn id(&self) -> String {
        digest_id(&self.alerts)
    }
}

/// The id of a digest of these alerts; a part of a digest has one of its own by the same rule.
pub(crate) fn digest_id(alerts: &[AlertMessage]) -> String {
    // FNV-1a, 64 bits (RFC 9923): no secret and no adversary, since the ids hold digests themselves.
    let bytes = alerts.iter().flat_map(|message| {
        let revision = message.revision.to_le_bytes();
        message.alert.id.bytes().chain(revision)
    });
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("digest-{hash:016x}")
}

/// What held alerts back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldBackBy {
    /// More messages than the output may send in a time.
    RateLimit,
    /// A time of day in which nothing is to be sent.
    QuietHours,
    /// The output sends digests only.
    Schedule,
}

impl HeldBackBy {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::RateLimit, Self::QuietHours, Self::Schedule];

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate-limit",
            Self::QuietHours => "quiet-hours",
            Self::Schedule => "schedule",
        }
    }
}

/// Something that happened to the program itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The program that it happened to: an id that is kept in the data folder.
    pub program: String,
    /// Its number in the log of the program; numbers rise by one.
    pub number: u64,
    /// When it happened, ms since the epoch.
    pub at_ms: i64,
    /// What happened.
    pub kind: EventKind,
    /// How bad it is.
    pub severity: EventSeverity,
    /// What it happened to: the name of a source, detector, store or output.
    pub subject: String,
    /// A sentence for people.
    pub text: String,
}

impl Event {
    /// The id; see [`Message::id`].
    pub fn id(&self) -> String {
        format!("event-{}-{}", self.program, self.number)
    }
}

/// What can happen to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The program began.
    Started,
    /// The program ends because it was asked to.
    Stopped,
    /// A source gives nothing any more, or has trouble.
    SourceLost,
    /// A source gives again.
    SourceBack,
    /// A detector was rolled back.
    DetectorRolledBack,
    /// A detector was activated.
    DetectorActivated,
    /// The store takes nothing.
    StoreAway,
    /// The store takes again.
    StoreBack,
    /// An output is paused, since its receiver refuses this sender.
    OutputPaused,
    /// Something else that `/api/v1/health` names as a problem has begun.
    Problem,
    /// That problem is over.
    ProblemOver,
}

impl EventKind {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::Started,
        Self::Stopped,
        Self::SourceLost,
        Self::SourceBack,
        Self::DetectorRolledBack,
        Self::DetectorActivated,
        Self::StoreAway,
        Self::StoreBack,
        Self::OutputPaused,
        Self::Problem,
        Self::ProblemOver,
    ];

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::SourceLost => "source-lost",
            Self::SourceBack => "source-back",
            Self::DetectorRolledBack => "detector-rolled-back",
            Self::DetectorActivated => "detector-activated",
            Self::StoreAway => "store-away",
            Self::StoreBack => "store-back",
            Self::OutputPaused => "output-paused",
            Self::Problem => "problem",
            Self::ProblemOver => "problem-over",
        }
    }
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventSeverity {
    /// For the record.
    Info,
    /// Somebody should look.
    Warning,
    /// Something is lost while it lasts.
    Error,
}

impl EventSeverity {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
