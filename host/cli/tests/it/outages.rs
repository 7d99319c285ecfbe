//! The store of a running program fails and comes back: locked by another process, full disk, server away. What is said
//! meanwhile, and what becomes of flows.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use netsage_testkit::backends;
use netsage_testkit::disk::SmallDisk;
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

/// Stands between the program and its server, and lets nothing through when it is told so.
struct Proxy {
    port: u16,
    server: String,
    is_open: Arc<AtomicBool>,
    is_stopped: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            server: server.to_owned(),
            is_open: Arc::new(AtomicBool::new(true)),
            is_stopped: Arc::default(),
            streams: Arc::default(),
        };
        proxy.serve(listener);
        proxy
    }

    fn serve(&self, listener: TcpListener) {
        let (server, is_open, streams) = (
            self.server.clone(),
            Arc::clone(&self.is_open),
            Arc::clone(&self.streams),
        );
        let is_stopped = Arc::clone(&self.is_stopped);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if !is_open.load(Ordering::Acquire) {
                    // The listener goes with the thread.
                    return;
                }
                let server = TcpStream::connect(&server).unwrap();
                let both = [&client, &server].map(|stream| stream.try_clone().unwrap());
                streams.lock().unwrap().extend(both);
                let (from_client, to_client) = (client.try_clone().unwrap(), client);
                let (from_server, to_server) = (server.try_clone().unwrap(), server);
                for (from, to) in [(from_client, to_server), (from_server, to_client)] {
                    let is_stopped = Arc::clone(&is_stopped);
                    thread::spawn(move || pass_on(from, to, &is_stopped));
                }
            }
        });
    }

    /// As a server that has ended: connections break, and none are taken.
    fn close(&self) {
        self.is_open.store(false, Ordering::Release);
        // Wakes the listener, which goes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for stream in self.streams.lock().unwrap().drain(..) {
            // The other side may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Release);
        self.serve(TcpListener::bind(("127.0.0.1", self.port)).unwrap());
    }
}

/// Hands bytes on, unless it is stopped: then they wait, as before a server that was stopped by a signal.
fn pass_on(mut from: TcpStream, mut to: TcpStream, is_stopped: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        while is_stopped.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// A server with something before it, and the URL of a database there.
fn behind_a_proxy() -> Option<(Proxy, String)> {
    let place = match backends::mongodb() {
        Ok(place) => place,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return None;
        }
    };
    let (server, name) = place.url.strip_prefix("mongodb://")?.split_once('/')?;
    let proxy = Proxy::new(server);
    // The driver would else learn the server's own address and go round the proxy.
    let url = format!("mongodb://127.0.0.1:{}/{name}?directConnection=true", proxy.port);
    Some((proxy, url))
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
    let stop = |stopped| proxy.is_stopped.store(stopped, Ordering::Release);
    check_outage(&server, &mut feed, "the store", || stop(true), || stop(false));
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
