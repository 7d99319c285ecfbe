//! What clients that read much cost the recording of flows.
//!
//! Fills a store with alerts, replays a generated capture into it at a steady rate, and sends listing calls that look at
//! many alerts and find none, of which half are left without waiting for the answer. Then does so again and sends SIGTERM
//! meanwhile.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use netsage_alerts::AlertLimits;
use netsage_store::{FlowBatchRecord, StoreOptions};
use netsage_testkit::sample::{self, T0, flow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::server::{PATIENCE, Server};

const ALERTS: u32 = 400_000;
const CALLS: usize = 3_000;
/// Calls at the same time: what one peer may have by default.
const AT_ONCE: usize = 250;
const FLOWS_PER_SECOND: u64 = 2_000;
const FLOWS: u64 = 120_000;
const LOOK: Duration = Duration::from_millis(20);
/// Longest time that a program which was told to end is waited for.
const END: Duration = Duration::from_secs(120);

/// A listing by an index that has every alert, of which none is closed.
const CALL: &[u8] =
    b"GET /api/v1/alerts?kind=tcp/ssh&state=closed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

pub(crate) fn measure(program: &Path) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    fill(&store);
    let (capture, bytes_per_second) = capture(program, folder.path());
    let pipe = folder.path().join("feed");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let feeding = Arc::new(AtomicBool::new(true));
    let feeder = feed(&capture, &pipe, bytes_per_second, Arc::clone(&feeding));
    let text = |path: &Path| path.display().to_string();
    let mut server = Server::start(program, &["--pcap", &text(&pipe), "--store", &text(&store)]);
    wait_for_flows(&server);
    let before = watch(&server, || thread::sleep(Duration::from_secs(5)));
    let mut answers = BTreeMap::new();
    let begun = Instant::now();
    let during = watch(&server, || answers = call(&server));
    let took = begun.elapsed();
    let after = watch(&server, || thread::sleep(Duration::from_secs(5)));
    let counter = |name: &str| server.counter(name);
    let (recorded, dropped, waiting) = (
        counter("flows_scored"),
        counter("flows_dropped"),
        counter("flows_waiting"),
    );
    let ended = end(&mut server);
    feeding.store(false, Ordering::Release);
    feeder.join().unwrap();
    json!({
        "bench": "readers",
        "alerts_in_the_store": ALERTS,
        "calls": CALLS,
        "answers_by_status": answers,
        "calls_took_s": took.as_secs_f64(),
        "flows_fed_per_second": FLOWS_PER_SECOND,
        "flows_recorded": recorded,
        "flows_dropped": dropped,
        "flows_waiting_at_the_end": waiting,
        "longest_pause_of_the_writer_ms": {
            "before": before.longest_pause.as_millis() as u64,
            "during": during.longest_pause.as_millis() as u64,
            "after": after.longest_pause.as_millis() as u64,
        },
        "flows_recorded_per_second": {
            "before": before.rate,
            "during": during.rate,
            "after": after.rate,
        },
        "threads_most": during.threads,
        "health_slowest_ms": during.health_slowest.as_millis() as u64,
        "sigterm_to_end_s": ended.map(|ended| ended.as_secs_f64()),
    })
}

/// Records an alert for each of many sources.
fn fill(path: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // Without bounds, as else most of the alerts would be held back.
        let alert_limits = AlertLimits {
            sources: ALERTS as usize,
            alerts: ALERTS as usize,
            ..AlertLimits::default()
        };
        let options = StoreOptions {
            alert_limits,
            ..StoreOptions::default()
        };
        let url = path.display().to_string();
        let store = netsage_store::open_with(&url, &options).await.unwrap();
        let numbers: Vec<u32> = (0..ALERTS).collect();
        for numbers in numbers.chunks(8_192) {
            let flows: Vec<_> = numbers
                .iter()
                .map(|number| {
                    let source = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
                    flow(*number, &source, T0 + i64::from(*number), 0.7)
                })
                .collect();
            let mut batch = FlowBatchRecord::default();
            sample::fill(&mut batch, &flows);
            store.record(&[Arc::new(batch)]).await.unwrap();
        }
    });
}

/// A generated capture, and how many of its bytes have as many flows as are to come in a second.
fn capture(program: &Path, folder: &Path) -> (Vec<u8>, u64) {
    let path = folder.join("generated.pcap");
    let written = Command::new(program)
        .args(["synth", "--seed", "5", "--flows", &FLOWS.to_string(), "--out"])
        .arg(&path)
        .stderr(Stdio::null())
        .status();
    assert!(written.unwrap().success());
    let bytes = std::fs::read(path).unwrap();
    let per_second = bytes.len() as u64 * FLOWS_PER_SECOND / FLOWS;
    (bytes, per_second)
}

/// Writes the capture into a pipe at a steady rate.
fn feed(
    capture: &[u8],
    pipe: &Path,
    bytes_per_second: u64,
    goes_on: Arc<AtomicBool>,
) -> thread::JoinHandle<()> {
    let (capture, pipe) = (capture.to_vec(), PathBuf::from(pipe));
    thread::spawn(move || {
        let mut writer = std::fs::File::options().write(true).open(pipe).unwrap();
        let begun = Instant::now();
        let mut sent = 0;
        while sent < capture.len() && goes_on.load(Ordering::Acquire) {
            let due = begun.elapsed().as_secs_f64() * bytes_per_second as f64;
            let end = (due as usize + 4_096).min(capture.len());
            if writer.write_all(&capture[sent..end]).is_err() {
                return;
            }
            sent = end;
            thread::sleep(LOOK);
        }
    })
}

fn wait_for_flows(server: &Server) {
    let begun = Instant::now();
    while server.counter("flows_scored").unwrap_or(0) == 0 {
        assert!(begun.elapsed() < PATIENCE, "no flow is recorded");
        thread::sleep(LOOK);
    }
}

/// What was seen while something was done.
struct Watched {
    longest_pause: Duration,
    /// Flows recorded a second.
    rate: f64,
    threads: usize,
    health_slowest: Duration,
}

/// Asks for the counters again and again while `work` goes on. Flows are counted once they are stored.
fn watch(server: &Server, work: impl FnOnce() + Send) -> Watched {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let begun = Instant::now();
            let (mut first, mut last, mut grew) = (None, 0, Instant::now());
            let mut seen = Watched {
                longest_pause: Duration::ZERO,
                rate: 0.0,
                threads: 0,
                health_slowest: Duration::ZERO,
            };
            while !done.load(Ordering::Acquire) {
                let asked = Instant::now();
                let scored = server.counter("flows_scored");
                seen.health_slowest = seen.health_slowest.max(asked.elapsed());
                if let Some(scored) = scored {
                    first.get_or_insert(scored);
                    if scored > last {
                        (last, grew) = (scored, Instant::now());
                    }
                }
                seen.longest_pause = seen.longest_pause.max(grew.elapsed());
                seen.threads = seen.threads.max(server.threads().unwrap_or(0));
                thread::sleep(LOOK);
            }
            seen.rate = (last - first.unwrap_or(last)) as f64 / begun.elapsed().as_secs_f64();
            seen
        });
        work();
        done.store(true, Ordering::Release);
        watching.join().unwrap()
    })
}

/// Calls, some hundreds at a time; gives what was answered how often.
fn call(server: &Server) -> BTreeMap<String, usize> {
    let answers = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CALLS {
                        return;
                    }
                    let answer = call_once(server, number.is_multiple_of(2));
                    *answers.lock().unwrap().entry(answer).or_insert(0) += 1;
                }
            });
        }
    });
    answers.into_inner().unwrap()
}

fn call_once(server: &Server, waits: bool) -> String {
    let Some(mut stream) = server.connect() else {
        return "not connected".to_owned();
    };
    if stream.write_all(CALL).is_err() {
        return "not taken".to_owned();
    }
    if !waits {
        return "left".to_owned();
    }
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let status = answer
        .get(9..12)
        .map(|status| String::from_utf8_lossy(status).into_owned());
    match (status, read) {
        (Some(status), _) => status,
        (None, Ok(_)) => "closed without an answer".to_owned(),
        (None, Err(error)) => error.kind().to_string(),
    }
}

/// Sends SIGTERM while others read, and gives the time until the program has ended.
fn end(server: &mut Server) -> Option<Duration> {
    let begun = Instant::now();
    let mut streams: Vec<_> = (0..AT_ONCE).filter_map(|_| server.connect()).collect();
    for stream in &mut streams {
        // Whoever is refused is no hindrance.
        let _ = stream.write_all(CALL);
    }
    let asked = Instant::now();
    kill(
        Pid::from_raw(i32::try_from(server.child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    while begun.elapsed() < END {
        if server.child.try_wait().unwrap().is_some() {
            return Some(asked.elapsed());
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}
