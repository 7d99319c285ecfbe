//! Deleting what is past its time. The indexes with a time make a MongoDB server do so by itself about once a minute; a
//! server whose monitor of them is off, or that has none, is told every minute.

use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Collection, Database};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::room::HELD_BACK;
use super::{COUNTED, COUNTED_ONLY};
use crate::{StoreError, StoreOptions};

/// Time between two deletions.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Where what is past its time lies.
#[derive(Clone)]
pub(super) struct Purge {
    flows: Collection<Document>,
    counted_only: Collection<Document>,
    held_back: Collection<Document>,
    alerts: Collection<Document>,
    alert_flows: Collection<Document>,
    counted: [Collection<Document>; COUNTED.len()],
    options: StoreOptions,
}

/// The task that deletes. It ends with this.
pub(super) struct Purging(JoinHandle<()>);

impl Drop for Purging {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Purge {
    pub(super) fn new(database: &Database, options: StoreOptions) -> Self {
        Self {
            flows: database.collection("flows"),
            counted_only: database.collection(COUNTED_ONLY),
            held_back: database.collection(HELD_BACK),
            alerts: database.collection("alerts"),
            alert_flows: database.collection("alert_flows"),
            counted: COUNTED.map(|name| database.collection(name)),
            options,
        }
    }

    /// Deletes now and every minute from now.
    pub(super) fn begin(self) -> Purging {
        Purging(tokio::spawn(async move {
            let mut ticks = interval(PURGE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = self.run().await {
                    tracing::warn!(%error, "what is past its time stays in the store for now");
                }
            }
        }))
    }

    /// Deletes at once; gives the number of flows deleted.
    pub(super) async fn run(&self) -> Result<u64, StoreError> {
        let failed = StoreError::mongo("delete what is old");
        let now = DateTime::now().timestamp_millis();
        let before = |retention: Duration| {
            let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
            doc! { "$lt": DateTime::from_millis(now.saturating_sub(retention)) }
        };
        let old = before(self.options.alert_retention);
        self.alerts
            .delete_many(doc! { "touched": old.clone() })
            .await
            .map_err(&failed)?;
        self.alert_flows
            .delete_many(doc! { "noted": old.clone() })
            .await
            .map_err(&failed)?;
        for counted in &self.counted {
            counted
                .delete_many(doc! { "touched": old.clone() })
                .await
                .map_err(&failed)?;
        }
        for of_flows in [&self.counted_only, &self.held_back] {
            of_flows
                .delete_many(doc! { "recorded": before(self.options.flow_retention) })
                .await
                .map_err(&failed)?;
        }
        let outcome = self
            .flows
            .delete_many(doc! { "recorded": before(self.options.flow_retention) })
            .await
            .map_err(&failed)?;
        Ok(outcome.deleted_count)
    }
}
