//! One program, more than one schema: features of each, models, scores and runs of `flow-v1` and `record-v1`.

use netsage_schema::csv::header;
use netsage_schema::{FLOW_V1, RECORD_V1, Schema};
use serde_json::Value;

use super::support::{Home, packages_built, stderr, stdout};

/// Runs the program, which must succeed, and gives what it prints.
fn run(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

#[test]
fn flows_have_the_columns_of_their_schema() {
    let home = Home::new();
    let capture = home.capture(500);
    let capture = capture.to_str().unwrap();
    let rows = run(&home, &["flows", capture, "--schema", "flow-v1"]);
    assert_eq!(rows.lines().next(), Some(header(&FLOW_V1).as_str()));
    assert!(rows.lines().count() > 500);
    let records = run(&home, &["flows", capture, "--schema", "record-v1"]);
    assert_eq!(records.lines().next(), Some(header(&RECORD_V1).as_str()));
    assert_eq!(records.lines().count(), rows.lines().count());
    let settings = home.file("netsage.toml", b"schema = \"flow-v1\"\n");
    assert_eq!(run(&home, &["flows", capture]), rows, "by {}", settings.display());
    let refused = home.run(&["flows", capture, "--schema", "flow-v2"]);
    assert_eq!(refused.status.code(), Some(2));
    home.file("netsage.toml", b"schema = \"flow-v2\"\n");
    let refused = home.run(&["flows", capture]);
    assert!(
        stderr(&refused).contains("`flow-v2` is none; there are unsw-nb15, flow-v1, record-v1"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn a_model_scores_captures_and_rows_alike() {
    if packages_built() {
        scores_captures_and_rows_alike(&FLOW_V1);
        scores_captures_and_rows_alike(&RECORD_V1);
    }
}

fn scores_captures_and_rows_alike(schema: &'static Schema) {
    let home = Home::new();
    let capture = home.capture(2_000);
    let capture = capture.to_str().unwrap();
    let of_schema = ["--schema", schema.id];
    let mut train = vec![
        "train",
        "iforest",
        "--from",
        capture,
        "--evaluate",
        capture,
        "--trees",
        "10",
    ];
    train.extend(["--out", "my.artifact"]);
    train.extend(of_schema);
    run(&home, &train);
    let card = std::fs::read(home.path().join("my.card.json")).unwrap();
    let card: Value = serde_json::from_slice(&card).unwrap();
    assert_eq!(card["schema"], schema.to_string());
    run(
        &home,
        &[
            "detector",
            "pack",
            "--artifact",
            "my.artifact",
            "--card",
            "my.card.json",
            "--out",
            "my.wasm",
        ],
    );
    let checked = run(&home, &["detector", "inspect", "my.wasm"]);
    assert!(checked.contains("src_flows"), "{checked}");

    let rows = run(&home, &["flows", capture, "--schema", schema.id]);
    home.file("rows.csv", rows.as_bytes());
    let mut score = vec!["score", capture, "--detector", "my.wasm"];
    score.extend(of_schema);
    let of_capture = run(&home, &score);
    assert_eq!(
        run(&home, &["score", "rows.csv", "--detector", "my.wasm"]),
        of_capture
    );
    assert_eq!(of_capture.lines().count(), rows.lines().count());

    let mut replay = vec![
        "run",
        "--pcap",
        capture,
        "--detector",
        "my.wasm",
        "--exit-when-done",
    ];
    replay.extend(["--listen", "127.0.0.1:0"]);
    replay.extend(of_schema);
    run(&home, &replay);

    let other = home.run(&["score", capture, "--detector", "my.wasm"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("unsw-nb15"), "{}", stderr(&other));
    let mixed = home.run(&[
        "train",
        "iforest",
        "--from",
        "rows.csv",
        capture,
        "--out",
        "mixed.artifact",
    ]);
    assert!(
        stderr(&mixed).contains("train on one schema"),
        "{}",
        stderr(&mixed)
    );
}

#[test]
fn every_command_takes_record_v1() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let capture = capture.to_str().unwrap();
    let rows = run(&home, &["flows", capture, "--schema", "record-v1"]);
    home.file("rows.csv", rows.as_bytes());
    let lines = rows.lines().count();
    for file in [&[capture, "--schema", "record-v1"][..], &["rows.csv"]] {
        let scores = run(&home, &[&["score"], file].concat());
        assert_eq!(scores.lines().count(), lines, "{file:?}");
        for name in ["iforest", "rhythm"] {
            assert!(
                scores.lines().next().unwrap().contains(name),
                "{file:?}: {scores}"
            );
        }
        for method in ["iforest", "half-space-trees", "rhythm"] {
            let out = ["--out", "my.artifact"];
            run(&home, &[&["train", method, "--from"], file, &out].concat());
        }
    }
    let figures = run(&home, &["evaluate", capture, "--schema", "record-v1", "--json"]);
    assert!(figures.contains("rhythm"), "{figures}");
    run(&home, &["baseline", "--pcap", capture, "--schema", "record-v1"]);
}
