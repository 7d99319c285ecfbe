//! Three programs in one consumer group on one database, killed at random while the broker is killed too: what they store is
//! what one undisturbed program stores, to the bit.

use std::collections::BTreeMap;
use std::time::Duration;

use netsage_testkit::backends::mongodb;
use netsage_testkit::kafka::{KafkaServer, fresh};
use netsage_testkit::random::Random;

use super::kafka::{PARTITIONS, flows, lags};
use super::support::{Home, Server, packages_built};

const SCORERS: usize = 3;

/// Flows, and kills of a program; `NETSAGE_TEST_SCORERS` asks for others. The broker is killed twice in any case.
fn extent() -> (i64, i64) {
    let given = std::env::var("NETSAGE_TEST_SCORERS").ok();
    let given = given.and_then(|given| {
        let (flows, kills) = given.split_once(',')?;
        Some((flows.parse().ok()?, kills.parse().ok()?))
    });
    given.unwrap_or((24_000, 4))
}

/// The scores of each flow, and the count of each alert.
type Found = (BTreeMap<String, String>, BTreeMap<String, u64>);

fn found(server: &Server) -> Found {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut flows = BTreeMap::new();
    for flow in server.all("/api/v1/flows") {
        let scores: Vec<String> = (flow["scores"].as_array().unwrap().iter())
            .map(|score| score["score"].to_string())
            .collect();
        let before = flows.insert(text(&flow["id"]), scores.join(" "));
        assert_eq!(before, None, "{flow} is listed twice");
    }
    let alerts = server.all("/api/v1/alerts");
    let alerts = alerts
        .iter()
        .map(|alert| (text(&alert["id"]), alert["count"].as_u64().unwrap()));
    (flows, alerts.collect())
}

struct Group<'a> {
    broker: &'a str,
    topic: &'a str,
    group: String,
    store: String,
    home: Home,
}

impl Group<'_> {
    /// Starts a program, as a new member.
    fn start(&self) -> Server {
        let data = fresh("data");
        let arguments = [
            "--kafka",
            self.broker,
            "--topic",
            self.topic,
            "--group",
            &self.group,
            "--store",
            &self.store,
            "--data-dir",
            &data,
            "--detector",
            "iforest-record-v1",
            "--workers",
            "1",
            "--threshold",
            // Between the odd flows and the others.
            "iforest=0.7",
            "--kafka-setting",
            "session.timeout.ms=6000",
            "--kafka-setting",
            "heartbeat.interval.ms=500",
            "--kafka-setting",
            "auto.commit.interval.ms=50",
        ];
        Server::start(&self.home, &arguments)
    }

    /// Waits until all but the last flow of each partition are stored.
    fn wait(&self, scorers: &[Server]) {
        scorers[0].wait("the end of the topic", |_| {
            let mut all: Vec<String> = scorers.iter().flat_map(lags).collect();
            all.sort_unstable();
            all == ["1"; PARTITIONS as usize]
        });
    }
}

#[test]
fn three_scorers_killed_at_random_store_what_one_stores() {
    if !packages_built() {
        return;
    }
    let mut broker = match KafkaServer::start() {
        Ok(broker) => broker,
        Err(reason) => return eprintln!("skipped: no Kafka: {reason}"),
    };
    let (one, three) = match (mongodb(), mongodb()) {
        (Ok(one), Ok(three)) => (one, three),
        (Err(reason), _) | (_, Err(reason)) => return eprintln!("skipped: no MongoDB: {reason}"),
    };
    let (count, kills) = extent();
    let topic = broker.topic("flows", PARTITIONS);
    let mut random = Random::of_test();
    let address = broker.address();
    let group = |store: &str| Group {
        broker: &address,
        topic: &topic,
        group: fresh("group"),
        store: store.to_owned(),
        home: Home::new(),
    };
    let mut to_come: Vec<_> = flows(count).collect();
    to_come.reverse();
    // A slice of the flows before each kill, and the rest.
    let slice = to_come.len() / usize::try_from(kills + 1).unwrap();

    let disturbed = group(&three.url);
    let mut scorers: Vec<Server> = (0..SCORERS).map(|_| disturbed.start()).collect();
    for kill in 0..kills {
        let rest = to_come.len() - slice;
        broker.produce(&topic, &[], to_come.drain(rest..).rev());
        std::thread::sleep(Duration::from_millis(random.below(1_500)));
        let which = usize::try_from(random.below(SCORERS as u64)).unwrap();
        std::mem::replace(&mut scorers[which], disturbed.start()).kill();
        if kill == kills / 3 || kill == kills * 2 / 3 {
            broker.kill();
            std::thread::sleep(Duration::from_millis(random.below(1_000)));
            broker.start_again().unwrap();
        }
    }
    broker.produce(&topic, &[], to_come.drain(..).rev());
    disturbed.wait(&scorers);
    let by_three = found(&scorers[0]);
    drop(scorers);

    let undisturbed = group(&one.url);
    let scorer = [undisturbed.start()];
    undisturbed.wait(&scorer);
    let by_one = found(&scorer[0]);
    assert_eq!(by_one.0.len(), usize::try_from(count).unwrap());
    assert!(!by_one.1.is_empty(), "nothing raised an alert");
    let differing = by_one
        .0
        .iter()
        .filter(|(id, scores)| by_three.0.get(*id) != Some(*scores));
    assert_eq!(
        differing.count(),
        0,
        "flows that are missing or have other scores"
    );
    assert_eq!(by_three.0.len(), by_one.0.len());
    assert_eq!(by_three.1, by_one.1, "alerts");
}
