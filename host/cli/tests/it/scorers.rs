//! Three programs in one consumer group on one database are killed at random, and so is the broker: what they store is what
//! one undisturbed program stores, to the bit.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use netsage_testkit::backends::{mongodb, sqlite};
use netsage_testkit::kafka::KafkaServer;
use netsage_testkit::random::Random;
use netsage_testkit::scorers::{Found, Group, Kills, Reading};

use super::support::packages_built;

const PARTITIONS: i32 = 4;
/// Between the ends of two flows.
const STEP_MS: i64 = 20;
const BEGIN_MS: i64 = 1_767_600_000_000;
/// Flows whose order in the topic is random; their times lie within the lateness.
const SHUFFLED: usize = 100;
/// One flow in so many is odd, and raises alerts.
const ODD: i64 = 200;
/// One flow in so many is sent twice.
const REPEATED: i64 = 500;
/// After the others the last flow of each partition ends, for which all before it have waited.
const LAST_MS: i64 = 700_000;
/// Messages before a committed offset whose flows are looked up.
const LOOKED_UP: usize = 50;

/// Flows, kills of each program, and kills of the broker; `NETSAGE_TEST_SCORERS` asks for others.
fn extent() -> (i64, Kills) {
    let given = std::env::var("NETSAGE_TEST_SCORERS").ok();
    let given = given.and_then(|given| {
        let mut numbers = given.split(',').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    });
    let (flows, of_each, of_broker) = given.unwrap_or((4_000, 1, 1));
    let kills = Kills {
        scorers: 3,
        of_each: usize::try_from(of_each).unwrap(),
        of_broker: usize::try_from(of_broker).unwrap(),
    };
    (flows, kills)
}

/// The flows of each partition in the order of its messages.
struct Traffic(Vec<Vec<i64>>);

impl Traffic {
    /// Numbered flows, and one more for each partition.
    fn new(count: i64, random: &mut Random) -> Self {
        let mut partitions = vec![Vec::new(); PARTITIONS as usize];
        for number in 0..count {
            let copies = 1 + usize::from(number % REPEATED == 0);
            partitions[partition_of(number)].extend(vec![number; copies]);
        }
        for (last, numbers) in (0..).zip(&mut partitions) {
            for part in numbers.chunks_mut(SHUFFLED) {
                for place in (1..part.len()).rev() {
                    part.swap(place, random.below(place as u64 + 1) as usize);
                }
            }
            numbers.push(count + LAST_MS / STEP_MS + last);
        }
        Self(partitions)
    }

    fn messages(&self) -> u64 {
        self.0.iter().map(|numbers| numbers.len() as u64).sum()
    }

    /// As messages, in turn of all partitions.
    fn values(&self) -> impl Iterator<Item = (i32, Option<Vec<u8>>)> {
        let longest = self.0.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest).flat_map(|place| {
            let of_place = (0..PARTITIONS).zip(&self.0);
            of_place
                .filter_map(move |(partition, numbers)| Some((partition, Some(flow(*numbers.get(place)?)))))
        })
    }

    /// Asserts that the flows of the last messages before each committed offset are stored.
    fn assert_not_ahead(&self, committed: &[Option<i64>], store: &Reading) {
        for (numbers, offset) in self.0.iter().zip(committed) {
            let before = &numbers[..usize::try_from(offset.unwrap_or(0)).unwrap()];
            let last = &before[before.len().saturating_sub(LOOKED_UP)..];
            let (Some(first), Some(end)) = (last.iter().min(), last.iter().max()) else {
                continue;
            };
            let stored = store.ended(end_ms(*first), end_ms(*end) + 1);
            let stored: BTreeSet<i64> = stored.iter().map(|(_, end_ms)| *end_ms).collect();
            let missing: Vec<_> = last
                .iter()
                .filter(|number| !stored.contains(&end_ms(**number)))
                .collect();
            assert!(missing.is_empty(), "{committed:?} is ahead of {missing:?}");
        }
    }
}

/// Which source a flow is of; a source stands in one partition.
fn source_of(number: i64) -> i64 {
    number * 7_919 % 1_021
}

fn partition_of(number: i64) -> usize {
    (source_of(number) % i64::from(PARTITIONS)) as usize
}

fn end_ms(number: i64) -> i64 {
    BEGIN_MS + number * STEP_MS
}

/// A flow as JSON; what it says depends on its number alone. An odd one sends gigabytes.
fn flow(number: i64) -> Vec<u8> {
    let source = source_of(number);
    let (packets, bytes) = match number % ODD {
        7 => (4_000_000 + number % 977, 5_000_000_000 + number),
        _ => (9, 989 + number % 251),
    };
    format!(
        r#"{{"start_us":{}000,"end_us":{}000,"source":"10.1.{}.{}","destination":"192.0.2.{}","source_port":40000,"destination_port":443,"protocol":"tcp","service":"tls","state":"closed","source_packets":{packets},"destination_packets":11,"source_bytes":{bytes},"destination_bytes":4580}}"#,
        end_ms(number) - number % 900,
        end_ms(number),
        source / 256,
        source % 256,
        number % 13,
    )
    .into_bytes()
}

const ARGUMENTS: [&str; 20] = [
    "--detector",
    "iforest-record-v1",
    "--threshold",
    // Between the odd flows and the others.
    "iforest=0.7",
    "--alert-limit",
    "none",
    "--alert-sources",
    "none",
    "--workers",
    "1",
    "--lateness",
    "10s",
    "--kafka-setting",
    "session.timeout.ms=2000",
    "--kafka-setting",
    "heartbeat.interval.ms=300",
    "--kafka-setting",
    "auto.commit.interval.ms=50",
    "--kafka-setting",
    "reconnect.backoff.max.ms=500",
];

#[test]
fn three_scorers_killed_at_random_store_what_one_stores() {
    if !packages_built() {
        return;
    }
    let mut broker = match KafkaServer::start() {
        Ok(broker) => broker,
        Err(reason) => return eprintln!("skipped: no Kafka: {reason}"),
    };
    let database = match mongodb() {
        Ok(database) => database,
        Err(reason) => return eprintln!("skipped: no MongoDB: {reason}"),
    };
    let (count, kills) = extent();
    let mut random = Random::of_test();
    let topic = broker.topic("flows", PARTITIONS);
    let traffic = Traffic::new(count, &mut random);
    broker.produce(&topic, &[], traffic.values());

    let file = sqlite();
    let program = Path::new(env!("CARGO_BIN_EXE_netsage"));
    let group = |store: &str| Group::new(program, (&broker, &topic, PARTITIONS), store, &ARGUMENTS);
    let (undisturbed, disturbed) = (group(&file.url), group(&database.url));
    undisturbed.wait(&[undisturbed.start(0)]);
    let by_one = Reading::open(&file.url).all(end_ms(count));
    assert_eq!(by_one.flows.len(), usize::try_from(count).unwrap());
    let counted: u64 = by_one.alerts.values().map(|alert| alert.count).sum();
    eprintln!("{count} flows, {} alerts of {counted} flows", by_one.alerts.len());
    assert!(
        counted >= (count / ODD).unsigned_abs(),
        "{counted} flows are in alerts"
    );

    let store = Reading::open(&database.url);
    let begin = Instant::now();
    let scorers = disturbed.disturb(traffic.messages(), &kills, &mut broker, &mut random, |broker| {
        let committed = broker.committed(&topic, &disturbed.group, PARTITIONS);
        traffic.assert_not_ahead(&committed, &store);
    });
    eprintln!("scored in {:.0?} while disturbed", begin.elapsed());
    let said: Vec<String> = scorers.iter().map(|scorer| scorer.said()).collect();
    drop(scorers);
    assert_same(&store.all(end_ms(count)), &by_one, &said.join("\n---\n"));
}

fn assert_same(found: &Found, expected: &Found, said: &str) {
    let differing = |(id, scores): &(&String, &Vec<(String, u32)>)| found.flows.get(*id) != Some(*scores);
    let wrong: Vec<_> = (expected.flows.iter().filter(differing))
        .map(|(id, scores)| (id, scores, found.flows.get(id)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} flows are missing or have other scores: {:?} {said}",
        wrong.len(),
        wrong.iter().take(10).collect::<Vec<_>>()
    );
    assert_eq!(found.flows.len(), expected.flows.len(), "flows that nobody sent");
    let wrong: Vec<_> = (expected.alerts.iter())
        .filter(|(id, alert)| found.alerts.get(*id) != Some(*alert))
        .map(|(id, alert)| (alert, found.alerts.get(id)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} alerts are missing or others: {:#?} {said}",
        wrong.len(),
        wrong.iter().take(3).collect::<Vec<_>>()
    );
    assert_eq!(
        found.alerts.len(),
        expected.alerts.len(),
        "alerts that nothing raised"
    );
}
