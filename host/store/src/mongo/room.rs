//! The limit of size: what goes when the database has grown to it.
//!
//! The server says every few seconds how much its collections and indexes take, without what is free in their files. Flows of
//! alerts that are held back go first, then the flows that ended first, the counts of those that are not kept, and alerts
//! last.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mongodb::Collection;
use mongodb::bson::{Document, doc};

use super::documents::integer;
use super::{COUNTED, COUNTED_ONLY, MongoStore, all_of, answer};
use crate::StoreError;

/// How often the server is asked for the size.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Flows deleted at once.
const FLOW_CHUNK: i64 = 20_000;

/// Alerts or steps of the time axis deleted at once.
const ALERT_CHUNK: i64 = 500;

/// When the size is looked at next.
pub(super) struct NextLook(Mutex<Instant>);

impl NextLook {
    pub(super) fn now() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn is_due(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) <= Instant::now()
    }

    fn put_off(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + LOOK_EVERY;
    }
}

impl MongoStore {
    /// Marks flows whose hits are in no shown alert of their source, so that they are found when room is needed.
    pub(super) async fn mark_held_back(&self, flows: &[String]) -> Result<(), StoreError> {
        if flows.is_empty() {
            return Ok(());
        }
        let mark = self.flows.update_many(
            doc! { "_id": { "$in": flows } },
            doc! { "$set": { "held_back": true } },
        );
        answer("mark flows that are held back", mark).await.map(drop)
    }

    /// Deletes a chunk when the database is larger than its limit.
    pub(super) async fn make_room(&self) -> Result<(), StoreError> {
        let Some(limit) = self.options.size_limit else {
            return Ok(());
        };
        if !self.next_look.is_due() {
            return Ok(());
        }
        let is_over = self.size().await?.is_some_and(|size| size > limit);
        // Looked at again with the next delivery as long as there is something to delete.
        if !(is_over && self.delete_some().await?) {
            self.next_look.put_off();
        }
        Ok(())
    }

    /// Bytes in use; `None` for a server that does not say.
    async fn size(&self) -> Result<Option<u64>, StoreError> {
        let asked = self.database.run_command(doc! { "dbStats": 1, "freeStorage": 1 });
        let stats = answer("read the size of the store", asked).await?;
        let number = |key: &str| {
            let whole = integer(&stats, key).map(|number| number as f64);
            whole.or_else(|| stats.get_f64(key).ok())
        };
        let files = number("totalSize").zip(number("totalFreeStorageSize"));
        let used = match files {
            Some((all, free)) => Some(all - free),
            None => number("dataSize").map(|data| data + number("indexSize").unwrap_or(0.0)),
        };
        Ok(used.map(|used| used.max(0.0) as u64))
    }

    /// Deletes a chunk of what goes first; `false` when nothing is left.
    async fn delete_some(&self) -> Result<bool, StoreError> {
        let flows = self.flows.clone_with_type::<Document>();
        let steps = self.database.collection::<Document>(COUNTED_ONLY);
        if delete_first(&flows, doc! { "held_back": true }, "end", FLOW_CHUNK).await?
            || delete_first(&flows, doc! {}, "end", FLOW_CHUNK).await?
            || delete_first(&steps, doc! {}, "_id", ALERT_CHUNK).await?
        {
            return Ok(true);
        }
        let alerts = self.alerts.clone_with_type::<Document>();
        let mut deleted = delete_first(&alerts, doc! {}, "touched", ALERT_CHUNK).await?;
        for collection in COUNTED {
            let counted = self.database.collection::<Document>(collection);
            deleted |= delete_first(&counted, doc! {}, "touched", ALERT_CHUNK).await?;
        }
        Ok(deleted)
    }
}

/// Deletes the first documents by a field; says whether there were any.
async fn delete_first(
    collection: &Collection<Document>,
    condition: Document,
    by: &str,
    chunk: i64,
) -> Result<bool, StoreError> {
    let action = "make room in the store";
    let first = collection
        .find(condition)
        .projection(doc! { "_id": 1 })
        .sort(doc! { by: 1 })
        .limit(chunk);
    let first: Vec<Document> = all_of(action, first).await?;
    let ids: Vec<_> = first.iter().filter_map(|found| found.get("_id")).collect();
    if ids.is_empty() {
        return Ok(false);
    }
    let deletion = collection.delete_many(doc! { "_id": { "$in": ids } });
    answer(action, deletion).await.map(|_| true)
}
