//! From hits to alerts, without transactions. The rule is that of `netsage-alerts`; its model [`netsage_alerts::Bounded`]
//! says what the collections hold: `parts`, `targets`, and `raised`, which has the id of every alert, shown or not.
//!
//! First the facts are written, then the alerts are made to follow from them:
//!
//! - A part's `count` is the number of flows in `alert_flows` and in its own `counted_last` together. To count more flows:
//!   (1) read the part; (2) see which flows of the batch are in neither; (3) write its `counted_last` into `alert_flows`,
//!   which holds each pair once; (4) replace the part, at the version read, by one that counts these and names them in
//!   `counted_last`. Step 4 is one write of one document, so a kill anywhere leaves the sentence above true; and a writer
//!   that another one overtook between 1 and 4 fails at 4 and starts again.
//! - A summary may be told of the same flows again, so it is read and replaced at its version. When a target gets one, the
//!   parts are added to it, and each is deleted at the version that was added. Before that their alerts are noted in
//!   `merging`, and the notes go once these alerts follow: a delivery that was cut in between finds the notes when it comes
//!   again, and would otherwise not know of alerts without a part.
//! - An alert is read first, then the facts that it follows from, then it is replaced at its version: whoever has seen fewer
//!   facts fails. Each delivery raises the version of its cell when it has written its facts, and begins again with the
//!   alerts of the cell when others have done so meanwhile. A delivery that was killed in between is delivered again, and
//!   makes the alerts follow then.
//!
//! Each of these steps is one request for up to 128 documents, a few of which are under way at the same time: what a
//! delivery costs must not go by requests per alert where nearly each flow has one. The documents of a request are still
//! written one by one, each at its own version.

mod facts;
mod following;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc, serialize_to_document};
use mongodb::error::Error;
use mongodb::options::{ReplaceOneModel, ReturnDocument, WriteModel};
use netsage_api_types::Alert;

pub(super) use self::facts::Facts;
use super::documents::integer;
use super::{IDS_AT_ONCE, MongoStore, all_of, answer, answered, is_duplicate_key, places_of_duplicates};
use crate::record::hits;
use crate::{FlowBatchRecord, StoreError};
use netsage_alerts::text::to_hex;
use netsage_alerts::{Cell, CellHits, by_source, group};

/// Requests with documents of a cell that are under way at the same time.
const CONCURRENT: usize = 4;

/// Most updates of one request, each of which costs a server as much as several inserts.
const WRITES_AT_ONCE: usize = 256;

/// How often to start again when overtaken by other writers.
pub(super) const ATTEMPTS: u32 = 32;

/// What recording hits came to.
#[derive(Default)]
pub(super) struct Recorded {
    /// The alerts made or changed, by id.
    changed: BTreeMap<String, Alert>,
    /// The flows with hits that are in no shown alert of their source.
    pub(super) held_back: Vec<String>,
}

impl Recorded {
    pub(super) fn into_changed(self) -> Vec<Alert> {
        self.changed.into_values().collect()
    }

    fn note(&mut self, changed: impl IntoIterator<Item = Alert>) {
        for alert in changed {
            self.changed.insert(alert.id.clone(), alert);
        }
    }
}

/// A cell at work.
struct Work<'a, 'h> {
    key: Cell<'a>,
    /// Its id, which is also the one of the alert that says what is held back.
    id: String,
    hits: &'h CellHits<'a>,
    /// Alerts of sources to look at.
    singles: BTreeSet<String>,
    /// Alerts of targets that were made or changed.
    targets: BTreeSet<String>,
    /// Alerts of sources that lost a part, each with the alert of the target that has it.
    merged: BTreeMap<String, String>,
    /// The notes that said so.
    merging: BTreeSet<ObjectId>,
}

impl MongoStore {
    /// Counts hits in their alerts.
    pub(super) async fn record_hits(&self, batches: &[Arc<FlowBatchRecord>]) -> Result<Recorded, StoreError> {
        let mut recorded = Recorded::default();
        for hits in group(
            batches.iter().flat_map(|batch| hits(batch)),
            self.options.alert_window,
        ) {
            self.record_cell(&hits, &mut recorded).await?;
        }
        Ok(recorded)
    }

    async fn record_cell(&self, hits: &CellHits<'_>, recorded: &mut Recorded) -> Result<(), StoreError> {
        let mut work = Work {
            key: hits.cell,
            id: to_hex(&hits.cell.id_of_rest()),
            hits,
            singles: BTreeSet::new(),
            targets: BTreeSet::new(),
            merged: BTreeMap::new(),
            merging: BTreeSet::new(),
        };
        self.write_facts(&mut work).await?;
        let mut version = self.raise_version(&work.id).await?;
        for _ in 0..ATTEMPTS {
            let last = self.follow(&mut work, recorded).await?;
            let now = self.version_of(&work.id).await?;
            if now == version {
                self.forget_merging(&work).await?;
                self.note_held_back(&work, last.as_deref(), recorded);
                return Ok(());
            }
            version = now;
        }
        Err(contended("the alerts of a kind"))
    }

    /// Raises the version of a cell, so that others see that there are new facts.
    async fn raise_version(&self, cell: &str) -> Result<i64, StoreError> {
        let versions = self.meta_of_cells();
        let raise = versions
            .find_one_and_update(
                doc! { "_id": cell },
                doc! { "$inc": { "version": 1_i64 }, "$set": { "touched": DateTime::now() } },
            )
            .upsert(true)
            .return_document(ReturnDocument::After);
        match answered(raise).await? {
            // Another writer has made it at the same moment.
            Err(error) if is_duplicate_key(&error) => Box::pin(self.raise_version(cell)).await,
            Err(error) => Err(StoreError::mongo("note that a kind has changed")(error)),
            Ok(document) => Ok(document.as_ref().and_then(version_in).unwrap_or(0)),
        }
    }

    async fn version_of(&self, cell: &str) -> Result<i64, StoreError> {
        let versions = self.meta_of_cells();
        let version = versions.find_one(doc! { "_id": cell });
        let found = answer("see whether a kind has changed", version).await?;
        Ok(found.as_ref().and_then(version_in).unwrap_or(0))
    }

    /// The versions of cells. Apart from `cells`, which has the summaries of few.
    fn meta_of_cells(&self) -> Collection<Document> {
        self.database.collection("cell_versions")
    }

    /// Notes the flows that are in no shown alert of their source.
    fn note_held_back(&self, work: &Work<'_, '_>, last: Option<&str>, recorded: &mut Recorded) {
        for (target, on_target) in work.hits.targets() {
            let is_of_target = work.targets.contains(&to_hex(&work.key.id_of_target(target)));
            for (source, hits) in by_source(on_target) {
                let id = to_hex(&work.key.id_of_source(source));
                if is_of_target || last.is_some_and(|last| id.as_str() > last) {
                    let flows = hits.iter().map(|hit| to_hex(&hit.flow.id));
                    recorded.held_back.extend(flows);
                }
            }
        }
    }

    /// The ids of those documents that meet a condition.
    async fn ids<D: Send + Sync>(
        &self,
        collection: &Collection<D>,
        condition: Document,
    ) -> Result<BTreeSet<String>, StoreError> {
        let collection = collection.clone_with_type::<Document>();
        let known = collection.find(condition).projection(doc! { "_id": 1 });
        let known = all_of("list what is known of alerts", known).await?;
        Ok(ids_of(&known).collect())
    }

    /// Those of these ids that a collection has.
    async fn known_ids<D: Send + Sync>(
        &self,
        collection: &Collection<D>,
        ids: &[String],
    ) -> Result<BTreeSet<String>, StoreError> {
        let known = in_chunks(ids, |some| self.ids(collection, doc! { "_id": { "$in": some } }));
        Ok(known.await?.into_iter().flatten().collect())
    }

    /// Writes each of these changes that nobody was faster with; says of each whether it was written.
    async fn replace_many<D: serde::Serialize + Send + Sync>(
        &self,
        collection: &Collection<D>,
        changes: &[Change<D>],
        action: &'static str,
    ) -> Result<Vec<bool>, StoreError> {
        let failed = StoreError::mongo(action);
        let mut held = vec![true; changes.len()];
        let numbered = changes.iter().enumerate();
        let (places, new): (Vec<usize>, Vec<&D>) = numbered
            .clone()
            .filter(|(_, change)| change.version.is_none())
            .map(|(place, change)| (place, &change.document))
            .unzip();
        if !new.is_empty() {
            let inserted = answered(collection.insert_many(new).ordered(false)).await?;
            if let Err(error) = inserted {
                let Some(known) = places_of_duplicates(&error) else {
                    return Err(failed(error));
                };
                for place in known.iter().filter_map(|place| places.get(*place)) {
                    held[*place] = false;
                }
            }
        }
        let (mut places, mut writes) = (Vec::new(), Vec::new());
        for (place, change) in numbered {
            let Some(version) = change.version else { continue };
            let replacement = serialize_to_document(&change.document)
                .map_err(|error| failed(Error::custom(error.to_string())))?;
            places.push(place);
            writes.push(
                ReplaceOneModel::builder()
                    .namespace(collection.namespace())
                    .filter(doc! { "_id": &change.id, "version": version })
                    .replacement(replacement)
                    .build(),
            );
        }
        if !writes.is_empty() {
            let write = self.client.bulk_write(writes).ordered(false);
            let outcome = answer(action, write.verbose_results()).await?;
            for (number, place) in places.into_iter().enumerate() {
                let update = outcome.update_results.get(&number);
                held[place] = update.is_some_and(|update| update.matched_count == 1);
            }
        }
        Ok(held)
    }

    /// Makes writes of which each holds by itself.
    pub(super) async fn write_many(
        &self,
        writes: impl IntoIterator<Item = WriteModel>,
        action: &'static str,
    ) -> Result<(), StoreError> {
        let writes: Vec<WriteModel> = writes.into_iter().collect();
        for writes in writes.chunks(WRITES_AT_ONCE) {
            let writes = writes.iter().cloned();
            answer(action, self.client.bulk_write(writes).ordered(false)).await?;
        }
        Ok(())
    }
}

/// A document to be written over the one of the version that was read, if there was one.
struct Change<D> {
    id: String,
    version: Option<i64>,
    document: D,
}

/// Those whose changes were not written.
fn overtaken<T>(changed: Vec<T>, held: &[bool]) -> Vec<T> {
    let changed = changed.into_iter().zip(held);
    changed
        .filter(|(_, held)| !**held)
        .map(|(item, _)| item)
        .collect()
}

/// Does something for a few items at once, and for a few such chunks at the same time; gives what came of each chunk.
pub(super) async fn in_chunks<'i, T, R, F>(
    items: &'i [T],
    work: impl Fn(&'i [T]) -> F,
) -> Result<Vec<R>, StoreError>
where
    F: Future<Output = Result<R, StoreError>> + Send,
{
    let chunks: Vec<F> = items.chunks(IDS_AT_ONCE).map(work).collect();
    stream::iter(chunks).buffered(CONCURRENT).try_collect().await
}

/// Replaces a document at the version read, or inserts a new one; says whether that held.
pub(super) async fn replace<D: serde::Serialize + Send + Sync>(
    collection: &Collection<D>,
    id: impl Into<Bson>,
    version: Option<i64>,
    document: &D,
    action: &'static str,
) -> Result<bool, StoreError> {
    match version {
        Some(version) => {
            let replacement = collection.replace_one(doc! { "_id": id.into(), "version": version }, document);
            let outcome = answer(action, replacement).await?;
            Ok(outcome.matched_count == 1)
        }
        None => match answered(collection.insert_one(document)).await? {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(StoreError::mongo(action)(error)),
        },
    }
}

fn version_in(document: &Document) -> Option<i64> {
    integer(document, "version")
}

fn ids_of(documents: &[Document]) -> impl Iterator<Item = String> {
    documents
        .iter()
        .filter_map(|document| document.get_str("_id").ok().map(ToOwned::to_owned))
}

pub(super) fn contended(what: &str) -> StoreError {
    StoreError::Contended {
        what: what.to_owned(),
    }
}
