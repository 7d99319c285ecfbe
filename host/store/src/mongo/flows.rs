//! Flows: unordered inserts; those that are there are updated by their id.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use mongodb::bson::{DateTime, Document, doc, serialize_to_document};
use mongodb::options::{UpdateOneModel, WriteModel};
use netsage_api_types::{Flow, FlowQuery, Page};

use super::counting::{ATTEMPTS, contended, in_chunks, replace};
use super::documents::{FlowDocument, StepDocument, binary};
use super::listing::{Asked, text_or_none, within};
use super::{COUNTED_ONLY, MongoStore, all_of, answer, answered, places_of_duplicates};
use crate::cursor::{Cursor, Listing};
use crate::kept::{CountedOnly, KeptFlows};
use crate::record::to_signed;
use crate::{BoxFuture, FlowBatchRecord, StoreError};
use mongodb::Collection;
use netsage_alerts::Sketch;
use netsage_alerts::text::parse_id;

const ACTION: &str = "write flows";

/// What a flow takes over when it is delivered again; all else is its identity and stays.
const MEASURED: [&str; 10] = [
    "service",
    "state",
    "packets",
    "bytes",
    "scores",
    "highest_score",
    "fused",
    "sensor",
    "late",
    "foreign",
];

/// Most flows of one request: half a megabyte, which a slow line takes in time.
const MOST_AT_ONCE: usize = 1_000;

/// Requests with flows under way at the same time: one is made while the server has the others.
const CONCURRENT: usize = 3;

impl MongoStore {
    pub(super) async fn record_flows(&self, batches: &[Arc<FlowBatchRecord>]) -> Result<(), StoreError> {
        let now = DateTime::now();
        let mut counted_only = CountedOnly::default();
        // A request takes flows of several batches.
        let mut rows = Vec::with_capacity(batches.iter().map(|batch| batch.flows.len()).sum());
        for batch in batches {
            let keeps = self.options.kept_flows.choose(batch);
            counted_only.add(batch, &keeps);
            let alerted = KeptFlows::Alerted.choose(batch);
            let kept = keeps.into_iter().zip(alerted).enumerate();
            rows.extend(
                kept.filter_map(|(row, (keeps, alerted))| keeps.then_some(Row { batch, row, alerted })),
            );
        }
        let chunks: Vec<BoxFuture<'_, _>> = rows
            .chunks(MOST_AT_ONCE)
            .map(|rows| self.record_rows(rows, now).boxed())
            .collect();
        // Documents are made when it is their turn, so that few are in memory, and while the server has others.
        stream::iter(chunks)
            .buffer_unordered(CONCURRENT)
            .try_collect::<()>()
            .await?;
        self.count_only(&counted_only).await
    }

    async fn record_rows(&self, rows: &[Row<'_>], now: DateTime) -> Result<(), StoreError> {
        let documents: Vec<FlowDocument> = rows
            .iter()
            .filter_map(|Row { batch, row, alerted }| {
                let flow = batch.flows.get(*row)?;
                Some(FlowDocument::new(flow, &batch.scores, *row, *alerted, now))
            })
            .collect();
        self.insert_or_update(&documents).await
    }

    /// Adds to what is known of flows that are counted and not kept.
    async fn count_only(&self, counted_only: &CountedOnly) -> Result<(), StoreError> {
        for (step, more) in counted_only.steps() {
            self.add_to_step(step, more).await?;
        }
        Ok(())
    }

    async fn add_to_step(&self, step: i64, more: &Sketch) -> Result<(), StoreError> {
        let steps: Collection<StepDocument> = self.database.collection(COUNTED_ONLY);
        for _ in 0..ATTEMPTS {
            let known = steps.find_one(doc! { "_id": step });
            let known = answer("read a step of the time axis", known).await?;
            let version = known.as_ref().map(|known| known.version);
            let recorded = known.as_ref().map_or_else(DateTime::now, |known| known.recorded);
            // Bytes that are no sketch were never written.
            let sketch = known.and_then(|known| Sketch::from_bytes(&known.sketch.bytes));
            let mut flows = sketch.unwrap_or_default();
            if !flows.join(more) && version.is_some() {
                return Ok(());
            }
            let document = StepDocument {
                step,
                flows: to_signed(flows.count()),
                sketch: binary(flows.to_bytes()),
                recorded,
                version: version.unwrap_or_else(|| DateTime::now().timestamp_millis()) + 1,
            };
            if replace(&steps, step, version, &document, "write a step of the time axis").await? {
                return Ok(());
            }
        }
        Err(contended("a step of the time axis"))
    }

    /// Nearly all flows are new: an insert costs the server a fraction of an upsert. Those whose id is there are updated, if
    /// something of them is new.
    async fn insert_or_update(&self, documents: &[FlowDocument]) -> Result<(), StoreError> {
        let inserted = answered(self.flows.insert_many(documents).ordered(false)).await?;
        let Err(error) = inserted else { return Ok(()) };
        let failed = StoreError::mongo(ACTION);
        let Some(known) = places_of_duplicates(&error) else {
            return Err(failed(error));
        };
        let known = known.iter().filter_map(|place| documents.get(*place));
        let known: Vec<Document> = known
            .map(serialize_to_document)
            .collect::<Result<_, _>>()
            .map_err(|error| failed(mongodb::error::Error::custom(error.to_string())))?;
        let changed = in_chunks(&known, |some| self.changed(some)).await?;
        let writes = changed
            .into_iter()
            .flatten()
            .map(|flow| self.upsert(flow.clone()));
        self.write_many(writes, ACTION).await
    }

    /// Those of these flows of which something is to be written: a delivery that is made again has what is there already,
    /// which costs far less to see than to write.
    async fn changed<'d>(&self, flows: &'d [Document]) -> Result<Vec<&'d Document>, StoreError> {
        let ids: Vec<&str> = flows.iter().filter_map(|flow| flow.get_str("_id").ok()).collect();
        let stored = self.flows.clone_with_type::<Document>();
        let stored = all_of(ACTION, stored.find(doc! { "_id": { "$in": ids } })).await?;
        let stored: HashMap<&str, &Document> = stored
            .iter()
            .filter_map(|flow| Some((flow.get_str("_id").ok()?, flow)))
            .collect();
        let is_changed = |flow: &&Document| {
            let Some(stored) = flow.get_str("_id").ok().and_then(|id| stored.get(id)) else {
                return true;
            };
            let becomes_alerted = is_alerted(flow) && !is_alerted(stored);
            becomes_alerted || MEASURED.iter().any(|key| stored.get(key) != flow.get(key))
        };
        Ok(flows.iter().filter(is_changed).collect())
    }

    /// The identity is written once; the measurements each time; `alerted` only ever becomes true. A flow that was deleted
    /// meanwhile is inserted.
    fn upsert(&self, mut identity: Document) -> WriteModel {
        let alerted = is_alerted(&identity);
        let (mut measured, mut left_out) = (Document::new(), Document::new());
        for key in MEASURED {
            match identity.remove(key) {
                Some(value) => measured.insert(key, value),
                None => left_out.insert(key, ""),
            };
        }
        if alerted && let Some(value) = identity.remove("alerted") {
            measured.insert("alerted", value);
        }
        let id = identity
            .remove("_id")
            .and_then(|id| id.as_str().map(ToOwned::to_owned))
            .unwrap_or_default();
        UpdateOneModel::builder()
            .namespace(self.flows.namespace())
            .filter(doc! { "_id": id })
            .update(doc! { "$setOnInsert": identity, "$set": measured, "$unset": left_out })
            .upsert(true)
            .build()
            .into()
    }

    pub(super) async fn list_flows(&self, query: &FlowQuery) -> Result<Page<Flow>, StoreError> {
        let (mut indexed, mut others) = (Document::new(), Document::new());
        if let Some(source) = &query.source {
            indexed.insert("source", source);
        }
        if let Some(range) = within(query.since, query.until) {
            indexed.insert("end", range);
        }
        if let Some(score) = query.min_score {
            others.insert("highest_score", doc! { "$gte": f64::from(score) });
        }
        for (key, wanted) in [("network", &query.network), ("sensor", &query.sensor)] {
            if let Some(wanted) = wanted {
                others.insert(key, text_or_none(wanted));
            }
        }
        let asked = Asked {
            listing: Listing::Flows,
            time: "end",
            action: "list flows",
            limit: query.limit,
            cursor: Cursor::of_query(query.cursor.as_ref(), Listing::Flows)?,
            indexed,
            others,
            rows: self.options.listing_rows,
        };
        let page = asked
            .page(&self.reading.flows, |document| Cursor {
                time: document.end,
                id: parse_id(&document.id).unwrap_or_default(),
            })
            .await?;
        Ok(Page {
            items: page.items.into_iter().map(FlowDocument::into_flow).collect(),
            next: page.next,
        })
    }
}

/// A flow to record.
struct Row<'a> {
    batch: &'a FlowBatchRecord,
    row: usize,
    alerted: bool,
}

fn is_alerted(flow: &Document) -> bool {
    flow.get_bool("alerted").unwrap_or(false)
}
