//! Alerts, counted exactly once without transactions.
//!
//! An alert's `count` is the number of flows in `alert_flows` and in its own `counted_last` together. To count more
//! flows: (1) read the alert; (2) write its `counted_last` into `alert_flows`, which holds each pair once; (3) see
//! which flows of the batch are in neither; (4) replace the alert, at the version read, by one that counts these and
//! names them in `counted_last`. Step 4 is one write of one document, so a kill anywhere leaves the sentence above
//! true; and a writer that another one overtook between 1 and 4 fails at 4 and starts again.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use netsage_api_types::{Alert, AlertQuery, Page, Severity, StateChange};

use super::documents::{AlertDocument, state_name};
use super::listing::{Asked, within};
use super::{MongoStore, is_duplicate_key};
use crate::cursor::{Cursor, Listing};
use crate::reads::LONGEST_READ;
use crate::record::{hits, severity_rank};
use crate::{BoxFuture, FlowBatchRecord, StoreError};
use netsage_alerts::text::{parse_id, to_hex};
use netsage_alerts::{AlertGroup, AlertRecord, HitOfFlow, group};

/// Alerts of a batch that are worked on at the same time.
const CONCURRENT_ALERTS: usize = 8;

/// How often to start again when overtaken by other writers.
const ATTEMPTS: u32 = 32;

/// The outcome of one attempt to change an alert.
enum Attempt {
    Unchanged,
    Changed(Box<Alert>),
    Overtaken,
}

impl MongoStore {
    /// Counts hits in their alerts; returns the alerts made or changed.
    pub(super) async fn record_hits(
        &self,
        batches: &[Arc<FlowBatchRecord>],
    ) -> Result<Vec<Alert>, StoreError> {
        let hits = batches.iter().flat_map(|batch| hits(batch));
        let work: Vec<BoxFuture<'_, _>> = group(hits, self.options.alert_window)
            .map(|group| self.record_group(group).boxed())
            .collect();
        let changed: Vec<Option<Alert>> = futures_util::stream::iter(work)
            .buffered(CONCURRENT_ALERTS)
            .try_collect()
            .await?;
        Ok(changed.into_iter().flatten().collect())
    }

    async fn record_group(&self, group: AlertGroup<'_>) -> Result<Option<Alert>, StoreError> {
        let id = to_hex(&group.id);
        for _ in 0..ATTEMPTS {
            match self.try_record_group(&id, &group).await? {
                Attempt::Unchanged => return Ok(None),
                Attempt::Changed(alert) => return Ok(Some(*alert)),
                Attempt::Overtaken => {}
            }
        }
        Err(StoreError::Contended {
            what: format!("alert {id}"),
        })
    }

    async fn try_record_group(&self, id: &str, group: &AlertGroup<'_>) -> Result<Attempt, StoreError> {
        let found = self
            .alerts
            .find_one(doc! { "_id": id })
            .await
            .map_err(StoreError::mongo("read an alert"))?;
        if let Some(found) = &found {
            self.note_counted(id, &found.counted_last).await?;
        }
        let counted = if found.is_some() {
            self.counted(id, &group.hits).await?
        } else {
            HashSet::new()
        };
        let fresh: Vec<HitOfFlow<'_>> = group
            .hits
            .iter()
            .copied()
            .filter(|hit| !counted.contains(&pair(id, &to_hex(&hit.flow.id))))
            .collect();
        let before = found.as_ref().map(|found| (found.version, found.revision));
        let record = found.map(AlertDocument::into_record);
        if fresh.is_empty() {
            return Ok(Attempt::Unchanged);
        }
        let Some(record) = AlertRecord::extend(record, &group.id, &fresh) else {
            return Ok(Attempt::Unchanged);
        };
        let alert = Box::new(record.alert.clone());
        let counted_last = fresh.iter().map(|hit| to_hex(&hit.flow.id)).collect();
        let document = AlertDocument::new(record, before, counted_last);
        let written = match before {
            Some((version, _)) => self
                .alerts
                .replace_one(doc! { "_id": id, "version": version }, &document)
                .await
                .map(|outcome| outcome.matched_count == 1),
            None => match self.alerts.insert_one(&document).await {
                Ok(_) => Ok(true),
                Err(error) if is_duplicate_key(&error) => Ok(false),
                Err(error) => Err(error),
            },
        };
        match written.map_err(StoreError::mongo("write an alert"))? {
            true => Ok(Attempt::Changed(alert)),
            false => Ok(Attempt::Overtaken),
        }
    }

    /// Writes the pairs of an alert and its flows; those that are there are left alone.
    async fn note_counted(&self, id: &str, flows: &[String]) -> Result<(), StoreError> {
        if flows.is_empty() {
            return Ok(());
        }
        let noted = DateTime::now();
        let pairs = flows
            .iter()
            .map(|flow| doc! { "_id": pair(id, flow), "noted": noted });
        match self.alert_flows.insert_many(pairs).ordered(false).await {
            Ok(_) => Ok(()),
            Err(error) if is_duplicate_key(&error) => Ok(()),
            Err(error) => Err(StoreError::mongo("note the flows of an alert")(error)),
        }
    }

    /// The pairs of an alert and these hits' flows that are noted.
    async fn counted(&self, id: &str, hits: &[HitOfFlow<'_>]) -> Result<HashSet<String>, StoreError> {
        let failed = StoreError::mongo("read the flows of an alert");
        let pairs: Vec<String> = hits.iter().map(|hit| pair(id, &to_hex(&hit.flow.id))).collect();
        let found: Vec<Document> = self
            .alert_flows
            .find(doc! { "_id": { "$in": pairs } })
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
        Ok(found
            .into_iter()
            .filter_map(|document| document.get_str("_id").ok().map(ToOwned::to_owned))
            .collect())
    }

    pub(super) async fn list_alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, StoreError> {
        let page = asked(query, self.options.listing_rows)?
            .page(&self.reading.alerts, |document| Cursor {
                time: document.last_seen,
                id: parse_id(&document.id).unwrap_or_default(),
            })
            .await?;
        Ok(Page {
            items: page
                .items
                .into_iter()
                .map(|document| document.into_record().alert)
                .collect(),
            next: page.next,
        })
    }

    pub(super) async fn find_alert(&self, id: &str) -> Result<Option<Alert>, StoreError> {
        let found = self
            .reading
            .alerts
            .find_one(doc! { "_id": id })
            .projection(doc! { "counted_last": 0 })
            .max_time(LONGEST_READ)
            .await
            .map_err(StoreError::mongo("read an alert"))?;
        Ok(found.map(|document| document.into_record().alert))
    }

    pub(super) async fn set_state(
        &self,
        id: &str,
        change: &StateChange,
    ) -> Result<Option<Alert>, StoreError> {
        let now = DateTime::now();
        let changed = self
            .alerts
            .find_one_and_update(
                doc! { "_id": id },
                doc! {
                    "$set": {
                        "state": state_name(change.state),
                        "changed_by": &change.by,
                        "changed_at": now.timestamp_millis(),
                        "touched": now,
                        "pending": true,
                    },
                    // Makes a writer that is about to replace the alert read it again.
                    "$inc": { "version": 1_i64 },
                },
            )
            .return_document(ReturnDocument::After)
            .await
            .map_err(StoreError::mongo("change the state of an alert"))?;
        Ok(changed.map(|document| document.into_record().alert))
    }
}

/// Key of a flow in an alert: both ids have 32 digits.
fn pair(alert: &str, flow: &str) -> String {
    format!("{alert}{flow}")
}

/// What a query asks for. The narrowest of its conditions, with an index in the order of the listing, comes first.
fn asked(query: &AlertQuery, rows: u32) -> Result<Asked, StoreError> {
    let ranks = query.min_severity.map(|least| {
        let ranks: Vec<i32> = (severity_rank(least)..=severity_rank(Severity::Critical)).collect();
        // Each rank lies in the order of the listing, and the server merges them.
        Bson::from(doc! { "$in": ranks })
    });
    let conditions: [(&str, Option<Bson>); 5] = [
        ("source", query.source.clone().map(Bson::from)),
        ("kind", query.kind.clone().map(Bson::from)),
        ("detector.name", query.detector.clone().map(Bson::from)),
        ("state", query.state.map(|state| state_name(state).into())),
        ("severity_rank", ranks),
    ];
    let mut given = conditions
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let mut indexed: Document = given.next().into_iter().collect();
    let others = given.collect();
    if let Some(range) = within(query.since, query.until) {
        indexed.insert("last_seen", range);
    }
    Ok(Asked {
        listing: Listing::Alerts,
        time: "last_seen",
        action: "list alerts",
        limit: query.limit,
        cursor: Cursor::of_query(query.cursor.as_ref(), Listing::Alerts)?,
        indexed,
        others,
        rows,
    })
}
