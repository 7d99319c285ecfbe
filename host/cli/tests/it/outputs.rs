//! Outputs of the whole program, by its settings file and its commands.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use super::support::{Home, Server, free_address, packages_built, stderr, stdout, wait_for};

/// The settings file with a file as output, and another output whose folder is not there.
fn settings(home: &Home, name: &str) {
    let text = format!(
        "[output.archive]\ntype = \"file\"\npath = {:?}\nbegin = \"first\"\n",
        home.path().join(name)
    );
    home.file("netsage.toml", text.as_bytes());
}

/// What the documents of a file tell of: kind and id.
fn told(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let document: Value = serde_json::from_str(line).expect("a document");
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        (text("kind"), text("id"))
    });
    lines.collect()
}

#[test]
fn every_alert_reaches_an_output_and_the_commands_ask_it() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    settings(&home, "alerts.jsonl");
    let file = home.path().join("alerts.jsonl");
    let capture = home.capture(3_000);
    let server = Server::start(
        &home,
        &["--pcap", capture.to_str().unwrap(), "--threshold", "iforest=0.5"],
    );
    let alerts = || {
        let (_, page) = server.get("/api/v1/alerts?limit=500");
        let ids = page["items"].as_array().cloned().unwrap_or_default();
        ids.iter()
            .map(|alert| alert["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    wait_for("alerts in the store", || !alerts().is_empty());
    wait_for("all alerts in the file", || {
        let told = told(&file);
        alerts()
            .iter()
            .all(|id| told.iter().any(|(kind, told)| kind == "alert" && told == id))
    });
    let ask = |arguments: &[&str]| {
        let url = ["--url", &server.base];
        home.run(&[&["output"], arguments, &url].concat())
    };
    let listed = ask(&["list"]);
    assert!(
        stdout(&listed).contains("archive"),
        "{}{}",
        stdout(&listed),
        stderr(&listed)
    );
    assert!(stdout(&listed).contains("delivers"), "{}", stdout(&listed));
    let tested = ask(&["test", "archive"]);
    assert!(tested.status.success(), "{}", stderr(&tested));
    assert!(told(&file).iter().any(|(kind, _)| kind == "test"));
    // A file that was moved away is opened anew.
    fs::rename(&file, home.path().join("alerts.1.jsonl")).unwrap();
    let reopened = ask(&["reopen", "archive"]);
    assert!(reopened.status.success(), "{}", stderr(&reopened));
    let tested = ask(&["test", "archive"]);
    assert!(tested.status.success(), "{}", stderr(&tested));
    // An alert that has grown for a minute may have come too.
    let tests = told(&file).into_iter().filter(|(kind, _)| kind == "test");
    assert_eq!(
        tests.count(),
        1,
        "the first test stands in the file that was moved away"
    );
    assert!(ask(&["resume", "archive"]).status.success());
    assert!(stderr(&ask(&["refused", "archive"])).contains("no message is set aside"));
    let unknown = ask(&["test", "nobody"]);
    assert!(
        stderr(&unknown).contains("there is no output `nobody`"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn a_replay_ends_when_its_outputs_have_sent_what_is_due() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    // Nobody listens at the address of the second one.
    let nobody = free_address();
    let file = home.path().join("alerts.jsonl");
    let text = format!(
        "[output.archive]\ntype = \"file\"\npath = {file:?}\nbegin = \"first\"\n\
         [output.away]\ntype = \"webhook\"\nurl = \"http://{nobody}/\"\nbegin = \"first\"\n"
    );
    home.file("netsage.toml", text.as_bytes());
    let capture = home.capture(3_000);
    let ended = home.run(&[
        "run",
        "--pcap",
        capture.to_str().unwrap(),
        "--threshold",
        "iforest=0.5",
        "--listen",
        "127.0.0.1:0",
        "--exit-when-done",
    ]);
    assert!(ended.status.success(), "{}", stderr(&ended));
    let store = Connection::open(home.path().join("netsage/netsage.sqlite")).unwrap();
    let mut counts = store.prepare("SELECT count FROM alerts ORDER BY count").unwrap();
    let counts: Vec<u64> = (counts.query_map([], |row| row.get::<_, i64>(0)).unwrap())
        .map(|count| count.unwrap().cast_unsigned())
        .collect();
    // The last of each alert, with all its flows.
    let mut sent = BTreeMap::new();
    for line in fs::read_to_string(&file).unwrap().lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        if document["kind"] == "alert" {
            sent.insert(
                document["id"].to_string(),
                document["alert"]["count"].as_u64().unwrap(),
            );
        }
    }
    let mut sent: Vec<u64> = sent.into_values().collect();
    sent.sort_unstable();
    let alerts = counts.len();
    assert!(alerts > 0);
    assert_eq!(sent, counts);
    let said = stderr(&ended);
    assert!(
        said.contains(&format!(
            "output `away` has not sent everything, {alerts} alerts wait; the next start"
        )),
        "{said}"
    );
    assert!(!said.contains("output `archive`"), "{said}");
}

#[test]
fn a_table_that_makes_no_output_is_refused_in_a_sentence() {
    let home = Home::new();
    for (table, expected) in [
        (
            "[output.soc]\ntype = \"smoke\"",
            "setting `output`: `soc`: `type` must be one of webhook",
        ),
        (
            "[output.soc]\ntype = \"file\"\npth = \"x\"",
            "unknown field `pth`",
        ),
        ("[output.SOC]\ntype = \"file\"", "is no name of an output"),
        (
            "[output.soc]\ntype = \"file\"\npath = \"x\"\nrate = \"many\"",
            "is not a rate",
        ),
    ] {
        home.file("netsage.toml", table.as_bytes());
        let output = home.run(&["run", "--listen", "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(2), "{table}");
        assert!(stderr(&output).contains(expected), "{table}: {}", stderr(&output));
    }
}
