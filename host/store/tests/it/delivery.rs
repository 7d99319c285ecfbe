//! Deliveries that repeat, break off or cross each other change nothing but what is new.

use std::sync::Arc;

use netsage_store::SharedStore;

use crate::suite::{all_alerts, everything, record, suite};
use netsage_testkit::backends::{Place, sqlite};
use netsage_testkit::sample::{Sample, T0, batch, fill, flow, hits, traffic};

suite!(
    a_repeated_delivery_changes_nothing,
    what_was_cut_short_is_completed,
    order_and_batches_make_no_difference,
    batches_at_once_are_as_one_after_the_other,
    a_record_can_be_filled_again_once_it_is_delivered,
    writers_at_the_same_time_lose_nothing,
);

async fn a_repeated_delivery_changes_nothing(place: Place) {
    let store = place.open().await;
    store.health().await.expect("well");
    let batch = traffic(0, 60);
    let changed = record(&store, &batch).await;
    let before = everything(&store).await;
    assert_eq!(changed.len(), before.0.len());
    assert_eq!(
        before.0.iter().map(|alert| alert.count).sum::<u64>(),
        hits(&batch)
    );
    assert_eq!(before.1.len(), 60);
    assert!(record(&store, &batch).await.is_empty());
    assert_eq!(everything(&store).await, before);
    drop(store);
    let again = place.open().await;
    assert!(record(&again, &batch).await.is_empty());
    assert_eq!(everything(&again).await, before);
}

async fn what_was_cut_short_is_completed(place: Place) {
    let store = place.open().await;
    let whole = traffic(0, 60);
    // What a killed process may leave: some flows without their hits, some hits done.
    let mut part = batch(&whole[..40]);
    part.hits.truncate(5);
    store.record(&[Arc::new(part)]).await.expect("recorded");
    drop(store);
    let store = place.open().await;
    record(&store, &whole).await;
    let resumed = everything(&store).await;
    assert_eq!(
        resumed.0.iter().map(|alert| alert.count).sum::<u64>(),
        hits(&whole)
    );
    let alerted: u64 = resumed.2.points.iter().map(|point| point.alerted).sum();
    assert_eq!(alerted, hits(&whole));
    record(&store, &whole).await;
    assert_eq!(everything(&store).await, resumed);
}

async fn order_and_batches_make_no_difference(place: Place) {
    let store = place.open().await;
    let whole = traffic(0, 50);
    for chunk in whole.rchunks(7) {
        let mut part = batch(chunk);
        part.hits.reverse();
        store.record(&[Arc::new(part)]).await.expect("recorded");
    }
    let straight = sqlite();
    let other = straight.open().await;
    record(&other, &whole).await;
    // Compared with SQLite whichever store is under test: so the two agree with each other as well.
    assert_eq!(everything(&store).await, everything(&other).await);
}

async fn batches_at_once_are_as_one_after_the_other(place: Place) {
    let store = place.open().await;
    let whole = traffic(0, 50);
    // The last batch repeats flows of the ones before.
    let parts = [&whole[..20], &whole[20..], &whole[10..30]];
    let together = parts.map(|part| Arc::new(batch(part)));
    let changed = store.record(&together).await.expect("recorded");
    let straight = sqlite();
    let other = straight.open().await;
    for part in parts {
        record(&other, part).await;
    }
    assert_eq!(everything(&store).await, everything(&other).await);
    let mut alerts = everything(&store).await.0;
    let mut changed = changed;
    alerts.sort_by(|a, b| a.id.cmp(&b.id));
    changed.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(changed, alerts, "each once, as it is afterwards");
}

async fn a_record_can_be_filled_again_once_it_is_delivered(place: Place) {
    let store = place.open().await;
    let whole = traffic(0, 60);
    let mut record = Arc::new(batch(&[]));
    for chunk in whole.chunks(20) {
        let only = Arc::get_mut(&mut record).expect("the store holds on to nothing");
        fill(only, chunk);
        store
            .record(std::slice::from_ref(&record))
            .await
            .expect("recorded");
    }
    let straight = sqlite();
    let other = straight.open().await;
    crate::suite::record(&other, &whole).await;
    assert_eq!(everything(&store).await, everything(&other).await);
}

async fn writers_at_the_same_time_lose_nothing(place: Place) {
    let (one, two) = (place.open().await, place.open().await);
    let flows: Vec<Sample> = (0..24)
        .map(|number| flow(number, "10.0.0.1", T0 + 1_000, 0.7))
        .collect();
    let deliver = |store: SharedStore, flows: Vec<Sample>| async move {
        for chunk in flows.chunks(4) {
            record(&store, chunk).await;
        }
    };
    // Each delivers all of it, from opposite ends.
    let reversed = flows.iter().rev().cloned().collect();
    tokio::join!(deliver(one.clone(), flows), deliver(two, reversed));
    let alerts = all_alerts(&one).await;
    assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [24]);
}
