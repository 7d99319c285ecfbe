//! The store of a running program fails and comes back: locked by another process, full disk, server away. What is said
//! meanwhile, and what becomes of flows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery};
use netsage_testkit::backends;
use netsage_testkit::disk::SmallDisk;
use netsage_testkit::proxy::Proxy;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::Connection;
use serde_json::Value;

use super::support::{Home, Server, packages_built};

const FLOWS: u32 = 3_000;

/// A capture that reaches the program through a pipe, in as many parts as a test likes. A thread writes, since the program
/// does not read while it waits for its store.
struct Feed {
    path: PathBuf,
    writer: Option<Sender<Vec<u8>>>,
    capture: Vec<u8>,
    sent: usize,
}

impl Feed {
    fn new(home: &Home) -> Self {
        let path = home.path().join("feed");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        // For reading too, so that opening waits for nobody.
        let mut pipe = File::options().read(true).write(true).open(&path).unwrap();
        let (writer, parts) = channel::<Vec<u8>>();
        thread::spawn(move || {
            for part in parts {
                pipe.write_all(&part).unwrap();
            }
        });
        let mut feed = Self {
            path,
            writer: Some(writer),
            capture: std::fs::read(home.capture(FLOWS)).unwrap(),
            sent: 0,
        };
        // The program looks at the first bytes before it starts.
        feed.send(0.01);
        feed
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Sends up to a share of the whole.
    fn send(&mut self, share: f64) {
        let end = (self.capture.len() as f64 * share) as usize;
        let part = self.capture[self.sent..end].to_vec();
        self.writer.as_ref().unwrap().send(part).unwrap();
        self.sent = end;
    }

    /// Sends a little more, until the program has flows of that.
    fn send_until_flows(&mut self, server: &Server) {
        let before = server.counter("flows");
        while server.counter("flows") == before {
            let share = self.sent as f64 / self.capture.len() as f64 + 0.005;
            assert!(
                share < 1.0,
                "the capture ends before all is done that is to be done meanwhile"
            );
            self.send(share);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Sends the rest, and ends the capture.
    fn finish(&mut self) {
        self.send(1.0);
        self.writer = None;
    }
}

/// Checks that each flow is in exactly one number of each answer, and gives the last counters.
fn check_answers(server: &Server) -> Value {
    let count = |counters: &Value, name: &str| counters[name].as_u64().unwrap();
    let mut last = Value::Null;
    for path in ["/api/v1/health", "/api/v1/overview"] {
        let (status, answer) = server.get(path);
        if status == 503 {
            // The store is away, and so are the figures.
            continue;
        }
        let counters = &answer["counters"];
        let parts = ["flows_scored", "flows_failed", "flows_dropped", "flows_waiting"];
        let sum: u64 = parts.iter().map(|part| count(counters, part)).sum();
        assert_eq!(count(counters, "flows"), sum, "{path}: {counters}");
        last = counters.clone();
    }
    let metrics = server.get("/metrics").1;
    let metric = |name: &str| -> u64 {
        let lines = metrics.as_str().unwrap().lines();
        let values = lines.filter_map(|line| line.strip_prefix("netsage_")?.strip_prefix(name));
        values.map(|value| value.trim().parse::<u64>().unwrap()).sum()
    };
    let dropped = ["scoring", "store", "ending"]
        .map(|reason| metric(&format!("dropped_total{{queue=\"{reason}_flows\"}} ")));
    let sum = metric("flows_scored_total ") + metric("flows_failed_total ") + metric("flows_waiting ");
    assert_eq!(
        metric("flows_total "),
        sum + dropped.iter().sum::<u64>(),
        "{metrics}"
    );
    last
}

fn has_problem(server: &Server, text: &str) -> bool {
    check_answers(server);
    let health = server.health();
    let problems = health["problems"].as_array().unwrap();
    problems
        .iter()
        .any(|problem| problem.as_str().unwrap().contains(text))
}

/// Flows of the store by the API.
fn stored(server: &Server) -> u64 {
    let overview = server.get("/api/v1/overview?step=86400000&points=2000").1;
    let points = overview["points"].as_array().unwrap();
    points.iter().map(|point| point["flows"].as_u64().unwrap()).sum()
}

/// Feeds a part, breaks the store, feeds the rest, looks at what is said, mends the store.
fn check_outage(server: &Server, feed: &mut Feed, says: &str, breaks: impl FnOnce(), mends: impl FnOnce()) {
    feed.send(0.5);
    server.wait("the first flows", |server| server.counter("flows_scored") > 0);
    breaks();
    feed.finish();
    server.wait(says, |server| has_problem(server, says));
    server.wait("flows that wait", |server| {
        check_answers(server)["flows_waiting"].as_u64() > Some(0)
    });
    assert_eq!(server.health()["finished"], false);
    mends();
    server.wait_until_finished();
    server.wait("health", |server| server.health()["status"] == "ok");
    let counters = check_answers(server);
    assert_eq!(counters["flows_dropped"], 0);
    assert_eq!(counters["flows_scored"], counters["flows"]);
    assert_eq!(stored(server), counters["flows"].as_u64().unwrap());
}

fn signal(server: &Server, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(server.child().id()).unwrap()), signal).unwrap();
}

/// Locks a database as another process would.
fn lock(database: &Path) -> Connection {
    let other = Connection::open(database).unwrap();
    other.busy_timeout(Duration::from_secs(60)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[test]
fn a_locked_file_is_told_and_waited_for() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut feed = Feed::new(&home);
    let server = Server::start(&home, &["--pcap", feed.path()]);
    let database = home.path().join("netsage/netsage.sqlite");
    let other = Mutex::new(None);
    check_outage(
        &server,
        &mut feed,
        "the store is locked by another process",
        || *other.lock().unwrap() = Some(lock(&database)),
        || drop(other.lock().unwrap().take()),
    );
}

#[test]
fn a_replay_with_an_end_gives_its_store_up_in_time() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut feed = Feed::new(&home);
    let path = feed.path().to_owned();
    let flags = ["--pcap", &path, "--exit-when-done", "--store-timeout", "1s"];
    let mut server = Server::start(&home, &flags);
    let _other = lock(&home.path().join("netsage/netsage.sqlite"));
    feed.finish();
    assert_eq!(server.wait_for_end(), Some(1));
    let said = server.log.lock().unwrap();
    assert!(said.contains("the store did not take"), "{said}");
    assert!(said.contains("0 scored"), "{said}");
}

#[test]
fn signals_are_obeyed_while_the_source_hangs_and_the_store_is_locked() {
    if !packages_built() {
        return;
    }
    for with_flows in [false, true] {
        let home = Home::new();
        let mut feed = Feed::new(&home);
        let mut server = Server::start(&home, &["--pcap", feed.path()]);
        let _other = lock(&home.path().join("netsage/netsage.sqlite"));
        if with_flows {
            feed.send(0.9);
            server.wait("flows", |server| server.counter("flows_waiting") > 0);
        }
        signal(&server, Signal::SIGTERM);
        let status = server.wait_for_end();
        if !with_flows && status == Some(0) {
            // The source saw the signal before it read again, and had nothing to store: it did not hang.
            continue;
        }
        assert_eq!(status, Some(1));
        let said = server.log.lock().unwrap();
        assert!(said.contains("netsage: "), "{said}");
    }
}

#[test]
fn a_full_disk_is_told_and_waited_for() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let disk = match SmallDisk::new(home.path().join("disk"), 8 << 20) {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let mut feed = Feed::new(&home);
    let database = disk.path().join("store").display().to_string();
    let server = Server::start(&home, &["--pcap", feed.path(), "--store", &database]);
    check_outage(
        &server,
        &mut feed,
        "its disk is full",
        || disk.fill(),
        || disk.free(),
    );
}

/// A server with something before it, and the URL of a database there.
fn behind_a_proxy() -> Option<(Proxy, String)> {
    match backends::mongodb() {
        Ok(place) => Some(Proxy::before(&place.url)),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

#[test]
fn a_server_that_is_away_is_told_and_waited_for() {
    if !packages_built() {
        return;
    }
    let Some((proxy, url)) = behind_a_proxy() else {
        return;
    };
    let home = Home::new();
    let mut feed = Feed::new(&home);
    let server = Server::start(&home, &["--pcap", feed.path(), "--store", &url]);
    check_outage(&server, &mut feed, "the store", || proxy.close(), || proxy.open());
}

#[test]
fn a_server_that_is_stopped_is_told_and_waited_for() {
    if !packages_built() {
        return;
    }
    let Some((proxy, url)) = behind_a_proxy() else {
        return;
    };
    let home = Home::new();
    let mut feed = Feed::new(&home);
    let server = Server::start(&home, &["--pcap", feed.path(), "--store", &url]);
    check_outage(
        &server,
        &mut feed,
        "the store",
        || proxy.hold(true),
        || proxy.hold(false),
    );
}

/// Everything in a store: alerts, flows and the last state of each alert among the changes.
fn content(url: &str) -> (Vec<Alert>, Vec<Flow>, BTreeMap<String, Alert>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = netsage_store::open(url).await.unwrap();
        let mut alerts = Vec::new();
        let mut query = AlertQuery::default();
        loop {
            let page = store.alerts(&query).await.unwrap();
            alerts.extend(page.items);
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        let mut flows = Vec::new();
        let mut query = FlowQuery::default();
        loop {
            let page = store.flows(&query).await.unwrap();
            flows.extend(page.items);
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        let (mut changed, mut after) = (BTreeMap::new(), 0);
        loop {
            let page = store.changes(after, 1_000).await.unwrap();
            let Some(last) = page.items.last() else { break };
            assert!(last.revision > after && last.revision <= page.newest);
            after = last.revision;
            for change in page.items {
                let id = change.alert.id.clone();
                assert_eq!(changed.insert(id, change.alert), None, "it changed last once");
            }
        }
        (alerts, flows, changed)
    })
}

/// Most memory that a program has had, kilobytes.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child().id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How often the server is cut off, and how often it is made slow.
const TIMES: u32 = 10;

#[test]
fn a_server_that_is_cut_off_and_slow_again_and_again_has_what_an_undisturbed_one_has() {
    if !packages_built() {
        return;
    }
    let Some((proxy, url)) = behind_a_proxy() else {
        return;
    };
    let undisturbed = backends::mongodb().unwrap().url;
    let mut peaks = Vec::new();
    for (url, disturbed) in [(&undisturbed, false), (&url, true)] {
        let home = Home::new();
        let mut feed = Feed::new(&home);
        let server = Server::start(&home, &["--pcap", feed.path(), "--store", url]);
        for _ in 0..if disturbed { TIMES } else { 0 } {
            // Connections break in the middle of what is under way, and for a time no new one is taken.
            feed.send_until_flows(&server);
            proxy.close();
            server.wait("an outage", |server| has_problem(server, "the store"));
            proxy.open();
            server.wait("the store", |server| !has_problem(server, "the store"));
            // The last flows of a part may wait for the next packet, so that nothing tells when all of them are stored.
            proxy.delay(Duration::from_millis(20));
            for _ in 0..3 {
                feed.send_until_flows(&server);
            }
            proxy.delay(Duration::ZERO);
        }
        feed.finish();
        server.wait_until_finished();
        server.wait("health", |server| server.health()["status"] == "ok");
        let counters = check_answers(&server);
        assert_eq!(counters["flows_scored"], counters["flows"]);
        assert_eq!(counters["flows_dropped"], 0);
        peaks.push(peak(&server));
    }
    let (alerts, flows, changed) = content(&undisturbed);
    assert!(
        alerts.len() > 3 && flows.len() > 1_000,
        "{} alerts, {} flows",
        alerts.len(),
        flows.len()
    );
    assert_eq!(content(&url), (alerts, flows, changed));
    // What waits is bounded: it is the same blocks, however long the server is away.
    assert!(
        peaks[1] < peaks[0] + (64 << 10),
        "kilobytes undisturbed and disturbed: {peaks:?}"
    );
}

/// Breaks the store of a program to which nothing comes, looks at what is said and how soon, mends the store.
fn check_idle_outage(server: &Server, says: &str, breaks: impl FnOnce(), mends: impl FnOnce()) {
    let is_well = |server: &Server| server.health()["problems"] == Value::Array(Vec::new());
    server.wait("health", is_well);
    breaks();
    server.wait(says, |server| has_problem(server, says));
    mends();
    server.wait("health", is_well);
}

#[test]
fn an_outage_is_told_when_no_flow_comes() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    {
        let server = Server::start(&home, &[]);
        let database = home.path().join("netsage/netsage.sqlite");
        let other = Mutex::new(None);
        check_idle_outage(
            &server,
            "the store is locked by another process",
            || *other.lock().unwrap() = Some(lock(&database)),
            || drop(other.lock().unwrap().take()),
        );
    }
    let disk = match SmallDisk::new(home.path().join("disk"), 8 << 20) {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let database = disk.path().join("store").display().to_string();
    let server = Server::start(&home, &["--store", &database]);
    check_idle_outage(&server, "its disk is full", || disk.fill(), || disk.free());
}

#[test]
fn callers_that_read_do_not_hold_up_what_is_stored() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut feed = Feed::new(&home);
    let mut server = Server::start(&home, &["--pcap", feed.path()]);
    feed.send(0.5);
    server.wait("alerts", |server| {
        server.get("/api/v1/overview").1["alerts_total"].as_u64() > Some(0)
    });
    let address = server.base.trim_start_matches("http://").to_owned();
    let callers: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut caller = TcpStream::connect(&address).unwrap();
            let call =
                "GET /api/v1/alerts?source=10.0.0.1&kind=of-no-alert HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
            caller.write_all(call.as_bytes()).unwrap();
            caller
        })
        .collect();
    // They do not wait for their answer.
    drop(callers);
    feed.finish();
    server.wait_until_finished();
    let counters = check_answers(&server);
    assert_eq!(counters["flows_scored"], counters["flows"]);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.child().id())).unwrap();
    let threads = tasks.count();
    assert!(threads < 100, "{threads} threads");
    signal(&server, Signal::SIGINT);
    assert_eq!(server.wait_for_end(), Some(0));
}
