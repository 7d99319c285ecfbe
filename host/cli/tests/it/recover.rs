//! `netsage store recover`: what a damaged store still gives, and what the command says where it can do nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netsage_api_types::{AlertQuery, FlowQuery, Page};
use netsage_store::{StoreError, open};
use netsage_testkit::sample::{self, Sample};

use super::support::{Home, stderr, stdout};

/// Flows, each of them an alert of its own.
const FLOWS: u32 = 400;
/// Bytes of a page of new stores.
const PAGE: usize = 8192;

/// Ids of the flows and the alerts of a store.
type Ids = [BTreeSet<String>; 2];

fn traffic() -> Vec<Sample> {
    let flows = (0..FLOWS).map(|number| {
        let [.., high, low] = number.to_be_bytes();
        let end = sample::T0 + 1_000 + i64::from(number);
        let mut flow = sample::flow(number, &format!("10.0.{high}.{low}"), end, 0.9);
        // Each to a target of its own: what many do to one would be one alert.
        flow.flow.destination = format!("10.1.{high}.{low}").parse().unwrap();
        flow
    });
    flows.collect()
}

/// Works with a store in a file, and closes the store.
fn with_store<T>(path: &Path, work: impl AsyncFnOnce(&netsage_store::SharedStore) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(path.to_str().unwrap()).await.unwrap();
        assert_eq!(store.set_aside(), Vec::<String>::new());
        work(&store).await
    })
}

fn ids(path: &Path) -> Ids {
    const LIMIT: Option<u32> = Some(500);
    let all = |ids: Vec<String>, next: Option<String>| {
        assert_eq!(next, None, "one page has all");
        ids.into_iter().collect()
    };
    with_store(path, async |store| {
        let query = FlowQuery {
            limit: LIMIT,
            ..FlowQuery::default()
        };
        let Page { items, next } = store.flows(&query).await.unwrap();
        let flows = all(items.into_iter().map(|flow| flow.id).collect(), next);
        let query = AlertQuery {
            limit: LIMIT,
            ..AlertQuery::default()
        };
        let Page { items, next } = store.alerts(&query).await.unwrap();
        [
            flows,
            all(items.into_iter().map(|alert| alert.id).collect(), next),
        ]
    })
}

/// A whole store under a name in a home, and what it has.
fn store(home: &Home, name: &str) -> (PathBuf, Ids) {
    let path = home.path().join(name);
    with_store(&path, async |store| {
        let batch = Arc::new(sample::batch(&traffic()));
        store.record(&[batch]).await.map(drop)
    })
    .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let ids = ids(&path);
    assert_eq!(ids.each_ref().map(BTreeSet::len), [FLOWS as usize; 2]);
    (path, ids)
}

/// The numbers of a sentence, in their order.
fn numbers(sentence: &str) -> Vec<usize> {
    sentence.split(' ').filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_store_damaged_in_its_middle_gives_all_but_the_damaged_pages() {
    let home = Home::new();
    let (damaged, before) = store(&home, "netsage.sqlite.damaged");
    let mut bytes = fs::read(&damaged).unwrap();
    let pages = bytes.len() / PAGE;
    let mut lost_of_each = [0, 0];
    // The hash in the Community ID of a flow of the middle, and several other places: which table or index a page belongs
    // to is for SQLite to choose.
    let hash = sample::flow(FLOWS / 2, "10.0.0.1", 0, 0.0).flow.community_id;
    let of_flow = bytes.windows(hash.len()).position(|window| window == hash);
    let others = (2..15).map(|sixteenth| pages * sixteenth / 16);
    for number in others.chain(of_flow.map(|at| at / PAGE)) {
        let page = number * PAGE;
        let whole = bytes[page..page + PAGE].to_vec();
        bytes[page..page + PAGE].fill(0x5a);
        fs::write(&damaged, &bytes).unwrap();
        let target = format!("salvaged-{number}.sqlite");
        let output = home.run(&["store", "recover", "netsage.sqlite.damaged", "--into", &target]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(output.stdout.is_empty(), "{}", stdout(&output));
        let said = stderr(&output);
        let after = ids(&home.path().join(&target));
        let [flows, alerts] = after.each_ref().map(BTreeSet::len);
        let all = FLOWS as usize;
        assert_eq!(
            numbers(&said),
            [flows, alerts, all - flows, all - alerts],
            "{said}"
        );
        let form = format!(
            "salvaged {flows} flows and {alerts} alerts, lost {} flows and {} alerts; the new store is {target}\n",
            all - flows,
            all - alerts
        );
        assert_eq!(said, form);
        for kind in 0..2 {
            assert!(after[kind].is_subset(&before[kind]));
            // Far more rows lie elsewhere than on one page.
            assert!(after[kind].len() > all * 3 / 4, "{said}");
            lost_of_each[kind] += all - after[kind].len();
        }
        assert!(fs::read(&damaged).unwrap() == bytes, "it is not written to");
        bytes[page..page + PAGE].copy_from_slice(&whole);
    }
    assert!(lost_of_each.iter().all(|lost| *lost > 0), "{lost_of_each:?}");
}

#[test]
fn what_cannot_be_recovered_gives_one_sentence() {
    let home = Home::new();
    let (whole, _) = store(&home, "whole.sqlite");
    home.file("text", "of another kind ".repeat(1_000).as_bytes());
    home.file("empty", b"");
    home.file("taken", b"something");
    fs::create_dir(home.path().join("folder")).unwrap();
    let other = home.path().join("other.sqlite");
    rusqlite::Connection::open(&other)
        .and_then(|other| other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)"))
        .unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["absent"], "cannot read the damaged store absent: No such file"),
        (&["folder"], "cannot read the damaged store folder: "),
        (&["text"], "nothing of a store was found in text"),
        (&["empty"], "nothing of a store was found in empty"),
        (&["other.sqlite"], "nothing of a store was found in other.sqlite"),
        (&["whole.sqlite", "--into", "taken"], "taken is there already"),
        (
            &["whole.sqlite", "--into", "whole.sqlite"],
            "whole.sqlite is there already",
        ),
        (
            &["whole.sqlite", "--into", "no/folder/new"],
            "cannot open the store no/folder/new: No such file",
        ),
    ];
    let names = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(home.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let (before, bytes) = (names(), fs::read(&whole).unwrap());
    for (arguments, expected) in cases {
        let output = home.run(&[&["store", "recover"], arguments].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(names(), before, "{arguments:?} leaves nothing behind");
    }
    assert_eq!(fs::read(home.path().join("taken")).unwrap(), b"something");
    assert!(fs::read(&whole).unwrap() == bytes);
    // Without --into the new store is beside the file, and is not written over.
    let recover = || home.run(&["store", "recover", "whole.sqlite"]);
    let said = stderr(&recover());
    assert_eq!(numbers(&said), [FLOWS as usize, FLOWS as usize, 0, 0], "{said}");
    assert!(said.contains("the new store is whole.sqlite.recovered"), "{said}");
    let again = recover();
    assert!(
        stderr(&again).contains("whole.sqlite.recovered is there already"),
        "{}",
        stderr(&again)
    );
}
