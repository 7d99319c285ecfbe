//! Alerts: what they show and what people do with them.

use netsage_api_types::{AlertState, Flow, Severity, StateChange};
use netsage_store::FlowBatchRecord;

use crate::backends::Place;
use crate::sample::{T0, batch, detector, flow, hit, id};
use crate::suite::{record, suite};

suite!(
    the_highest_score_gives_the_face,
    states_are_kept_with_who_and_when,
);

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
