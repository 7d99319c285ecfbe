//! What happens to the program, for its outputs.

use std::sync::Arc;

use jiff::Timestamp;
use netsage_api_types::{HistoryEntry, HistoryQuery, Step};
use netsage_lifecycle::Lifecycle;
use netsage_messages::{EventKind, EventSeverity};
use netsage_outputs::EventLog;

/// The problem of the store, by the kinds of [`crate::condition`].
const STORE: &str = "store";
/// How the kinds of problems begin that no source has.
const OTHERS: [&str; 6] = [
    "set aside",
    "detectors",
    "packets lost",
    "flows dropped",
    "flows failed",
    "partition ",
];
/// Steps of detectors that are looked at when some have been made.
const STEPS: u32 = 100;

/// Notes that a problem has begun, or, without a sentence, that it is over. Waits for the disk.
pub(crate) fn tell_problem(events: &EventLog, kind: &str, problem: Option<&str>) {
    use EventKind::{Problem, ProblemOver, SourceBack, SourceLost, StoreAway, StoreBack};
    let (begun, over) = match kind {
        STORE => (StoreAway, StoreBack),
        other if OTHERS.iter().any(|begin| other.starts_with(begin)) => (Problem, ProblemOver),
        _ => (SourceLost, SourceBack),
    };
    match problem {
        Some(problem) => events.say(
            begun,
            EventSeverity::Error,
            kind,
            problem,
            Timestamp::now().as_millisecond(),
        ),
        None => {
            let text = format!("the problem of {kind} is over");
            events.say(
                over,
                EventSeverity::Warning,
                kind,
                &text,
                Timestamp::now().as_millisecond(),
            );
        }
    }
}

/// Notes which detectors were activated, rolled back or taken out, for as long as the lifecycle lives.
pub(crate) async fn tell_steps(lifecycle: Arc<Lifecycle>, events: Arc<EventLog>) {
    let changed = lifecycle.changed();
    let mut seen = newest(&lifecycle, 1).first().map_or(0, |entry| entry.number);
    // Whoever waits here must not keep the lifecycle alive, whose end is what it waits for last.
    let lifecycle = {
        let held = lifecycle;
        Arc::downgrade(&held)
    };
    // Waits for steps, and for the disk. A panic there is in the log.
    let _ = tokio::task::spawn_blocking(move || {
        for () in changed {
            let Some(lifecycle) = lifecycle.upgrade() else {
                return;
            };
            let mut entries = newest(&lifecycle, STEPS);
            entries.retain(|entry| entry.number > seen);
            for entry in entries.iter().rev() {
                seen = entry.number;
                tell_step(&events, entry);
            }
        }
    })
    .await;
}

/// The newest entries of the history, the newest first.
fn newest(lifecycle: &Lifecycle, limit: u32) -> Vec<HistoryEntry> {
    let query = HistoryQuery {
        limit: Some(limit),
        ..HistoryQuery::default()
    };
    let page = lifecycle.history(&query);
    // Only a cursor can be wrong, and none is given.
    page.map(|page| page.items).unwrap_or_default()
}

fn tell_step(events: &EventLog, entry: &HistoryEntry) {
    let (kind, severity, what) = match entry.step {
        Step::Promote => (EventKind::DetectorActivated, EventSeverity::Info, "was activated"),
        Step::Rollback => (
            EventKind::DetectorRolledBack,
            EventSeverity::Warning,
            "was rolled back",
        ),
        Step::Quarantine => (
            EventKind::DetectorRolledBack,
            EventSeverity::Warning,
            "was taken out",
        ),
        _ => return,
    };
    let name = entry.name.as_deref().unwrap_or("without a name");
    let text = format!("detector {name} {what} by {}: {}", entry.by, entry.why);
    events.say(kind, severity, name, &text, entry.at);
}
