//! The same records of one network, shuffled within the lateness, by a file, a topic of one partition and HTTP: the same flows
//! with the same scores. That their rows are equal too is tested beside the sources.

use serde_json::Value;

use netsage_testkit::random::Random;

use super::support::{Home, Server, packages_built};

const FLOWS: u64 = 3_000;
/// Between the ends of two records.
const STEP_US: u64 = 20_000;
const LATENESS_US: u64 = 2_000_000;
/// Every bundled detector of `record-v1`; what two of them have learned depends on the order of flows.
const SCORED: [&str; 14] = [
    "--network",
    "office",
    "--lateness",
    "2s",
    "--workers",
    "1",
    "--store",
    "store.sqlite",
    "--detector",
    "iforest-record-v1",
    "--detector",
    "half-space-trees-record-v1",
    "--detector",
    "rhythm-record-v1",
];

/// Records, each with the time of its end. One in fifty sends much, and some visit the same host again and again.
fn records() -> Vec<(u64, String)> {
    (0..FLOWS)
        .map(|number| {
            let end_us = 1_767_603_600_000_000 + number * STEP_US;
            let start_us = end_us - number % 11 * 90_000;
            let (packets, bytes) = match number % 50 {
                7 => (4_000_000, 5_000_000_000),
                _ => (9 + number % 5, 989 + number % 400),
            };
            let line = format!(
                "{{\"start_us\":{start_us},\"end_us\":{end_us},\"source\":\"10.0.0.{}\",\"destination\":\"192.0.2.{}\",\
                 \"source_port\":{},\"destination_port\":{},\"protocol\":\"tcp\",\"service\":\"tls\",\"state\":\"closed\",\
                 \"source_packets\":{packets},\"destination_packets\":11,\"source_bytes\":{bytes},\"destination_bytes\":4580}}\n",
                number % 17,
                number % 7,
                1_024 + number,
                [443, 80, 22][number as usize % 3]
            );
            (end_us, line)
        })
        .collect()
}

/// The same in another order, in which none comes behind its turn.
fn shuffled(seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut lines: Vec<(u64, String)> = records()
        .into_iter()
        .map(|(end_us, line)| (end_us + random.below(LATENESS_US), line))
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Every flow of the store with its scores, once all are there and none was late.
fn stored(server: &Server) -> Vec<Value> {
    server.wait("the flows", |server| server.counter("flows_scored") == FLOWS);
    let metrics = String::from_utf8(server.bytes("/metrics", &[]).unwrap()).unwrap();
    let late: Vec<&str> = (metrics.lines())
        .filter(|line| line.starts_with("netsage_source_records_late_total{"))
        .collect();
    assert!(late.len() == 1 && late[0].ends_with(" 0"), "{late:?}");
    let mut flows = server.all("/api/v1/flows");
    assert_eq!(flows.len() as u64, FLOWS);
    flows.sort_by_key(|flow| flow["id"].as_str().unwrap().to_owned());
    flows
}

/// The flows of a run.
fn by(prepare: impl FnOnce(&Home) -> Vec<String>, feed: impl FnOnce(&Server)) -> Vec<Value> {
    let home = Home::new();
    let source = prepare(&home);
    let source: Vec<&str> = source.iter().map(String::as_str).collect();
    let server = Server::start(&home, &[&source[..], &SCORED].concat());
    feed(&server);
    stored(&server)
}

fn by_file(lines: &[String]) -> Vec<Value> {
    let named = |home: &Home| {
        home.file("flows.json", lines.concat().as_bytes());
        vec!["--records".to_owned(), "flows.json".to_owned()]
    };
    by(named, |_| ())
}

fn by_http(lines: &[String]) -> Vec<Value> {
    let inbox = |_: &Home| vec!["--inbox".to_owned(), "64MiB".to_owned()];
    by(inbox, |server| {
        // One body: between two, the clock could move the stream on.
        let (status, answer) = server.post("/api/v1/flows", lines.concat().as_bytes(), &[]);
        assert_eq!(status, 202, "{answer}");
    })
}

#[cfg(feature = "kafka")]
fn by_topic(lines: &[String]) -> Option<Vec<Value>> {
    let broker = super::kafka::broker()?;
    let topic = broker.topic("shuffled", 1);
    let values = lines.iter().map(|line| (0, Some(line.clone().into_bytes())));
    broker.produce(&topic, &[], values);
    let named = |_: &Home| {
        let flags = ["--kafka", &broker.address(), "--topic", &topic];
        flags.map(str::to_owned).to_vec()
    };
    Some(by(named, |_| ()))
}

#[test]
fn shuffled_records_give_equal_flows_and_scores_by_every_transport() {
    if !packages_built() {
        return;
    }
    let in_order: Vec<String> = records().into_iter().map(|(_, line)| line).collect();
    let expected = by_file(&in_order);
    let check = |transport: &str, found: &[Value]| {
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "by {transport}");
        }
    };
    // The figures are of some use: scores differ, and each detector gives one.
    let scores = |flow: &Value| flow["scores"].as_array().unwrap().clone();
    assert!(
        expected.iter().all(|flow| scores(flow).len() == 3),
        "{}",
        expected[0]
    );
    assert!(expected.iter().any(|flow| scores(flow) != scores(&expected[0])));
    let lines = shuffled(5);
    assert!(lines != in_order);
    check("file", &by_file(&lines));
    check("HTTP", &by_http(&shuffled(6)));
    #[cfg(feature = "kafka")]
    if let Some(found) = by_topic(&shuffled(7)) {
        check("Kafka", &found);
    }
}
