//! A topic of Kafka.

use std::collections::BTreeMap;
use std::time::Duration;

use netsage_messages::{Format, Message};
use netsage_outputs::receivers::kafka::{Kafka, KafkaOptions};
use netsage_outputs::{Failure, Output as _};
use netsage_testkit::kafka::{Delivered, KafkaServer, PASSWORD, USER};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::{alert, alerts, all_arrive, feed, feed_with_kills, hostile, unavailable, wording};

/// A broker, or why there is none.
fn server() -> Option<KafkaServer> {
    KafkaServer::start()
        .map_err(|reason| eprintln!("skipped: {reason}"))
        .ok()
}

fn options(brokers: &str, topic: &str, more: &str) -> KafkaOptions {
    toml::from_str(&format!("brokers = \"{brokers}\"\ntopic = \"{topic}\"\n{more}")).unwrap()
}

pub(super) fn output(brokers: &str, topic: &str, more: &str) -> Kafka {
    Kafka::new(options(brokers, topic, more), wording()).unwrap()
}

/// What is in a topic.
async fn delivered(server: &KafkaServer, topic: &str) -> Vec<Delivered> {
    tokio::task::block_in_place(|| server.delivered(topic))
}

pub(super) fn documents(server: &KafkaServer, topic: &str) -> Vec<String> {
    let delivered = tokio::task::block_in_place(|| server.delivered(topic));
    delivered.into_iter().map(|one| one.value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_key_and_headers_and_strangers_forge_none() {
    let Some(server) = server() else { return };
    for format in [Format::Json, Format::Ecs, Format::Ocsf] {
        let topic = server.topic("alerts", 3);
        let more = format!("format = \"{format}\"\nmax-bytes = 16384");
        let mut sender = output(&server.address(), &topic, &more);
        let messages = hostile();
        assert_eq!(feed(&mut sender, &messages, |_| ()).await, []);
        let mut found = delivered(&server, &topic).await;
        let expected = messages.iter().flat_map(|message| {
            let documents = format.keyed_documents(message, &wording(), 16_384).unwrap();
            documents.into_iter().map(|document| {
                let headers = [
                    ("id", document.id.clone()),
                    ("revision", document.revision.to_string()),
                    ("kind", message.kind().to_owned()),
                ];
                let headers = headers.map(|(name, value)| (name.to_owned(), value));
                (document.id, document.text, headers.to_vec())
            })
        });
        let mut expected: Vec<_> = expected.collect();
        expected.sort();
        found.sort_by(|one, other| one.key.cmp(&other.key));
        let found: Vec<_> = found
            .into_iter()
            .map(|one| (one.key, one.value, one.headers))
            .collect();
        assert_eq!(found, expected, "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_though_the_broker_is_killed_and_cut_off() {
    let Some(mut server) = server() else { return };
    let topic = server.topic("alerts", 3);
    let new = || output(&server.address(), &topic, "timeout = 1");
    let messages = alerts(0..1_000);
    feed(&mut new(), &messages[..200], |_| ()).await;
    let mut sender = new();
    // Away for longer than a message lives in the client.
    server.kill();
    for _ in 0..2 {
        let failure = sender.deliver(&messages[200..300]).await.unwrap_err();
        assert_eq!(failure.taken, 0);
        assert!(unavailable(&failure.failure), "{failure:?}");
    }
    tokio::task::block_in_place(|| server.start_again()).unwrap();
    let failures = feed(&mut sender, &messages[200..500], |_| ()).await;
    assert!(failures.iter().all(unavailable), "{failures:?}");
    let address = server.address();
    let new = || output(&address, &topic, "timeout = 1");
    feed_with_kills(new, &messages[500..], 3).await;
    all_arrive(&messages, || documents(&server, &topic)).await;
    // All there is of an alert is in one partition.
    let mut partitions = BTreeMap::new();
    for one in delivered(&server, &topic).await {
        let known = *partitions.entry(one.key).or_insert(one.partition);
        assert_eq!(known, one.partition);
    }
}

/// A connection that breaks in the middle of a batch costs no repeat while the producer lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_doubles_nothing() {
    let Ok((server, proxy)) = KafkaServer::start_behind_proxy() else {
        eprintln!("skipped: no broker");
        return;
    };
    let topic = server.topic("alerts", 1);
    let mut sender = output(
        &proxy.address(),
        &topic,
        "settings = [\"compression.codec=none\"]",
    );
    let messages = alerts(0..500);
    let mut round = 0;
    let failures = feed(&mut sender, &messages, |_| {
        round += 1;
        if round > 1 {
            proxy.cut_after(20_000);
        }
    })
    .await;
    assert_eq!(failures, []);
    let found = all_arrive(&messages, || documents(&server, &topic)).await;
    assert_eq!(found.len(), messages.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_topic_never_takes_is_refused() {
    let Some(server) = server() else { return };
    let topic = server.topic_with("alerts", 1, &[("max.message.bytes", "20000")]);
    let more = "settings = [\"compression.codec=none\", \"batch.num.messages=1\"]";
    let mut sender = output(&server.address(), &topic, more);
    let Message::Alert(mut long) = alert(1, "tcp/ssh") else {
        unreachable!()
    };
    long.alert.id = "f".repeat(100_000);
    let messages = [alert(0, "tcp/ssh"), Message::Alert(long), alert(2, "tcp/ssh")];
    let failures = feed(&mut sender, &messages, |_| ()).await;
    assert!(
        matches!(failures.as_slice(), [Failure::Refused(_)]),
        "{failures:?}"
    );
    let expected = [messages[0].clone(), messages[2].clone()];
    all_arrive(&expected, || documents(&server, &topic)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_a_right_one_taken() {
    let Ok(server) = KafkaServer::start_secured() else {
        eprintln!("skipped: no broker");
        return;
    };
    let topic = server.topic("alerts", 1);
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |password: &str| {
        let text = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username={USER}\nsasl.password={password}\nssl.ca.location={}\n",
            server.secured().authority().display()
        );
        std::fs::write(file.path(), text).unwrap();
    };
    write("wrong-one");
    let more = format!("settings-file = {:?}", file.path());
    let mut sender = output(&server.secured().sasl(), &topic, &more);
    let messages = alerts(0..3);
    let failure = sender.deliver(&messages).await.unwrap_err().failure;
    let said = failure.to_string();
    assert!(matches!(failure, Failure::SenderRefused(_)), "{said}");
    assert!(!said.contains("wrong-one"), "{said}");
    write(PASSWORD);
    feed(&mut sender, &messages, |_| ()).await;
    all_arrive(&messages, || documents(&server, &topic)).await;
}

/// An idempotent producer that has lost count ends for good; another one takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_ends_the_producer_and_not_the_output() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("alerts", 1, 1).unwrap();
    let mut sender = output(&cluster.bootstrap_servers(), "alerts", "timeout = 20");
    let messages = alerts(0..30);
    feed(&mut sender, &messages[..10], |_| ()).await;
    let lost_count = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    cluster.request_errors(RDKafkaApiKey::Produce, &[lost_count]);
    let failures = feed(&mut sender, &messages[10..20], |_| ()).await;
    assert!(!failures.is_empty());
    assert!(failures.iter().all(unavailable), "{failures:?}");
    assert_eq!(feed(&mut sender, &messages[20..], |_| ()).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_broker_is_waited_for() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("alerts", 1, 1).unwrap();
    cluster
        .broker_round_trip_time(1, Duration::from_millis(300))
        .unwrap();
    let mut sender = output(&cluster.bootstrap_servers(), "alerts", "");
    assert_eq!(feed(&mut sender, &alerts(0..300), |_| ()).await, []);
}
