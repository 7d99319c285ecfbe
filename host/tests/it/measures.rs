//! Figures: of detectors on captures with labels, and in the cards of trained models.

use serde_json::Value;

use super::support::{Home, Server, packages_built, stderr, stdout};

#[test]
fn a_capture_is_measured_against_its_labels() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(20_000);
    let output = home.run(&["evaluate", capture.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let reports: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let report = &reports[0];
    assert!(report["rows"].as_u64().unwrap() >= 20_000, "{report}");
    let kinds: Vec<&str> = report["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["category"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "beacon",
            "dns-tunnel",
            "exfiltration",
            "password-brute-force",
            "port-scan",
            "syn-flood"
        ]
    );
    // Chance gives one half; the bundled model is made for this kind of traffic.
    assert!(report["auroc"].as_f64().unwrap() > 0.8, "{report}");
}

/// What the demo promises: the traffic that `netsage synth` makes when nothing else is said, seen by the detector that
/// `netsage run` takes when nothing else is said.
#[test]
fn the_demo_alerts_on_what_was_planted() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let made = home.run(&["synth", "--out", "demo.pcap"]);
    assert!(made.status.success(), "{}", stderr(&made));

    let output = home.run(&["evaluate", "demo.pcap", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let reports: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let report = &reports[0];
    let found = report["categories"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|kind| kind["recall_at_threshold"].as_f64().unwrap() > 0.0)
        .count();
    assert!(found >= 4, "{found} of 6 behaviours are found: {report}");
    let false_alarms = report["at_threshold"]["fpr"].as_f64().unwrap();
    assert!(false_alarms <= 0.02, "{false_alarms} of the ordinary flows alert");

    let server = Server::start(&home, &["--pcap", "demo.pcap"]);
    server.wait_until_finished();
    assert!(server.counter("flows") >= 20_000);
    let alerts = server.all("/api/v1/alerts").len();
    assert!((4..=20).contains(&alerts), "{alerts} alerts");
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let capture = capture.to_str().unwrap();
    let no_labels = home.file("no.labels", b"source,port\n");
    let check = |arguments: &[&str], status: i32, message: &str| {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    check(
        &["evaluate", capture, "--labels", no_labels.to_str().unwrap()],
        1,
        "line 1: this is not a label file",
    );
    check(
        &["evaluate", capture, "--labels", "nowhere.csv"],
        1,
        "there is no nowhere.csv",
    );
    let rows = home.run(&["flows", capture]).stdout;
    let table = home.file("rows.csv", &rows);
    check(
        &["evaluate", table.to_str().unwrap(), "--labels", capture],
        2,
        "--labels is for captures",
    );
}

#[test]
fn a_trained_model_carries_its_figures() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let capture = capture.to_str().unwrap();
    let output = home.run(&[
        "train",
        "iforest",
        "--from",
        capture,
        "--evaluate",
        capture,
        "--trees",
        "10",
        "--out",
        "my.artifact",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let card: Value =
        serde_json::from_slice(&std::fs::read(home.path().join("my.card.json")).unwrap()).unwrap();
    let auroc = card["figures"]["auroc"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&auroc), "{card}");
    let page = std::fs::read_to_string(home.path().join("my.card.md")).unwrap();
    assert!(page.contains(&format!("| auroc | {auroc:.4} |")), "{page}");
}
