//! The isolation forest that the program brings along, when it has been built.

use std::path::{Path, PathBuf};

use netsage_browser_glue as browser;
use netsage_package::{MAX_BLOCK_ROWS, Package};
use netsage_runtime::{Detector, LoadOptions, Runtime, RuntimeConfig, check};
use netsage_schema::{Contexts, FLOW_V1, RECORD_V1, Rows, Schema};

use crate::{load, rows};

/// Where `cargo xtask build` put what it built.
fn dist() -> Option<PathBuf> {
    let built = || {
        Some(
            Path::new(env!("CARGO_TARGET_TMPDIR"))
                .parent()?
                .join("netsage-dist"),
        )
    };
    std::env::var_os("NETSAGE_DIST").map(PathBuf::from).or_else(built)
}

/// The packages that the program brings along, by name; none (and a word on it) where they were not built.
pub(crate) fn packages() -> Vec<(PathBuf, Package)> {
    let folder = dist().unwrap_or_default().join("packages");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    if paths.is_empty() {
        eprintln!("skipped: {} is not built (cargo xtask build)", folder.display());
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let package = Package::from_bytes(std::fs::read(&path).unwrap()).unwrap();
            (path, package)
        })
        .collect()
}

/// The component and its model, or `None` (and a word on it) where they were not built.
fn forest() -> Option<Package> {
    let component = dist()?.join("components/iforest.wasm");
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/artifacts");
    let (Ok(code), Ok(artifact)) = (
        std::fs::read(&component),
        std::fs::read(models.join("iforest-unsw-nb15.artifact")),
    ) else {
        eprintln!(
            "skipped: {} is not built (cargo xtask build)",
            component.display()
        );
        return None;
    };
    let card = std::fs::read(models.join("iforest-unsw-nb15.card.json")).ok();
    Some(
        Package::from_bytes(netsage_package::pack(&code, &artifact, card.as_deref(), None).unwrap()).unwrap(),
    )
}

#[test]
fn the_isolation_forest_scores_and_explains() {
    let Some(package) = forest() else { return };
    let detector = load(&package).unwrap();
    assert_eq!(detector.description().name, "iforest");
    let rows = rows(3 * MAX_BLOCK_ROWS + 1);
    let (mut whole, mut single) = (Vec::new(), Vec::new());
    detector.score(&rows, None, 0..rows.len(), &mut whole).unwrap();
    assert_eq!(whole.len(), rows.len());
    for row in (0..rows.len()).step_by(500) {
        single.clear();
        detector.score(&rows, None, row..row + 1, &mut single).unwrap();
        assert_eq!(
            single[0].to_bits(),
            whole[row].to_bits(),
            "a score does not depend on the block"
        );
    }
    let contributions = detector.explain(&rows, None, 5, 4).unwrap();
    assert!((1..=4).contains(&contributions.len()), "{contributions:?}");
    assert!(contributions.is_sorted_by(|left, right| left.weight >= right.weight));
    assert!(browser::transpile(&package).is_ok());
}

#[test]
fn the_isolation_forest_is_small_and_imports_nothing() {
    let Some(package) = forest() else { return };
    let code = package.code();
    assert!(code.len() <= 500_000, "{} bytes", code.len());
    check::check(&package).expect("a detector that imports nothing");
}

/// Rows of a beacon that visits every minute with up to half a second of jitter, and where and when they were.
fn beacon(schema: &'static Schema, visits: usize, from: u64) -> (Rows, Contexts) {
    let mut rows = Rows::new(schema);
    let mut contexts = Contexts::new();
    let mut row = vec![0.0; schema.width()];
    let sent = if schema == &FLOW_V1 {
        "src_payload"
    } else {
        "src_bytes"
    };
    for (column, value) in [("duration", 0.2), ("syn_count", 1.0), (sent, 300.0)] {
        if let Some(place) = schema.index_of(column) {
            row[place] = value;
        }
    }
    for visit in 0..visits as u64 {
        rows.push(&row);
        contexts.push(
            from + visit * 60_000_000 + visit * 7_919 % 500_009,
            u64::MAX - 1,
            7,
        );
    }
    (rows, contexts)
}

fn scores_of(
    detector: &Detector,
    (rows, contexts): &(Rows, Contexts),
    range: std::ops::Range<usize>,
) -> Vec<u32> {
    let mut scores = Vec::new();
    detector.score(rows, Some(contexts), range, &mut scores).unwrap();
    scores.into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_beacon_scores_the_same_however_long_the_host_has_been_running_and_after_a_restart() {
    for (name, schema) in [("rhythm-flow-v1", &FLOW_V1), ("rhythm-record-v1", &RECORD_V1)] {
        let mut packages = packages().into_iter();
        if let Some((_, package)) =
            packages.find(|(path, _)| path.file_stem().is_some_and(|stem| stem == name))
        {
            scores_a_beacon(&package, schema);
        }
    }
}

fn scores_a_beacon(package: &Package, schema: &'static Schema) {
    const DAY: u64 = 86_400_000_000;
    let beacon = |visits, from| beacon(schema, visits, from);
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let start = 1_700_000_000_000_000;
    let load = || runtime.load(package, schema).unwrap();
    let first = scores_of(&load(), &beacon(40, start), 0..40);
    assert!(f32::from_bits(first[39]) > 3.0, "it is found");
    for days in [30, 300] {
        // Others have been seen since the host started.
        let detector = load();
        let mut others = beacon(2_000, start);
        others.1 = {
            let mut contexts = Contexts::new();
            for (visit, start) in (0..).zip(others.1.starts()) {
                contexts.push(*start, visit % 97, visit % 13);
            }
            contexts
        };
        scores_of(&detector, &others, 0..2_000);
        let scores = scores_of(&detector, &beacon(40, start + days * DAY), 0..40);
        assert_eq!(scores, first, "after {days} days");
    }
    // A restart between two visits.
    let flows = beacon(40, start);
    let before = load();
    assert_eq!(scores_of(&before, &flows, 0..25), first[..25]);
    let state = before.save().unwrap();
    drop(before);
    let options = LoadOptions {
        state: state.as_deref(),
        instances: 1,
    };
    let after = runtime.load_with(package, schema, options).unwrap();
    assert_eq!(scores_of(&after, &flows, 25..40), first[25..]);
    assert_ne!(
        scores_of(&load(), &flows, 25..40),
        first[25..],
        "the memory counts"
    );
}
