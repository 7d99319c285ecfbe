//! Several scorers of one topic. First one to four of them, undisturbed, on one MongoDB database: flows a second, and what a
//! scorer takes. Then three that are killed while they score, beside one undisturbed scorer: which share of the alerts is
//! equal, for detectors without and with a memory. Prints one JSON object a line.
//! `cargo xtask bench scorers` runs `bench_scorers PROGRAM`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use netsage_testkit::backends::{mongodb, sqlite};
use netsage_testkit::kafka::KafkaServer;
use netsage_testkit::random::Random;
use netsage_testkit::scorers::{Found, Group, Kills, Reading, Scorer};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const PARTITIONS: i32 = 4;
/// Flows in the topic; `NETSAGE_BENCH_FLOWS` asks for others.
const FLOWS: u64 = 200_000;
const MOST_SCORERS: usize = 4;
/// Detectors without a memory, and with one.
const DETECTORS: [&str; 3] = [
    "iforest-record-v1",
    "rhythm-record-v1",
    "half-space-trees-record-v1",
];
const KILLS: Kills = Kills {
    scorers: 3,
    of_each: 2,
    of_broker: 1,
};
const ARGUMENTS: [&str; 12] = [
    // Less than the traffic is long.
    "--lateness",
    "30s",
    "--workers",
    "1",
    "--alert-limit",
    "none",
    "--alert-sources",
    "none",
    "--kafka-setting",
    "session.timeout.ms=2000",
    "--kafka-setting",
    "heartbeat.interval.ms=300",
];

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let outcome = match arguments.as_slice() {
        [program] => all(program),
        _ => Err("usage: bench_scorers PROGRAM".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_scorers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(program: &Path) -> Result<(), Failure> {
    let given = std::env::var("NETSAGE_BENCH_FLOWS").ok();
    let flows = given.and_then(|flows| flows.parse().ok()).unwrap_or(FLOWS);
    let mut broker = KafkaServer::start()?;
    let topic = broker.topic("flows", PARTITIONS);
    produce(program, &broker, &topic, flows)?;
    // The last flow of each partition lets all others go.
    let last = (0..PARTITIONS).map(|partition| (partition, Some(last_flow())));
    broker.produce(&topic, &[], last);
    let messages = flows + u64::from(PARTITIONS.unsigned_abs());
    for stored in ["alerted", "all"] {
        for scorers in 1..=MOST_SCORERS {
            let store = mongodb()?.url;
            let arguments = [
                &ARGUMENTS[..],
                &["--detector", DETECTORS[0], "--store-flows", stored],
            ]
            .concat();
            let group = Group::new(program, (&broker, &topic, PARTITIONS), &store, &arguments);
            println!("{}", measure(&group, scorers, messages, stored));
        }
    }
    for detector in DETECTORS {
        println!("{}", compare(program, &mut broker, &topic, messages, detector)?);
    }
    Ok(())
}

/// Fills the topic with generated traffic.
fn produce(program: &Path, broker: &KafkaServer, topic: &str, flows: u64) -> Result<(), Failure> {
    let output = Command::new(program)
        .args([
            "produce",
            "--speed",
            "max",
            "--rate",
            "500",
            "--flows",
            &flows.to_string(),
        ])
        .args(["--to", &format!("kafka://{}/{topic}", broker.address())])
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// A flow that ends long after all others.
fn last_flow() -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let end_us = now.unwrap_or_default().as_micros() + 30_000_000_000;
    format!(
        r#"{{"start_us":{end_us},"end_us":{end_us},"source":"192.0.2.1","destination":"192.0.2.2","protocol":"udp"}}"#
    )
    .into_bytes()
}

/// How fast so many scorers are together, between a tenth and nine tenths of the messages, and what each of them takes.
fn measure(group: &Group, scorers: usize, messages: u64, stored: &str) -> Value {
    let running: Vec<Scorer> = (0..scorers).map(|place| group.start(place)).collect();
    group.wait_until(&running, messages / 10, messages);
    let before: f64 = running.iter().map(Scorer::processor_seconds).sum();
    let start = Instant::now();
    group.wait_until(&running, messages * 9 / 10, messages);
    let seconds = start.elapsed().as_secs_f64();
    let processor = running.iter().map(Scorer::processor_seconds).sum::<f64>() - before;
    let flows = messages as f64 * 0.8;
    let of_each = |figure: &dyn Fn(&Scorer) -> u64| running.iter().map(figure).collect::<Vec<_>>();
    json!({
        "bench": "scorers",
        "scorers": scorers,
        "stored": stored,
        "flows_per_second": (flows / seconds).round(),
        "processor_us_per_flow": processor * 1e6 / flows,
        "most_memory_kib": of_each(&|scorer| scorer.memory("VmHWM")),
        "connections": of_each(&|scorer| scorer.connections() as u64),
        "partitions": of_each(&|scorer| scorer.lags().len() as u64),
        "waiting_records": of_each(&|scorer| scorer.waiting().values().sum()),
    })
}

/// Which share of the alerts three disturbed scorers and one undisturbed have alike.
fn compare(
    program: &Path,
    broker: &mut KafkaServer,
    topic: &str,
    messages: u64,
    detector: &str,
) -> Result<Value, Failure> {
    let arguments = [
        &ARGUMENTS[..],
        &["--detector", detector, "--store-flows", "alerted"],
    ]
    .concat();
    let (file, database) = (sqlite(), mongodb()?);
    let [one, three] = [&file.url, &database.url]
        .map(|store| Group::new(program, (&*broker, topic, PARTITIONS), store, &arguments));
    one.wait(&[one.start(0)]);
    drop(three.disturb(messages, &KILLS, broker, &mut Random::of_test(), |_| {}));
    let [by_one, by_three] = [&file.url, &database.url].map(|url| Reading::open(url).all(i64::MAX));
    let ids = by_one.alerts.keys().chain(by_three.alerts.keys());
    let all = ids.collect::<std::collections::BTreeSet<_>>().len();
    let both =
        |found: &Found, is_same: &dyn Fn(&str) -> bool| found.alerts.keys().filter(|id| is_same(id)).count();
    let same_id = both(&by_one, &|id| by_three.alerts.contains_key(id));
    let equal = both(&by_one, &|id| by_one.alerts.get(id) == by_three.alerts.get(id));
    Ok(json!({
        "bench": "scorers",
        "detector": detector,
        "scorers": KILLS.scorers,
        "kills": KILLS.of_each * KILLS.scorers,
        "kills_of_the_broker": KILLS.of_broker,
        "alerts_of_one": by_one.alerts.len(),
        "alerts_of_three": by_three.alerts.len(),
        "equal_share": equal as f64 / all.max(1) as f64,
        "same_id_share": same_id as f64 / all.max(1) as f64,
    }))
}
