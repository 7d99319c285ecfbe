//! Captures written by others: each is scored, or ends with one clear sentence.

use std::path::{Path, PathBuf};

use super::support::{Home, packages_built, stderr, stdout};

fn captures(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/pcaps")
        .join(folder);
    let Ok(entries) = std::fs::read_dir(&root) else {
        eprintln!("skipped: {} is not there", root.display());
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pcap" || extension == "pcapng")
        })
        .map(|path| path.canonicalize().unwrap())
        .collect()
}

#[test]
fn every_capture_is_scored_or_refused_in_one_sentence() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    for path in captures("good").into_iter().chain(captures("malformed")) {
        let output = home.run(&["score", path.to_str().unwrap()]);
        let message = stderr(&output);
        match output.status.code() {
            Some(0) => assert!(stdout(&output).starts_with("stime,ltime,srcip,sport,dstip,dsport,iforest\n")),
            Some(1) => {
                assert_eq!(
                    message.trim_end().lines().count(),
                    1,
                    "{}: {message}",
                    path.display()
                );
                assert!(
                    message.contains("packet") || message.contains("capture"),
                    "{message}"
                );
            }
            other => panic!("{} ends with {other:?}: {message}", path.display()),
        }
        assert!(!message.contains("panicked"), "{}: {message}", path.display());
    }
}

#[test]
fn every_good_capture_gives_flows() {
    let home = Home::new();
    for path in captures("good") {
        let output = home.run(&["flows", path.to_str().unwrap()]);
        let (flows, message) = (stdout(&output), stderr(&output));
        assert!(flows.starts_with("stime,ltime,srcip,sport,dstip,dsport,"));
        // Some hold nothing but packets that are neither IP nor ARP.
        let expected = match flows.lines().count() {
            1 if message.contains("nothing could be used") => 1,
            _ => 0,
        };
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{}: {message}",
            path.display()
        );
    }
}

#[test]
fn flows_and_score_agree() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let flows = home.run(&["flows", capture.to_str().unwrap()]);
    assert!(flows.status.success(), "{}", stderr(&flows));
    home.file("flows.csv", &flows.stdout);
    let scores = |file: &str| {
        let output = home.run(&["score", file, "--detector", "iforest-generated"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let scores: Vec<String> = stdout(&output)
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().unwrap().to_owned())
            .collect();
        scores
    };
    let direct = scores(capture.to_str().unwrap());
    assert!(direct.len() > 1_000);
    assert_eq!(
        direct,
        scores("flows.csv"),
        "features survive the way through text to the last bit"
    );
}

#[test]
fn what_was_counted_is_told_on_request() {
    let home = Home::new();
    let capture = home.capture(200);
    let file = capture.to_str().unwrap();
    let quiet = home.run(&["flows", file]);
    assert_eq!(stderr(&quiet), "");
    let told = home.run(&["flows", file, "--stats"]);
    assert_eq!(stdout(&told), stdout(&quiet));
    assert!(
        stderr(&told).contains("\npackets not metered "),
        "{}",
        stderr(&told)
    );
    let told = home.run(&["flows", file, "--stats", "--format", "jsonl"]);
    let counted: serde_json::Value = serde_json::from_str(&stderr(&told)).unwrap();
    let rows = stdout(&told).lines().count();
    assert_eq!(counted["records"].as_u64(), u64::try_from(rows).ok());
    assert_eq!(counted["packets"], counted["packets_metered"]);
}
