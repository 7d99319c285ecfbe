//! A store that keeps some flows only: alerts and counts are those of all.

use std::num::NonZeroU32;
use std::time::Duration;

use netsage_api_types::Flow;
use netsage_store::{KeptFlows, StoreOptions};
use netsage_testkit::backends::{Place, sqlite};
use netsage_testkit::sample::{Sample, hits, traffic};

use crate::suite::{everything, record, suite};

suite!(
    alerts_and_counts_are_those_of_all_flows,
    what_is_only_counted_goes_by_its_time,
);

fn options(kept_flows: KeptFlows) -> StoreOptions {
    StoreOptions {
        kept_flows,
        ..StoreOptions::default()
    }
}

fn rules() -> [KeptFlows; 3] {
    let one_in = |number| KeptFlows::OneIn(NonZeroU32::new(number).expect("not zero"));
    [one_in(3), one_in(1_000), KeptFlows::Alerted]
}

async fn alerts_and_counts_are_those_of_all_flows(place: Place) {
    let whole = traffic(0, 120);
    let straight = sqlite();
    let other = straight.open().await;
    record(&other, &whole).await;
    let expected = everything(&other).await;
    for kept in rules() {
        let place = match place.url.starts_with("sqlite") {
            true => sqlite(),
            false => netsage_testkit::backends::mongodb().expect("the server is there"),
        };
        let options = options(kept);
        let open = || place.open_with(&options);
        let (one, two) = (open().await.expect("opens"), open().await.expect("opens again"));
        // Each delivers most of it, in other batches, and one of them all of it once more.
        let deliver = |store, flows: Vec<Sample>, most: usize| async move {
            for chunk in flows.chunks(most) {
                record(&store, chunk).await;
            }
        };
        let (begin, end) = (whole[..90].to_vec(), whole[30..].to_vec());
        tokio::join!(deliver(one.clone(), begin, 7), deliver(two, end, 11));
        record(&one, &whole).await;
        let (alerts, flows, overview) = everything(&one).await;
        assert_eq!(alerts, expected.0, "{kept:?}");
        assert_eq!(overview, expected.2, "{kept:?}");
        let is_kept = |flow: &&Flow| {
            let sample = whole.iter().find(|sample| sample.shown().id == flow.id);
            sample.is_some_and(|sample| kept.keeps(&sample.flow.id, sample.is_hit()))
        };
        let kept_of_all: Vec<&Flow> = expected.1.iter().filter(is_kept).collect();
        assert_eq!(flows.iter().collect::<Vec<_>>(), kept_of_all, "{kept:?}");
        assert!(
            flows.len() < whole.len() && flows.len() as u64 >= hits(&whole),
            "{kept:?}"
        );
    }
}

async fn what_is_only_counted_goes_by_its_time(place: Place) {
    let flows: Vec<Sample> = traffic(0, 60).into_iter().filter(|flow| !flow.is_hit()).collect();
    let store = place
        .open_with(&options(KeptFlows::Alerted))
        .await
        .expect("opens");
    record(&store, &flows).await;
    let counted = |points: Vec<netsage_api_types::OverviewPoint>| -> u64 {
        points.iter().map(|point| point.flows).sum()
    };
    let points = store.overview(60_000, 500).await.expect("overview").points;
    assert_eq!(counted(points), flows.len() as u64);
    drop(store);
    let options = StoreOptions {
        flow_retention: Duration::ZERO,
        ..options(KeptFlows::Alerted)
    };
    let store = place.open_with(&options).await.expect("opens");
    tokio::time::sleep(Duration::from_millis(10)).await;
    store.purge().await.expect("purged");
    let points = store.overview(60_000, 500).await.expect("overview").points;
    assert_eq!(counted(points), 0);
}
