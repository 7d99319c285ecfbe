//! From a topic of a real broker to the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use netsage_testkit::kafka::{KafkaServer, PASSWORD, USER, fresh};
use rusqlite::Connection;

use super::records::CONN_LOG;
use super::support::{Home, Server, free_address, packages_built, stderr, stdout};

pub(crate) const PARTITIONS: i32 = 4;
/// Flows that are to be stored.
const FLOWS: i64 = 100_000;
/// Between two flows.
const STEP_MS: i64 = 100;
const BEGIN_MS: i64 = 1_767_600_000_000;
/// After the others the last flow of each partition begins, for which all before it have waited.
const LAST_MS: i64 = 700_000;

/// The broker of all tests here; says why there is none.
pub(crate) fn broker() -> Option<&'static KafkaServer> {
    static SERVER: OnceLock<Result<KafkaServer, String>> = OnceLock::new();
    match SERVER.get_or_init(KafkaServer::start) {
        Ok(server) => Some(server),
        Err(reason) => {
            eprintln!("skipped: no Kafka: {reason}");
            None
        }
    }
}

/// A flow as JSON; what it says depends on when it begins alone. One in a hundred sends gigabytes, which is odd.
fn flow(start_ms: i64) -> Vec<u8> {
    let number = start_ms / STEP_MS;
    let [.., middle, low] = number.to_be_bytes();
    let (packets, bytes) = match number % 100 {
        7 => (4_000_000, 5_000_000_000),
        _ => (9, 989 + u64::from(middle)),
    };
    format!(
        r#"{{"start_us":{start_ms}000,"end_us":{start_ms}900,"source":"10.1.{}.{}","destination":"192.0.2.{}","source_port":40000,"destination_port":443,"protocol":"tcp","service":"tls","state":"closed","source_packets":{packets},"destination_packets":11,"source_bytes":{bytes},"destination_bytes":4580}}"#,
        middle % 4,
        low % 16,
        low % 16,
    )
    .into_bytes()
}

/// So many flows in turn for all partitions, and one more for each, far behind.
pub(crate) fn flows(count: i64) -> impl Iterator<Item = (i32, Option<Vec<u8>>)> {
    let numbered = (0..count).map(|number| BEGIN_MS + number * STEP_MS);
    let last_ms = BEGIN_MS + count * STEP_MS + LAST_MS;
    let last = (0..i64::from(PARTITIONS)).map(move |partition| last_ms + partition);
    (0..PARTITIONS)
        .cycle()
        .zip(numbered.chain(last))
        .map(|(partition, start_ms)| (partition, Some(flow(start_ms))))
}

/// The numbers of the flows in a store, each of which is there once.
fn stored(store: &Path) -> BTreeSet<i64> {
    let store = Connection::open(store).unwrap();
    let mut query = store.prepare("SELECT start_ms FROM flows").unwrap();
    let starts = query.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    let mut numbers = BTreeSet::new();
    for start_ms in starts {
        let number = (start_ms.unwrap() - BEGIN_MS) / STEP_MS;
        assert!(numbers.insert(number), "flow {number} stands twice");
    }
    numbers
}

/// The lag of each partition that a program has, and of which it knows what is stored.
pub(crate) fn lags(server: &Server) -> Vec<String> {
    let metrics = server.bytes("/metrics", &[]).unwrap_or_default();
    String::from_utf8_lossy(&metrics)
        .lines()
        .filter(|line| line.starts_with("netsage_source_partition_lag{"))
        .map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned())
        .collect()
}

/// Asserts that everything before the offset that a group has committed is stored.
fn assert_not_ahead(committed: &[Option<i64>], stored: &BTreeSet<i64>) {
    let partitions = i64::from(PARTITIONS);
    for (partition, offset) in (0..).zip(committed) {
        let mut before = (0..offset.unwrap_or(0)).map(|offset| offset * partitions + partition);
        assert!(before.all(|number| stored.contains(&number)), "{committed:?}");
    }
}

#[test]
fn kills_lose_and_double_no_flow_of_a_topic() {
    let Some(broker) = broker() else { return };
    if !packages_built() {
        return;
    }
    let topic = broker.topic("flows", PARTITIONS);
    broker.produce(&topic, &[], flows(FLOWS));
    let (address, group) = (broker.address(), fresh("group"));
    let home = Home::new();
    let store = home.path().join("store.sqlite");
    let start = || {
        Server::start(
            &home,
            &[
                "--kafka",
                &address,
                "--topic",
                &topic,
                "--group",
                &group,
                "--store",
                "store.sqlite",
                "--data-dir",
                "data",
                "--kafka-setting",
                // A member that comes back under its name has its partitions at once.
                "group.instance.id=one",
                "--kafka-setting",
                "auto.commit.interval.ms=20",
            ],
        )
    };
    let mut before = 0;
    for _ in 0..3 {
        let server = start();
        server.wait("stored flows", |_| stored(&store).len() > before);
        server.kill();
        let stored = stored(&store);
        assert_not_ahead(&broker.committed(&topic, &group, PARTITIONS), &stored);
        assert!(stored.len() >= before, "{} after {before}", stored.len());
        before = stored.len();
    }
    eprintln!("{before} of {FLOWS} flows were stored before the last start");
    let server = start();
    // The last flow of each partition waits for others that do not come.
    server.wait("all but the last flows", |server| {
        lags(server) == ["1"; PARTITIONS as usize]
    });
    assert_eq!(server.health()["problems"], serde_json::json!([]));
    server.kill();
    assert!(stored(&store).into_iter().eq(0..FLOWS));
    let each = Some(FLOWS / i64::from(PARTITIONS));
    assert!(
        broker
            .committed(&topic, &group, PARTITIONS)
            .iter()
            .all(|offset| *offset <= each)
    );
}

#[test]
fn a_broker_that_does_not_answer_is_named() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let nobody = free_address();
    let server = Server::start(&home, &["--kafka", &nobody, "--topic", "flows"]);
    server.wait("the trouble", |server| {
        server
            .health()
            .to_string()
            .contains("kafka:flows cannot be read now")
    });
}

#[test]
fn a_batch_that_holds_up_its_partition_is_named_and_passed_over_by_command() {
    let Some(broker) = broker() else { return };
    if !packages_built() {
        return;
    }
    let topic = broker.topic("held", 1);
    for batch in 0..2 {
        let values = (0..10).map(|number| (0, Some(flow(BEGIN_MS + (batch * 10 + number) * STEP_MS))));
        broker.produce(
            &topic,
            &[("compression.codec", "zstd"), ("linger.ms", "200")],
            values,
        );
    }
    broker.damage(&topic, 0, 0);
    let home = Home::new();
    let (address, group) = (broker.address(), fresh("group"));
    let token = "wrong-horse-battery-staple";
    let server = Server::start(
        &home,
        &[
            "--kafka", &address, "--topic", &topic, "--group", &group, "--token", token,
        ],
    );
    let skip = format!("netsage kafka skip --topic {topic} --partition 0 --offset 0");
    server.wait("the problem", |server| {
        server.health()["problems"].to_string().contains(&skip)
    });
    let partition = |server: &Server| server.health()["sources"][0]["partitions"][0].clone();
    assert_eq!(partition(&server)["state"], "held");
    let command = |offset: &str, token: &[&str]| {
        let skip = [
            "kafka",
            "skip",
            "--topic",
            &topic,
            "--partition",
            "0",
            "--offset",
            offset,
        ];
        let output = home.run(&[&skip[..], &["--url", &server.base], token].concat());
        (output.status.success(), stderr(&output))
    };
    let with_token = ["--token", token];
    let (_, said) = command("0", &[]);
    assert!(said.contains("(401)"), "{said}");
    let (_, said) = command("3", &with_token);
    assert!(
        said.contains("held up at offset 0") && said.contains("(409)"),
        "{said}"
    );
    let (is_taken, said) = command("0", &with_token);
    assert!(is_taken && said.contains("will be passed over"), "{said}");
    server.wait("the messages behind", |server| {
        partition(server)["position"] == 20
    });
    let passed = partition(&server);
    assert_eq!(
        (&passed["state"], &passed["passed_over"]),
        (&"at-end".into(), &10.into())
    );
    assert_eq!(server.health()["sources"][0]["records_rejected"], 10);
    server.wait("the end of the problem", |server| {
        server.health()["problems"] == serde_json::json!([])
    });
    let metrics = server.bytes("/metrics", &[("authorization", &format!("Bearer {token}"))]);
    let metrics = String::from_utf8(metrics.unwrap()).unwrap();
    let passed =
        format!(r#"netsage_source_partition_passed_over_total{{source="kafka:{topic}",partition="0"}} 10"#);
    assert!(metrics.contains(&passed), "{metrics}");
}

/// What rhythm says of each flow that a program has stored, by the number of the flow.
fn rhythm(server: &Server) -> BTreeMap<i64, f64> {
    let score = |flow: &serde_json::Value| {
        let scores = flow["scores"].as_array().unwrap();
        let of_rhythm = |score: &&serde_json::Value| score["detector"]["name"] == "rhythm";
        scores.iter().find(of_rhythm).unwrap()["score"].as_f64().unwrap()
    };
    let flows = server.all("/api/v1/flows");
    let numbered = flows.iter().map(|flow| {
        let start_ms = flow["start"].as_i64().unwrap();
        ((start_ms - BEGIN_MS) / STEP_MS, score(flow))
    });
    numbered.collect()
}

#[test]
fn a_partition_that_moved_is_scored_as_one_that_did_not() {
    let Some(broker) = broker() else { return };
    if !packages_built() {
        return;
    }
    const HALF: i64 = 1_500;
    let topic = broker.topic("moved", 1);
    let produce = |numbers: std::ops::Range<i64>| {
        broker.produce(
            &topic,
            &[],
            numbers.map(|number| (0, Some(flow(BEGIN_MS + number * STEP_MS)))),
        );
    };
    let address = broker.address();
    let start = |home: &Home, group: &str| {
        let arguments = [
            "--kafka",
            &address,
            "--topic",
            &topic,
            "--group",
            group,
            "--lateness",
            "1s",
            "--kafka-setting",
            "group.instance.id=one",
            "--kafka-setting",
            "auto.commit.interval.ms=20",
        ];
        Server::start(home, &arguments)
    };
    let wait = |server: &Server, group: &str, end: i64| {
        server.wait("the commit of all", |_| {
            broker.committed(&topic, group, 1) == [Some(end)]
        });
    };
    let homes = [Home::new(), Home::new(), Home::new()];
    let (stays, moves) = (fresh("stays"), fresh("moves"));
    produce(0..HALF);
    let undisturbed = start(&homes[0], &stays);
    let first = start(&homes[1], &moves);
    wait(&first, &moves, HALF);
    first.kill();
    wait(&undisturbed, &stays, HALF);
    produce(HALF..2 * HALF);
    let second = start(&homes[2], &moves);
    wait(&second, &moves, 2 * HALF);
    wait(&undisturbed, &stays, 2 * HALF);
    let (mut expected, found) = (rhythm(&undisturbed), rhythm(&second));
    assert_eq!(i64::try_from(expected.len()), Ok(2 * HALF));
    // Who has no memory of a pair says something else of its next visit than who has.
    assert_ne!(expected[&0], expected[&HALF]);
    assert_eq!(found, expected.split_off(&HALF));
    // Of what was read again nothing is stored, and it is counted apart.
    let metrics = String::from_utf8(second.bytes("/metrics", &[]).unwrap()).unwrap();
    for line in ["netsage_flows_reread_total 1500", "netsage_flows_total 1500"] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
}

/// The settings of a client that knows the authority, and speaks by a mechanism where one is named.
fn secured(home: &Home, authority: &Path, mechanism: Option<&str>, password: &str) -> String {
    let mut settings = format!("ssl.ca.location={}\n", authority.display());
    match mechanism {
        Some(mechanism) => settings.push_str(&format!(
            "security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nsasl.username={USER}\nsasl.password={password}\n"
        )),
        None => settings.push_str("security.protocol=SSL\n"),
    }
    let file = home.file("client.properties", settings.as_bytes());
    file.to_str().unwrap().to_owned()
}

#[test]
fn brokers_are_spoken_to_by_tls_and_sasl_and_a_refusal_is_named() {
    if broker().is_none() || !packages_built() {
        return;
    }
    let broker = KafkaServer::start_secured().unwrap();
    let listeners = broker.secured();
    let (tls, sasl) = (listeners.tls(), listeners.sasl());
    let (authority, stranger) = (listeners.authority(), listeners.stranger());
    let wrong = "no-such-harbour-7";
    for mechanism in [None, Some("PLAIN"), Some("SCRAM-SHA-256"), Some("SCRAM-SHA-512")] {
        let home = Home::new();
        let address = if mechanism.is_some() { &sasl } else { &tls };
        let topic = broker.topic("secured", 1);
        let to = format!("kafka://{address}/{topic}");
        let group = fresh("group");
        let produce = |settings: &str| {
            let few = ["produce", "--to", &to, "--flows", "3", "--speed", "max"];
            let output = home.run(&[&few[..], &["--kafka-settings-file", settings]].concat());
            (output.status.success(), stderr(&output))
        };
        let run = |settings: &str| {
            let arguments = [
                "--kafka",
                address,
                "--topic",
                &topic,
                "--group",
                &group,
                "--kafka-settings-file",
                settings,
            ];
            Server::start(&home, &arguments)
        };
        let settings = secured(&home, &authority, mechanism, PASSWORD);
        let (is_sent, said) = produce(&settings);
        assert!(is_sent && said.contains("3 delivered"), "{mechanism:?}: {said}");
        let server = run(&settings);
        server.wait("three records", |server| {
            server.health()["sources"][0]["records"] == 3
        });
        drop(server);

        let (settings, expected) = match mechanism {
            Some(_) => (
                secured(&home, &authority, mechanism, wrong),
                [
                    "SASL authentication error",
                    "check `sasl.username`, `sasl.password`",
                ],
            ),
            None => (
                secured(&home, &stranger, mechanism, wrong),
                ["SSL handshake failed", "check that `ssl.ca.location`"],
            ),
        };
        let (is_sent, said) = produce(&settings);
        assert!(
            !is_sent && expected.iter().all(|words| said.contains(words)),
            "{said}"
        );
        assert!(!said.contains(wrong), "{said}");
        let server = run(&settings);
        server.wait("the refusal", |server| {
            let problems = server.health()["problems"].to_string();
            expected.iter().all(|words| problems.contains(words))
        });
        server.wait_for_log(expected[1]);
        let shown = [
            server.log.lock().unwrap().clone(),
            server.health().to_string(),
            String::from_utf8(server.bytes("/metrics", &[]).unwrap()).unwrap(),
        ];
        assert!(shown.iter().all(|text| !text.contains(wrong)), "{shown:?}");
    }
}

/// Partition, key and value of a message.
type Message = (i32, Vec<u8>, Vec<u8>);

/// Runs `netsage produce` into a topic of its own; gives its messages, and what was said.
fn produced(broker: &KafkaServer, home: &Home, arguments: &[&str]) -> (Vec<Message>, String) {
    let topic = broker.topic("produced", PARTITIONS);
    let to = format!("kafka://{}/{topic}", broker.address());
    let output = home.run(&[&["produce", "--to", &to, "--speed", "max"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    (broker.messages(&topic), stderr(&output))
}

#[test]
fn what_is_produced_has_the_rows_of_its_file() {
    let Some(broker) = broker() else { return };
    let home = Home::new();
    let capture = home.capture(500);
    let capture = capture.to_str().unwrap();
    let rows = stdout(&home.run(&["flows", capture, "--schema", "record-v1"]));
    home.file("rows.csv", rows.as_bytes());
    let count = rows.lines().count() - 1;
    assert!(rows.contains(",arp,"), "flows of ARP are among them");
    for file in [["--pcap", capture], ["--csv", "rows.csv"]] {
        let (messages, said) = produced(broker, &home, &file);
        assert_eq!(messages.len(), count, "{said}");
        assert!(said.contains(&format!("{count} delivered")), "{said}");
        assert!(said.contains("partitioner murmur2"), "{said}");
        let mut partitions = BTreeMap::new();
        let mut values = Vec::new();
        for (partition, key, value) in messages {
            let first = *partitions.entry(key.clone()).or_insert(partition);
            assert_eq!(first, partition, "{}", String::from_utf8_lossy(&key));
            let flow: serde_json::Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(flow["source"].as_str().unwrap().as_bytes(), key);
            values.extend([&value[..], b"\n"].concat());
        }
        home.file("values.json", &values);
        let again = home.run(&["flows", "values.json"]);
        assert!(stdout(&again) == rows, "{file:?}: {}", stderr(&again));
    }
}

#[test]
fn records_are_produced_as_they_stand() {
    let Some(broker) = broker() else { return };
    let home = Home::new();
    home.file("conn.log", CONN_LOG.as_bytes());
    let (messages, said) = produced(broker, &home, &["--records", "conn.log"]);
    assert!(
        said.contains("sent 4 flows") && said.contains("`ts` is no"),
        "{said}"
    );
    // As Java's clients partition these keys.
    let mut places: Vec<(i32, &str)> = (messages.iter())
        .map(|(partition, key, _)| (*partition, std::str::from_utf8(key).unwrap()))
        .collect();
    places.sort_unstable();
    let expected = [
        (1, "192.0.2.8"),
        (1, "192.0.2.8"),
        (2, "192.0.2.7"),
        (2, "192.0.2.7"),
    ];
    assert_eq!(places, expected);
    let names = ["--network", "site-a", "--sensor", "tap"];
    let (named, _) = produced(broker, &home, &[&["--records", "conn.log"], &names[..]].concat());
    assert_eq!(named.len(), messages.len());
    for (_, key, value) in named {
        assert!(key.starts_with(b"site-a/192.0.2."), "{key:?}");
        let flow: serde_json::Value = serde_json::from_slice(&value).unwrap();
        assert_eq!(
            (&flow["network"], &flow["sensor"]),
            (&"site-a".into(), &"tap".into())
        );
    }
    // The identifier of the meter is part of a flow's id.
    assert!(
        messages
            .iter()
            .all(|(.., value)| String::from_utf8_lossy(value).contains("own_id"))
    );
}

#[test]
fn generated_traffic_is_produced_until_there_is_enough() {
    let Some(broker) = broker() else { return };
    let home = Home::new();
    let (messages, said) = produced(
        broker,
        &home,
        &["--rate", "100", "--flows", "3000", "--seed", "2"],
    );
    assert_eq!(messages.len(), 3_000, "{said}");
}

#[test]
fn what_cannot_be_produced_is_said() {
    let home = Home::new();
    let check = |arguments: &[&str], status: i32, expected: &str| {
        let output = home.run(&[&["produce"], arguments].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    check(
        &["--to", "localhost:9092/flows"],
        2,
        "kafka://localhost:9092/flows",
    );
    check(&["--to", "kafka://localhost:9092"], 2, "is no topic");
    check(&["--to", "kafka://a/b", "--speed", "0"], 2, "or max");
    check(
        &["--to", "kafka://a/b", "--synth", "--pcap", "c"],
        2,
        "cannot be used with",
    );
    check(
        &["--to", "kafka://a/b", "--kafka-setting", "no.such=1"],
        1,
        "no.such",
    );
    check(
        &["--to", "kafka://a/b", "--kafka-setting", "partitioner=random"],
        1,
        "a flag of its own",
    );
    let nobody = format!("kafka://{}/flows", free_address());
    let few = [
        "--flows",
        "3",
        "--speed",
        "max",
        "--kafka-setting",
        "message.timeout.ms=500",
    ];
    check(
        &[&["--to", &nobody], &few[..]].concat(),
        1,
        "3 of 3 flows were not delivered",
    );
}
