//! Pages, filters and what is refused.

use netsage_api_types::{Alert, AlertQuery, AlertState, Flow, FlowQuery, Severity, StateChange};
use netsage_store::{FlowBatchRecord, StoreError, StoreOptions};

use crate::suite::{all_alerts, all_flows, deliver, record, suite};
use netsage_testkit::backends::Place;
use netsage_testkit::sample::{T0, batch, flow, id, traffic};

/// Sets what a query asks for, or damages a batch.
type Choose<Query> = fn(&mut Query);

/// What a query asks for, in plain code.
type IsWanted = fn(&Alert) -> bool;

suite!(
    pages_are_the_whole_list,
    alerts_are_filtered,
    flows_are_filtered,
    a_page_looks_only_so_far,
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
    record(&store, &flows.collect::<Vec<_>>()).await;
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
    let mut flows = [
        flow(1, "10.0.0.1", T0 + 1_000, 0.7),
        flow(2, "10.0.0.2", T0 + 2_000, 0.95),
        flow(3, "10.0.0.3", T0 + 3_000, 0.7),
    ];
    (flows[2].flow.protocol, flows[2].flow.service) = ("udp", "dns");
    flows[2].scores[0].detector.name = "other".into();
    record(&store, &flows).await;
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
    unscored.flow.fused = None;
    let flows = [
        flow(1, "10.0.0.1", T0 + 1_000, 0.2),
        flow(2, "10.0.0.2", T0 + 2_000, 0.5),
        flow(3, "10.0.0.1", T0 + 3_000, 0.1),
        unscored,
        flow(5, "2001:db8::5", T0 + 14_000, 0.01),
        flow(6, "10.0.0.1", T0 + 25_000, 0.02),
        flow(7, "10.0.0.1", T0 + 25_000, 0.03),
    ];
    record(&store, &flows).await;
    let cases: [(Choose<FlowQuery>, &str); 11] = [
        (|_| {}, "7654321"),
        (|query| query.source = Some("10.0.0.1".into()), "7631"),
        (|query| query.source = Some("2001:db8::5".into()), "5"),
        (|query| query.source = Some("10.0.0.9".into()), ""),
        (|query| query.source = Some("' OR 1=1 --".into()), ""),
        (
            |query| (query.source, query.since) = (Some("10.0.0.1".into()), Some(T0 + 2_999)),
            "763",
        ),
        (
            |query| (query.source, query.until) = (Some("10.0.0.1".into()), Some(T0 + 25_000)),
            "31",
        ),
        (
            |query| (query.source, query.min_score) = (Some("10.0.0.1".into()), Some(0.1)),
            "31",
        ),
        (|query| query.min_score = Some(0.2), "21"),
        (|query| query.since = Some(T0 + 3_000), "76543"),
        (|query| query.until = Some(T0 + 3_000), "21"),
    ];
    for (choose, expected) in cases {
        let mut query = FlowQuery::default();
        choose(&mut query);
        let found = store.flows(&query).await.expect("a page").items;
        let found: String = found.iter().filter_map(|flow| flow.id.chars().last()).collect();
        assert_eq!(found, expected, "{query:?}");
    }
    // Page by page, also in the middle of a millisecond and of a step.
    let mut query = FlowQuery {
        source: Some("10.0.0.1".into()),
        limit: Some(1),
        ..FlowQuery::default()
    };
    for expected in [&flows[6], &flows[5], &flows[2], &flows[0]] {
        let page = store.flows(&query).await.expect("a page");
        assert_eq!(page.items, [expected.shown()]);
        query.cursor = page.next;
    }
    assert_eq!(query.cursor, None);
    // Delivered again with other scores: the flow takes them over and stays one.
    let mut again = flow(3, "10.0.0.1", T0 + 3_000, 0.5);
    again.scores[0].detector.generation = 2;
    record(&store, std::slice::from_ref(&again)).await;
    let found = all_flows(&store).await;
    assert_eq!((found.len(), &found[4]), (7, &again.shown()));
}

async fn a_page_looks_only_so_far(place: Place) {
    const LOOKED_AT: u32 = 3;
    let options = StoreOptions {
        listing_rows: LOOKED_AT,
        ..StoreOptions::default()
    };
    let store = place.open_with(&options).await.expect("the store opens");
    let mut flows = traffic(0, 120);
    for (number, flow) in (0_u32..).zip(&mut flows) {
        flow.flow.source = format!("10.0.0.{}", number % 12).parse().expect("an address");
        if number.is_multiple_of(7) {
            (flow.flow.protocol, flow.flow.service) = ("udp", "dns");
        }
    }
    record(&store, &flows).await;
    let (whole_alerts, whole_flows) = {
        let unbounded = place.open().await;
        (all_alerts(&unbounded).await, all_flows(&unbounded).await)
    };
    assert!(whole_alerts.len() > 20 && whole_flows.len() == 120);
    // No index serves two conditions, so that one of them passes over rows.
    let choices: [(Choose<AlertQuery>, IsWanted); 4] = [
        (
            |query| query.kind = Some("udp/dns".into()),
            |alert| alert.kind == "udp/dns",
        ),
        (
            |query| (query.kind, query.source) = (Some("udp/dns".into()), Some("10.0.0.1".into())),
            |alert| alert.kind == "udp/dns" && alert.source == "10.0.0.1",
        ),
        (
            |query| (query.state, query.min_severity) = (Some(AlertState::New), Some(Severity::High)),
            |alert| alert.severity >= Severity::High,
        ),
        (
            |query| (query.detector, query.min_severity) = (Some("iforest".into()), Some(Severity::Critical)),
            |alert| alert.severity >= Severity::Critical,
        ),
    ];
    let mut all_found = 0;
    for (choose, is_wanted) in choices {
        let mut query = AlertQuery::default();
        choose(&mut query);
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = store.alerts(&query).await.expect("a page");
            assert!(page.items.len() <= LOOKED_AT as usize || page.next.is_none());
            found.extend(page.items);
            pages += 1;
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        let expected: Vec<Alert> = whole_alerts
            .iter()
            .filter(|alert| is_wanted(alert))
            .cloned()
            .collect();
        assert_eq!(found, expected, "{query:?} in {pages} pages");
        all_found += found.len();
    }
    assert!(all_found > 0);
    for source in [None, Some("10.0.0.1"), Some("10.0.0.99")] {
        let mut query = FlowQuery {
            source: source.map(str::to_owned),
            min_score: Some(0.8),
            ..FlowQuery::default()
        };
        let (mut found, mut empty_pages) = (Vec::new(), 0);
        loop {
            let page = store.flows(&query).await.expect("a page");
            empty_pages += usize::from(page.items.is_empty());
            found.extend(page.items);
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        let is_wanted = |flow: &&Flow| {
            source.is_none_or(|source| flow.source == source)
                && flow.scores.iter().any(|score| score.score >= 0.8)
        };
        let expected: Vec<Flow> = whole_flows.iter().filter(is_wanted).cloned().collect();
        assert_eq!(found, expected, "{source:?}");
        assert!(empty_pages > 0, "{source:?}");
    }
}

async fn bad_input_is_refused(place: Place) {
    let store = place.open().await;
    let good = batch(&[traffic(0, 3), vec![flow(4, "10.0.0.1", T0, 0.9)]].concat());
    let damage: [(Choose<FlowBatchRecord>, &str); 8] = [
        (
            |batch| {
                let detector = batch.hits[0].detector;
                batch.scores.set(1, 0, detector, f32::NAN);
            },
            "a score",
        ),
        (
            |batch| {
                let fused = batch.flows[2].fused.as_mut();
                fused.expect("there is one").max = f32::INFINITY;
            },
            "fused",
        ),
        (|batch| batch.hits[0].threshold = f32::INFINITY, "threshold"),
        (|batch| batch.hits[0].score = f32::NAN, "score"),
        (|batch| batch.hits[0].contributions[0].weight = f32::NAN, "weight"),
        (|batch| batch.hits[0].flow = 4, "not in its batch"),
        (|batch| batch.hits[0].detector = 9, "detector"),
        (|batch| batch.scores.reset(3, 1), "another number"),
    ];
    for (damage, says) in damage {
        let mut batch = good.clone();
        damage(&mut batch);
        let error = deliver(&store, batch).await.expect_err("refused");
        assert!(matches!(error, StoreError::InvalidRecord { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
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
    assert!(record(&store, &[]).await.is_empty());
    assert!(store.record(&[]).await.expect("nothing to do").is_empty());
}
