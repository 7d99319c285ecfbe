//! The order of changes, and how far somebody has come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use netsage_api_types::{Alert, AlertState, StateChange};
use netsage_store::{Change, MAX_POSITION_BYTES, SharedStore, StoreError, StoreOptions};

use crate::suite::{all_alerts, record, suite};
use netsage_testkit::backends::{Place, mongodb};
use netsage_testkit::sample::{T0, flow, traffic};

suite!(
    each_change_has_a_revision_of_its_own,
    revisions_rise_over_restarts_and_deletions,
    a_reader_beside_writers_misses_nothing,
    positions_are_kept,
    of_several_programs_that_swap_a_position_one_wins,
);

/// All changes after a revision, a page of three at a time.
async fn changes_after(store: &SharedStore, after: u64) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    loop {
        let last = found.last().map_or(after, |change| change.revision);
        let page = store.changes(last, 3).await.expect("changes");
        assert!(page.items.len() <= 3);
        assert!(page.items.iter().all(|change| change.revision <= page.newest));
        if page.items.is_empty() {
            assert!(found.is_sorted_by(|a, b| a.revision < b.revision));
            return found;
        }
        found.extend(page.items);
    }
}

fn by_id(alerts: impl IntoIterator<Item = Alert>) -> BTreeMap<String, Alert> {
    let alerts = alerts.into_iter();
    alerts.map(|alert| (alert.id.clone(), alert)).collect()
}

fn alerts_of(changes: Vec<Change>) -> BTreeMap<String, Alert> {
    let count = changes.len();
    let alerts = by_id(changes.into_iter().map(|change| change.alert));
    assert_eq!(alerts.len(), count, "an alert has one revision");
    alerts
}

async fn newest(store: &SharedStore) -> u64 {
    store.changes(u64::MAX, 1).await.expect("changes").newest
}

async fn each_change_has_a_revision_of_its_own(place: Place) {
    let store = place.open().await;
    assert_eq!(changes_after(&store, 0).await, []);
    assert_eq!(newest(&store).await, 0);
    let batch = traffic(0, 60);
    record(&store, &batch).await;
    let first = changes_after(&store, 0).await;
    let last = first.last().expect("changes").revision;
    assert_eq!(alerts_of(first.clone()), by_id(all_alerts(&store).await));
    assert_eq!(newest(&store).await, last);

    record(&store, &batch).await;
    assert_eq!(newest(&store).await, last, "a repeated delivery is no change");
    assert_eq!(changes_after(&store, 0).await, first);

    let more = record(&store, &traffic(60, 30)).await;
    let second = changes_after(&store, last).await;
    assert_eq!(alerts_of(second.clone()), by_id(more));
    assert_eq!(
        alerts_of(changes_after(&store, 0).await),
        by_id(all_alerts(&store).await)
    );

    let closed = store
        .change_state(
            &first[0].alert.id,
            &StateChange {
                state: AlertState::Closed,
                by: "ann".into(),
            },
        )
        .await
        .expect("changed")
        .expect("there is such an alert");
    let third = changes_after(&store, newest(&store).await - 1).await;
    assert_eq!(
        third.iter().map(|change| &change.alert).collect::<Vec<_>>(),
        [&closed]
    );
}

async fn revisions_rise_over_restarts_and_deletions(place: Place) {
    let store = place.open().await;
    record(&store, &traffic(0, 20)).await;
    let before = newest(&store).await;
    drop(store);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let short = StoreOptions {
        alert_retention: Duration::from_secs(1),
        ..StoreOptions::default()
    };
    let store = place.open_with(&short).await.expect("the store opens");
    store.purge().await.expect("purged");
    assert_eq!(changes_after(&store, 0).await, []);
    assert_eq!(newest(&store).await, before);
    record(&store, &traffic(0, 20)).await;
    let again = changes_after(&store, 0).await;
    assert!(again.iter().all(|change| change.revision > before), "{again:?}");
    assert_eq!(alerts_of(again), by_id(all_alerts(&store).await));
}

async fn a_reader_beside_writers_misses_nothing(place: Place) {
    let done = AtomicBool::new(false);
    // Made before it is used by several.
    drop(place.open().await);
    // Each has connections of its own, and all of them change the alerts of the same few sources.
    let write = |first: u32| {
        let (place, done) = (&place, &done);
        async move {
            let store = place.open().await;
            for round in 0..12 {
                let flows: Vec<_> = (0..6)
                    .map(|number| {
                        let source = format!("10.0.0.{}", (number + round) % 9);
                        flow(first + round * 6 + number, &source, T0 + 1_000, 0.7)
                    })
                    .collect();
                record(&store, &flows).await;
            }
            done.store(first == 3_000, Ordering::Release);
        }
    };
    let read = async {
        let store = place.open().await;
        let mut seen = BTreeMap::new();
        let mut last = 0;
        loop {
            let was_done = done.load(Ordering::Acquire);
            let page = store.changes(last, 2).await.expect("changes");
            for change in page.items {
                assert!(change.revision > last, "{} after {last}", change.revision);
                last = change.revision;
                seen.insert(change.alert.id.clone(), change.alert);
            }
            if was_done && last == page.newest {
                return seen;
            }
        }
    };
    let writers = async {
        tokio::join!(write(0), write(1_000), write(2_000));
        // The last one begins when the others have ended, so that its end is the end of all.
        write(3_000).await;
    };
    let ((), seen) = tokio::join!(writers, read);
    let store = place.open().await;
    assert_eq!(seen, by_id(all_alerts(&store).await));
}

async fn positions_are_kept(place: Place) {
    let store = place.open().await;
    assert_eq!(store.position("a").await.expect("read"), None);
    for position in [&b"7"[..], b"", &[0, 255]] {
        store.save_position("a", position).await.expect("saved");
        assert_eq!(
            store.position("a").await.expect("read").as_deref(),
            Some(position)
        );
    }
    let long = vec![1; MAX_POSITION_BYTES];
    store.save_position("b", &long).await.expect("saved");
    drop(store);
    let store = place.open().await;
    assert_eq!(store.position("a").await.expect("read"), Some(vec![0, 255]));
    assert_eq!(store.position("b").await.expect("read"), Some(long.clone()));
    for (name, position) in [
        ("", &long[..]),
        (&"n".repeat(129), b"7"),
        ("b", &[&long[..], b"7"].concat()),
    ] {
        let refused = store.save_position(name, position).await;
        assert!(
            matches!(refused, Err(StoreError::InvalidPosition { .. })),
            "{name}"
        );
    }
    assert_eq!(store.position("b").await.expect("read"), Some(long));
}

async fn of_several_programs_that_swap_a_position_one_wins(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    let swap = async |store: &SharedStore, expected: Option<&[u8]>, position: &[u8]| {
        store
            .swap_position("c", expected, position)
            .await
            .expect("an answer")
    };
    assert!(!swap(&one, Some(b"x"), b"y").await, "there is none yet");
    let begun = tokio::join!(swap(&one, None, b"one"), swap(&other, None, b"other"));
    assert!(begun.0 ^ begun.1, "{begun:?}");
    let kept: &[u8] = if begun.0 { b"one" } else { b"other" };
    assert_eq!(one.position("c").await.expect("read").as_deref(), Some(kept));
    assert!(!swap(&other, Some(b"x"), b"y").await, "another one was expected");
    for round in 0..20_u8 {
        let expected = one.position("c").await.expect("read");
        // Neither is what was there before: a position that stays the same could be swapped twice.
        let positions = [[0, round], [1, round]];
        let swapped = tokio::join!(
            swap(&one, expected.as_deref(), &positions[0]),
            swap(&other, expected.as_deref(), &positions[1])
        );
        assert!(swapped.0 ^ swapped.1, "{swapped:?} in round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn a_batch_of_revisions_that_a_killed_writer_left_is_finished() {
    let place = match mongodb() {
        Ok(place) => place,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let store = place.open().await;
    record(&store, &traffic(0, 60)).await;
    let before = changes_after(&store, 0).await;
    let last = i64::try_from(newest(&store).await).expect("small");
    let client = mongodb::Client::with_uri_str(&place.url).await.expect("a client");
    let database = client.default_database().expect("the URL names one");
    let alerts = database.collection::<Document>("alerts");
    let meta = database.collection::<Document>("meta");
    // Killed after naming both in the ledger; the second was changed once more before it got its number.
    let ids = [&before[0].alert.id, &before[1].alert.id];
    for id in ids {
        alerts
            .update_one(
                doc! { "_id": id },
                doc! { "$set": { "version": 7_i64, "pending": true } },
            )
            .await
            .expect("changed");
    }
    let entry =
        |id: &str, version: i64, revision| doc! { "alert": id, "version": version, "revision": revision };
    let batch = [entry(ids[0], 7, last + 1), entry(ids[1], 6, last + 2)];
    let left = doc! { "$set": { "last": last + 2, "batch": batch.to_vec() } };
    meta.update_one(doc! { "_id": "revisions" }, left)
        .await
        .expect("left");

    let after: Vec<(u64, String)> = changes_after(&store, u64::try_from(last).expect("positive"))
        .await
        .into_iter()
        .map(|change| (change.revision, change.alert.id))
        .collect();
    let number = |more: i64| u64::try_from(last + more).expect("positive");
    assert_eq!(after, [(number(1), ids[0].clone()), (number(3), ids[1].clone())]);
}
