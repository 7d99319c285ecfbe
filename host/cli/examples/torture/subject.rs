//! One program with its store and its source: what is done to the program, and what its answers are held against.

mod disturbing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_api_types::{Health, Overview, PipelineCounters};
use netsage_testkit::backends::MongoServer;
use netsage_testkit::disk::SmallDisk;
use netsage_testkit::wire::Wire;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use disturbing::Undo;

use crate::judge::{self, Judge, Told, Truth, Wrong};
use crate::program::{Ended, Program};
use crate::records::{Records, Store};
use crate::schedule::{Event, Kind};
use crate::traffic::{LINE_BYTES, Log};

/// Time between two questions.
const LOOK: Duration = Duration::from_millis(200);
/// Time between two looks at other answers, and into the store. The server of the tests takes seconds to add up what it
/// has, and stores nothing meanwhile.
const WIDE_LOOK: Duration = Duration::from_secs(2);
const WIDE_LOOK_OF_SERVER: Duration = Duration::from_secs(30);
/// Nothing stored for so long is a standstill.
const STANDSTILL: Duration = Duration::from_secs(1);
/// How long a server that is back may take for the first flows that have waited for it: the one of the tests is slow.
const FIRST_AGAIN: Duration = Duration::from_secs(15);
/// How long a start may take while nothing hinders it, and an end.
const MOVE: Duration = Duration::from_secs(20);
/// How long a start may still fail by what was over during it.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How long a program may take to store what is left in its source.
const REST: Duration = Duration::from_secs(60);
const REST_OF_SERVER: Duration = Duration::from_secs(300);
/// Faults that are told; more of them would be of the same kind.
const MOST_FAULTS: usize = 20;

pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) store: Store,
    pub(crate) events: Vec<Event>,
    pub(crate) disk: Result<SmallDisk, String>,
    pub(crate) server: Result<MongoServer, String>,
    pub(crate) wire: Result<Arc<Wire>, String>,
    /// The file by which the clock of the program is changed.
    pub(crate) clock: Result<PathBuf, String>,
    /// What is acknowledged, if anything is.
    pub(crate) log: Option<Arc<Log>>,
    pub(crate) found: Found,
}

/// What is known of the life that runs.
#[derive(Default)]
struct Life {
    counters: PipelineCounters,
    /// What the store had when the life began.
    before: Option<u64>,
    progressed: Option<Instant>,
}

/// What has been seen.
#[derive(Default)]
pub(crate) struct Found {
    judge: Judge,
    faults: Vec<String>,
    done: BTreeMap<Kind, u32>,
    skipped: BTreeMap<Kind, String>,
    answers: u64,
    unanswered: u64,
    ends: BTreeMap<String, u32>,
    /// Counters of the lives that are over, as they were told last.
    flows: u64,
    scored: u64,
    failed: u64,
    dropped: u64,
    kernel_drops: u64,
    most_waiting: u64,
    most_memory_kb: u64,
    looks: u64,
    stored: u64,
}

/// What the loop has in hand.
struct Work<'a> {
    subject: &'a mut Subject,
    begin: Instant,
    life: Life,
    active: Vec<(Event, Undo)>,
    /// Since when nothing hinders a start or an end that is awaited.
    unhindered: Instant,
    /// When the last disturbance was over.
    over: Instant,
    asked_at: Option<Instant>,
}

impl Subject {
    /// Disturbs the program for as long, then lets it end.
    pub(crate) fn run(&mut self, begin: Instant, seconds: u64, traffic_is_over: impl FnOnce()) {
        let events = std::mem::take(&mut self.events);
        let mut work = Work {
            subject: self,
            begin,
            life: Life::default(),
            active: Vec::new(),
            unhindered: begin,
            over: begin,
            asked_at: None,
        };
        let mut events = events.into_iter().peekable();
        let mut last_wide = begin;
        let until = Duration::from_secs(seconds);
        while begin.elapsed() < until {
            let round = Instant::now();
            let now_ms = u64::try_from(begin.elapsed().as_millis()).unwrap();
            work.end_events(now_ms);
            while let Some(event) = events.next_if(|event| event.begin_ms <= now_ms) {
                work.begin_event(event);
            }
            work.supervise(true);
            let is_wide = last_wide.elapsed() >= work.wide_look();
            if is_wide {
                last_wide = Instant::now();
            }
            work.look(is_wide);
            std::thread::sleep(LOOK.saturating_sub(round.elapsed()));
        }
        traffic_is_over();
        work.finish();
    }

    fn say(&self, begin: Instant, what: &str) {
        eprintln!("{:8.1} s  {}: {what}", begin.elapsed().as_secs_f64(), self.name);
    }

    /// A line of JSON.
    pub(crate) fn result(&self, sent: &Value) -> Value {
        let found = &self.found;
        let named = |kinds: &BTreeMap<Kind, String>| -> BTreeMap<&str, String> {
            kinds
                .iter()
                .map(|(kind, text)| (kind.name(), text.clone()))
                .collect()
        };
        let done: BTreeMap<&str, u32> = found
            .done
            .iter()
            .map(|(kind, count)| (kind.name(), *count))
            .collect();
        json!({
            "torture": self.name,
            "faults": found.faults,
            "disturbed_by": done,
            "skipped": named(&found.skipped),
            "sent": sent,
            "lives": self.program.lives,
            "ends": found.ends,
            "slowest_start_s": self.program.slowest_start.as_secs_f64(),
            "answers": found.answers,
            "unanswered": found.unanswered,
            "health_said_fine_wrongly_for_s": found.judge.fine_for.as_secs_f64(),
            "health_complained_wrongly_for_s": found.judge.complaint_for.as_secs_f64(),
            "flows": found.flows,
            "scored": found.scored,
            "failed": found.failed,
            "dropped": found.dropped,
            "most_waiting": found.most_waiting,
            "packets_lost_by_the_kernel": found.kernel_drops,
            "looks_into_the_store": found.looks,
            "stored": found.stored,
            "most_memory_mb": found.most_memory_kb as f64 * 1024.0 / 1e6,
        })
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.found.faults.is_empty()
    }
}

impl Work<'_> {
    fn fault(&mut self, fault: &str) {
        let at = self.begin.elapsed().as_secs_f64();
        self.subject.say(self.begin, &format!("FAULT: {fault}"));
        let faults = &mut self.subject.found.faults;
        if faults.len() < MOST_FAULTS {
            faults.push(format!("{at:.1} s: {fault}"));
        }
    }

    fn is_active(&self, kinds: &[Kind]) -> bool {
        self.active.iter().any(|(event, _)| kinds.contains(&event.kind))
    }

    fn wide_look(&self) -> Duration {
        match self.subject.server {
            Ok(_) => WIDE_LOOK_OF_SERVER,
            Err(_) => WIDE_LOOK,
        }
    }

    /// What keeps a program from starting or ending, or may.
    fn is_hindered(&self) -> bool {
        !self.active.is_empty()
    }

    /// Notes the end of a program, and starts it again.
    fn supervise(&mut self, starts_again: bool) {
        if let Some(ended) = self.subject.program.ended() {
            self.note_end(&ended);
        }
        if self.subject.program.is_due() && starts_again {
            self.life = Life {
                before: self.records(false).map(|records| records.flows),
                ..Life::default()
            };
            self.asked_at = None;
            self.unhindered = Instant::now();
            self.subject.program.start();
        }
        let is_late = !self.is_hindered() && self.unhindered.elapsed() > MOVE;
        if is_late && self.subject.program.pid().is_some() && self.subject.program.serves_since().is_none() {
            self.fault(&format!(
                "the program does not serve {} s after its start",
                MOVE.as_secs()
            ));
            self.unhindered = Instant::now();
        }
        let is_stopped = self.is_active(&[Kind::Stop]);
        if let Some(asked_at) = self
            .asked_at
            .filter(|asked_at| asked_at.elapsed() > MOVE && !is_stopped)
        {
            self.fault(&format!(
                "SIGTERM has not ended it for {} s",
                asked_at.elapsed().as_secs()
            ));
            self.asked_at = None;
            self.subject.program.signal(Signal::SIGKILL);
        }
    }

    fn note_end(&mut self, ended: &Ended) {
        let how = match (ended.was_asked, ended.has_served) {
            (true, _) => format!("{}, as it was told", ended.status),
            (false, true) => format!("{} by itself", ended.status),
            (false, false) => format!("{} before it served", ended.status),
        };
        self.subject.say(self.begin, &format!("ended: {how}"));
        *self.subject.found.ends.entry(how.clone()).or_default() += 1;
        // What ends for want of memory or room says so, and is started again.
        let was_hindered = self.is_hindered() || self.over.elapsed() < AFTERMATH;
        let may_end = self.is_active(&[Kind::Memory]) || !ended.has_served && was_hindered;
        if !ended.was_asked && !may_end {
            self.fault(&format!("it ended ({how}); it said last: {}", ended.last_lines));
        }
        let counters = self.life.counters;
        if let (Some(records), Some(before)) = (self.records(true), self.life.before) {
            let stored = records.flows.saturating_sub(before);
            let told = counters.flows_scored + counters.flows_failed;
            if self.subject.log.is_none() {
                if stored < told {
                    self.fault(&format!("{told} flows were said to be stored, and {stored} are"));
                }
                let reported = ended.report.as_deref().and_then(stored_of_report);
                if let Some(reported) = reported.filter(|reported| *reported != stored) {
                    self.fault(&format!(
                        "it reported {reported} stored flows at its end, and {stored} are"
                    ));
                }
            }
        }
        let found = &mut self.subject.found;
        found.flows += counters.flows;
        found.scored += counters.flows_scored;
        found.failed += counters.flows_failed;
        found.dropped += counters.flows_dropped;
        found.kernel_drops += counters.kernel_drops;
    }

    /// What the store has, where it can be looked at now. What contradicts itself is told.
    fn records(&mut self, thorough: bool) -> Option<Records> {
        if self.is_active(&[Kind::FullDisk, Kind::ServerAway, Kind::ServerHangs]) {
            return None;
        }
        match self.subject.store.look(thorough) {
            Ok(None) => None,
            Ok(Some(records)) => {
                self.subject.found.looks += 1;
                self.subject.found.stored = records.flows;
                Some(records)
            }
            Err(reason) => {
                if self.subject.found.stored > 0 {
                    self.fault(&format!("the store cannot be looked at: {reason}"));
                }
                None
            }
        }
    }

    /// Asks the program how it is, and holds what it says against how it is.
    fn look(&mut self, is_wide: bool) {
        if self.subject.program.is_asked() || self.is_active(&[Kind::Stop]) {
            let _ = self.take_told(Told::Silent, Truth::Open);
            return;
        }
        let Some(since) = self.subject.program.serves_since() else {
            let _ = self.take_told(Told::Silent, Truth::Open);
            return;
        };
        let Some((_, text)) = self.subject.program.ask("/api/v1/health") else {
            self.subject.found.unanswered += 1;
            let truth = self.truth(false);
            if self.take_told(Told::Silent, truth).is_some() {
                self.fault("health goes on giving no answer");
            }
            return;
        };
        if self.life.progressed.is_none() {
            let slowest = &mut self.subject.program.slowest_start;
            *slowest = since.elapsed().max(*slowest);
            self.life.progressed = Some(Instant::now());
        }
        let health: Health = match serde_json::from_str(&text) {
            Ok(health) => health,
            Err(error) => return self.fault(&format!("health is no answer ({error}): {text}")),
        };
        let has_lost = self.take_counters("health", &health.counters);
        let truth = self.truth(has_lost);
        let told = if health.problems.is_empty() {
            Told::Fine
        } else {
            Told::Problem
        };
        match self.take_told(told, truth) {
            Some(Wrong::Fine) => self.fault("health goes on saying that all is well"),
            Some(Wrong::Complaint) => {
                self.fault(&format!("health goes on complaining: {:?}", health.problems));
            }
            None => {}
        }
        if is_wide {
            self.look_wide(&health);
        }
    }

    fn take_told(&mut self, told: Told, truth: Truth) -> Option<Wrong> {
        self.subject.found.judge.take(self.begin.elapsed(), told, truth)
    }

    /// Looks at the other answers, and into the store.
    fn look_wide(&mut self, health: &Health) {
        // Before the store is looked at: what was said then is there now.
        let told = health.counters.flows_scored + health.counters.flows_failed;
        // 503 while the store is away, and then without figures.
        if let Some((200, text)) = self.subject.program.ask("/api/v1/overview") {
            match serde_json::from_str::<Overview>(&text) {
                Ok(overview) => {
                    self.take_counters("overview", &overview.counters);
                }
                Err(error) => self.fault(&format!("the overview is no answer ({error}): {text}")),
            }
        }
        if let Some((200, text)) = self.subject.program.ask("/metrics") {
            match judge::of_metrics(&text) {
                Ok(counters) => {
                    // The metrics of losses of packets are read elsewhere.
                    let counters = PipelineCounters {
                        kernel_drops: self.life.counters.kernel_drops,
                        ..counters
                    };
                    self.take_counters("metrics", &counters);
                }
                Err(reason) => self.fault(&reason),
            }
        }
        let memory = self.subject.program.kilobytes("VmRSS:").unwrap_or_default();
        let most = &mut self.subject.found.most_memory_kb;
        *most = memory.max(*most);
        let Some(records) = self.records(false) else {
            return;
        };
        self.check_acknowledged(records);
        if let (None, Some(before)) = (&self.subject.log, self.life.before) {
            let stored = records.flows.saturating_sub(before);
            if stored < told {
                self.fault(&format!("{told} flows are said to be stored, and {stored} are"));
            }
        }
    }

    /// What is acknowledged is stored.
    fn check_acknowledged(&mut self, records: Records) {
        let acknowledged = records.place / LINE_BYTES;
        if records.flows < acknowledged {
            let flows = records.flows;
            self.fault(&format!(
                "{acknowledged} flows are acknowledged, and {flows} are stored"
            ));
        }
    }

    /// Takes counters of an answer. Gives whether flows or packets were lost since the answer before.
    fn take_counters(&mut self, of: &str, counters: &PipelineCounters) -> bool {
        self.subject.found.answers += 1;
        let last = self.life.counters;
        let contradictions = [judge::sum(counters), judge::risen(&last, counters)];
        for problem in contradictions.into_iter().filter_map(Result::err) {
            self.fault(&format!("{of}: {problem}"));
        }
        if counters.flows_scored + counters.flows_failed > last.flows_scored + last.flows_failed {
            self.life.progressed = Some(Instant::now());
        }
        self.life.counters = *counters;
        let most = &mut self.subject.found.most_waiting;
        *most = counters.flows_waiting.max(*most);
        let lost = |counters: &PipelineCounters| {
            counters.flows_dropped + counters.flows_failed + counters.kernel_drops
        };
        lost(counters) > lost(&last)
    }

    /// How it is.
    fn truth(&self, has_lost: bool) -> Truth {
        use Kind::{InterfaceDown, InterfaceGone, Lock, NoCarrier, ServerAway, ServerHangs};
        if self.is_active(&[Kind::Descriptors, Kind::Memory, Kind::Stop]) {
            return Truth::Open;
        }
        let is_ill = self.is_active(&[
            Lock,
            ServerAway,
            ServerHangs,
            NoCarrier,
            InterfaceDown,
            InterfaceGone,
        ]);
        if is_ill || has_lost {
            return Truth::Ill;
        }
        let has_taken = self
            .life
            .progressed
            .is_some_and(|progressed| progressed > self.over);
        if self.subject.server.is_ok() && !has_taken && self.over.elapsed() < FIRST_AGAIN {
            return Truth::Open;
        }
        if self.is_active(&[Kind::FullDisk]) {
            // Room that a file has already can still be used.
            let progressed = self.life.progressed;
            return match progressed.is_some_and(|progressed| progressed.elapsed() > STANDSTILL) {
                true => Truth::Ill,
                false => Truth::Open,
            };
        }
        Truth::Well
    }

    /// Lets the program store what is left, ends it, and looks at what there is.
    fn finish(mut self) {
        self.end_events(u64::MAX);
        let written = self.subject.log.as_ref().map(|log| log.lines());
        let rest = Instant::now();
        let mut last_wide = rest;
        loop {
            self.supervise(true);
            self.look(false);
            if last_wide.elapsed() >= self.wide_look() {
                last_wide = Instant::now();
                if self.has_stored_all(written, rest) {
                    break;
                }
            }
            std::thread::sleep(LOOK);
        }
        self.subject.program.signal(Signal::SIGTERM);
        self.asked_at = Some(Instant::now());
        while self.subject.program.pid().is_some() {
            self.supervise(false);
            std::thread::sleep(LOOK);
        }
        let flows = self.records(true).map(|records| records.flows);
        if let Some(written) = written.filter(|&written| flows != Some(written)) {
            let stored = flows.map_or_else(|| "nobody knows how many".to_owned(), |flows| flows.to_string());
            self.fault(&format!(
                "{written} lines were written, and {stored} flows are stored"
            ));
        }
    }
}

impl Work<'_> {
    /// Whether nothing is left in the source, or is not stored in time.
    fn has_stored_all(&mut self, written: Option<u64>, rest: Instant) -> bool {
        if self.subject.program.serves_since().is_none() {
            return false;
        }
        let Some(written) = written else { return true };
        let Some(records) = self.records(false) else {
            return false;
        };
        let acknowledged = records.place / LINE_BYTES;
        let waiting = self.life.counters.flows_waiting;
        let state = format!(
            "{acknowledged} of {written} lines are acknowledged, {} flows stored, {waiting} waiting",
            records.flows
        );
        self.subject.say(self.begin, &state);
        let most = match self.subject.server {
            Ok(_) => REST_OF_SERVER,
            Err(_) => REST,
        };
        if acknowledged < written && rest.elapsed() > most {
            self.fault(&format!("{state} {} s after the last line", most.as_secs()));
            return true;
        }
        acknowledged == written
    }
}

/// The number of stored flows in the line that the program ends with.
fn stored_of_report(line: &str) -> Option<u64> {
    let number_before = |word: &str| -> Option<u64> {
        let before = line.split(word).next()?;
        before.rsplit(' ').next()?.parse().ok()
    };
    Some(number_before(" scored")? + number_before(" failed")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_program_says_what_is_stored() {
        let line =
            "900 packets (3 not metered), 77 flows: 70 scored, 2 failed, 5 dropped, 1 above a threshold";
        assert_eq!(stored_of_report(line), Some(72));
        assert_eq!(stored_of_report("serving on http://127.0.0.1:1"), None);
    }
}
