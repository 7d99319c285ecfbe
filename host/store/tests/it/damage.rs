//! Damaged files: a start never fails because of them, and what they still give is salvaged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_api_types::{AlertQuery, FlowQuery};
use netsage_store::{Recovered, SharedStore, StoreError, open, recover};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::suite::{all_alerts, deliver, record};
use netsage_testkit::sample::{batch, traffic};

/// Bytes of a page of the stores here: what is made today, and what older programs made.
const PAGE: usize = 8192;
const OLDER_PAGE: usize = 4096;
const FLOWS: u32 = 2_000;

/// More rows than two pages have.
const ROWS_OF_TWO_PAGES: usize = 256;

/// A store with flows and alerts, closed or as a kill leaves it.
struct Sample {
    /// Bytes of a page.
    page: usize,
    folder: TempDir,
    flows: BTreeSet<String>,
    alerts: BTreeSet<String>,
}

impl Sample {
    async fn new(is_closed: bool) -> Self {
        Self::with_pages(PAGE, is_closed).await
    }

    async fn with_pages(page: usize, is_closed: bool) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("whole");
        if page != PAGE {
            // A file keeps the pages that it has.
            rusqlite::Connection::open(&path)
                .and_then(|made| made.execute_batch(&format!("PRAGMA page_size = {page}; VACUUM")))
                .expect("made");
        }
        let store = open(&path.display().to_string()).await.expect("made");
        for first in (0..FLOWS).step_by(500) {
            record(&store, &traffic(first, 500)).await;
        }
        let (flows, alerts) = ids(&store).await;
        let sample = Self {
            page,
            folder,
            flows,
            alerts,
        };
        if is_closed {
            drop(store);
        }
        let header = fs::read(&path).expect("a file");
        assert_eq!(header[16..18], u16::try_from(page).expect("small").to_be_bytes());
        for end in ["", "-wal"] {
            // There is none of a closed store.
            let _ = fs::copy(
                sample.path(&format!("whole{end}")),
                sample.path(&format!("kept{end}")),
            );
        }
        sample
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The store once more, in a folder of its own.
    fn copy(&self) -> (TempDir, PathBuf) {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("store");
        for end in ["", "-wal"] {
            // As above.
            let _ = fs::copy(self.path(&format!("kept{end}")), beside(&path, end));
        }
        (folder, path)
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

async fn ids(store: &SharedStore) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut flows = BTreeSet::new();
    let mut query = FlowQuery {
        limit: Some(500),
        ..FlowQuery::default()
    };
    loop {
        let page = store.flows(&query).await.expect("flows");
        flows.extend(page.items.into_iter().map(|flow| flow.id));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let alerts = all_alerts(store).await;
    (flows, alerts.into_iter().map(|alert| alert.id).collect())
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip {
        bit: u8,
    },
    Cut,
    /// Zeros from there to the end of the page.
    Zeros,
    /// What follows stands there twice.
    Double,
    /// The page is that of another place.
    Misplaced {
        from: prop::sample::Index,
    },
}

impl Damage {
    fn inflict(self, bytes: &mut Vec<u8>, at: usize, size: usize) {
        let page = at / size * size;
        match self {
            Self::Flip { bit } => bytes[at] ^= 1 << bit,
            Self::Cut => bytes.truncate(at),
            Self::Zeros => {
                let end = (page + size).min(bytes.len());
                bytes[at..end].fill(0);
            }
            Self::Double => {
                let twice = bytes[at..].to_vec();
                bytes.splice(at..at, twice);
            }
            Self::Misplaced { from } => {
                let from = from.index(bytes.len() / size) * size;
                let to = page.min(bytes.len() - size);
                bytes.copy_within(from..from + size, to);
            }
        }
    }

    /// Whether only one page is spoiled.
    fn is_of_one_page(self) -> bool {
        !matches!(self, Self::Cut | Self::Double)
    }
}

fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0..8_u8).prop_map(|bit| Damage::Flip { bit }),
        Just(Damage::Cut),
        Just(Damage::Zeros),
        Just(Damage::Double),
        any::<prop::sample::Index>().prop_map(|from| Damage::Misplaced { from }),
    ]
}

/// Records, once more when the first attempt meets damage that a quick check does not find.
async fn record_in_the_end(store: &SharedStore) -> usize {
    let flows = traffic(FLOWS, 100);
    match deliver(store, batch(&flows)).await {
        Ok(changed) => changed.len(),
        Err(StoreError::Damaged { .. }) => record(store, &flows).await.len(),
        Err(error) => panic!("{error}"),
    }
}

/// Damages database or log, starts, and recovers what was set aside.
async fn check(
    sample: &Sample,
    end: &str,
    damage: Damage,
    place: prop::sample::Index,
) -> Result<(), TestCaseError> {
    let (_folder, path) = sample.copy();
    let file = beside(&path, end);
    let mut bytes = fs::read(&file).expect("a file");
    let at = place.index(bytes.len());
    damage.inflict(&mut bytes, at, sample.page);
    fs::write(&file, &bytes).expect("written");
    let log = fs::read(beside(&path, "-wal")).ok();
    let what = format!("{damage:?} at {at} of {}", file.display());

    let url = path.display().to_string();
    let store = open(&url)
        .await
        .map_err(|error| TestCaseError::fail(format!("{what}: {error}")))?;
    record_in_the_end(&store).await;
    let told = store.set_aside();
    let kept = beside(&path, ".damaged");
    if told.is_empty() {
        // A log that is cut is one that was not written to its end.
        let last_frame = bytes.len().saturating_sub(24 + sample.page);
        let may_be_silent = end.is_empty() || at >= last_frame || !matches!(damage, Damage::Flip { .. });
        prop_assert!(may_be_silent, "{what}: nothing is said");
        prop_assert!(
            !kept.exists() && !beside(&kept, "-wal").exists(),
            "{what}: nothing is said"
        );
        return Ok(());
    }
    if told[0].contains("written again") {
        prop_assert!(end.is_empty() && !kept.exists(), "{what}: {told:?}");
        let (flows, alerts) = ids(&store).await;
        prop_assert!(
            flows.is_superset(&sample.flows) && alerts.is_superset(&sample.alerts),
            "{what}"
        );
        return Ok(());
    }
    prop_assert!(told[0].contains("store.damaged"), "{told:?}");
    // All of it is there still.
    let (kept_file, kept_log) = (
        fs::read(beside(&kept, end)).ok(),
        fs::read(beside(&kept, "-wal")).ok(),
    );
    prop_assert!(kept_file.as_ref() == Some(&bytes), "{what}: not set aside whole");
    prop_assert!(
        log.is_none() || kept_log == log,
        "{what}: set aside without its log"
    );

    // The header of a log and its first frame say which frames count.
    let is_log_headless = !end.is_empty() && at < sample.page;
    let recovered = match recover(&kept, None) {
        Ok(recovered) => recovered,
        Err(StoreError::NothingToRecover { .. }) if !damage.is_of_one_page() || is_log_headless => {
            return Ok(());
        }
        Err(error) => return Err(TestCaseError::fail(format!("{what}: {error}"))),
    };
    let store = open(&recovered.target.display().to_string())
        .await
        .expect("a store");
    prop_assert!(store.set_aside().is_empty(), "{what}: {:?}", store.set_aside());
    let (flows, alerts) = ids(&store).await;
    // A row whose time of recording is damaged may be past its time, or one with another id be there twice.
    prop_assert!(
        recovered.flows.abs_diff(flows.len() as u64) <= 2,
        "{what}: {recovered:?}, and {} are listed",
        flows.len()
    );
    prop_assert_eq!(recovered.alerts, alerts.len() as u64);
    let lost = |all: &BTreeSet<String>, found: &BTreeSet<String>| all.difference(found).count();
    let (flows_lost, alerts_lost) = (lost(&sample.flows, &flows), lost(&sample.alerts, &alerts));
    if damage.is_of_one_page() && !is_log_headless {
        prop_assert!(
            flows_lost <= ROWS_OF_TWO_PAGES && alerts_lost <= ROWS_OF_TWO_PAGES,
            "{what}: {flows_lost} and {alerts_lost} lost"
        );
    }
    let again = recover(&kept, None);
    let is_refused = matches!(again, Err(StoreError::TargetExists { .. }));
    prop_assert!(is_refused, "{what}: recovered twice");
    Ok(())
}

fn run(page: usize, is_closed: bool, end: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sample = runtime.block_on(Sample::with_pages(page, is_closed));
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(40),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(damage in damages(), place: prop::sample::Index)| {
        runtime.block_on(check(&sample, end, damage, place))?;
    });
}

#[test]
fn a_damaged_database_is_set_aside_and_gives_what_is_whole() {
    run(PAGE, true, "");
}

#[test]
fn a_damaged_database_of_a_killed_program_gives_what_its_log_has() {
    run(PAGE, false, "");
}

#[test]
fn a_damaged_log_fails_no_start() {
    run(PAGE, false, "-wal");
}

#[test]
fn a_damaged_database_of_an_older_program_gives_what_is_whole() {
    run(OLDER_PAGE, true, "");
    run(OLDER_PAGE, false, "-wal");
}

async fn recovered(path: &Path) -> Recovered {
    let path = path.to_owned();
    let recovering = tokio::task::spawn_blocking(move || recover(&path, None));
    recovering.await.expect("no panic").expect("recovered")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_its_first_page_gives_the_others() {
    for page in [PAGE, OLDER_PAGE] {
        let sample = Sample::with_pages(page, true).await;
        let (_folder, path) = sample.copy();
        let mut bytes = fs::read(&path).expect("a file");
        bytes[..page].fill(0);
        fs::write(&path, bytes).expect("written");
        let recovered = recovered(&path).await;
        assert_eq!(recovered.flows, u64::from(FLOWS), "pages of {page} bytes");
        assert_eq!(
            recovered.alerts as usize,
            sample.alerts.len(),
            "pages of {page} bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_store_is_recovered_whole() {
    for (page, is_closed) in [
        (PAGE, true),
        (PAGE, false),
        (OLDER_PAGE, true),
        (OLDER_PAGE, false),
    ] {
        let sample = Sample::with_pages(page, is_closed).await;
        let (_folder, path) = sample.copy();
        let before = fs::read(&path).expect("a file");
        let recovered = recovered(&path).await;
        assert_eq!(
            (recovered.flows, recovered.flows_lost),
            (u64::from(FLOWS), Some(0))
        );
        assert_eq!(recovered.alerts_lost, 0);
        assert_eq!(fs::read(&path).expect("a file"), before, "it is not written to");
        let whole = open(&path.display().to_string()).await.expect("opens");
        let target = open(&recovered.target.display().to_string())
            .await
            .expect("opens");
        assert_eq!(all_alerts(&target).await, all_alerts(&whole).await);
        assert_eq!(ids(&target).await, (sample.flows.clone(), sample.alerts.clone()));
        let axis = target.overview(60_000, 500).await.expect("overview");
        assert_eq!(axis, whole.overview(60_000, 500).await.expect("overview"));
        // Both know what they have: nothing is counted twice.
        assert!(record(&target, &traffic(0, FLOWS)).await.is_empty());
        let (change, before) = (target.changes(0, 500).await, whole.changes(0, 500).await);
        assert_eq!(change.expect("changes"), before.expect("changes"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_damaged_while_it_is_used_is_set_aside_too() {
    for by_reading in [true, false] {
        let sample = Sample::new(true).await;
        let (_folder, path) = sample.copy();
        let store = open(&path.display().to_string()).await.expect("opens");
        let newest = store.changes(u64::MAX, 1).await.expect("changes").newest;
        assert_eq!(store.set_aside(), Vec::<String>::new());
        // No quick check finds this.
        rusqlite::Connection::open(&path)
            .and_then(|other| other.execute("UPDATE alerts SET severity = 9", []))
            .expect("spoiled");
        if by_reading {
            let error = store.alerts(&AlertQuery::default()).await.expect_err("damaged");
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        } else {
            let refused = deliver(&store, batch(&traffic(FLOWS, 100))).await;
            assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
        }
        assert!(
            store.set_aside()[0].contains("is damaged"),
            "{:?}",
            store.set_aside()
        );
        let changed = record_in_the_end(&store).await;
        assert!(changed > 0);
        assert!(
            store.set_aside()[0].contains("`store.damaged`"),
            "{:?}",
            store.set_aside()
        );
        // Who follows the changes goes on.
        let changes = store.changes(newest, 500).await.expect("changes");
        assert_eq!(changes.items.len(), changed);
        assert_eq!(ids(&store).await.0.len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_store_that_is_damaged_is_set_aside_within_seconds() {
    let sample = Sample::new(true).await;
    let (_folder, path) = sample.copy();
    let store = open(&path.display().to_string()).await.expect("opens");
    let mut bytes = fs::read(&path).expect("a file");
    bytes[PAGE..].fill(0x5a);
    fs::write(&path, bytes).expect("written");
    store.flows(&FlowQuery::default()).await.expect_err("damaged");
    let begun = Instant::now();
    while !beside(&path, ".damaged").exists() || store.flows(&FlowQuery::default()).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it stays in use");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_alone_is_everything_after_a_clean_end() {
    let sample = Sample::new(true).await;
    // Somebody else looks at it meanwhile.
    let (_folder, path) = sample.copy();
    let store = open(&path.display().to_string()).await.expect("opens");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other
        .query_row("SELECT count(*) FROM flows", [], |_| Ok(()))
        .expect("read");
    record(&store, &traffic(FLOWS, 500)).await;
    drop(store);
    let (folder, copy) = sample.copy();
    fs::copy(&path, &copy).expect("copied");
    let copied = open(&copy.display().to_string()).await.expect("opens");
    assert_eq!(ids(&copied).await.0.len(), FLOWS as usize + 500);
    drop((other, folder));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_mark_costs_nothing() {
    /// Where the version and the number of this program stand in the header.
    const MARKS: [std::ops::Range<usize>; 2] = [60..64, 68..72];
    let sample = Sample::new(true).await;
    for at in MARKS.into_iter().flatten() {
        for bit in [0, 1, 3, 7] {
            let (_folder, path) = sample.copy();
            let mut bytes = fs::read(&path).expect("a file");
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).expect("written");
            let store = open(&path.display().to_string()).await.expect("opens");
            let what = format!("bit {bit} of byte {at}");
            assert!(store.set_aside()[0].contains("written again"), "{what}");
            assert_eq!(
                ids(&store).await,
                (sample.flows.clone(), sample.alerts.clone()),
                "{what}"
            );
            assert!(!beside(&path, ".damaged").exists(), "{what}");
            drop(store);
            let store = open(&path.display().to_string()).await.expect("opens again");
            assert_eq!(store.set_aside(), Vec::<String>::new(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_file_is_not_touched() {
    let sample = Sample::new(false).await;
    let (_folder, path) = sample.copy();
    // As a later program would leave it: version and tables say so.
    rusqlite::Connection::open(&path)
        .expect("opens")
        .execute_batch("PRAGMA user_version = 999; CREATE TABLE later (x)")
        .expect("set");
    let folder_of = |path: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(path.parent().expect("a folder")).expect("a folder");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .map(|path| (path.clone(), fs::read(path).expect("a file")))
            // An index of the log, and an empty log, are made by whoever looks.
            .filter(|(path, bytes)| !bytes.is_empty() && !path.to_string_lossy().ends_with("-shm"))
            .collect();
        files.sort();
        files
    };
    let before = folder_of(&path);
    match open(&path.display().to_string()).await {
        Err(StoreError::Newer { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
    assert!(folder_of(&path) == before);
    let text = path.with_file_name("text");
    fs::write(&text, "of another kind ".repeat(1_000)).expect("written");
    assert!(matches!(
        recover(&text, None),
        Err(StoreError::NothingToRecover { .. })
    ));
    assert!(!beside(&text, ".recovered").exists() && !beside(&text, ".recovered.part").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_database_is_kept() {
    let sample = Sample::new(false).await;
    for is_there in [true, false] {
        let (_folder, path) = sample.copy();
        fs::remove_file(&path).expect("removed");
        if is_there {
            fs::write(&path, b"").expect("written");
        }
        let store = open(&path.display().to_string()).await.expect("opens");
        assert_eq!(store.set_aside().len(), 1);
        let recovered = recovered(&beside(&path, ".damaged")).await;
        // The log was never brought into the database.
        assert_eq!(recovered.flows, u64::from(FLOWS));
        assert_eq!(recovered.alerts as usize, sample.alerts.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_damaged_file_takes_the_next_name() {
    let sample = Sample::new(true).await;
    let (_folder, path) = sample.copy();
    for name in ["store.damaged", "store.damaged.2"] {
        let mut bytes = fs::read(sample.path("kept")).expect("a file");
        bytes[PAGE..2 * PAGE].fill(0);
        fs::write(&path, &bytes).expect("written");
        let store = open(&path.display().to_string()).await.expect("opens");
        assert_eq!(store.set_aside().len(), 1);
        drop(Arc::clone(&store));
        assert_eq!(fs::read(path.with_file_name(name)).expect("set aside"), bytes);
    }
}
