//! Readers and writers of one file, in this process and beside it.

use std::sync::Arc;

use netsage_api_types::AlertQuery;
use netsage_store::StoreError;
use rusqlite::Connection;

use crate::suite::{all_flows, deliver, record};
use netsage_testkit::backends::sqlite;
use netsage_testkit::sample::{batch, traffic};

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_bounded_and_do_not_hold_up_the_writer() {
    let place = sqlite();
    let store = place.open().await;
    record(&store, &traffic(0, 500)).await;
    let query = AlertQuery {
        source: Some("10.0.0.1".into()),
        kind: Some("of no alert".into()),
        ..AlertQuery::default()
    };
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let (store, query) = (Arc::clone(&store), query.clone());
            tokio::spawn(async move { store.alerts(&query).await })
        })
        .collect();
    record(&store, &traffic(500, 500)).await;
    for (number, caller) in callers.into_iter().enumerate() {
        // Half of the clients leave without their answer.
        if number % 2 == 0 {
            caller.abort();
            continue;
        }
        match caller.await.expect("no panic") {
            Ok(page) => assert_eq!((page.items.len(), page.next), (0, None)),
            // More than a few at once are too many.
            Err(StoreError::Overloaded) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(all_flows(&store).await.len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_process_has_locked_is_busy_and_then_taken_again() {
    let place = sqlite();
    let store = place.open().await;
    record(&store, &traffic(0, 10)).await;
    let path = place.url.trim_start_matches("sqlite:");
    let other = Connection::open(path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let error = deliver(&store, batch(&traffic(10, 10)))
        .await
        .expect_err("locked");
    assert!(matches!(error, StoreError::Busy), "{error}");
    assert_eq!(error.state_of_store(), "is locked by another process");
    // Readers read meanwhile.
    assert_eq!(all_flows(&store).await.len(), 10);
    other.execute_batch("ROLLBACK").expect("free");
    record(&store, &traffic(10, 10)).await;
    assert_eq!(all_flows(&store).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_leaves_nothing_in_its_log() {
    let place = sqlite();
    let store = place.open().await;
    record(&store, &traffic(0, 10)).await;
    drop(store);
    let path = place.url.trim_start_matches("sqlite:");
    let log = std::fs::metadata(format!("{path}-wal"));
    assert!(log.is_err() || log.is_ok_and(|log| log.len() == 0));
}
