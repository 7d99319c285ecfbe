//! Thresholds, the fused verdict and drift, as users meet them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::support::{Home, Server, packages_built, stderr, stdout};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A package of the bundled forest with a card that was changed.
pub(crate) fn variant(home: &Home, name: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/artifacts");
    let card = std::fs::read(artifacts.join("iforest-generated.card.json")).unwrap();
    let mut card: Value = serde_json::from_slice(&card).unwrap();
    card["name"] = name.into();
    change(&mut card);
    let card = home.file(&format!("{name}.card.json"), card.to_string().as_bytes());
    let package = home.path().join(format!("{name}.wasm"));
    let artifact = artifacts.join("iforest-generated.artifact");
    let arguments = ["detector", "pack", "--artifact"].map(Into::into);
    let mut arguments: Vec<std::ffi::OsString> = arguments.to_vec();
    arguments.extend([
        artifact.into(),
        "--card".into(),
        card.into(),
        "--out".into(),
        package.clone().into(),
    ]);
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|argument| argument.to_str().unwrap())
        .collect();
    let output = home.run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    package
}

/// A server that has scored a capture with these packages.
fn after_a_replay(home: &Home, packages: &[&Path], more: &[&str]) -> Server {
    let capture = home.capture(3_000);
    let mut arguments = vec!["--pcap", capture.to_str().unwrap()];
    for package in packages {
        arguments.extend(["--detector", package.to_str().unwrap()]);
    }
    arguments.extend(more);
    let server = Server::start(home, &arguments);
    server.wait_until_finished();
    server
}

/// What a command prints as JSON.
fn printed(home: &Home, server: &Server, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--json", "--url", &server.base]);
    let output = home.run(&arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn thresholds_are_the_same_by_api_and_command_line_and_survive_a_restart() {
    if !packages_built() {
        return;
    }
    let (by_api, by_command) = (Home::new(), Home::new());
    let package = variant(&by_api, "forest", |_| {});
    let api = after_a_replay(&by_api, &[&package], &[]);
    let command = after_a_replay(&by_command, &[&package], &[]);
    for rule in ["fpr:0.05", "p99", "0.55", "off", "0.1%"] {
        let body = json!({"rule": rule, "by": "ada", "why": "a test"}).to_string();
        let (status, by_api) = api.post("/api/v1/thresholds/forest", body.as_bytes(), &[JSON]);
        assert_eq!(status, 200, "{by_api}");
        let arguments = [
            "detector",
            "threshold",
            "forest",
            rule,
            "--by",
            "ada",
            "--why",
            "a test",
        ];
        let by_command = printed(&by_command, &command, &arguments);
        assert_eq!(by_api, by_command, "{rule}");
        assert_eq!(by_api["origin"], "history");
    }
    let history = |server: &Server| {
        let (_, page) = server.get("/api/v1/detectors/history?name=forest&limit=5");
        let entries = page["items"].as_array().unwrap().iter();
        let told = entries.map(|entry| json!([entry["step"], entry["by"], entry["why"]]));
        told.collect::<Vec<_>>()
    };
    assert_eq!(history(&api), history(&command));
    assert_eq!(history(&api)[0][0], "threshold");

    // Trying changes nothing. A score below all is exceeded by all flows, which are fewer alerts.
    let tried = printed(
        &by_command,
        &command,
        &["detector", "threshold", "forest", "-1", "--try"],
    );
    let yesterday = &tried["yesterday"];
    let [flows, above, alerts] = ["flows", "above", "alerts"].map(|key| yesterday[key].as_u64().unwrap());
    assert!(
        flows > 1_000 && above == flows && alerts > 0 && alerts < above,
        "{yesterday}"
    );
    let before = api.get("/api/v1/thresholds/forest").1;
    assert_eq!(before["rule"], "fpr:0.001");
    assert!(before["yesterday"]["above"].as_u64().unwrap() < flows, "{before}");

    let check = |path: &str, rule: &str, status: u16, expected: &str| {
        let body = json!({ "rule": rule }).to_string();
        let (found, answer) = api.post(&format!("/api/v1/thresholds/{path}"), body.as_bytes(), &[JSON]);
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(found == status && detail.contains(expected), "{found} {answer}");
    };
    check("forest", "sometimes", 422, "alerts per day (10/day)");
    check("forest", "p100", 422, "at least 50 and below 100");
    check("nobody", "p99", 404, "`nobody`");

    drop(api);
    let again = Server::start(&by_api, &[]);
    let after = again.get("/api/v1/thresholds/forest").1;
    assert_eq!(after["score"], before["score"]);
    assert_eq!(
        (&after["rule"], &after["origin"]),
        (&before["rule"], &before["origin"])
    );
}

#[test]
fn drift_is_told_in_every_place() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    // No flow has a duration below 0, and all have a number of packets.
    let package = variant(&home, "drifter", |card| {
        card["baseline"] = json!({"rows": 100, "columns": [
            {"column": "dur", "edges": [-1.0], "shares": [1.0, 0.0]},
            {"column": "spkts", "edges": [-1.0], "shares": [0.0, 1.0]},
        ]});
    });
    let server = after_a_replay(&home, &[&package], &["--drift-flows", "200"]);
    let (status, drift) = server.get("/api/v1/detectors/drifter/drift");
    assert_eq!(status, 200, "{drift}");
    assert_eq!(drift, printed(&home, &server, &["detector", "drift", "drifter"]));
    assert_eq!(
        (&drift["has_baseline"], &drift["window"]),
        (&true.into(), &200.into())
    );
    assert!(drift["flows"].as_u64().unwrap() >= 200, "{drift}");
    let index = |column: usize| drift["columns"][column]["index"].as_f64().unwrap();
    assert!(index(0) > 5.0 && index(1) < 0.01, "{drift}");
    server.wait("the notice in the history", |server| {
        let (_, page) = server.get("/api/v1/detectors/history?name=drifter");
        let entries = page["items"].as_array().unwrap();
        entries.iter().any(|entry| {
            let why = entry["why"].as_str().unwrap_or_default();
            entry["step"] == "drift" && entry["by"] == "netsage" && why.contains("dur ")
        })
    });
    let metrics = String::from_utf8(server.bytes("/metrics", &[]).unwrap()).unwrap();
    let has = |name: &str, label: &str| {
        metrics
            .lines()
            .any(|line| line.starts_with(name) && line.contains(label))
    };
    assert!(has("netsage_generation_drift{", r#"column="dur""#), "{metrics}");
    assert!(
        has("netsage_generation_score_drift{", r#"name="drifter""#),
        "{metrics}"
    );
    assert!(
        has("netsage_detector_threshold{", r#"name="drifter""#),
        "{metrics}"
    );

    // A package without reference distributions says so.
    let plain = variant(&home, "plain", |card| {
        card.as_object_mut().unwrap().remove("baseline");
    });
    let output = home.run(&[
        "detector",
        "activate",
        plain.to_str().unwrap(),
        "--url",
        &server.base,
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = home.run(&["detector", "drift", "plain", "--url", &server.base]);
    assert!(
        stdout(&output).contains("no reference distributions in its card"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn the_fused_verdict_raises_alerts_where_it_has_a_threshold() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let packages = ["one", "two"].map(|name| variant(&home, name, |_| {}));
    let packages = [packages[0].as_path(), packages[1].as_path()];
    let server = after_a_replay(&home, &packages, &["--threshold", "fused=1.5,one=off"]);
    let alerts = |name: &str| {
        let (status, page) = server.get(&format!("/api/v1/alerts?detector={name}&limit=500"));
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    };
    assert!(alerts("one").is_empty(), "it is off");
    let fused = alerts("fused");
    assert!(!fused.is_empty(), "there are alerts of the fused verdict");
    for alert in &fused {
        assert!(alert["score"].as_f64().unwrap() > 1.5, "{alert}");
        let columns = alert["contributions"].as_array().unwrap();
        let mut names: Vec<&str> = columns
            .iter()
            .map(|part| part["column"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["one", "two"], "{alert}");
    }
    // What is stored gives the same again.
    let found = server.get("/api/v1/thresholds/fused").1;
    assert_eq!(
        found["yesterday"]["alerts"].as_u64().unwrap(),
        fused.len() as u64,
        "{found}"
    );
}
