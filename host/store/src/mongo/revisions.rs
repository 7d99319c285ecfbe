//! The revision of each change of an alert, given so that no reader misses one.
//!
//! A reader goes on from the last revision that it has seen, so revisions must become visible in rising order. A counter
//! does not give that: of two writers that drew 6 and 7 the one with 7 may write first, or the one with 6 die. There
//! are no transactions either. So a change is written first, and gets its number afterwards, in a batch that one
//! document names:
//!
//! 1. Whoever changes an alert marks it `pending` in the same write, and raises its `version`.
//! 2. The document `revisions` of the collection `meta` has the last number given, and the batch that is being numbered,
//!    if there is one. Whoever finds a batch finishes it (4 and 5), whosever it is.
//! 3. Otherwise whoever finds alerts that are pending names them there, each with its version and its new number, and
//!    raises the last number: one write of one document, which holds only if no one else wrote in between.
//! 4. Each alert of the batch that is still pending at that version gets its number and is pending no more.
//! 5. The batch is taken out of the document, if it is still that one.
//!
//! A program that dies in between leaves a batch, which the next program finishes. Finishing twice does no harm: an
//! alert that has its number is not pending at that version, and a version never comes back. An alert that was changed
//! again between 3 and 4 does not get that number and stays pending for a later batch. So when there is no batch, each
//! number up to the last is given or will never be; a reader finishes the batch and then reads up to the last number.
//!
//! Reads here have majority read concern and go to the primary: a change that a failover rolls back must not be visible
//! under a number that another change gets later.

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::doc;
use mongodb::options::{
    CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, UpdateOneModel, WriteModel,
};
use serde::{Deserialize, Serialize};

use super::documents::AlertDocument;
use super::{MongoStore, all_of, answer};
use crate::changes::page_of_changes;
use crate::reads::LONGEST_READ;
use crate::record::{to_signed, to_unsigned};
use crate::{Change, Changes, StoreError};

/// Alerts that get their numbers in one batch.
const MOST_AT_ONCE: usize = 1_000;

/// How often to start again because others number alerts too.
const ATTEMPTS: u32 = 256;

/// The `_id` of the document in `meta`.
const ID: &str = "revisions";

/// What is pending.
#[derive(Debug, Deserialize)]
struct Pending {
    #[serde(rename = "_id")]
    id: String,
    version: i64,
}

/// The number that an alert is to get, if it still has that version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Numbered {
    alert: String,
    version: i64,
    revision: i64,
}

/// The document that names the last number given, and the batch under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Ledger {
    last: i64,
    batch: Vec<Numbered>,
}

impl Ledger {
    /// This ledger with a batch of these alerts.
    fn with(&self, pending: Vec<Pending>) -> Self {
        let batch: Vec<Numbered> = (self.last + 1..)
            .zip(pending)
            .map(|(revision, Pending { id, version })| Numbered {
                alert: id,
                version,
                revision,
            })
            .collect();
        Self {
            last: batch.last().map_or(self.last, |numbered| numbered.revision),
            batch,
        }
    }
}

impl MongoStore {
    /// Gives every pending change its number; returns the last number. No batch is under way then.
    pub(super) async fn number_changes(&self) -> Result<i64, StoreError> {
        for _ in 0..ATTEMPTS {
            let ledger = self.ledger().await?;
            if !ledger.batch.is_empty() {
                self.finish(&ledger).await?;
                continue;
            }
            let pending = self.pending().await?;
            if pending.is_empty() {
                return Ok(ledger.last);
            }
            let is_all = pending.len() < MOST_AT_ONCE;
            let next = ledger.with(pending);
            if self.write_ledger(&ledger, &next).await? {
                self.finish(&next).await?;
                if is_all {
                    return Ok(next.last);
                }
            }
        }
        Err(StoreError::Contended {
            what: "the order of changes".to_owned(),
        })
    }

    async fn ledger(&self) -> Result<Ledger, StoreError> {
        let meta = self.committed::<Ledger>("meta");
        let ledger = answer("read the order of changes", meta.find_one(doc! { "_id": ID })).await?;
        ledger.ok_or_else(|| StoreError::Damaged {
            detail: "the collection `meta` has no order of changes".to_owned(),
        })
    }

    async fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        let alerts = self.committed::<Pending>("alerts");
        let pending = alerts
            .find(doc! { "pending": true })
            .projection(doc! { "version": 1 })
            .limit(to_signed(MOST_AT_ONCE as u64));
        all_of("look for changes without a number", pending).await
    }

    /// Replaces an empty ledger, if it is still as it was read; says whether it was.
    async fn write_ledger(&self, read: &Ledger, next: &Ledger) -> Result<bool, StoreError> {
        let batch = mongodb::bson::serialize_to_bson(&next.batch).map_err(|error| {
            StoreError::mongo("write the order of changes")(mongodb::error::Error::custom(error.to_string()))
        })?;
        let meta = self.meta();
        let write = meta.update_one(
            doc! { "_id": ID, "last": read.last, "batch": [] },
            doc! { "$set": { "last": next.last, "batch": batch } },
        );
        answer("write the order of changes", write)
            .await
            .map(|outcome| outcome.matched_count == 1)
    }

    /// Gives the alerts of a batch their numbers, and takes the batch out of the ledger.
    async fn finish(&self, ledger: &Ledger) -> Result<(), StoreError> {
        let action = "number the changes of alerts";
        let writes = ledger.batch.iter().map(|numbered| {
            WriteModel::from(
                UpdateOneModel::builder()
                    .namespace(self.alerts.namespace())
                    .filter(doc! { "_id": &numbered.alert, "version": numbered.version, "pending": true })
                    .update(doc! { "$set": { "revision": numbered.revision }, "$unset": { "pending": "" } })
                    .build(),
            )
        });
        answer(action, self.client.bulk_write(writes).ordered(false)).await?;
        let meta = self.meta();
        let taken_out = meta.update_one(
            doc! { "_id": ID, "last": ledger.last },
            doc! { "$set": { "batch": [] } },
        );
        answer(action, taken_out).await.map(drop)
    }

    /// Makes the ledger of a new database.
    pub(super) async fn create_ledger(&self) -> Result<(), StoreError> {
        self.begin(ID, doc! { "last": 0_i64, "batch": [] })
            .await
            .map_err(StoreError::mongo("begin the order of changes"))
    }

    /// A collection to read what no failover takes back.
    fn committed<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        let options = CollectionOptions::builder()
            .read_concern(ReadConcern::majority())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        self.database.collection_with_options(name, options)
    }

    pub(super) async fn read_changes(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
        let last = self.number_changes().await?;
        let failed = StoreError::mongo("read the changes of alerts");
        let documents: Vec<AlertDocument> = self
            .committed("alerts")
            // An alert that is pending again comes later, under a number above `last`.
            .find(doc! { "revision": { "$gt": to_signed(after), "$lte": last }, "pending": { "$exists": false } })
            .sort(doc! { "revision": 1 })
            .limit(to_signed(page_of_changes(limit) as u64))
            .max_time(LONGEST_READ)
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
        let items = documents.into_iter().map(|document| Change {
            revision: to_unsigned(document.revision),
            alert: document.into_record().alert,
        });
        Ok(Changes {
            items: items.collect(),
            newest: to_unsigned(last),
        })
    }
}
