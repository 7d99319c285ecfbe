//! MQTT, with mosquitto at the other end.

use std::fs;

use netsage_messages::{Format, Message};
use netsage_outputs::receivers::mqtt::{Mqtt, MqttOptions};
use netsage_outputs::{Failure, Output as _};
use netsage_testkit::mosquitto::{Door, Mosquitto, PASSWORD, Published, Subscriber, USER};
use netsage_testkit::proxy::Proxy;

use super::{alert, alerts, all_arrive, by_id, feed, feed_with_kills, hostile, unavailable, until, wording};

const VERSIONS: [&str; 2] = ["3.1.1", "5"];

/// A broker, or why there is none.
pub(super) fn broker() -> Option<Mosquitto> {
    Mosquitto::start()
        .map_err(|reason| eprintln!("skipped: {reason}"))
        .ok()
}

pub(super) fn output(place: &str, more: &str) -> Mqtt {
    Mqtt::new(
        options(&format!("address = \"mqtt://{place}\"\n{more}")),
        wording(),
    )
    .unwrap()
}

fn options(text: &str) -> MqttOptions {
    toml::from_str(text).unwrap()
}

/// Documents of alerts, as a subscriber got them.
pub(super) fn documents(subscriber: &Subscriber) -> Vec<String> {
    let published = subscriber.published().into_iter();
    let documents = published.filter(|one| !one.topic.ends_with("/state"));
    documents.map(|one| one.payload).collect()
}

/// States of this sensor, as a subscriber got them.
fn states(subscriber: &Subscriber) -> Vec<String> {
    let published = subscriber.published().into_iter();
    let states = published.filter(|one| one.topic == "netsage/tower/state");
    states.map(|one| one.payload).collect()
}

async fn state(subscriber: &Subscriber, expected: &str) {
    until(&format!("the state {expected}"), || {
        (states(subscriber).last().map(String::as_str) == Some(expected)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_over_broken_connections() {
    for version in VERSIONS {
        let Some(mut broker) = broker() else { return };
        let subscriber = broker.subscribe("reader").unwrap();
        let proxy = Proxy::of_bytes(&broker.place(Door::Open));
        let new = || output(&proxy.address(), &format!("version = \"{version}\""));
        let messages = alerts(0..1_000);
        let mut sender = new();
        state(&subscriber, "online").await;
        let mut round = 0;
        let failures = feed(&mut sender, &messages[..600], |_| {
            round += 1;
            match round {
                1 => proxy.cut_after(10_007),
                3 => proxy.cut_after(70_001),
                5 => {
                    broker.end();
                    broker.start_again().unwrap();
                }
                7 => proxy.close(),
                9 => proxy.open(),
                _ => {}
            }
        })
        .await;
        assert!(!failures.is_empty());
        assert!(failures.iter().all(unavailable), "{version}: {failures:?}");
        drop(sender);
        feed_with_kills(new, &messages[600..], 3).await;
        all_arrive(&messages, || documents(&subscriber)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_broker_is_waited_for() {
    let Some(broker) = broker() else { return };
    let subscriber = broker.subscribe("reader").unwrap();
    let proxy = Proxy::of_bytes(&broker.place(Door::Open));
    let mut sender = output(&proxy.address(), "");
    let messages = alerts(0..300);
    proxy.delay(std::time::Duration::from_millis(20));
    feed(&mut sender, &messages, |_| ()).await;
    all_arrive(&messages, || documents(&subscriber)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_whether_the_sensor_is_there() {
    for version in VERSIONS {
        let Some(mut broker) = broker() else { return };
        let more = format!("version = \"{version}\"");
        let watcher = broker.subscribe("watcher").unwrap();
        let proxy = Proxy::of_bytes(&broker.place(Door::Open));
        let retained = |name: &str| broker.subscribe(name).unwrap();
        // Nothing is sent, and the broker knows that the sensor is there.
        let mut sender = output(&proxy.address(), &more);
        state(&watcher, "online").await;
        // Whoever comes later is told what the broker has kept.
        let late = retained("late");
        state(&late, "online").await;
        assert!(late.published()[0].is_retained);
        // The connection breaks, and is made anew without a message.
        proxy.cut();
        until("offline and online again", || {
            (states(&watcher) == ["online", "offline", "online"]).then_some(())
        })
        .await;
        // A clean stop says so itself; a will is not published after it.
        sender.close().await;
        state(&watcher, "offline").await;
        let later = retained("later");
        state(&later, "offline").await;
        assert_eq!(states(&watcher), ["online", "offline", "online", "offline"]);
        // And so does an output that is dropped.
        let sender = output(&proxy.address(), &more);
        state(&watcher, "online").await;
        drop(sender);
        state(&watcher, "offline").await;
        // A program that is gone without a word.
        let _sender = output(&proxy.address(), &more);
        state(&watcher, "online").await;
        proxy.close();
        state(&watcher, "offline").await;
        proxy.open();
        state(&watcher, "online").await;
        // A broker that starts again is told again.
        broker.end();
        broker.start_again().unwrap();
        state(&watcher, "online").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_forge_nothing() {
    for version in VERSIONS {
        for format in [Format::Json, Format::Ecs, Format::Ocsf, Format::Cef] {
            let Some(broker) = broker() else { return };
            let subscriber = broker.subscribe("reader").unwrap();
            let more = format!(
                "version = \"{version}\"\nformat = \"{format}\"\nmax-bytes = 16384\nprefix = \"site/one\""
            );
            let mut sender = output(&broker.place(Door::Open), &more);
            let messages = hostile();
            assert_eq!(feed(&mut sender, &messages, |_| ()).await, []);
            let topics = [
                "alerts/medium",
                "alerts/high",
                "events",
                "tests",
                "alerts/critical",
            ];
            let expected = messages.iter().zip(topics).flat_map(|(message, topic)| {
                let documents = format.documents(message, &wording(), 16_384).unwrap();
                documents.into_iter().map(move |payload| Published {
                    topic: format!("site/one/{topic}"),
                    payload,
                    is_retained: false,
                })
            });
            let expected: Vec<Published> = expected.collect();
            let found = until("all of them", || {
                let mut published = subscriber.published();
                published.retain(|one| one.topic != "site/one/state");
                (published.len() >= expected.len()).then_some(published)
            })
            .await;
            assert_eq!(found, expected, "{version} {format}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let Some(broker) = broker() else { return };
    let subscriber = broker.subscribe("reader").unwrap();
    let long = |number: u64| {
        let Message::Alert(mut message) = alert(number, "tcp/ssh") else {
            unreachable!()
        };
        // An id is not shortened.
        message.alert.id = "f".repeat(100_000);
        Message::Alert(message)
    };
    let messages = [alert(1, "tcp/ssh"), long(2), alert(3, "tcp/ssh")];
    // By the setting, and by what a broker of MQTT 5 says of itself.
    for more in ["max-bytes = 2048", "version = \"5\"\nmax-bytes = 1000000"] {
        let mut sender = output(&broker.place(Door::Open), more);
        let failures = feed(&mut sender, &messages, |_| ()).await;
        assert!(
            matches!(failures.as_slice(), [Failure::Refused(_)]),
            "{more}: {failures:?}"
        );
    }
    let found = until("the others, twice", || {
        let documents = documents(&subscriber);
        (documents.len() >= 4).then_some(documents)
    })
    .await;
    let revisions: Vec<u64> = by_id(found.iter().map(String::as_str))
        .into_keys()
        .map(|(_, revision)| revision)
        .collect();
    assert_eq!(revisions, [1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_known_user_gets_in() {
    let Some(broker) = broker() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    let messages = alerts(0..1);
    for version in VERSIONS {
        let more = format!(
            "version = \"{version}\"\nuser = \"{USER}\"\npassword-file = {:?}",
            file.path()
        );
        fs::write(file.path(), "wrong\n").unwrap();
        let mut sender = output(&broker.place(Door::Password), &more);
        let failure = sender.deliver(&messages).await.unwrap_err().failure;
        let said = failure.to_string();
        assert!(matches!(failure, Failure::SenderRefused(_)), "{version}: {said}");
        assert!(
            said.contains("password-file") && !said.contains("wrong"),
            "{said}"
        );
        // The file is read again for each connection.
        fs::write(file.path(), format!("{PASSWORD}\n")).unwrap();
        feed(&mut sender, &messages, |_| ()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_broker_that_the_settings_trust_is_talked_to() {
    let Some(broker) = broker() else { return };
    let subscriber = broker.subscribe("reader").unwrap();
    let certificates = broker.certificates();
    let (authority, stranger) = (
        certificates.certificate("authority"),
        certificates.certificate("stranger"),
    );
    let own = format!(
        "certificate-file = {:?}\nkey-file = {:?}",
        certificates.certificate("client"),
        certificates.key("client"),
    );
    let (tls, mutual) = (broker.place(Door::Tls), broker.place(Door::MutualTls));
    let port = tls.split_once(':').unwrap().1;
    let messages = alerts(0..1);
    let check = async |text: &str, expected: Result<(), &str>| {
        let mut sender = Mqtt::new(options(text), wording()).unwrap();
        let found = sender.deliver(&messages).await;
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(expected)) => {
                let said = found.to_string();
                assert!(said.contains(expected), "{text}: {said}");
            }
            (found, _) => panic!("{text}: {found:?}"),
        }
    };
    check(
        &format!("address = \"mqtts://{tls}\"\nca-file = {authority:?}"),
        Ok(()),
    )
    .await;
    check(
        &format!("address = \"mqtts://{mutual}\"\nca-file = {authority:?}\n{own}"),
        Ok(()),
    )
    .await;
    check(
        &format!("address = \"mqtts://{tls}\"\nca-file = {stranger:?}"),
        Err("invalid peer certificate"),
    )
    .await;
    check(
        &format!("address = \"mqtts://localhost:{port}\"\nca-file = {authority:?}"),
        Err("not valid for name"),
    )
    .await;
    check(
        &format!("address = \"mqtts://{mutual}\"\nca-file = {authority:?}"),
        Err("certificate-file"),
    )
    .await;
    all_arrive(&messages, || documents(&subscriber)).await;
}

#[test]
fn settings_are_checked() {
    let check = |text: &str, expected: &str| {
        let options: Result<MqttOptions, _> = toml::from_str(text);
        let error = match options {
            Ok(options) => Mqtt::new(options, wording()).err().unwrap().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{text}: {error}");
    };
    let with = |more: &str| format!("address = \"mqtt://broker\"\n{more}");
    check("", "address");
    check("address = \"http://broker\"", "mqtt://, mqtts://");
    check(&with("ca-file = \"a\""), "mqtts://");
    check(&with("prefix = \"a/+\""), "`prefix`");
    check(&with("prefix = \"$SYS\""), "`prefix`");
    check(&with("client-id = \"\""), "`client-id`");
    check(&with("keep-alive = 1"), "`keep-alive`");
    check(&with("max-bytes = 1"), "`max-bytes`");
    check(&with("password-file = \"a\""), "`user`");
    check(
        &with("user = \"a\"\npassword-file = \"/no/such/file\""),
        "/no/such/file",
    );
    check(&with("version = \"4\""), "4");
    check(&with("format = \"html\""), "html");
    check(&with("topic = \"a\""), "topic");
    check(
        "address = \"mqtts://broker\"\ncertificate-file = \"/no/such/file\"",
        "belong together",
    );
}
