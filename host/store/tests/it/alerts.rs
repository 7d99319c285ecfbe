//! Alerts: what they show and what people do with them.

use netsage_api_types::{AlertState, Severity, StateChange};

use crate::suite::{all_flows, record, suite};
use netsage_testkit::backends::Place;
use netsage_testkit::sample::{Sample, T0, detector, flow, id};

suite!(
    the_highest_score_gives_the_face,
    an_alert_names_the_generation_of_its_face,
    several_detectors_alert_each_for_itself,
    states_are_kept_with_who_and_when,
);

async fn the_highest_score_gives_the_face(place: Place) {
    let store = place.open().await;
    let mut flows: Vec<Sample> = [(1, 0.7), (2, 0.95), (3, 0.95), (4, 0.8)]
        .into_iter()
        .map(|(number, score)| flow(number, "10.0.0.1", T0 + 10_000 * i64::from(number), score))
        .collect();
    // Another version of the same detector goes on with the same alert, and so does another generation.
    flows[1].scores[0].detector = detector("2.0.0");
    flows[3].scores[0].detector.generation = 2;
    let changed = record(&store, &flows).await;
    let [alert] = changed.as_slice() else {
        panic!("one alert, not {}", changed.len())
    };
    assert_eq!(
        (alert.count, alert.score, alert.severity),
        (4, 0.95, Severity::Critical)
    );
    assert_eq!(
        (alert.first_seen, alert.last_seen),
        (flows[0].flow.start, flows[3].flow.end)
    );
    assert_eq!(
        (&alert.community_id, &alert.detector),
        (&flows[1].community_id(), &detector("2.0.0"))
    );
    assert_eq!(alert.contributions, Sample::contributions(0.95));
    assert_eq!(alert.id.len(), 32);
    assert_eq!(store.alert(&alert.id).await.expect("read").as_ref(), Some(alert));
    // The next window is another alert; a wider window would not be.
    let later = flow(9, "10.0.0.1", T0 + 3_600_500, 0.7);
    let changed = record(&store, &[later]).await;
    assert_eq!(changed[0].count, 1);
    assert_ne!(changed[0].id, alert.id);
    // A second hit of a counted flow changes nothing, whatever it says.
    let mut louder = flows[0].clone();
    louder.scores[0].score = 0.99;
    assert!(record(&store, &[louder]).await.is_empty());
}

async fn an_alert_names_the_generation_of_its_face(place: Place) {
    let store = place.open().await;
    let mut generation_of_face = Vec::new();
    for (number, score, generation) in [(1, 0.7, 4), (2, 0.8, 5), (3, 0.75, 6), (4, 0.9, 4)] {
        let mut sample = flow(number, "10.0.0.1", T0 + 1_000, score);
        sample.scores[0].detector.generation = generation;
        let alert = record(&store, &[sample]).await.remove(0);
        assert_eq!(store.alert(&alert.id).await.expect("read").as_ref(), Some(&alert));
        generation_of_face.push(alert.detector.generation);
    }
    assert_eq!(generation_of_face, [4, 5, 5, 4]);
}

async fn several_detectors_alert_each_for_itself(place: Place) {
    let store = place.open().await;
    let flows: Vec<Sample> = (0..6)
        .map(|number| {
            let mut sample = flow(number, "10.0.0.1", T0 + 1_000, 0.7);
            let mut other = sample.scores[0].clone();
            other.detector.name = "other".into();
            // The canary of this name takes every second flow, and one flow has no score of it.
            other.detector.generation = 2 + u64::from(number % 2);
            other.score = 0.65;
            if number != 3 {
                sample.scores.push(other);
            }
            sample
        })
        .collect();
    let changed = record(&store, &flows).await;
    let mut counts: Vec<_> = changed
        .iter()
        .map(|alert| (alert.detector.name.as_str(), alert.count))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [("iforest", 6), ("other", 5)]);
    let shown: Vec<_> = flows.iter().rev().map(Sample::shown).collect();
    assert_eq!(all_flows(&store).await, shown);
    let alerted = store.overview(10_000, 10).await.expect("overview").points;
    assert_eq!(alerted.iter().map(|point| point.alerted).sum::<u64>(), 6);
}

async fn states_are_kept_with_who_and_when(place: Place) {
    let store = place.open().await;
    let first = record(&store, &[flow(1, "10.0.0.1", T0 + 1_000, 0.7)])
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
    let more = record(&store, &[flow(2, "10.0.0.1", T0 + 2_000, 0.99)])
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
