//! The limit of size: what goes when the database has grown to it.
//!
//! The server says every few seconds how much its collections and indexes take, without what is free in their files. Flows of
//! alerts that are held back go first, then the flows that ended first, the counts of those that are not kept, and alerts
//! last.
//!
//! The collection `held_back` has the ids of flows of alerts that are held back. Few flows are, so a mark in the flow itself,
//! with an index, would cost each flow of the stream more than a list of ids costs those few.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mongodb::Collection;
use mongodb::bson::{DateTime, Document, doc};

use super::counting::in_chunks;
use super::documents::integer;
use super::{COUNTED, COUNTED_ONLY, MongoStore, all_of, answer};
use crate::StoreError;
use crate::record::to_signed;

/// How often the server is asked for the size at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What part of the time the server may spend on saying the size: one that counts its documents for that takes long.
const SHARE_OF_LOOKS: u32 = 50;

/// Flows deleted at once, and how often that is done for one delivery: more flows than it may have.
const FLOW_CHUNK: u64 = 5_000;
const FLOW_CHUNKS: u32 = 4;

/// Alerts or steps of the time axis deleted at once.
const ALERT_CHUNK: u64 = 500;

const ACTION: &str = "make room in the store";

/// The collection of ids of flows that are held back.
pub(super) const HELD_BACK: &str = "held_back";

/// When the size is looked at next.
pub(super) struct NextLook(Mutex<Instant>);

impl NextLook {
    pub(super) fn now() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn is_due(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) <= Instant::now()
    }

    /// Puts the next look off, after one that took so long.
    fn put_off(&self, took: Duration) {
        let pause = LOOK_EVERY.max(took * SHARE_OF_LOOKS);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + pause;
    }
}

impl MongoStore {
    /// Marks flows whose hits are in no shown alert of their source, so that they are found when room is needed.
    pub(super) async fn mark_held_back(&self, flows: &[String]) -> Result<(), StoreError> {
        let recorded = DateTime::now();
        let marks = flows.iter().map(|id| doc! { "_id": id, "recorded": recorded });
        let marks: Vec<Document> = marks.collect();
        let held_back = self.database.collection::<Document>(HELD_BACK);
        self.insert_missing(&held_back, &marks, "mark flows that are held back")
            .await
            .map(drop)
    }

    /// Deletes a chunk when the database is larger than its limit.
    pub(super) async fn make_room(&self) -> Result<(), StoreError> {
        let Some(limit) = self.options.size_limit else {
            return Ok(());
        };
        if !self.next_look.is_due() {
            return Ok(());
        }
        let began = Instant::now();
        let size = self.size().await;
        let took = began.elapsed();
        let size = match size {
            // What was delivered is recorded, and would be no smaller if it came again.
            Err(StoreError::NoAnswer { .. }) => {
                tracing::warn!("the server does not say in time how large the store is");
                None
            }
            size => size?,
        };
        // Looked at again with the next delivery as long as there is something to delete.
        if !(size.is_some_and(|size| size > limit) && self.delete_some().await?) {
            self.next_look.put_off(took);
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
        let mut deleted = false;
        for _ in 0..FLOW_CHUNKS {
            deleted |= self.delete_held_back(&flows).await?;
        }
        if deleted {
            return Ok(true);
        }
        for _ in 0..FLOW_CHUNKS {
            deleted |= delete_first(&flows, "end", FLOW_CHUNK).await?;
        }
        if deleted || delete_first(&steps, "_id", ALERT_CHUNK).await? {
            return Ok(true);
        }
        let alerts = self.alerts.clone_with_type::<Document>();
        let mut deleted = delete_first(&alerts, "touched", ALERT_CHUNK).await?;
        for collection in COUNTED {
            let counted = self.database.collection::<Document>(collection);
            deleted |= delete_first(&counted, "touched", ALERT_CHUNK).await?;
        }
        Ok(deleted)
    }

    /// Deletes flows that are held back, and then their marks; says whether there were any.
    async fn delete_held_back(&self, flows: &Collection<Document>) -> Result<bool, StoreError> {
        let marks = self.database.collection::<Document>(HELD_BACK);
        let first = marks
            .find(doc! {})
            .sort(doc! { "_id": 1 })
            .limit(to_signed(FLOW_CHUNK));
        let first: Vec<Document> = all_of(ACTION, first).await?;
        let ids: Vec<_> = first.iter().filter_map(|mark| mark.get("_id")).collect();
        for collection in [flows, &marks] {
            in_chunks(&ids, |some| {
                answer(ACTION, collection.delete_many(doc! { "_id": { "$in": some } }))
            })
            .await?;
        }
        Ok(!ids.is_empty())
    }
}

/// Deletes about so many of the first documents by a field: all up to the value that one of them has; says whether there
/// were any.
async fn delete_first(collection: &Collection<Document>, by: &str, chunk: u64) -> Result<bool, StoreError> {
    let found = collection.find_one(doc! {}).projection(doc! { by: 1 });
    let found = found.sort(doc! { by: 1 }).skip(chunk - 1);
    let mut last = answer(ACTION, found).await?;
    if last.is_none() {
        // There are fewer.
        let found = collection.find_one(doc! {}).projection(doc! { by: 1 });
        last = answer(ACTION, found.sort(doc! { by: -1 })).await?;
    }
    let Some(last) = last.as_ref().and_then(|last| last.get(by)) else {
        return Ok(false);
    };
    let deletion = collection.delete_many(doc! { by: { "$lte": last } });
    answer(ACTION, deletion).await.map(|_| true)
}
