//! The time axis of the overview, and what goes when its time has come.

use std::collections::BTreeMap;
use std::time::Duration;

use netsage_store::{StoreOptions, StoreOverview};

use crate::suite::{all_alerts, all_flows, record, suite};
use netsage_testkit::backends::Place;
use netsage_testkit::sample::{T0, flow, traffic};

suite!(
    the_overview_has_no_gaps,
    old_flows_go_and_alerts_stay,
    untouched_alerts_go_with_what_they_counted,
    a_store_in_which_nothing_is_recorded_drops_what_is_over,
);

async fn the_overview_has_no_gaps(place: Place) {
    let store = place.open().await;
    let empty = store.overview(60_000, 10).await.expect("overview");
    assert_eq!(
        empty,
        StoreOverview {
            step: 60_000,
            ..StoreOverview::default()
        }
    );
    let ends = [0, 59_999, 60_000, 250_000];
    let flows = (1..)
        .zip(ends)
        .map(|(number, end)| flow(number, "10.0.0.1", T0 + end, if number == 4 { 0.7 } else { 0.1 }));
    record(&store, &flows.collect::<Vec<_>>()).await;
    let check = |step, points| {
        let store = store.clone();
        async move {
            let overview = store.overview(step, points).await.expect("overview");
            let points: BTreeMap<i64, (u64, u64)> = overview
                .points
                .iter()
                .map(|point| (point.time - T0, (point.flows, point.alerted)))
                .collect();
            (overview.step, points)
        }
    };
    let minutes = BTreeMap::from([
        (0, (2, 0)),
        (60_000, (1, 0)),
        (120_000, (0, 0)),
        (180_000, (0, 0)),
        (240_000, (1, 1)),
    ]);
    assert_eq!(check(60_000, 100).await, (60_000, minutes));
    assert_eq!(check(55_000, 1).await.0, 60_000);
    assert_eq!(check(60_000, 1).await.1, BTreeMap::from([(240_000, (1, 1))]));
    assert_eq!(check(1, 500).await.1.len(), 26);
    record(&store, &traffic(100, 40)).await;
    let overview = store.overview(60_000, 2_000).await.expect("overview");
    let alerts = all_alerts(&store).await;
    assert_eq!(overview.alerts_total, alerts.len() as u64);
    assert_eq!(overview.alerts_new, alerts.len() as u64);
    assert!(overview.top_sources.is_sorted_by(|a, b| a.flows >= b.flows));
    assert_eq!(
        overview
            .top_sources
            .iter()
            .map(|source| source.flows)
            .sum::<u64>(),
        alerts.iter().map(|alert| alert.count).sum::<u64>()
    );
    assert!(
        overview
            .points
            .windows(2)
            .all(|pair| pair[1].time - pair[0].time == 60_000)
    );
}

async fn old_flows_go_and_alerts_stay(place: Place) {
    let store = place.open().await;
    let batch = traffic(0, 20);
    record(&store, &batch).await;
    let alerts = all_alerts(&store).await;
    assert_eq!(store.purge().await.expect("purged"), 0);
    drop(store);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    // Also changes the time that an index on a server has already.
    let short = StoreOptions {
        flow_retention: Duration::from_secs(1),
        ..StoreOptions::default()
    };
    let store = place.open_with(&short).await.expect("the store opens");
    store.purge().await.expect("purged");
    assert_eq!(all_flows(&store).await, []);
    assert_eq!(all_alerts(&store).await, alerts);
    assert_eq!(store.overview(60_000, 500).await.expect("overview").points, []);
    // Delivered once more: new flows, no new counts.
    assert!(record(&store, &batch).await.is_empty());
    assert_eq!(all_alerts(&store).await, alerts);
    let points = store.overview(60_000, 500).await.expect("overview").points;
    assert_eq!(points.iter().map(|point| point.flows).sum::<u64>(), 20);
}

async fn untouched_alerts_go_with_what_they_counted(place: Place) {
    let store = place.open().await;
    let batch = traffic(0, 20);
    record(&store, &batch).await;
    let alerts = all_alerts(&store).await;
    drop(store);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let short = StoreOptions {
        alert_retention: Duration::from_secs(1),
        ..StoreOptions::default()
    };
    let store = place.open_with(&short).await.expect("the store opens");
    store.purge().await.expect("purged");
    assert_eq!(all_alerts(&store).await, []);
    assert_eq!(all_flows(&store).await.len(), 20);
    // Nothing is left of what they had counted: the same hits make the same alerts again.
    assert_eq!(record(&store, &batch).await.len(), alerts.len());
    assert_eq!(all_alerts(&store).await, alerts);
}

async fn a_store_in_which_nothing_is_recorded_drops_what_is_over(place: Place) {
    let store = place.open().await;
    record(&store, &traffic(0, 20)).await;
    drop(store);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let short = StoreOptions {
        flow_retention: Duration::from_secs(1),
        alert_retention: Duration::from_secs(1),
        ..StoreOptions::default()
    };
    let store = place.open_with(&short).await.expect("the store opens");
    for _ in 0..1_000 {
        if all_flows(&store).await.is_empty() && all_alerts(&store).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what is past its time is still there");
}
