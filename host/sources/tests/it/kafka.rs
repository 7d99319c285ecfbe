//! A topic as a source, with a real broker.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use netsage_records::formats::flow_json;
use netsage_records::{BytesOf, Record, Sides, State};
use netsage_schema::record_v1::RECORD_V1;
use netsage_schema::{FlowBatch, Identity};
use netsage_sources::kafka::{Kafka, KafkaOptions};
use netsage_sources::{NotPassedOver, PartitionState, Reading, Source, read_all};
use netsage_testkit::kafka::{KafkaServer, fresh};

/// After which a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The broker of all tests of this process but those that kill theirs; says why there is none.
#[allow(
    clippy::print_stderr,
    reason = "who runs the tests is to see what was skipped"
)]
pub(crate) fn server() -> Option<&'static KafkaServer> {
    static SERVER: OnceLock<Result<KafkaServer, String>> = OnceLock::new();
    match SERVER.get_or_init(KafkaServer::start) {
        Ok(server) => Some(server),
        Err(reason) => {
            eprintln!("skipped: no Kafka: {reason}");
            None
        }
    }
}

/// The record of that number, 10 ms after the one before.
fn record(number: u32) -> Record {
    let start_us = 1_700_000_000_000_000 + i64::from(number) * 10_000;
    let [.., high, low] = number.to_be_bytes();
    Record {
        start_us,
        end_us: start_us + 1_000_000,
        source: [10, 0, high, low].into(),
        destination: [192, 0, 2, 1].into(),
        source_port: 40_000,
        destination_port: 443,
        protocol: 6,
        service: None,
        state: Some(State::Closed),
        packets: Some(Sides {
            source: 6,
            destination: 4,
        }),
        bytes: Some(Sides {
            source: 600,
            destination: 2_400,
        }),
        bytes_of: BytesOf::Network,
        payload: None,
        sampling: 1,
        own_id: None,
        sensor: None,
        network: None,
        foreign: None,
    }
}

fn value(number: u32) -> Vec<u8> {
    let mut json = Vec::new();
    flow_json::write(&record(number), &mut json).unwrap();
    json
}

/// Flows in turn for four partitions.
fn spread(numbers: Range<u32>) -> impl Iterator<Item = (i32, Option<Vec<u8>>)> {
    let values = numbers.map(|number| Some(value(number)));
    [0, 1, 2, 3].into_iter().cycle().zip(values)
}

/// A topic of four partitions with that many flows.
fn filled(server: &KafkaServer, name: &str, flows: u32) -> String {
    let topic = server.topic(name, 4);
    server.produce(&topic, &[], spread(0..flows));
    topic
}

fn options(server: &KafkaServer, topic: &str, group: &str) -> KafkaOptions {
    KafkaOptions {
        lateness: Duration::from_secs(1),
        ..KafkaOptions::new(&server.address(), topic, group)
    }
}

/// The same, to the end of the topic.
pub(crate) fn to_the_end(server: &KafkaServer, topic: &str, group: &str) -> KafkaOptions {
    KafkaOptions {
        ends_with_topic: true,
        ..options(server, topic, group)
    }
}

/// How often each flow came, by its start.
type Seen = BTreeMap<i64, u32>;

fn note(seen: &mut Seen, flows: &[Identity]) {
    for flow in flows {
        *seen.entry(flow.start_ns).or_default() += 1;
    }
}

fn all(flows: u32) -> Vec<i64> {
    (0..flows)
        .map(|number| record(number).identity().start_ns)
        .collect()
}

/// Reads to the end, with all that is handed over stored.
fn drain(source: &mut Kafka) -> Seen {
    let mut seen = Seen::new();
    let damage = read_all(source, |batch| {
        note(&mut seen, &batch.identities);
        Ok::<(), ()>(())
    });
    assert!(matches!(damage, Ok(None)), "{damage:?}");
    source.stored(source.counters().flows);
    seen
}

/// Reads until `is_enough`, each flow stored at once.
fn read_until(source: &mut Kafka, seen: &mut Seen, mut is_enough: impl FnMut(&Kafka, &Seen) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut batch = FlowBatch::new(&RECORD_V1);
    while !is_enough(source, seen) {
        assert!(
            Instant::now() < deadline,
            "{} flows, {:?}",
            seen.len(),
            source.partitions()
        );
        assert!(matches!(source.read(&mut batch), Ok(Reading::GoesOn)));
        note(seen, &batch.identities);
        batch.clear();
        source.stored(source.counters().flows);
    }
}

#[test]
fn every_flow_of_a_topic_arrives_once() {
    let Some(server) = server() else { return };
    let topic = filled(server, "whole", 8_000);
    let group = fresh("group");
    let mut source = Kafka::open(to_the_end(server, &topic, &group)).unwrap();
    let seen = drain(&mut source);
    assert!(seen.values().all(|&times| times == 1));
    assert!(seen.into_keys().eq(all(8_000)));
    drop(source);
    assert_eq!(server.committed(&topic, &group, 4), [Some(2_000); 4]);
    // The next of the group begins behind them.
    let mut next = Kafka::open(to_the_end(server, &topic, &group)).unwrap();
    assert!(drain(&mut next).is_empty());
}

#[test]
fn what_is_not_stored_comes_again() {
    let Some(server) = server() else { return };
    let topic = filled(server, "kept", 8_000);
    let group = fresh("group");
    let mut source = Kafka::open(to_the_end(server, &topic, &group)).unwrap();
    let mut flows = Vec::new();
    let damage = read_all(&mut source, |batch| {
        flows.extend_from_slice(&batch.identities);
        Ok::<(), ()>(())
    });
    assert!(matches!(damage, Ok(None)));
    let (stored, lost) = flows.split_at(5_000);
    source.stored(stored.len() as u64);
    drop(source);
    let sum: i64 = (server.committed(&topic, &group, 4).iter())
        .map(|offset| offset.unwrap_or_default())
        .sum();
    assert!((1..=5_000).contains(&sum), "{sum} committed of 5000 stored");

    let again = drain(&mut Kafka::open(to_the_end(server, &topic, &group)).unwrap());
    assert!(lost.iter().all(|flow| again.contains_key(&flow.start_ns)));
    assert_eq!(
        again.len(),
        usize::try_from(8_000 - sum).unwrap(),
        "what was committed does not come"
    );
}

#[test]
fn rows_do_not_depend_on_who_had_the_partition_before() {
    let Some(server) = server() else { return };
    let topic = filled(server, "moved", 40_000);
    // Rows by the start of their flows, read by one program after the other, each of which ends after so many flows.
    let rows_of = |programs: &[usize]| -> BTreeMap<i64, Vec<u64>> {
        let group = fresh("group");
        let mut rows = BTreeMap::new();
        for &most in programs {
            let mut source = Kafka::open(to_the_end(server, &topic, &group)).unwrap();
            let (mut batch, mut read) = (FlowBatch::new(&RECORD_V1), 0);
            while read < most && matches!(source.read(&mut batch), Ok(Reading::GoesOn)) {
                read += batch.len();
                for (flow, row) in batch.identities.iter().zip(batch.rows.iter()) {
                    let bits: Vec<u64> = row.iter().map(|value| value.to_bits()).collect();
                    let before = rows.insert(flow.start_ns, bits.clone());
                    assert!(before.is_none_or(|before| before == bits), "{flow:?}");
                }
                batch.clear();
                source.stored(source.counters().flows);
            }
        }
        rows
    };
    let undisturbed = rows_of(&[usize::MAX]);
    assert!(undisturbed.keys().copied().eq(all(40_000)));
    assert!(rows_of(&[1, 6_000, 1, 10_000, usize::MAX]) == undisturbed);
}

#[test]
fn a_partition_that_arrives_is_read_again_for_who_remembers() {
    let Some(server) = server() else { return };
    let topic = server.topic("again", 1);
    let group = fresh("group");
    // Two at a time end together.
    let produce = |numbers: Range<u32>| {
        let values = numbers.map(|number| {
            let mut json = Vec::new();
            let mut record = record(number / 2);
            record.source_port += u16::from(number % 2 == 1);
            flow_json::write(&record, &mut json).unwrap();
            (0, Some(json))
        });
        server.produce(&topic, &[], values);
    };
    // How many flows came, and how many of others' came again.
    let read = |reread: Duration| {
        let mut source = Kafka::open(KafkaOptions {
            reread,
            ..to_the_end(server, &topic, &group)
        })
        .unwrap();
        let (mut batch, mut came) = (FlowBatch::new(&RECORD_V1), [0, 0]);
        loop {
            match source.read(&mut batch).unwrap() {
                Reading::GoesOn => came[0] += batch.len(),
                Reading::Again => came[1] += batch.len(),
                Reading::End => break,
            }
            batch.clear();
            source.stored(source.counters().flows);
        }
        assert_eq!(source.counters().flows, came[0] as u64);
        came
    };
    let hour = Duration::from_secs(3_600);
    produce(0..200);
    assert_eq!(read(hour), [200, 0]);
    produce(200..300);
    assert_eq!(read(hour), [100, 200]);
    produce(300..310);
    assert_eq!(read(Duration::ZERO), [10, 0]);
}

#[test]
fn a_join_moves_some_partitions_and_no_flow_is_lost() {
    let Some(server) = server() else { return };
    let topic = filled(server, "shared", 4_000);
    let group = fresh("group");
    let mut first = Kafka::open(options(server, &topic, &group)).unwrap();
    let mut seen = Seen::new();
    read_until(&mut first, &mut seen, |source, _| source.partitions().len() == 4);
    let mut second = Kafka::open(options(server, &topic, &group)).unwrap();
    let mut seen_by_second = Seen::new();
    let deadline = Instant::now() + PATIENCE;
    while second.partitions().len() < 2 {
        assert!(Instant::now() < deadline);
        let mut reads = 0;
        read_until(&mut first, &mut seen, |source, _| {
            reads += 1;
            // Under eager assignment all four would leave for a moment.
            assert!(source.partitions().len() >= 2);
            reads > 1
        });
        reads = 0;
        read_until(&mut second, &mut seen_by_second, |_, _| {
            reads += 1;
            reads > 1
        });
    }
    let numbers = |source: &Kafka| -> Vec<i32> {
        let partitions = source.partitions();
        partitions.iter().map(|status| status.partition).collect()
    };
    let mut shared = [numbers(&first), numbers(&second)].concat();
    shared.sort_unstable();
    assert_eq!(shared, [0, 1, 2, 3]);
    // New flows come to whoever has their partition.
    server.produce(&topic, &[], spread(4_000..8_000));
    let every = all(8_000);
    while !every
        .iter()
        .all(|start| seen.contains_key(start) || seen_by_second.contains_key(start))
    {
        assert!(
            Instant::now() < deadline,
            "{} and {}",
            seen.len(),
            seen_by_second.len()
        );
        let mut reads = 0;
        read_until(&mut first, &mut seen, |_, _| {
            reads += 1;
            reads > 2
        });
        reads = 0;
        read_until(&mut second, &mut seen_by_second, |_, _| {
            reads += 1;
            reads > 2
        });
    }
    let latest = all(8_000)[7_990];
    assert!(seen.range(latest..).next().is_some() && seen_by_second.range(latest..).next().is_some());
    // One that leaves gives its partitions back.
    drop(second);
    read_until(&mut first, &mut seen, |source, _| source.partitions().len() == 4);
}

#[test]
fn a_quiet_partition_is_moved_on() {
    let Some(server) = server() else { return };
    let topic = filled(server, "quiet", 40);
    let mut source = Kafka::open(options(server, &topic, &fresh("group"))).unwrap();
    let mut seen = Seen::new();
    // The last flow of each partition waits for others that do not come, until the broker has said so for long enough.
    read_until(&mut source, &mut seen, |_, seen| seen.len() == 40);
    read_until(&mut source, &mut seen, |source, _| {
        (source.partitions().iter()).all(|status| status.lag() == Some(0) && status.waiting == 0)
    });
    assert_eq!(source.trouble(), None);
}

#[test]
fn what_cannot_be_read_is_told_to_the_dead_letter_topic() {
    let Some(server) = server() else { return };
    let topic = server.topic("damaged", 1);
    let dead = fresh("dead");
    let half = value(3);
    let list = [&b"["[..], &value(4), b",{\"start_us\":1},7]"].concat();
    let values = [
        // Before the format is known.
        Some(b"\xff\xfe no record".to_vec()),
        Some(value(1)),
        None,
        Some(Vec::new()),
        Some(value(2)),
        Some(half[..half.len() / 2].to_vec()),
        Some(list),
    ];
    server.produce(&topic, &[], values.map(|value| (0, value)));
    let group = fresh("group");
    let mut source = Kafka::open(KafkaOptions {
        dead_letters: Some(dead.clone()),
        ..to_the_end(server, &topic, &group)
    })
    .unwrap();
    assert_eq!(drain(&mut source).len(), 3);
    let counters = source.counters();
    assert_eq!((counters.records, counters.rejected), (9, 6));
    let deadline = Instant::now() + PATIENCE;
    while source.counts().dead_letters < 3 {
        assert!(Instant::now() < deadline, "{:?}", source.counts());
        source.stored(3);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(source.counts().without_value, 2);
    let unused = source.unused().unwrap();
    assert!(unused.contains("2 messages have no value"), "{unused}");
    drop(source);
    assert_eq!(server.committed(&topic, &group, 1), [Some(7)]);

    let letters: Vec<serde_json::Value> = (server.messages(&dead).iter())
        .map(|(.., letter)| serde_json::from_slice(letter).unwrap())
        .collect();
    assert_eq!(letters.len(), 3);
    for (letter, (offset, refused, reason)) in letters.iter().zip([
        (0, 1, "no format of records"),
        (5, 1, "line 1: "),
        (6, 2, "element 2: "),
    ]) {
        assert_eq!(letter["topic"], topic);
        assert_eq!(letter["partition"], 0);
        assert_eq!(letter["offset"], offset);
        assert_eq!(letter["refused"], refused);
        assert!(letter["reason"].as_str().unwrap().contains(reason), "{letter}");
    }
}

#[test]
fn a_reader_that_is_busy_keeps_its_partitions() {
    let Some(server) = server() else { return };
    let topic = filled(server, "busy", 40_000);
    let mut options = options(server, &topic, &fresh("group"));
    for name in ["session.timeout.ms", "max.poll.interval.ms"] {
        options.settings.push((name.to_owned(), "6000".to_owned()));
    }
    options.lateness = Duration::ZERO;
    let mut source = Kafka::open(options).unwrap();
    let mut seen = Seen::new();
    read_until(&mut source, &mut seen, |_, seen| !seen.is_empty());
    // A consumer that did not poll would be put out of its group, and its flows would come again.
    thread::sleep(Duration::from_secs(8));
    assert_eq!(source.partitions().len(), 4);
    read_until(&mut source, &mut seen, |_, seen| seen.len() == 40_000);
    assert!(seen.values().all(|&times| times == 1));
}

#[test]
fn every_compression_is_read() {
    let Some(server) = server() else { return };
    let topic = server.topic("packed", 1);
    for (place, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let first = place as u32 * 100;
        let values = (first..first + 100).map(|number| (0, Some(value(number))));
        server.produce(&topic, &[("compression.codec", codec)], values);
    }
    let seen = drain(&mut Kafka::open(to_the_end(server, &topic, &fresh("group"))).unwrap());
    assert!(seen.into_keys().eq(all(500)));
}

/// Reads until a partition is held up; gives the offset.
fn read_until_held(source: &mut Kafka, seen: &mut Seen, partition: i32) -> i64 {
    let held = |source: &Kafka| {
        let partitions = source.partitions();
        let status = partitions.iter().find(|status| status.partition == partition)?;
        match status.state {
            PartitionState::Held { offset, .. } => Some(offset),
            _ => None,
        }
    };
    read_until(source, seen, |source, _| held(source).is_some());
    held(source).unwrap()
}

#[test]
fn a_batch_that_cannot_be_unpacked_holds_up_its_partition_until_it_is_passed_over() {
    let Some(server) = server() else { return };
    // Each codec says in another way that it cannot. Most of the time is waiting.
    thread::scope(|scope| {
        for codec in ["gzip", "snappy", "lz4", "zstd"] {
            scope.spawn(|| check_held(server, codec));
        }
    });
}

fn check_held(server: &KafkaServer, codec: &str) {
    let topic = server.topic("held", 2);
    let (group, dead) = (fresh("group"), fresh("dead"));
    let settings = [("compression.codec", codec), ("linger.ms", "200")];
    for batch in 0..3 {
        let values = (batch * 100..batch * 100 + 100).map(|number| (0, Some(value(number))));
        server.produce(&topic, &settings, values);
    }
    server.produce(
        &topic,
        &settings,
        (300..400).map(|number| (1, Some(value(number)))),
    );
    server.damage(&topic, 0, 1);
    let mut options = options(server, &topic, &group);
    options.dead_letters = Some(dead.clone());
    let mut source = Kafka::open(options.clone()).unwrap();
    let mut seen = Seen::new();
    assert_eq!(read_until_held(&mut source, &mut seen, 0), 100, "{codec}");
    // The other partition goes on.
    read_until(&mut source, &mut seen, |_, seen| {
        let last = all(400)[300..].to_vec();
        last.iter().all(|start| seen.contains_key(start))
    });
    let control = source.partition_control().unwrap();
    assert_eq!(control.pass_over(7, 100), Err(NotPassedOver::NotHere(7)));
    assert_eq!(control.pass_over(1, 100), Err(NotPassedOver::NotHeld(1)));
    let elsewhere = NotPassedOver::Elsewhere {
        partition: 0,
        offset: 100,
    };
    assert_eq!(control.pass_over(0, 99), Err(elsewhere));
    control.pass_over(0, 100).unwrap();
    read_until(&mut source, &mut seen, |source, seen| {
        seen.len() == 300 && source.partitions().iter().all(|status| status.lag() == Some(0))
    });
    let expected: Vec<i64> = (all(400).into_iter().enumerate())
        .filter(|(number, _)| !(100..200).contains(number))
        .map(|(_, start)| start)
        .collect();
    assert!(seen.iter().all(|(_, &times)| times == 1) && seen.into_keys().eq(expected));
    assert_eq!(source.counts().passed_over, 100);
    assert_eq!(source.counters().rejected, 100);
    let states: Vec<_> = source.partitions().iter().map(|status| status.state).collect();
    assert_eq!(states, [PartitionState::AtEnd; 2]);
    drop(source);
    let letters = server.messages(&dead);
    let letter: serde_json::Value = serde_json::from_slice(&letters[0].2).unwrap();
    assert_eq!(
        (&letter["offset"], &letter["refused"]),
        (&100.into(), &100.into())
    );

    // Whoever has the partition next reads these messages again for its window, and is not held up.
    server.produce(
        &topic,
        &settings,
        (400..500).map(|number| (0, Some(value(number)))),
    );
    let mut next = Kafka::open(to_the_end(server, &topic, &group)).unwrap();
    assert!(drain(&mut next).into_keys().eq(all(500)[400..].to_vec()));
    assert_eq!(next.counts().passed_over, 0);
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let Some(server) = server() else { return };
    let mut source = Kafka::open(to_the_end(server, "nowhere", &fresh("group"))).unwrap();
    let error = read_all(&mut source, |_| Ok::<(), ()>(())).unwrap().unwrap();
    let error = error.to_string();
    assert!(
        error.starts_with("kafka:nowhere: ") && error.contains("create the topic"),
        "{error}"
    );
    assert!(matches!(
        source.read(&mut FlowBatch::new(&RECORD_V1)),
        Ok(Reading::End)
    ));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refusal = |name: &str, value: &str| {
        let mut options = KafkaOptions::new("127.0.0.1:1", "flows", "netsage");
        options.settings.push((name.to_owned(), value.to_owned()));
        Kafka::open(options).err().unwrap().to_string()
    };
    for (name, value, expected) in [
        ("no.such.setting", "1", "no.such.setting"),
        ("fetch.min.bytes", "many", "fetch.min.bytes"),
        ("enable.auto.offset.store", "true", "cannot be set"),
    ] {
        let error = refusal(name, value);
        assert!(
            error.starts_with("kafka:flows: ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn a_broker_that_was_away_is_read_on() {
    if server().is_none() {
        return;
    }
    let mut server = KafkaServer::start().unwrap();
    let topic = filled(&server, "cut", 4_000);
    let mut source = Kafka::open(options(&server, &topic, "cut")).unwrap();
    let mut seen = Seen::new();
    read_until(&mut source, &mut seen, |_, seen| !seen.is_empty());
    server.kill();
    read_until(&mut source, &mut seen, |source, _| source.trouble().is_some());
    server.start_again().unwrap();
    server.produce(&topic, &[], spread(4_000..8_000));
    read_until(&mut source, &mut seen, |_, seen| seen.len() == 8_000);
    read_until(&mut source, &mut seen, |source, _| source.trouble().is_none());
}

/// What the child reads of its environment: broker, topic, the file that is its store, and the read in which it dies.
const CHILD: &str = "NETSAGE_TEST_KAFKA_CHILD";

/// Killed between the store and the commit: what was stored may come again, and nothing is missing.
#[test]
fn a_kill_loses_nothing() {
    let Some(server) = server() else { return };
    let topic = filled(server, "killed", 40_000);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut before = 0;
    for death in [3, 5, 2, u32::MAX] {
        let child = format!("{}\n{topic}\n{}\n{death}", server.address(), store.display());
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["kafka::is_killed", "--ignored", "--exact", "--nocapture"])
            .env(CHILD, child)
            .status()
            .unwrap();
        assert_eq!(status.success(), death == u32::MAX, "{status}");
        let text = std::fs::read_to_string(&store).unwrap();
        let lines = text.lines().count();
        assert!(lines > before, "it goes on");
        before = lines;
    }
    let text = std::fs::read_to_string(&store).unwrap();
    let mut seen = Seen::new();
    for line in text.lines() {
        *seen.entry(line.parse().unwrap()).or_default() += 1;
    }
    assert!(seen.into_keys().eq(all(40_000)));
    assert_eq!(server.committed(&topic, "killed", 4), [Some(10_000); 4]);
}

#[test]
#[ignore = "is called by another test"]
fn is_killed() {
    use std::io::Write as _;

    let Ok(child) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = child.lines().collect();
    let [address, topic, store, death] = words[..] else {
        panic!("{child}");
    };
    let mut left: u32 = death.parse().unwrap();
    let mut store = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(store)
        .unwrap();
    let mut source = Kafka::open(KafkaOptions {
        ends_with_topic: true,
        lateness: Duration::from_secs(1),
        settings: vec![
            // A member that comes back under its name has its partitions at once.
            ("group.instance.id".to_owned(), "one".to_owned()),
            ("auto.commit.interval.ms".to_owned(), "10".to_owned()),
        ],
        ..KafkaOptions::new(address, topic, "killed")
    })
    .unwrap();
    let mut batch = FlowBatch::new(&RECORD_V1);
    while let Reading::GoesOn = source.read(&mut batch).unwrap() {
        if batch.is_empty() {
            continue;
        }
        let lines: String = (batch.identities.iter())
            .map(|flow| format!("{}\n", flow.start_ns))
            .collect();
        batch.clear();
        left -= 1;
        // Some die before the store has the flows, some after.
        if left == 0 && death.ends_with('5') {
            std::process::abort();
        }
        store.write_all(lines.as_bytes()).unwrap();
        if left == 0 {
            std::process::abort();
        }
        source.stored(source.counters().flows);
        // Time for a commit.
        thread::sleep(Duration::from_millis(50));
    }
}
