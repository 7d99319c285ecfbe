//! Deliveries that repeat, break off or cross each other change nothing but what is new.

use netsage_api_types::Flow;
use netsage_store::{FlowBatchRecord, SharedStore};

use crate::backends::{Place, sqlite};
use crate::sample::{T0, batch, flow, traffic};
use crate::suite::{all_alerts, everything, record, suite};

suite!(
    a_repeated_delivery_changes_nothing,
    what_was_cut_short_is_completed,
    order_and_batches_make_no_difference,
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
        batch.hits.len() as u64
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
    let part = FlowBatchRecord {
        flows: whole.flows[..40].to_vec(),
        hits: whole.hits[..5].to_vec(),
    };
    record(&store, &part).await;
    drop(store);
    let store = place.open().await;
    record(&store, &whole).await;
    let resumed = everything(&store).await;
    assert_eq!(
        resumed.0.iter().map(|alert| alert.count).sum::<u64>(),
        whole.hits.len() as u64
    );
    let alerted: u64 = resumed.2.points.iter().map(|point| point.alerted).sum();
    assert_eq!(alerted, whole.hits.len() as u64);
    record(&store, &whole).await;
    assert_eq!(everything(&store).await, resumed);
}

async fn order_and_batches_make_no_difference(place: Place) {
    let store = place.open().await;
    let whole = traffic(0, 50);
    for chunk in whole.flows.rchunks(7) {
        let of_chunk = whole
            .hits
            .iter()
            .filter(|hit| chunk.iter().any(|flow| flow.id == hit.flow_id));
        let part = FlowBatchRecord {
            flows: chunk.to_vec(),
            hits: of_chunk.rev().cloned().collect(),
        };
        record(&store, &part).await;
    }
    let straight = sqlite();
    let other = straight.open().await;
    record(&other, &whole).await;
    // Compared with SQLite whichever store is under test: so the two agree with each other as well.
    assert_eq!(everything(&store).await, everything(&other).await);
}

async fn writers_at_the_same_time_lose_nothing(place: Place) {
    let (one, two) = (place.open().await, place.open().await);
    let flows: Vec<Flow> = (0..24)
        .map(|number| flow(number, "10.0.0.1", T0 + 1_000, 0.7))
        .collect();
    let deliver = |store: SharedStore, flows: Vec<Flow>| async move {
        for chunk in flows.chunks(4) {
            record(&store, &batch(chunk.to_vec())).await;
        }
    };
    // Each delivers all of it, from opposite ends.
    let reversed = flows.iter().rev().cloned().collect();
    tokio::join!(deliver(one.clone(), flows), deliver(two, reversed));
    let alerts = all_alerts(&one).await;
    assert_eq!(alerts.iter().map(|alert| alert.count).collect::<Vec<_>>(), [24]);
}
