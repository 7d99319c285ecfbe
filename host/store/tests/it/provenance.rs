//! Where flows come from: kept with flows and alerts, asked for by listings, and what is one alert.

use netsage_alerts::Provenance;
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery};
use netsage_store::SharedStore;

use crate::suite::{all_alerts, all_flows, record, suite};
use netsage_testkit::backends::Place;
use netsage_testkit::sample::{Sample, T0, flow};

suite!(
    flows_and_alerts_say_where_they_come_from,
    hosts_of_two_networks_are_two,
    an_alert_shows_the_sensor_of_the_flow_that_it_shows,
    a_flow_that_is_delivered_again_says_what_the_last_delivery_said,
    what_another_program_said_is_kept,
);

fn of(sample: Sample, sensor: &str, network: &str, is_late: bool) -> Sample {
    let mut sample = sample;
    sample.flow.provenance = Provenance::new(sensor, network, is_late);
    sample
}

/// Ends of the numbers of flows, the newest first.
fn numbers(flows: &[Flow]) -> String {
    flows.iter().filter_map(|flow| flow.id.chars().last()).collect()
}

async fn what_another_program_said_is_kept(place: Place) {
    let store = place.open().await;
    let saying = |number: u32, said: Option<&str>| {
        let mut sample = flow(number, "10.0.0.1", T0 + i64::from(number), 0.7);
        sample.flow.foreign = said.map(Into::into);
        sample
    };
    let row = r#"{"row":{"schema":"flow-v1@1","values":[0.5,7,-1e-9]}}"#;
    let scores = r#"{"scores":[{"detector":"iforest","version":"1.0.0","digest":"00","score":0.25,"threshold":0.5},{"detector":"x","score":1}]}"#;
    let samples = [saying(1, None), saying(2, Some(row)), saying(3, Some(scores))];
    let shown = |samples: &[Sample]| samples.iter().rev().map(Sample::shown).collect::<Vec<_>>();
    assert!(shown(&samples)[..2].iter().all(|flow| flow.foreign.is_some()));
    record(&store, &samples).await;
    assert_eq!(all_flows(&store).await, shown(&samples));
    // The last delivery counts.
    let again = [saying(1, Some(scores)), saying(2, None), saying(3, Some(scores))];
    record(&store, &again).await;
    assert_eq!(all_flows(&store).await, shown(&again));
}

async fn flows_and_alerts_say_where_they_come_from(place: Place) {
    let store = place.open().await;
    let at = |number: u32| flow(number, &format!("10.0.0.{number}"), T0 + i64::from(number), 0.7);
    let samples = [
        at(1),
        of(at(2), "tap", "", false),
        of(at(3), "", "branch", false),
        of(at(4), "tap", "branch", true),
        of(at(5), "' OR 1=1 --", "Zürich \"north\"", false),
        of(at(6), "", "", true),
    ];
    record(&store, &samples).await;
    let mut expected: Vec<Flow> = samples.iter().map(Sample::shown).collect();
    expected.reverse();
    assert_eq!(all_flows(&store).await, expected);
    let found = all_alerts(&store).await;
    let pairs = |alert: &Alert| (alert.sensor.clone(), alert.network.clone());
    let said = |sample: &Sample| {
        let provenance = &sample.flow.provenance;
        (provenance.sensor().to_owned(), provenance.network().to_owned())
    };
    assert_eq!(
        found.iter().map(pairs).collect::<Vec<_>>(),
        samples.iter().rev().map(said).collect::<Vec<_>>()
    );
    let text = |text: &str| Some(text.to_owned());
    for (sensor, network, wanted) in [
        (None, None, "654321"),
        (text("tap"), None, "42"),
        (None, text("branch"), "43"),
        (text("tap"), text("branch"), "4"),
        // A name that is empty is no name, and not any.
        (None, text(""), "621"),
        (text(""), None, "631"),
        (text(""), text(""), "61"),
        (text("' OR 1=1 --"), text("Zürich \"north\""), "5"),
        (text("ta"), None, ""),
    ] {
        let query = FlowQuery {
            sensor: sensor.clone(),
            network: network.clone(),
            ..FlowQuery::default()
        };
        let flows = store.flows(&query).await.expect("flows").items;
        assert_eq!(numbers(&flows), wanted, "{query:?}");
        let query = AlertQuery {
            sensor,
            network,
            ..AlertQuery::default()
        };
        let alerts = store.alerts(&query).await.expect("alerts").items;
        let sources: String = alerts
            .iter()
            .filter_map(|alert| alert.source.chars().last())
            .collect();
        assert_eq!(sources, wanted, "{query:?}");
    }
}

async fn hosts_of_two_networks_are_two(place: Place) {
    let store = place.open().await;
    let hit = |number, network: &str| of(flow(number, "10.0.0.1", T0 + 1_000, 0.7), "", network, false);
    record(&store, &[hit(1, ""), hit(2, "branch"), hit(3, "branch")]).await;
    let outline = async |store: &SharedStore| {
        let mut alerts: Vec<(String, u64)> = all_alerts(store)
            .await
            .into_iter()
            .map(|alert| (alert.network, alert.count))
            .collect();
        alerts.sort();
        alerts
    };
    assert_eq!(
        outline(&store).await,
        [(String::new(), 1), ("branch".to_owned(), 2)]
    );
    let top = store.overview(60_000, 1).await.expect("overview").top_sources;
    let top: Vec<(&str, &str, u64)> = top
        .iter()
        .map(|top| (&*top.source, &*top.network, top.flows))
        .collect();
    assert_eq!(top, [("10.0.0.1", "branch", 2), ("10.0.0.1", "", 1)]);
    // A target that many sources hit in one network says nothing of that address in another.
    let flood = (10..40).map(|number| {
        let source = format!("10.0.1.{number}");
        of(flow(number, &source, T0 + 1_000, 0.7), "", "branch", false)
    });
    record(&store, &flood.collect::<Vec<_>>()).await;
    assert_eq!(
        outline(&store).await,
        [(String::new(), 1), ("branch".to_owned(), 32)]
    );
    drop(store);
    let store = place.open().await;
    record(&store, &[hit(4, ""), hit(5, "branch")]).await;
    assert_eq!(
        outline(&store).await,
        [(String::new(), 2), ("branch".to_owned(), 33)]
    );
}

async fn an_alert_shows_the_sensor_of_the_flow_that_it_shows(place: Place) {
    let store = place.open().await;
    let hit = |number, sensor: &str, port, score| {
        let mut sample = of(flow(number, "10.0.0.1", T0 + 1_000, score), sensor, "hq", false);
        sample.flow.destination_port = port;
        sample
    };
    let check = async |sample: Sample, expected: &str| {
        record(&store, &[sample]).await;
        let alerts = all_alerts(&store).await;
        let sensors: Vec<&str> = alerts.iter().map(|alert| alert.sensor.as_str()).collect();
        assert_eq!(sensors, [expected]);
    };
    check(hit(1, "a", 22, 0.7), "a").await;
    check(hit(2, "b", 22, 0.8), "b").await;
    check(hit(3, "c", 23, 0.75), "b").await;
    check(hit(4, "", 23, 0.9), "").await;
    // Once the target of the best flow has an alert of its own, that of the source shows the best of the others.
    let flood = (10..40).map(|number| {
        let mut sample = hit(number, "d", 23, 0.7);
        sample.flow.source = format!("10.0.1.{number}").parse().expect("an address");
        sample
    });
    record(&store, &flood.collect::<Vec<_>>()).await;
    let alerts = all_alerts(&store).await;
    let mut sensors: Vec<(bool, &str)> = alerts
        .iter()
        .map(|alert| (alert.sources.is_some(), alert.sensor.as_str()))
        .collect();
    sensors.sort_unstable();
    assert_eq!(sensors, [(false, "b"), (true, "")]);
}

async fn a_flow_that_is_delivered_again_says_what_the_last_delivery_said(place: Place) {
    let store = place.open().await;
    let sample = flow(1, "10.0.0.1", T0 + 1_000, 0.2);
    for (sensor, is_late) in [("a", true), ("b", false), ("", true), ("", false)] {
        let sample = of(sample.clone(), sensor, "hq", is_late);
        record(&store, std::slice::from_ref(&sample)).await;
        assert_eq!(all_flows(&store).await, [sample.shown()]);
    }
}
