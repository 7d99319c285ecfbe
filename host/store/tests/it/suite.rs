//! What the checks of every store share: each becomes one test per kind of store.

use std::sync::Arc;

use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery};
use netsage_store::{FlowBatchRecord, SharedStore, StoreError, StoreOverview};

use netsage_testkit::sample::{Sample, batch};

/// Makes one test per kind of store of each check.
macro_rules! suite {
    ($($check:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $check() {
                super::$check(netsage_testkit::backends::sqlite()).await;
            })*
        }
        mod on_mongodb {
            $(#[tokio::test(flavor = "multi_thread")]
            #[allow(clippy::print_stderr)]
            async fn $check() {
                match netsage_testkit::backends::mongodb() {
                    Ok(place) => super::$check(place).await,
                    Err(reason) => eprintln!("skipped: {reason}"),
                }
            })*
        }
    };
}

pub(crate) use suite;

pub(crate) async fn all_alerts(store: &SharedStore) -> Vec<Alert> {
    let query = AlertQuery {
        limit: Some(500),
        ..AlertQuery::default()
    };
    store.alerts(&query).await.expect("alerts").items
}

pub(crate) async fn all_flows(store: &SharedStore) -> Vec<Flow> {
    let query = FlowQuery {
        limit: Some(500),
        ..FlowQuery::default()
    };
    store.flows(&query).await.expect("flows").items
}

pub(crate) async fn everything(store: &SharedStore) -> (Vec<Alert>, Vec<Flow>, StoreOverview) {
    (
        all_alerts(store).await,
        all_flows(store).await,
        store.overview(60_000, 500).await.expect("overview"),
    )
}

pub(crate) async fn record(store: &SharedStore, flows: &[Sample]) -> Vec<Alert> {
    deliver(store, batch(flows)).await.expect("recorded")
}

pub(crate) async fn deliver(store: &SharedStore, batch: FlowBatchRecord) -> Result<Vec<Alert>, StoreError> {
    store.record(&[Arc::new(batch)]).await
}
