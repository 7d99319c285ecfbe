//! What is learned from the first, clean third of a day finds everything that is planted in the rest of it, and little
//! else; and `flow-v1` and `record-v1` need no training of one's own to begin with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;

use netsage_synth::{Behaviour, Generator, SynthConfig, pcap};

use super::support::{Home, Server, packages_built, stderr};

/// Alerts about ordinary flows that a day may have.
const MOST_FALSE_PER_DAY: usize = 5;
const DAY_NS: i64 = 86_400_000_000_000;

/// Flows by both of their ends.
type Ends = (String, u64, String, u64);

/// A capture of a day whose last two thirds are another office, with attacks; gives what each attack's flows were.
fn day(home: &Home, seed: u64, flows: u32) -> HashMap<Ends, &'static str> {
    let config = SynthConfig {
        flows,
        seed,
        duration_ns: DAY_NS,
        clean_share: 1.0 / 3.0,
        changes: true,
        ..SynthConfig::default()
    };
    let mut generator = Generator::new(config);
    let file = File::create(home.path().join("day.pcap")).unwrap();
    pcap::write(&mut generator, file, |_| {}).unwrap();
    let attacks = generator.labels().iter().filter(|label| label.attack);
    attacks
        .map(|label| {
            let ends = (
                label.source.to_string(),
                u64::from(label.source_port),
                label.destination.to_string(),
                u64::from(label.destination_port),
            );
            (ends, label.behaviour)
        })
        .collect()
}

#[test]
fn a_clean_third_is_enough_to_find_what_comes_in_another_office() {
    if !packages_built() {
        return;
    }
    // No setting was chosen on these days.
    for (seed, flows) in [(501, 60_000), (502, 24_000), (503, 12_000)] {
        learn_and_find(seed, flows);
    }
}

fn learn_and_find(seed: u64, flows: u32) {
    let home = Home::new();
    let attacks = day(&home, seed, flows);
    let learned = home.run(&["baseline", "--pcap", "day.pcap", "--for", "8h"]);
    let told = stderr(&learned);
    assert!(learned.status.success(), "{told}");
    assert_eq!(told.matches("would have raised").count(), 2, "{told}");
    assert!(told.contains("arm them with: netsage run"), "{told}");
    let packages = ["iforest", "rhythm"].map(|method| {
        let path = home
            .path()
            .join(format!("netsage/baseline/of-day.pcap/{method}.wasm"));
        path.to_str().unwrap().to_owned()
    });
    let mut flags = vec!["--pcap", "day.pcap", "--schema", "flow-v1"];
    for package in &packages {
        flags.extend(["--detector", package]);
    }
    let server = Server::start(&home, &flags);
    server.wait_until_finished();

    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut false_alerts = Vec::new();
    for alert in server.all("/api/v1/alerts") {
        let text = |name: &str| alert[name].as_str().unwrap().to_owned();
        let port = |name: &str| alert[name].as_u64().unwrap();
        let ends = (
            text("source"),
            port("source_port"),
            text("destination"),
            port("destination_port"),
        );
        assert!(
            !alert["contributions"].as_array().unwrap().is_empty(),
            "every alert is explained: {alert}"
        );
        match attacks.get(&ends) {
            Some(behaviour) => {
                let detector = alert["detector"]["name"].as_str().unwrap().to_owned();
                found.entry(behaviour).or_default().insert(detector);
            }
            None => false_alerts.push(alert),
        }
    }
    let count = false_alerts.len();
    eprintln!("seed {seed}, {flows} flows: alerted by {found:?}; false alerts: {count}");
    for behaviour in Behaviour::ALL
        .into_iter()
        .filter(|behaviour| behaviour.is_attack())
    {
        let name = behaviour.name();
        assert!(found.contains_key(name), "{name}: {found:?}");
    }
    assert!(count <= MOST_FALSE_PER_DAY, "{false_alerts:#?}");
}

#[test]
fn schemas_for_live_traffic_come_with_detectors() {
    if packages_built() {
        comes_with_detectors("flow-v1");
        comes_with_detectors("record-v1");
    }
}

fn comes_with_detectors(schema: &str) {
    let home = Home::new();
    let capture = home.capture(2_000);
    let flags = ["--schema", schema, "--pcap", capture.to_str().unwrap()];
    let server = Server::start(&home, &flags);
    server.wait_until_finished();
    let (status, flows) = server.get("/api/v1/flows?limit=1");
    assert_eq!(status, 200, "{flows}");
    let names: BTreeSet<&str> = flows["items"][0]["scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|score| score["detector"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["iforest", "rhythm"]), "{flows}");
}
