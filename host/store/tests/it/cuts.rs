//! A server that goes away between any two requests of a delivery. The delivery is made again, as the recorder does, and
//! then all is as if nothing had happened.

use std::collections::BTreeMap;

use netsage_api_types::{Alert, AlertQuery, FlowQuery};
use netsage_store::{MAX_CHANGES, SharedStore, StoreError, open_with};
use netsage_testkit::backends::{Place, mongodb};
use netsage_testkit::proxy::{Cut, Proxy};
use netsage_testkit::sample::{Sample, T0, batch, flow};

use crate::bounds::{by_id, expected, options};
use crate::suite::deliver;

/// Time between two rounds, ms: no alert is of two.
const ROUND: i64 = 24 * 3_600_000;

/// A flow with a hit.
fn hit(number: u32, source: u32, port: u16) -> Sample {
    let mut sample = flow(number, &format!("10.0.0.{source}"), T0 + 1_000, 0.7);
    sample.flow.destination_port = port;
    sample
}

/// What is there, and what is delivered then: with it one target has more sources than may have alerts of their own, and
/// there are more alerts than may be shown. One flow is known already and one has no hit.
fn round(number: u32) -> (Vec<Sample>, Vec<Sample>) {
    let of_target = |flow: u32| hit(flow, flow, 80);
    let single = |flow: u32| hit(flow, flow, 1_000 + u16::try_from(flow).expect("small"));
    let mut first: Vec<Sample> = (0..3).map(of_target).chain((10..14).map(single)).collect();
    let mut then: Vec<Sample> = (3..5).map(of_target).chain((13..18).map(single)).collect();
    then.push(flow(30, "10.0.0.30", T0 + 1_000, 0.1));
    for sample in first.iter_mut().chain(&mut then) {
        sample.flow.start += i64::from(number) * ROUND;
        sample.flow.end += i64::from(number) * ROUND;
        sample.flow.id[..4].copy_from_slice(&number.to_be_bytes());
    }
    (first, then)
}

/// Delivers until the store takes it; says why it did not at first.
async fn deliver_at_last(store: &SharedStore, flows: &[Sample]) -> Option<StoreError> {
    let mut first = None;
    for _ in 0..20 {
        match deliver(store, batch(flows)).await {
            Ok(_) => return first,
            Err(error) => {
                assert!(error.is_passing(), "{error}");
                first.get_or_insert(error);
            }
        }
    }
    panic!("the store takes nothing any more: {first:?}");
}

/// As many cut deliveries at the same time: each waits for its connections most of the time.
const AT_ONCE: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn a_delivery_that_breaks_off_after_any_request_is_completed_when_it_comes_again() {
    let mut all = tokio::task::JoinSet::new();
    for first in 1..=AT_ONCE {
        let place = match mongodb() {
            Ok(place) => place,
            Err(reason) => return eprintln!("skipped: {reason}"),
        };
        all.spawn(async move { cut_after_requests(&place, first).await });
    }
    let requests = all.join_all().await.into_iter().min();
    assert!(
        requests > Some(25),
        "a delivery has more than {requests:?} requests"
    );
}

/// Cuts a delivery after a request, the next one some requests later, until it has no more; gives the first that it has not.
async fn cut_after_requests(place: &Place, first: u32) -> u32 {
    let (proxy, url) = Proxy::before(&place.url);
    // The driver would hide cuts from the store by a second attempt.
    let url = format!("{url}&retryReads=false&retryWrites=false");
    let store = open_with(&url, &options()).await.expect("the store opens");
    let reader = place.open_with(&options()).await.expect("the store opens again");
    let mut all: BTreeMap<String, Alert> = BTreeMap::new();
    let (mut flows, mut request) = (0, first);
    loop {
        let (before, then) = round(request);
        deliver_at_last(&store, &before).await;
        proxy.cut_at(request.into(), Cut::After);
        let broke_off = deliver_at_last(&store, &then).await;
        let by_flow = before
            .into_iter()
            .chain(then)
            .map(|sample| (sample.flow.id, sample));
        let whole: Vec<Sample> = by_flow.collect::<BTreeMap<_, _>>().into_values().collect();
        let since = T0 + i64::from(request) * ROUND;
        let of_round = AlertQuery {
            since: Some(since),
            until: Some(since + ROUND),
            limit: Some(500),
            ..AlertQuery::default()
        };
        let expected = expected(&whole);
        let found = by_id(reader.alerts(&of_round).await.expect("alerts").items);
        assert_eq!(found, expected, "cut after request {request}: {broke_off:?}");
        let of_round = FlowQuery {
            since: Some(since),
            until: Some(since + ROUND),
            limit: Some(500),
            ..FlowQuery::default()
        };
        let found = reader.flows(&of_round).await.expect("flows").items;
        assert_eq!(found.len(), whole.len(), "cut after request {request}");
        all.extend(expected);
        flows += whole.len() as u64;
        if broke_off.is_none() {
            assert!(
                proxy.commands() < request.into(),
                "{request} is behind the last one"
            );
            break;
        }
        request += AT_ONCE;
    }
    let overview = reader.overview(ROUND, 500).await.expect("overview");
    let counted: u64 = overview.points.iter().map(|point| point.flows).sum();
    assert_eq!(counted, flows);
    // Every alert has a change, the last of which is the alert as it is.
    let (mut changed, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = reader.changes(after, MAX_CHANGES).await.expect("changes");
        let Some(last) = page.items.last() else { break };
        after = last.revision;
        for change in page.items {
            let id = change.alert.id.clone();
            assert!(
                changed.insert(id, change.alert).is_none(),
                "an alert changed last twice"
            );
        }
    }
    changed.retain(|id, _| all.contains_key(id));
    assert_eq!(changed, all);
    request
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn a_server_may_take_its_time_for_each_request() {
    let place = match mongodb() {
        Ok(place) => place,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let (proxy, url) = Proxy::before(&place.url);
    let store = open_with(&url, &options()).await.expect("the store opens");
    // Longer together than any one of them may take.
    proxy.delay(std::time::Duration::from_millis(60));
    let (first, then) = round(0);
    assert!(deliver_at_last(&store, &first).await.is_none());
    assert!(deliver_at_last(&store, &then).await.is_none());
    proxy.delay(std::time::Duration::ZERO);
    let whole: Vec<Sample> = first.into_iter().chain(then).collect();
    let alerts = store.alerts(&AlertQuery::default()).await.expect("alerts").items;
    assert_eq!(by_id(alerts), expected(&whole));
}
