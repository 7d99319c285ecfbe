//! Replays: every flow once, whatever happens on the way.

use std::collections::BTreeMap;

use super::support::{Home, Server, packages_built, stderr};

#[test]
fn a_kill_in_mid_replay_leaves_no_duplicate() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(20_000);
    let capture = capture.to_str().unwrap();
    let alerts = |server: &Server| -> BTreeMap<String, u64> {
        server
            .all("/api/v1/alerts")
            .iter()
            .map(|alert| {
                (
                    alert["id"].as_str().unwrap().to_owned(),
                    alert["count"].as_u64().unwrap(),
                )
            })
            .collect()
    };

    let whole = home.run(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--pcap",
        capture,
        "--store",
        "whole.sqlite",
        "--exit-when-done",
    ]);
    assert!(whole.status.success(), "{}", stderr(&whole));

    let killed = Server::start(
        &home,
        &[
            "--pcap",
            capture,
            "--store",
            "killed.sqlite",
            "--queue-blocks",
            "2",
            "--workers",
            "1",
        ],
    );
    killed.wait("the first flows", |server| server.counter("flows_scored") > 0);
    assert_eq!(
        killed.health()["finished"],
        false,
        "the kill falls into the replay; a longer capture is needed where this does not hold"
    );
    killed.kill();
    let again = home.run(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--pcap",
        capture,
        "--store",
        "killed.sqlite",
        "--exit-when-done",
    ]);
    assert!(again.status.success(), "{}", stderr(&again));

    let whole = Server::start(&home, &["--store", "whole.sqlite"]);
    let killed = Server::start(&home, &["--store", "killed.sqlite", "--data-dir", "other"]);
    assert!(!alerts(&whole).is_empty());
    assert_eq!(alerts(&whole), alerts(&killed));
    assert_eq!(
        whole.all("/api/v1/flows").len(),
        killed.all("/api/v1/flows").len()
    );
}

#[test]
fn a_damaged_capture_is_stored_up_to_the_damage() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = std::fs::read(home.capture(2_000)).unwrap();
    let cut = home.file("cut.pcap", &capture[..capture.len() / 2 + 3]);
    let output = home.run(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--pcap",
        cut.to_str().unwrap(),
        "--exit-when-done",
    ]);
    // Something could be used.
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("the file ends inside packet"),
        "{}",
        stderr(&output)
    );
    assert!(!Server::start(&home, &[]).all("/api/v1/flows").is_empty());
}
