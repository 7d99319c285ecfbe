//! Time series, the same of every kind of store.

use netsage_alerts::Provenance;
use netsage_api_types::{AlertState, SeriesLabel, SeriesName, StateChange};
use netsage_store::{KeptFlows, SeriesMatcher, SharedStore, StoreError, StoreOptions, StoreSeriesQuery};

use crate::suite::{all_alerts, all_flows, record, suite};
use netsage_testkit::backends::Place;
use netsage_testkit::sample::{T0, flow, traffic};

suite!(
    flows_are_counted_in_the_steps_asked_for,
    alerts_are_counted_by_their_labels,
    series_and_listings_agree,
    flows_that_are_not_kept_are_counted,
    what_is_beyond_the_bounds_is_refused,
);

fn query(name: SeriesName, since: i64, step: i64, steps: u32) -> StoreSeriesQuery {
    StoreSeriesQuery {
        name,
        since: T0 + since,
        step,
        steps,
        by: Vec::new(),
        matchers: Vec::new(),
    }
}

/// The labels of each series and its counts.
async fn read(store: &SharedStore, query: &StoreSeriesQuery) -> Vec<(Vec<String>, Vec<u64>)> {
    let series = store.series(query).await.expect("series").into_iter();
    series
        .map(|series| {
            let labels = series.labels.into_iter().map(|(_, value)| value);
            (labels.collect(), series.values)
        })
        .collect()
}

/// The counts of the one series there is.
async fn counts(store: &SharedStore, query: &StoreSeriesQuery) -> Vec<u64> {
    let series = read(store, query).await;
    let [(labels, values)] = series.as_slice() else {
        panic!("one series is expected: {series:?}");
    };
    assert!(labels.is_empty());
    values.clone()
}

async fn flows_are_counted_in_the_steps_asked_for(place: Place) {
    let store = place.open().await;
    let check = async |name, since, step, steps, expected: &[u64]| {
        let query = query(name, since, step, steps);
        assert_eq!(counts(&store, &query).await, expected, "{query:?}");
    };
    check(SeriesName::Flows, 0, 10_000, 2, &[0, 0]).await;
    let flows = [
        flow(1, "10.0.0.1", T0 - 1, 0.1),
        flow(2, "10.0.0.1", T0, 0.7),
        flow(3, "10.0.0.1", T0 + 9_999, 0.1),
        flow(4, "10.0.0.2", T0 + 10_000, 0.95),
        flow(5, "2001:db8::5", T0 + 39_999, 0.1),
        flow(6, "10.0.0.2", T0 + 40_000, 0.1),
    ];
    record(&store, &flows).await;
    record(&store, &flows[..3]).await;
    for (name, expected) in [
        (SeriesName::Flows, [2, 1, 0, 1]),
        (SeriesName::FlowsAlerted, [1, 1, 0, 0]),
        (SeriesName::FlowPackets, [24, 12, 0, 12]),
        (SeriesName::FlowBytes, [6_800, 3_400, 0, 3_400]),
        (SeriesName::FlowSources, [1, 1, 0, 1]),
    ] {
        check(name, 0, 10_000, 4, &expected).await;
    }
    // Steps need not begin at a multiple of their length.
    check(SeriesName::Flows, -10_000, 30_000, 2, &[4, 2]).await;
    check(SeriesName::FlowSources, -10_000, 30_000, 2, &[2, 2]).await;
    check(SeriesName::FlowSources, -10_000, 60_000, 1, &[3]).await;
    check(SeriesName::Flows, 1_000_000, 10_000, 1, &[0]).await;
}

async fn alerts_are_counted_by_their_labels(place: Place) {
    use SeriesLabel::{Detector, Network, Severity, State};
    let store = place.open().await;
    let mut flows = vec![
        flow(1, "10.0.0.1", T0 + 500, 0.7),
        flow(2, "10.0.0.1", T0 + 1_500, 0.95),
        flow(3, "10.0.0.2", T0 + 20_500, 0.7),
        flow(4, "10.0.0.3", T0 + 20_500, 0.7),
        flow(5, "10.0.0.4", T0 + 20_500, 0.1),
    ];
    flows[3].flow.provenance = Provenance::new("", "plant", false);
    record(&store, &flows).await;
    let check = async |by: &[SeriesLabel], matchers: &[SeriesMatcher], expected: &[(&[&str], [u64; 3])]| {
        let query = StoreSeriesQuery {
            by: by.to_vec(),
            matchers: matchers.to_vec(),
            ..query(SeriesName::AlertsBegun, 0, 10_000, 3)
        };
        let found = read(&store, &query).await;
        let found: Vec<(Vec<&str>, &[u64])> = found
            .iter()
            .map(|(labels, values)| (labels.iter().map(String::as_str).collect(), values.as_slice()))
            .collect();
        let expected: Vec<(Vec<&str>, &[u64])> = expected
            .iter()
            .map(|(labels, values)| (labels.to_vec(), values.as_slice()))
            .collect();
        assert_eq!(found, expected, "{query:?}");
    };
    check(&[], &[], &[(&[], [1, 0, 2])]).await;
    check(
        &[Severity],
        &[],
        &[(&["critical"], [1, 0, 0]), (&["medium"], [0, 0, 2])],
    )
    .await;
    check(&[Detector], &[], &[(&["iforest"], [1, 0, 2])]).await;
    check(&[Network], &[], &[(&[""], [1, 0, 1]), (&["plant"], [0, 0, 1])]).await;
    let of = |label, is_one_of, values: &[&str]| SeriesMatcher {
        label,
        is_one_of,
        values: values.iter().map(ToString::to_string).collect(),
    };
    check(&[], &[of(Network, true, &["plant"])], &[(&[], [0, 0, 1])]).await;
    check(&[], &[of(Network, false, &["plant"])], &[(&[], [1, 0, 1])]).await;
    check(
        &[Severity],
        &[of(Severity, true, &["critical", "high"])],
        &[(&["critical"], [1, 0, 0])],
    )
    .await;
    let alerts = all_alerts(&store).await;
    let closed = alerts
        .iter()
        .find(|alert| alert.source == "10.0.0.2")
        .expect("an alert");
    let change = StateChange {
        state: AlertState::Closed,
        by: "a test".to_owned(),
    };
    store.change_state(&closed.id, &change).await.expect("changed");
    check(&[State], &[], &[(&["closed"], [0, 0, 1]), (&["new"], [1, 0, 1])]).await;
}

async fn series_and_listings_agree(place: Place) {
    let store = place.open().await;
    record(&store, &traffic(0, 300)).await;
    let (flows, alerts) = (all_flows(&store).await, all_alerts(&store).await);
    let steps = 120;
    for name in SeriesName::ALL {
        let query = query(name, 0, 60_000, steps);
        let found = counts(&store, &query).await;
        let step_of = |time: i64| usize::try_from((time - T0) / 60_000).expect("after the start");
        let mut expected = vec![0; steps as usize];
        for flow in &flows {
            expected[step_of(flow.end)] += match name {
                SeriesName::Flows => 1,
                SeriesName::FlowPackets => flow.packets,
                SeriesName::FlowBytes => flow.bytes,
                _ => 0,
            };
        }
        if name == SeriesName::AlertsBegun {
            alerts
                .iter()
                .for_each(|alert| expected[step_of(alert.first_seen)] += 1);
        }
        if name == SeriesName::FlowsAlerted {
            let overview = store.overview(60_000, steps).await.expect("overview");
            overview
                .points
                .iter()
                .for_each(|point| expected[step_of(point.time)] = point.alerted);
        }
        if name == SeriesName::FlowSources {
            for (step, count) in expected.iter_mut().enumerate() {
                let of_step = flows.iter().filter(|flow| step_of(flow.end) == step);
                let sources: std::collections::BTreeSet<_> = of_step.map(|flow| &flow.source).collect();
                *count = sources.len() as u64;
            }
        }
        assert_eq!(found, expected, "{name:?}");
    }
}

async fn flows_that_are_not_kept_are_counted(place: Place) {
    let options = StoreOptions {
        kept_flows: KeptFlows::Alerted,
        ..StoreOptions::default()
    };
    let store = place.open_with(&options).await.expect("the store opens");
    let flows = [
        flow(1, "10.0.0.1", T0, 0.1),
        flow(2, "10.0.0.2", T0, 0.7),
        flow(3, "10.0.0.3", T0, 0.1),
    ];
    record(&store, &flows).await;
    for (name, expected) in [
        (SeriesName::Flows, 3),
        (SeriesName::FlowsAlerted, 1),
        (SeriesName::FlowPackets, 12),
        (SeriesName::FlowSources, 1),
    ] {
        assert_eq!(
            counts(&store, &query(name, 0, 10_000, 1)).await,
            [expected],
            "{name:?}"
        );
    }
}

async fn what_is_beyond_the_bounds_is_refused(place: Place) {
    let store = place.open().await;
    for wrong in [
        query(SeriesName::Flows, 0, 15_000, 1),
        query(SeriesName::Flows, 1, 10_000, 1),
        query(SeriesName::Flows, 0, 10_000, 0),
        query(SeriesName::Flows, 0, 10_000, 11_001),
    ] {
        let answer = store.series(&wrong).await;
        assert!(
            matches!(answer, Err(StoreError::InvalidSeries { .. })),
            "{wrong:?}: {answer:?}"
        );
    }
}
