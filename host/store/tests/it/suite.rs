//! What every store must do.

use std::collections::BTreeMap;
use std::time::Duration;

use netsage_api_types::{Alert, AlertQuery, AlertState, Flow, FlowQuery, Severity, StateChange};
use netsage_store::{FlowBatchRecord, SharedStore, StoreError, StoreOptions, StoreOverview};

use crate::backends::{Place, mongodb, sqlite};
use crate::sample::{T0, batch, detector, flow, hit, id, traffic};

/// Makes one test per kind of store of each check.
macro_rules! suite {
    ($($check:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $check() {
                super::$check(super::sqlite()).await;
            })*
        }
        mod on_mongodb {
            $(#[tokio::test(flavor = "multi_thread")]
            #[allow(clippy::print_stderr)]
            async fn $check() {
                match super::mongodb() {
                    Ok(place) => super::$check(place).await,
                    Err(reason) => eprintln!("skipped: {reason}"),
                }
            })*
        }
    };
}

suite!(
    a_repeated_delivery_changes_nothing,
    what_was_cut_short_is_completed,
    order_and_batches_make_no_difference,
    the_highest_score_gives_the_face,
    states_are_kept_with_who_and_when,
    pages_are_the_whole_list,
    alerts_are_filtered,
    flows_are_filtered,
    the_overview_has_no_gaps,
    old_flows_go_and_alerts_stay,
    bad_input_is_refused,
    writers_at_the_same_time_lose_nothing,
);

async fn all_alerts(store: &SharedStore) -> Vec<Alert> {
    let query = AlertQuery {
        limit: Some(500),
        ..AlertQuery::default()
    };
    store.alerts(&query).await.expect("alerts").items
}

async fn all_flows(store: &SharedStore) -> Vec<Flow> {
    let query = FlowQuery {
        limit: Some(500),
        ..FlowQuery::default()
    };
    store.flows(&query).await.expect("flows").items
}

async fn everything(store: &SharedStore) -> (Vec<Alert>, Vec<Flow>, StoreOverview) {
    (
        all_alerts(store).await,
        all_flows(store).await,
        store.overview(60_000, 500).await.expect("overview"),
    )
}

async fn record(store: &SharedStore, batch: &FlowBatchRecord) -> Vec<Alert> {
    store.record(batch.clone()).await.expect("recorded")
}

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
    for (flows, hits) in [(&whole.flows, &whole.hits)] {
        for chunk in flows.rchunks(7) {
            let of_chunk = hits
                .iter()
                .filter(|hit| chunk.iter().any(|flow| flow.id == hit.flow_id));
            record(
                &store,
                &FlowBatchRecord {
                    flows: chunk.to_vec(),
                    hits: of_chunk.rev().cloned().collect(),
                },
            )
            .await;
        }
    }
    let straight = sqlite();
    let other = straight.open().await;
    record(&other, &whole).await;
    // Compared with SQLite whichever store is under test: so the two agree with each other as well.
    assert_eq!(everything(&store).await, everything(&other).await);
}

async fn the_highest_score_gives_the_face(place: Place) {
    let store = place.open().await;
    let flows: Vec<Flow> = [(1, 0.7), (2, 0.95), (3, 0.95), (4, 0.8)]
        .into_iter()
        .map(|(number, score)| flow(number, "10.0.0.1", T0 + 10_000 * i64::from(number), score))
        .collect();
    let mut batch = batch(flows.clone());
    // Another version of the same detector goes on with the same alert.
    batch.hits[1].detector = detector("2.0.0");
    let changed = record(&store, &batch).await;
    let [alert] = changed.as_slice() else {
        panic!("one alert, not {}", changed.len())
    };
    assert_eq!(
        (alert.count, alert.score, alert.severity),
        (4, 0.95, Severity::Critical)
    );
    assert_eq!(
        (alert.first_seen, alert.last_seen),
        (flows[0].start, flows[3].end)
    );
    assert_eq!(
        (&alert.community_id, &alert.detector),
        (&flows[1].community_id, &detector("2.0.0"))
    );
    assert_eq!(alert.contributions, batch.hits[1].contributions);
    assert_eq!(alert.id.len(), 32);
    assert_eq!(store.alert(&alert.id).await.expect("read").as_ref(), Some(alert));
    // The next window is another alert; a wider window would not be.
    let later = crate::sample::batch(vec![flow(9, "10.0.0.1", T0 + 3_600_500, 0.7)]);
    let changed = record(&store, &later).await;
    assert_eq!(changed[0].count, 1);
    assert_ne!(changed[0].id, alert.id);
    // A second hit of a counted flow changes nothing, whatever it says.
    let mut louder = hit(&flows[0]);
    louder.score = 0.99;
    assert!(
        record(
            &store,
            &FlowBatchRecord {
                flows: Vec::new(),
                hits: vec![louder]
            }
        )
        .await
        .is_empty()
    );
}

async fn states_are_kept_with_who_and_when(place: Place) {
    let store = place.open().await;
    let first = record(&store, &batch(vec![flow(1, "10.0.0.1", T0 + 1_000, 0.7)]))
        .await
        .remove(0);
    assert_eq!(
        (first.state, &first.changed_by, first.changed_at),
        (AlertState::New, &None, None)
    );
    let change = |state, by: &str| StateChange { state, by: by.into() };
    let taken = store
        .change_state(&first.id, &change(AlertState::Acknowledged, "ann"))
        .await
        .expect("changed");
    assert_eq!(taken.and_then(|alert| alert.changed_by).as_deref(), Some("ann"));
    let closed = store
        .change_state(&first.id, &change(AlertState::Closed, "bo"))
        .await
        .expect("changed");
    let closed = closed.expect("there is such an alert");
    assert_eq!(
        (closed.state, closed.changed_by.as_deref()),
        (AlertState::Closed, Some("bo"))
    );
    assert!(closed.changed_at.is_some_and(|at| at > 1_500_000_000_000));
    // More of the same is counted and does not open it again.
    let more = record(&store, &batch(vec![flow(2, "10.0.0.1", T0 + 2_000, 0.99)]))
        .await
        .remove(0);
    assert_eq!(
        (more.count, more.state, more.changed_by.as_deref()),
        (2, AlertState::Closed, Some("bo"))
    );
    assert_eq!(store.alert(&first.id).await.expect("read"), Some(more));
    for unknown in [id(1), "zz".to_owned(), String::new()] {
        assert_eq!(
            store
                .change_state(&unknown, &change(AlertState::New, "ann"))
                .await
                .expect("no error"),
            None
        );
        assert_eq!(store.alert(&unknown).await.expect("no error"), None);
    }
}

async fn pages_are_the_whole_list(place: Place) {
    let store = place.open().await;
    // Many flows that ended in the same millisecond: the id decides.
    let flows = (0..23).map(|number| {
        flow(
            number,
            &format!("10.0.0.{number}"),
            T0 + i64::from(number / 8),
            0.7,
        )
    });
    record(&store, &batch(flows.collect())).await;
    let (whole_alerts, whole_flows) = (all_alerts(&store).await, all_flows(&store).await);
    assert!(whole_flows.is_sorted_by(|a, b| (a.end, &a.id) > (b.end, &b.id)));
    assert!(whole_alerts.is_sorted_by(|a, b| (a.last_seen, &a.id) > (b.last_seen, &b.id)));
    for limit in [1, 5, 22, 23, 24] {
        let (mut alerts, mut cursor) = (Vec::new(), None);
        loop {
            let query = AlertQuery {
                limit: Some(limit),
                cursor,
                ..AlertQuery::default()
            };
            let page = store.alerts(&query).await.expect("a page");
            alerts.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(alerts, whole_alerts, "{limit}");
        let (mut flows, mut cursor) = (Vec::new(), None);
        loop {
            let query = FlowQuery {
                limit: Some(limit),
                cursor,
                ..FlowQuery::default()
            };
            let page = store.flows(&query).await.expect("a page");
            flows.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(flows, whole_flows, "{limit}");
    }
    let none = FlowQuery {
        limit: Some(0),
        ..FlowQuery::default()
    };
    assert_eq!(store.flows(&none).await.expect("at least one").items.len(), 1);
}

async fn alerts_are_filtered(place: Place) {
    let store = place.open().await;
    let mut batch = batch(vec![
        flow(1, "10.0.0.1", T0 + 1_000, 0.7),
        flow(2, "10.0.0.2", T0 + 2_000, 0.95),
        flow(3, "10.0.0.3", T0 + 3_000, 0.7),
    ]);
    batch.hits[2].kind = "udp/dns".into();
    batch.hits[2].detector.name = "other".into();
    record(&store, &batch).await;
    let second = all_alerts(&store).await[1].id.clone();
    store
        .change_state(
            &second,
            &StateChange {
                state: AlertState::Closed,
                by: "ann".into(),
            },
        )
        .await
        .expect("changed");
    let base = AlertQuery::default;
    let cases = [
        (base(), "321"),
        (
            AlertQuery {
                state: Some(AlertState::Closed),
                ..base()
            },
            "2",
        ),
        (
            AlertQuery {
                state: Some(AlertState::New),
                ..base()
            },
            "31",
        ),
        (
            AlertQuery {
                min_severity: Some(Severity::High),
                ..base()
            },
            "2",
        ),
        (
            AlertQuery {
                min_severity: Some(Severity::Low),
                ..base()
            },
            "321",
        ),
        (
            AlertQuery {
                source: Some("10.0.0.1".into()),
                ..base()
            },
            "1",
        ),
        (
            AlertQuery {
                source: Some("' OR 1=1 --".into()),
                ..base()
            },
            "",
        ),
        (
            AlertQuery {
                kind: Some("udp/dns".into()),
                ..base()
            },
            "3",
        ),
        (
            AlertQuery {
                detector: Some("iforest".into()),
                ..base()
            },
            "21",
        ),
        (
            AlertQuery {
                since: Some(T0 + 2_000),
                ..base()
            },
            "32",
        ),
        (
            AlertQuery {
                until: Some(T0 + 2_000),
                ..base()
            },
            "1",
        ),
        (
            AlertQuery {
                since: Some(T0 + 2_000),
                until: Some(T0 + 3_000),
                ..base()
            },
            "2",
        ),
    ];
    for (query, expected) in cases {
        let found = store.alerts(&query).await.expect("a page").items;
        let found: String = found
            .iter()
            .filter_map(|alert| alert.source.chars().last())
            .collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

async fn flows_are_filtered(place: Place) {
    let store = place.open().await;
    let mut unscored = flow(4, "10.0.0.4", T0 + 4_000, 0.0);
    unscored.scores.clear();
    let flows = vec![
        flow(1, "10.0.0.1", T0 + 1_000, 0.2),
        flow(2, "10.0.0.2", T0 + 2_000, 0.5),
        flow(3, "10.0.0.1", T0 + 3_000, 0.1),
        unscored,
    ];
    record(
        &store,
        &FlowBatchRecord {
            flows,
            hits: Vec::new(),
        },
    )
    .await;
    let base = FlowQuery::default;
    let cases = [
        (base(), "4321"),
        (
            FlowQuery {
                source: Some("10.0.0.1".into()),
                ..base()
            },
            "31",
        ),
        (
            FlowQuery {
                min_score: Some(0.2),
                ..base()
            },
            "21",
        ),
        (
            FlowQuery {
                since: Some(T0 + 3_000),
                ..base()
            },
            "43",
        ),
        (
            FlowQuery {
                until: Some(T0 + 3_000),
                ..base()
            },
            "21",
        ),
    ];
    for (query, expected) in cases {
        let found = store.flows(&query).await.expect("a page").items;
        let found: String = found.iter().filter_map(|flow| flow.id.chars().last()).collect();
        assert_eq!(found, expected, "{query:?}");
    }
    // Delivered again with other scores: the flow takes them over and stays one.
    let again = flow(3, "10.0.0.1", T0 + 3_000, 0.9);
    record(
        &store,
        &FlowBatchRecord {
            flows: vec![again.clone()],
            hits: Vec::new(),
        },
    )
    .await;
    let found = all_flows(&store).await;
    assert_eq!((found.len(), &found[1]), (4, &again));
}

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
    record(&store, &batch(flows.collect())).await;
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
        flow_ttl: Duration::from_secs(1),
        ..StoreOptions::default()
    };
    let store = place.open_with(&short).await.expect("the store opens");
    store.purge().await.expect("purged");
    assert_eq!(all_flows(&store).await, []);
    assert_eq!(all_alerts(&store).await, alerts);
    // Delivered once more: new flows, no new counts.
    assert!(record(&store, &batch).await.is_empty());
    assert_eq!(all_alerts(&store).await, alerts);
}

async fn bad_input_is_refused(place: Place) {
    let store = place.open().await;
    let good = traffic(0, 3);
    let flows_of = |flows| FlowBatchRecord {
        flows,
        hits: Vec::new(),
    };
    let mut short_id = good.flows[0].clone();
    short_id.id.pop();
    let mut upper_case = good.flows[0].clone();
    upper_case.id = "A".repeat(32);
    let mut not_a_number = good.flows[0].clone();
    not_a_number.scores[0].score = f32::NAN;
    let mut bad_hit = hit(&good.flows[0]);
    bad_hit.threshold = f32::INFINITY;
    let batches = [
        flows_of(vec![good.flows[1].clone(), short_id]),
        flows_of(vec![good.flows[1].clone(), upper_case]),
        flows_of(vec![good.flows[1].clone(), not_a_number]),
        FlowBatchRecord {
            flows: good.flows.clone(),
            hits: vec![bad_hit],
        },
    ];
    for batch in batches {
        let error = store.record(batch).await.expect_err("refused");
        assert!(matches!(error, StoreError::InvalidRecord { .. }), "{error}");
        assert_eq!(all_flows(&store).await, []);
    }
    for cursor in ["", "x", "00", &"0".repeat(50)] {
        let cursor = Some(cursor.to_owned());
        let alerts = AlertQuery {
            cursor: cursor.clone(),
            ..AlertQuery::default()
        };
        assert!(matches!(store.alerts(&alerts).await, Err(StoreError::BadCursor)));
        let flows = FlowQuery {
            cursor,
            ..FlowQuery::default()
        };
        assert!(matches!(store.flows(&flows).await, Err(StoreError::BadCursor)));
    }
    for by in [String::new(), "x".repeat(129)] {
        let change = StateChange {
            state: AlertState::Closed,
            by,
        };
        let outcome = store.change_state(&id(1), &change).await;
        assert!(matches!(outcome, Err(StoreError::InvalidChange { .. })));
    }
    assert!(record(&store, &FlowBatchRecord::default()).await.is_empty());
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
