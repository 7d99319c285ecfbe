//! Flows: upserts by id, all of a batch in one request.

use std::collections::HashSet;
use std::sync::Arc;

use mongodb::bson::{DateTime, Document, doc, serialize_to_document};
use mongodb::options::{UpdateOneModel, WriteModel};
use netsage_api_types::{Flow, FlowQuery, Page};

use super::MongoStore;
use super::documents::FlowDocument;
use super::listing::{Asked, within};
use crate::cursor::{Cursor, Listing};
use crate::{FlowBatchRecord, StoreError};
use netsage_alerts::text::parse_id;

/// What a flow takes over when it is delivered again; all else is its identity and stays.
const MEASURED: [&str; 7] = [
    "service",
    "state",
    "packets",
    "bytes",
    "scores",
    "highest_score",
    "fused",
];

impl MongoStore {
    pub(super) async fn record_flows(&self, batches: &[Arc<FlowBatchRecord>]) -> Result<(), StoreError> {
        let now = DateTime::now();
        let mut writes: Vec<WriteModel> = Vec::new();
        for batch in batches {
            let hit: HashSet<u32> = batch.hits.iter().map(|hit| hit.flow).collect();
            for (row, flow) in batch.flows.iter().enumerate() {
                let alerted = u32::try_from(row).is_ok_and(|row| hit.contains(&row));
                let document = FlowDocument::new(flow, &batch.scores, row, alerted, now);
                let identity = serialize_to_document(&document).map_err(|error| {
                    StoreError::mongo("write a flow")(mongodb::error::Error::custom(error.to_string()))
                })?;
                writes.push(self.upsert(identity, alerted));
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.client
            .bulk_write(writes)
            .ordered(false)
            .await
            .map(|_| ())
            .map_err(StoreError::mongo("write flows"))
    }

    /// The identity is written once; the measurements each time; `alerted` only ever becomes true.
    fn upsert(&self, mut identity: Document, alerted: bool) -> WriteModel {
        let mut measured = Document::new();
        for key in MEASURED {
            if let Some(value) = identity.remove(key) {
                measured.insert(key, value);
            }
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
            .update(doc! { "$setOnInsert": identity, "$set": measured })
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
