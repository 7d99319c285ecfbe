//! Listing alerts, and changing their state. `counting` makes them.

use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use netsage_api_types::{Alert, AlertQuery, Page, Severity, StateChange};

use super::documents::{SHOWN, state_name};
use super::listing::{Asked, text_or_none, within};
use super::{MongoStore, answer};
use crate::StoreError;
use crate::cursor::{Cursor, Listing};
use crate::reads::LONGEST_READ;
use crate::record::severity_rank;
use netsage_alerts::text::parse_id;

impl MongoStore {
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
        let change = self
            .alerts
            .find_one_and_update(
                doc! { "_id": id, "state": { "$in": SHOWN.to_vec() } },
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
            .return_document(ReturnDocument::After);
        let changed = answer("change the state of an alert", change).await?;
        if changed.is_none() && self.find_alert(id).await?.is_some() {
            return Err(StoreError::merged());
        }
        Ok(changed.map(|document| document.into_record().alert))
    }
}

/// What a query asks for. The narrowest of its conditions, with an index in the order of the listing, comes first.
fn asked(query: &AlertQuery, rows: u32) -> Result<Asked, StoreError> {
    let ranks = query.min_severity.map(|least| {
        let ranks: Vec<i32> = (severity_rank(least)..=severity_rank(Severity::Critical)).collect();
        // Each rank lies in the order of the listing, and the server merges them.
        Bson::from(doc! { "$in": ranks })
    });
    // Likewise each state.
    let state = match query.state {
        Some(state) => Bson::from(state_name(state)),
        None => Bson::from(doc! { "$in": SHOWN.to_vec() }),
    };
    let conditions: [(&str, Option<Bson>); 7] = [
        ("source", query.source.clone().map(Bson::from)),
        ("kind", query.kind.clone().map(Bson::from)),
        ("detector.name", query.detector.clone().map(Bson::from)),
        ("severity_rank", ranks),
        ("state", Some(state)),
        // Without an index, behind the state, which is always there.
        ("network", query.network.as_deref().map(text_or_none)),
        ("sensor", query.sensor.as_deref().map(text_or_none)),
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
