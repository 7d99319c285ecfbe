//! Programs in one consumer group on one store: they are killed while they score a topic, and what they have stored is read.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use netsage_api_types::{Alert, AlertQuery, FlowQuery};
use netsage_store::{BoxFuture, SharedStore, StoreError, StoreOptions, open_with};
use tempfile::TempDir;

use crate::kafka::{KafkaServer, fresh};
use crate::random::Random;

/// After which a test gives up that sees nothing happen.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at the programs.
const LOOK: Duration = Duration::from_millis(50);
/// Entries of a page.
const PAGE: u32 = 500;

/// What the programs of a group have in common.
pub struct Group {
    /// The program.
    pub program: PathBuf,
    /// Where the broker is.
    pub broker: String,
    /// What is read.
    pub topic: String,
    /// Its partitions.
    pub partitions: i32,
    /// The name of the group.
    pub group: String,
    /// URL of the store.
    pub store: String,
    /// Further arguments of `netsage run`.
    pub arguments: Vec<String>,
    folder: TempDir,
}

impl Group {
    /// A group of its own.
    pub fn new(
        program: &Path,
        (broker, topic, partitions): (&KafkaServer, &str, i32),
        store: &str,
        arguments: &[&str],
    ) -> Self {
        Self {
            program: program.to_owned(),
            broker: broker.address(),
            topic: topic.to_owned(),
            partitions,
            group: fresh("group"),
            store: store.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            folder: TempDir::new().unwrap(),
        }
    }

    /// Starts a program, as a new member, and waits until it serves. A program that is started in the place of one that was
    /// killed has its data folder.
    pub fn start(&self, place: usize) -> Scorer {
        let begin = Instant::now();
        loop {
            match Scorer::of(self.command(place).spawn().unwrap()) {
                Ok(scorer) => return scorer,
                // As a supervisor would: the broker or the store may be away.
                Err(said) => assert!(begin.elapsed() < PATIENCE, "the program does not serve: {said}"),
            }
        }
    }

    fn command(&self, place: usize) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETSAGE_")) {
            command.env_remove(name);
        }
        let data = self.folder.path().join(format!("data-{place}"));
        command
            .args(["run", "--listen", "127.0.0.1:0", "--kafka", &self.broker])
            .args(["--topic", &self.topic, "--group", &self.group])
            .args(["--store", &self.store, "--data-dir"])
            .arg(data)
            .args(&self.arguments)
            .env("XDG_DATA_HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Waits until all but the last message of each partition are stored: that one may wait for others.
    pub fn wait(&self, scorers: &[Scorer]) {
        let mut watch = Watch::new(self);
        let is_done = |lags: &BTreeMap<i32, u64>| {
            lags.len() == self.partition_count() && lags.values().all(|lag| *lag <= 1)
        };
        while !is_done(watch.look(scorers)) {
            thread::sleep(LOOK);
        }
    }

    /// Waits until so many of all messages are done with.
    pub fn wait_until(&self, scorers: &[Scorer], done: u64, messages: u64) {
        let mut watch = Watch::new(self);
        while self.done(watch.look(scorers), messages) < done {
            thread::sleep(LOOK);
        }
    }

    /// Has programs score the messages of the topic and disturbs them; gives the programs that have come to the end. `look`
    /// is called after each kill.
    pub fn disturb(
        &self,
        messages: u64,
        kills: &Kills,
        broker: &mut KafkaServer,
        random: &mut Random,
        mut look: impl FnMut(&KafkaServer),
    ) -> Vec<Scorer> {
        let mut running: Vec<Scorer> = (0..kills.scorers).map(|place| self.start(place)).collect();
        let of_scorers = (0..kills.of_each).flat_map(|_| (0..kills.scorers).map(Some));
        let victims = of_scorers.chain((0..kills.of_broker).map(|_| None));
        let mut moments: Vec<(u64, Option<usize>)> = victims
            .map(|victim| (random.below(messages * 9 / 10), victim))
            .collect();
        moments.sort_unstable();
        for (moment, victim) in moments {
            self.wait_until(&running, moment, messages);
            thread::sleep(Duration::from_millis(random.below(500)));
            match victim {
                Some(place) => {
                    running[place].kill();
                    look(broker);
                    running[place] = self.start(place);
                }
                None => {
                    broker.kill();
                    thread::sleep(Duration::from_millis(random.below(2_000)));
                    broker.start_again().unwrap();
                    look(broker);
                }
            }
        }
        self.wait(&running);
        running
    }

    /// How many messages are done with, as far as that is known of every partition.
    fn done(&self, lags: &BTreeMap<i32, u64>, messages: u64) -> u64 {
        match lags.len() == self.partition_count() {
            true => messages.saturating_sub(lags.values().sum()),
            false => 0,
        }
    }

    fn partition_count(&self) -> usize {
        usize::try_from(self.partitions).unwrap()
    }
}

/// Whom a run meets at random moments.
pub struct Kills {
    /// Programs at a time.
    pub scorers: usize,
    /// How often each of them is killed (SIGKILL), and another one started in its place.
    pub of_each: usize,
    /// How often the broker is.
    pub of_broker: usize,
}

/// The lags of the partitions, as they were said last, and when they changed.
struct Watch<'a> {
    group: &'a Group,
    lags: BTreeMap<i32, u64>,
    changed: Instant,
}

impl<'a> Watch<'a> {
    fn new(group: &'a Group) -> Self {
        Self {
            group,
            lags: BTreeMap::new(),
            changed: Instant::now(),
        }
    }

    fn look(&mut self, scorers: &[Scorer]) -> &BTreeMap<i32, u64> {
        let before = self.lags.clone();
        self.lags.extend(scorers.iter().flat_map(Scorer::lags));
        if self.lags != before {
            self.changed = Instant::now();
        }
        if self.changed.elapsed() > PATIENCE {
            let said: Vec<String> = scorers.iter().map(Scorer::said).collect();
            panic!(
                "nothing happens in {}, with lags {:?}: {}",
                self.group.group,
                self.lags,
                said.join("\n---\n")
            );
        }
        &self.lags
    }
}

/// A running program.
pub struct Scorer {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Scorer {
    /// Waits until a program serves whose standard error is a pipe; gives what it said when it ends instead.
    fn of(mut child: Child) -> Result<Self, String> {
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = None;
        for line in lines.by_ref() {
            address = line.strip_prefix("serving on http://").map(ToOwned::to_owned);
            *log.lock().unwrap() += &format!("{line}\n");
            if address.is_some() {
                break;
            }
        }
        // What the program says later must find a reader.
        let copy = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines {
                *copy.lock().unwrap() += &format!("{line}\n");
            }
        });
        match address {
            Some(address) => Ok(Self { child, address, log }),
            None => {
                let _ = child.wait();
                Err(log.lock().unwrap().clone())
            }
        }
    }

    /// What the program has said.
    pub fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Ends it without a warning (SIGKILL).
    pub fn kill(&mut self) {
        // One that has ended already is as dead.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The body of an answer; `None` while there is none.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(body.to_owned())
    }

    /// How many messages of each of its partitions are not done with, where that is known.
    pub fn lags(&self) -> BTreeMap<i32, u64> {
        self.of_partitions("netsage_source_partition_lag{")
    }

    /// How many records of each of its partitions wait for their turn.
    pub fn waiting(&self) -> BTreeMap<i32, u64> {
        self.of_partitions("netsage_source_partition_waiting{")
    }

    fn of_partitions(&self, name: &str) -> BTreeMap<i32, u64> {
        let metrics = self.get("/metrics").unwrap_or_default();
        let figure = |line: &str| {
            let (_, after) = line.strip_prefix(name)?.split_once("partition=\"")?;
            let (partition, _) = after.split_once('"')?;
            let (_, value) = line.rsplit_once(' ')?;
            Some((partition.parse().ok()?, value.parse().ok()?))
        };
        metrics.lines().filter_map(figure).collect()
    }

    /// A figure of `/proc/PID/status` in KiB, as `VmHWM`, the most memory so far.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let figure = line.and_then(|line| line.trim_start_matches(':').trim().strip_suffix("kB"));
        figure.and_then(|figure| figure.trim().parse().ok()).unwrap_or(0)
    }

    /// Connections that it has, those of others to it among them.
    pub fn connections(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let names = files.into_iter().flatten().flatten();
        let names = names.filter_map(|file| std::fs::read_link(file.path()).ok());
        names
            .filter(|name| name.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Processor time so far, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        processor_seconds(&self.child)
    }
}

/// Processor time of a process so far, in seconds.
pub fn processor_seconds(process: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = (after_name.split(' ').skip(12).take(2))
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    ticks as f64 / 100.0
}

impl Drop for Scorer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a store has.
#[derive(Debug, Default)]
pub struct Found {
    /// Of each flow, by its id, the scores with the names of their detectors, to the bit.
    pub flows: BTreeMap<String, Vec<(String, u32)>>,
    /// The alerts, by id.
    pub alerts: BTreeMap<String, Alert>,
}

/// A store that is read beside the programs that write it.
pub struct Reading {
    runtime: tokio::runtime::Runtime,
    store: SharedStore,
}

impl Reading {
    /// Opens the store of this URL, which must keep what it has for as long as by default.
    pub fn open(url: &str) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = StoreOptions {
            listing_rows: u32::MAX,
            ..StoreOptions::default()
        };
        let store = runtime.block_on(open_with(url, &options)).unwrap();
        Self { runtime, store }
    }

    /// What the store answers: one that is busy with recording is asked again.
    fn answer<'a, T>(&self, ask: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>) -> T {
        let begin = Instant::now();
        loop {
            match self.runtime.block_on(ask()) {
                Ok(answer) => return answer,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
        }
    }

    /// The ids and ends of flows that ended then, ms since the epoch; an id that is listed twice stands twice.
    pub fn ended(&self, since: i64, until: i64) -> Vec<(String, i64)> {
        let mut found = Vec::new();
        self.each_flow(Some(since), Some(until), |flow| found.push((flow.id, flow.end)));
        found
    }

    /// The alerts, and the flows that ended before `until`, ms since the epoch.
    ///
    /// # Panics
    /// When a flow or an alert is listed twice.
    pub fn all(&self, until: i64) -> Found {
        let mut found = Found::default();
        self.each_flow(None, Some(until), |flow| {
            let scores = flow.scores.into_iter();
            let scores = scores.map(|score| (score.detector.name, score.score.to_bits()));
            let before = found.flows.insert(flow.id, scores.collect());
            assert_eq!(before, None, "a flow is listed twice");
        });
        let mut query = AlertQuery {
            limit: Some(PAGE),
            ..AlertQuery::default()
        };
        loop {
            let page = self.answer(|| self.store.alerts(&query));
            for alert in page.items {
                let before = found.alerts.insert(alert.id.clone(), alert);
                assert_eq!(before, None, "an alert is listed twice");
            }
            if page.next.is_none() {
                return found;
            }
            query.cursor = page.next;
        }
    }

    fn each_flow(
        &self,
        since: Option<i64>,
        until: Option<i64>,
        mut each: impl FnMut(netsage_api_types::Flow),
    ) {
        let mut query = FlowQuery {
            since,
            until,
            limit: Some(PAGE),
            ..FlowQuery::default()
        };
        loop {
            let page = self.answer(|| self.store.flows(&query));
            page.items.into_iter().for_each(&mut each);
            if page.next.is_none() {
                return;
            }
            query.cursor = page.next;
        }
    }
}
