//! Records of other meters through every command that takes files.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::support::{Home, Server, packages_built, stderr, stdout};

/// A log of Zeek: two hosts ask a third, one record is refused, one repeats another, and the file is not in order.
pub(crate) const CONN_LOG: &str = "\
#separator \\x09
#set_separator\t,
#empty_field\t(empty)
#unset_field\t-
#path\tconn
#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes
#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tcount\tcount\tcount\tcount
1767603602.500000\tC3\t192.0.2.7\t51515\t198.51.100.9\t443\ttcp\tssl\t0.250000\t517\t4000\tSF\t9\t989\t11\t4580
1767603600.000000\tC1\t192.0.2.7\t51514\t198.51.100.9\t443\ttcp\tssl\t0.200000\t517\t4000\tSF\t9\t989\t11\t4580
1767603601.000000\tC2\t192.0.2.8\t40000\t198.51.100.9\t53\tudp\tdns\t0.010000\t40\t120\tSF\t1\t68\t1\t148
1767603601.000000\tC2\t192.0.2.8\t40000\t198.51.100.9\t53\tudp\tdns\t0.010000\t40\t120\tSF\t1\t68\t1\t148
never\tC4\t192.0.2.8\t40001\t198.51.100.9\t53\tudp\tdns\t0.010000\t40\t120\tSF\t1\t68\t1\t148
#close\t2026-01-05-10-00-00
";

#[test]
fn records_are_flows_in_every_command() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    home.file("conn.log", CONN_LOG.as_bytes());
    let rows = home.run(&["flows", "conn.log", "--stats"]);
    let (printed, said) = (stdout(&rows), stderr(&rows));
    assert!(rows.status.success(), "{said}");
    let lines: Vec<_> = printed.lines().collect();
    let starts: Vec<_> = lines.iter().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(
        starts,
        [
            "stime",
            "1767603600.000000",
            "1767603601.000000",
            "1767603602.500000"
        ],
        "by their ends: {printed}"
    );
    for part in ["4 records", "1 (`ts` is no", "repeated: 1", "line 12"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    home.file("rows.csv", printed.as_bytes());
    let scores = stdout(&home.run(&["score", "conn.log"]));
    assert_eq!(scores.lines().count(), 4, "{scores}");
    assert_eq!(scores, stdout(&home.run(&["score", "rows.csv"])));

    let settled = home.run(&["flows", "conn.log", "--input-format", "suricata"]);
    assert_eq!(settled.status.code(), Some(1));
    assert!(
        stderr(&settled).contains("nothing could be used"),
        "{}",
        stderr(&settled)
    );
    let zone = home.run(&["flows", "conn.log", "--input-zone", "Nowhere"]);
    assert_eq!(zone.status.code(), Some(2));
    assert!(stderr(&zone).contains("input-zone"), "{}", stderr(&zone));

    let schema = home.run(&["run", "--pcap", "conn.log", "--exit-when-done"]);
    assert!(
        stderr(&schema).contains("--schema record-v1"),
        "{}",
        stderr(&schema)
    );
    // Twice: a replay finds its flows again.
    for _ in 0..2 {
        let server = Server::start(&home, &["--records", "conn.log"]);
        server.wait_until_finished();
        let flows = server.all("/api/v1/flows");
        assert_eq!(flows.len(), 3, "{flows:?}");
        server.kill();
    }
}

/// A labelled log: 300 visits of a server, one in ten of them a scan, and one without a label.
fn labelled_log() -> String {
    let (header, _) = CONN_LOG.split_once("#types").unwrap();
    let mut log = header.trim_end().to_owned() + "\tlabel\tdetailedlabel\n";
    for number in 0..300 {
        let start = 1_767_603_600 + number * 7;
        let (state, packets, label) = match number {
            299 => ("SF", 9, "-\t-"),
            _ if number % 10 == 3 => ("S0", 0, "Malicious\tscan"),
            _ if number % 2 == 0 => ("SF", 9 + number % 5, "Benign\tweb"),
            _ => ("SF", 8 + number % 5, "Background\t-"),
        };
        let (source, sent) = (number % 9, 100 + number % 50);
        log += &format!(
            "{start}.000000\tC{number}\t192.0.2.{source}\t{}\t198.51.100.9\t443\ttcp\tssl\t0.250000\t{sent}\t400\t{state}\t9\t{}\t{packets}\t{}\t{label}\n",
            40_000 + number,
            sent + 400,
            packets * 100,
        );
    }
    log
}

#[test]
fn labelled_records_are_learned_from_and_measured_on() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    home.file("conn.log", CONN_LOG.as_bytes());
    home.file("labelled.log", labelled_log().as_bytes());
    let check = |arguments: &[&str], status: i32, parts: &[&str]| {
        let output = home.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?} does not say {part}: {said}");
        }
        stdout(&output)
    };
    let train = [
        "train",
        "iforest",
        "--out",
        "forest.wasm",
        "--from",
        "labelled.log",
    ];
    check(
        &train,
        0,
        &["left out 31 rows that are not ordinary", "trained on 215 rows"],
    );
    check(
        &[&train[..], &["--label", "attack_cat=Scan"]].concat(),
        1,
        &["left out 270 rows", "30 rows are too few"],
    );
    let report = check(
        &["evaluate", "labelled.log", "--detector", "forest.wasm", "--json"],
        0,
        &["left out 1 flows that have no label"],
    );
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["data"]["rows"], 299);
    assert_eq!(report["data"]["attacks"], 30);
    assert_eq!(report["data"]["categories"][0]["category"], "scan");
    let figures = &report["results"][0]["conditions"][0]["all"];
    assert!(figures["auroc"].as_f64().unwrap() > 0.99, "{figures}");

    // No label is a column of a row.
    let plain = labelled_log()
        .replace("Malicious", "Benign")
        .replace("\tlabel\t", "\tnote\t");
    home.file("plain.log", plain.as_bytes());
    let scores = |file| check(&["score", file, "--detector", "forest.wasm"], 0, &[]);
    assert_eq!(scores("labelled.log"), scores("plain.log"));

    let no_labels = "the records have no column `label`, and there is no conn.log.labels.csv";
    check(&["evaluate", "conn.log"], 1, &[no_labels]);
    // A baseline takes all for ordinary, as it has to where nobody labels.
    let learned = [
        "learned from 300 flows",
        "arm them with: netsage run --records FILE",
    ];
    check(&["baseline", "--records", "labelled.log"], 0, &learned);
}

/// Every file of records, and how many flows are in it: in none of them a record repeats another.
const FILES: [(&str, usize); 9] = [
    ("argus/test2-malicious.binetflow.gz", 6_751),
    ("argus/test5-mixed.binetflow", 296),
    ("suricata/test6-malicious.eve.json.gz", 3_512),
    ("zeek/001-malicious.conn.log.labeled.gz", 992),
    ("zeek/003-malicious.conn.log.gz", 361),
    ("zeek/008-day.conn.log.labeled.gz", 5_663),
    ("zeek/010-day.conn.log.labeled.gz", 5_347),
    ("zeek/port-scan-vertical.conn.log", 50),
    ("zeek/test10-mixed.conn.log", 141),
];

#[test]
fn records_of_real_meters_are_scored_and_stored() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/records");
    if !folder.is_dir() {
        eprintln!("skipped: no records of real meters in {}", folder.display());
        return;
    }
    if !packages_built() {
        return;
    }
    let home = Home::new();
    for (name, flows) in FILES {
        let file = fs::canonicalize(folder.join(name)).unwrap();
        let file = file.to_str().unwrap();
        let scored = home.run(&["score", file]);
        assert!(scored.status.success(), "{name}: {}", stderr(&scored));
        assert_eq!(stdout(&scored).lines().count(), 1 + flows, "{name}");
    }
    let file = fs::canonicalize(folder.join("zeek/008-day.conn.log.labeled.gz")).unwrap();
    let server = Server::start(&home, &["--records", file.to_str().unwrap()]);
    server.wait_until_finished();
    assert_eq!(server.counter("flows"), 5_663);
    server.kill();
}
