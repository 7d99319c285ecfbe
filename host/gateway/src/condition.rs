//! What is wrong now, in words: looked at every second, so that an answer never waits for what is wrong.
//!
//! A problem is what needs an operator now, and is over as soon as its cause is. What was lost stays as a note. The
//! beginning and the end of each problem go to the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netsage_api_types::{InterfaceHealth, PipelineCounters};
use netsage_forward::Forwarder;
use netsage_lifecycle::Lifecycle;
use netsage_outputs::EventLog;
use netsage_sources::{PartitionState, PartitionStatus};
use netsage_store::Store;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::outputs::tell_problem;
use crate::pipeline::{Counters, Storing};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// How long the store may take to say that it is well, and how long a delivery may take before it is told.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// How long a receiver of forwarded flows may take nothing before it is told.
const RECEIVER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a loss is a problem after it last grew.
const FRESH: Duration = Duration::from_secs(3);

/// The kind of problem that is the store's.
const STORE: &str = "store";

/// What is wrong now, by kind, and what is worth knowing.
#[derive(Debug, Default)]
pub struct Condition(Mutex<Told>);

#[derive(Debug, Default, Clone)]
struct Told {
    problems: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Condition {
    /// What needs an operator, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        self.told().problems.values().cloned().collect()
    }

    /// Whether the store answers and takes what is recorded.
    pub fn is_store_well(&self) -> bool {
        !self.told().problems.contains_key(STORE)
    }

    /// What needs nobody now, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        self.told().notes.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what was seen, and logs what has begun and what is over; gives the kinds of these problems, with the
    /// sentence of each that has begun.
    fn tell(&self, now: Told) -> Vec<(String, Option<String>)> {
        let mut told = self.told();
        let mut turns = Vec::new();
        for (kind, problem) in &now.problems {
            if !told.problems.contains_key(kind) {
                tracing::warn!(kind, "{problem}");
                turns.push((kind.clone(), Some(problem.clone())));
            }
        }
        for kind in told.problems.keys() {
            if !now.problems.contains_key(kind) {
                tracing::info!(kind, "problem is over");
                turns.push((kind.clone(), None));
            }
        }
        *told = now;
        turns
    }
}

/// What the condition is made of.
pub(crate) struct Watch {
    pub(crate) condition: Arc<Condition>,
    /// What the start set aside by itself, a sentence each.
    pub(crate) set_aside: Vec<String>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) store: Arc<dyn Store>,
    /// What empties the spool of a gateway that forwards.
    pub(crate) forwarder: Option<Arc<Forwarder>>,
    /// Whether flows are scored.
    pub(crate) scores: bool,
    /// Whether a filter leaves packets to others, so that a silent interface is no fault.
    pub(crate) is_filtered: bool,
    /// Where problems are noted for the outputs.
    pub(crate) events: Arc<EventLog>,
}

impl Watch {
    /// Looks every second.
    pub(crate) async fn run(self) {
        let mut losses = Losses::default();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let told = self.look(&mut losses).await;
            let turns = self.condition.tell(told);
            if !turns.is_empty() {
                let events = Arc::clone(&self.events);
                // Waits for the disk. A panic there is in the log, and looking goes on.
                let _ = tokio::task::spawn_blocking(move || {
                    for (kind, problem) in turns {
                        tell_problem(&events, &kind, problem.as_deref());
                    }
                })
                .await;
            }
        }
    }

    async fn look(&self, losses: &mut Losses) -> Told {
        let counters = self.counters.snapshot();
        let mut told = losses.sort(&counters, Instant::now());
        if self.scores && self.lifecycle.active().is_empty() {
            let sentence = "no detector is active, so nothing is scored; activate one";
            told.problems.insert("detectors".to_owned(), sentence.to_owned());
        }
        let set_aside = [
            ("start", self.set_aside.clone()),
            ("detectors", self.lifecycle.set_aside()),
            ("store", self.store.set_aside()),
        ];
        for (part, sentences) in set_aside {
            for (number, sentence) in sentences.into_iter().enumerate() {
                told.problems
                    .insert(format!("set aside: {part} {number}"), sentence);
            }
        }
        if !self.counters.finished() {
            for interface in self.counters.interfaces() {
                tell_interface(&interface, self.is_filtered, &mut told);
            }
            for (source, trouble) in self.counters.troubles() {
                let sentence = format!("{source} cannot be read now: {trouble}; reading goes on by itself");
                told.problems.insert(source, sentence);
            }
            for control in self.counters.partition_controls() {
                tell_partitions(control.topic(), &control.partitions(), &mut told);
            }
        }
        self.tell_forwarding(losses, &mut told);
        let storing = storing_problem(&self.counters.storing(), counters.flows_waiting);
        let problem = match storing {
            Some(problem) => Some(problem),
            None => self.store_problem().await,
        };
        if let Some(problem) = problem {
            told.problems.insert(STORE.to_owned(), problem);
        }
        told
    }

    /// What is wrong with forwarding.
    fn tell_forwarding(&self, losses: &mut Losses, told: &mut Told) {
        if let Some((since, reason)) = self.counters.spool_refused() {
            let seconds = since.elapsed().as_secs();
            let sentence = format!(
                "the spool of forwarded flows has taken nothing for {seconds} s: {reason}; make room on its disk, and it goes on by itself"
            );
            told.problems.insert("spool".to_owned(), sentence);
        }
        let Some(forwarder) = &self.forwarder else {
            return;
        };
        let (status, spool) = (forwarder.status(), forwarder.spool());
        if let Some(trouble) = status.trouble
            && (trouble.is_refusal || trouble.since.elapsed() >= RECEIVER_PATIENCE)
        {
            let sentence = format!(
                "flows are not forwarded to {}: {}; {} wait, the oldest for {} s",
                forwarder.target(),
                trouble.reason,
                spool.waiting,
                spool.age().as_secs()
            );
            told.problems.insert("forwarding".to_owned(), sentence);
        }
        if forwarder.has_failed() {
            let sentence = "the thread that forwards flows has ended, which is a defect of netsage; its log has the message";
            told.problems.insert("forwarding".to_owned(), sentence.to_owned());
        }
        let kinds = [
            (
                "forwarded flows given up",
                spool.given_up,
                "forwarded flows were given up because the spool was full or its disk lost them; a larger `forward-spool` keeps them for longer",
            ),
            (
                "forwarded flows set aside",
                spool.set_aside,
                "forwarded flows were refused by the receiver for good; `refused.ndjson` in the folder of the spool has them",
            ),
        ];
        for (kind, count, sentence) in kinds {
            if count > 0 {
                losses.note(kind, count, format!("{count} {sentence}"), Instant::now(), told);
            }
        }
    }

    async fn store_problem(&self) -> Option<String> {
        match timeout(STORE_PATIENCE, self.store.health()).await {
            Ok(Ok(())) => None,
            // What a database says belongs in the log: it may name hosts and users.
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store is not well");
                Some(format!("the store {}", error.state_of_store()))
            }
            Err(_) => Some("the store has not answered for 2 seconds".to_owned()),
        }
    }
}

/// What is wrong with storing.
fn storing_problem(storing: &Storing, waiting: u64) -> Option<String> {
    if let Some((since, state)) = storing.refused {
        let seconds = since.elapsed().as_secs();
        return Some(format!(
            "the store {state}: nothing has been stored for {seconds} s, and {waiting} flows wait; storing goes on by itself"
        ));
    }
    let under_way = storing.under_way?.elapsed();
    (under_way >= STORE_PATIENCE).then(|| {
        let seconds = under_way.as_secs();
        format!("the store has not finished a delivery for {seconds} s, and {waiting} flows wait")
    })
}

fn tell_partitions(topic: &str, partitions: &[PartitionStatus], told: &mut Told) {
    for PartitionStatus { partition, state, .. } in partitions {
        let sentence = match state {
            PartitionState::Held { offset, reason } => format!(
                "partition {partition} of topic {topic} is held up at offset {offset}: a batch {reason}; the other partitions go on, and `netsage kafka skip --topic {topic} --partition {partition} --offset {offset}` passes over that batch"
            ),
            PartitionState::PassingOver { offset } => format!(
                "partition {partition} of topic {topic} is held up at offset {offset} while the end of the batch there is looked for"
            ),
            _ => continue,
        };
        told.problems
            .insert(format!("partition {topic} {partition}"), sentence);
    }
}

fn tell_interface(interface: &InterfaceHealth, is_filtered: bool, told: &mut Told) {
    let InterfaceHealth {
        name,
        up,
        down_because,
        unseen,
        ..
    } = interface;
    if !up {
        let because = down_because.as_deref().unwrap_or("is away");
        told.problems.insert(
            format!("interface {name}"),
            format!("nothing is captured on `{name}`, which {because}; capture goes on when that is over"),
        );
    } else if *unseen > 0 && is_filtered {
        told.notes.push(format!(
            "the kernel has received {unseen} packets on `{name}` since one passed the filter last"
        ));
    } else if *unseen > 0 {
        told.problems.insert(
            format!("interface {name}"),
            format!(
                "the kernel has received {unseen} packets on `{name}` for more than 10 s, and none of them arrived here; check what takes them away before capture, such as XDP or hardware offload"
            ),
        );
    }
}

/// What was lost, and when it last grew.
#[derive(Debug, Default)]
struct Losses {
    seen: BTreeMap<&'static str, (u64, Instant)>,
}

impl Losses {
    /// Losses that grow are problems, the others notes.
    fn sort(&mut self, counters: &PipelineCounters, now: Instant) -> Told {
        let mut told = Told::default();
        for (kind, count, sentence) in losses(counters) {
            self.note(kind, count, sentence, now, &mut told);
        }
        told
    }

    fn note(&mut self, kind: &'static str, count: u64, sentence: String, now: Instant, told: &mut Told) {
        let (known, grew) = self.seen.entry(kind).or_insert((0, now));
        if count > *known {
            (*known, *grew) = (count, now);
        }
        if now.duration_since(*grew) < FRESH {
            told.problems.insert(kind.to_owned(), sentence);
        } else {
            told.notes.push(sentence);
        }
    }
}

/// What was lost or not scored since the start: kind, number, and a sentence.
fn losses(counters: &PipelineCounters) -> impl Iterator<Item = (&'static str, u64, String)> {
    let dropped = counters.flows_dropped_by;
    [
        (
            "packets lost",
            counters.kernel_drops,
            "packets were lost because they came faster than they could be read; capture less, with a filter",
        ),
        (
            "flows dropped by scoring",
            dropped.scoring,
            "flows were dropped because scoring could not keep up; give it more `workers` or capture less",
        ),
        (
            "flows dropped by the store",
            dropped.store,
            "flows were dropped because the store did not take them; a larger `store-queue` keeps them for longer",
        ),
        (
            "flows dropped at the end",
            dropped.ending,
            "flows were on their way when the pipeline ended; run again to fill the gap",
        ),
        (
            "flows failed",
            counters.flows_failed,
            "flows were not scored by every detector; the log says what the detector did",
        ),
    ]
    .into_iter()
    .filter(|(_, count, _)| *count > 0)
    .map(|(kind, count, sentence)| (kind, count, format!("{count} {sentence}")))
}

#[cfg(test)]
mod tests {
    use netsage_api_types::FlowsDropped;

    use super::*;

    #[test]
    fn a_loss_is_a_problem_while_it_grows_and_then_a_note() {
        let start = Instant::now();
        let mut losses = Losses::default();
        let mut check = |seconds: u64, dropped: u64, problems: &[&str], notes: &[&str]| {
            let counters = PipelineCounters {
                flows_failed: 7,
                flows_dropped_by: FlowsDropped {
                    store: dropped,
                    ..FlowsDropped::default()
                },
                ..PipelineCounters::default()
            };
            let told = losses.sort(&counters, start + Duration::from_secs(seconds));
            let said = |all: &[&str], sentences: Vec<&String>| {
                assert_eq!(all.len(), sentences.len(), "{seconds} s: {sentences:?}");
                for (begin, sentence) in all.iter().zip(sentences) {
                    assert!(sentence.starts_with(begin), "{seconds} s: {sentence}");
                }
            };
            said(problems, told.problems.values().collect());
            said(notes, told.notes.iter().collect());
        };
        check(0, 0, &["7 flows were not scored"], &[]);
        check(2, 3, &["3 flows were dropped", "7 flows were not scored"], &[]);
        check(4, 3, &["3 flows were dropped"], &["7 flows were not scored"]);
        check(6, 3, &[], &["3 flows were dropped", "7 flows were not scored"]);
        check(7, 4, &["4 flows were dropped"], &["7 flows were not scored"]);
    }

    #[test]
    fn an_interface_says_why_nothing_arrives() {
        let check = |up: bool, because: Option<&str>, unseen: u64, is_filtered: bool, said: [&str; 2]| {
            let interface = InterfaceHealth {
                name: "eth7".to_owned(),
                up,
                down_because: because.map(str::to_owned),
                unseen,
                ..InterfaceHealth::default()
            };
            let mut told = Told::default();
            tell_interface(&interface, is_filtered, &mut told);
            let problems = told.problems.into_values().collect::<Vec<_>>().join("");
            for (said, text) in said.iter().zip([problems, told.notes.join("")]) {
                assert!(
                    text.contains(said) && said.is_empty() == text.is_empty(),
                    "{text}"
                );
            }
        };
        check(true, None, 0, false, ["", ""]);
        check(
            false,
            Some("has no carrier"),
            0,
            false,
            ["which has no carrier", ""],
        );
        check(false, None, 0, true, ["which is away", ""]);
        check(true, None, 5, false, ["received 5 packets", ""]);
        check(true, None, 5, true, ["", "received 5 packets"]);
    }
}
