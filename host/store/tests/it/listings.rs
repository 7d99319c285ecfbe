//! Pages, filters and what is refused.

use netsage_api_types::{AlertQuery, AlertState, FlowQuery, Severity, StateChange};
use netsage_store::{FlowBatchRecord, StoreError};

use crate::backends::Place;
use crate::sample::{T0, batch, flow, hit, id, traffic};
use crate::suite::{all_alerts, all_flows, record, suite};

/// Sets what a query asks for.
type Choose<Query> = fn(&mut Query);

suite!(
    pages_are_the_whole_list,
    alerts_are_filtered,
    flows_are_filtered,
    bad_input_is_refused,
);

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
    let cases: [(Choose<AlertQuery>, &str); 12] = [
        (|_| {}, "321"),
        (|query| query.state = Some(AlertState::Closed), "2"),
        (|query| query.state = Some(AlertState::New), "31"),
        (|query| query.min_severity = Some(Severity::High), "2"),
        (|query| query.min_severity = Some(Severity::Low), "321"),
        (|query| query.source = Some("10.0.0.1".into()), "1"),
        (|query| query.source = Some("' OR 1=1 --".into()), ""),
        (|query| query.kind = Some("udp/dns".into()), "3"),
        (|query| query.detector = Some("iforest".into()), "21"),
        (|query| query.since = Some(T0 + 2_000), "32"),
        (|query| query.until = Some(T0 + 2_000), "1"),
        (
            |query| (query.since, query.until) = (Some(T0 + 2_000), Some(T0 + 3_000)),
            "2",
        ),
    ];
    for (choose, expected) in cases {
        let mut query = AlertQuery::default();
        choose(&mut query);
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
    let cases: [(Choose<FlowQuery>, &str); 5] = [
        (|_| {}, "4321"),
        (|query| query.source = Some("10.0.0.1".into()), "31"),
        (|query| query.min_score = Some(0.2), "21"),
        (|query| query.since = Some(T0 + 3_000), "43"),
        (|query| query.until = Some(T0 + 3_000), "21"),
    ];
    for (choose, expected) in cases {
        let mut query = FlowQuery::default();
        choose(&mut query);
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
