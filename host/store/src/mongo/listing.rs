//! One page of a listing.
//!
//! The server does not say how far it has looked, so a page first asks where the stretch ends that it may look at, and then
//! for what is wanted in that stretch. Entries that come or move meanwhile move towards the first page, out of the stretch.

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};
use netsage_api_types::Page;
use serde::de::DeserializeOwned;

use super::documents::integer;
use crate::StoreError;
use crate::cursor::{Cursor, Listing, page_limit};
use crate::error::is_out_of_time;
use crate::reads::{LONGEST_LISTING, LONGEST_READ};
use crate::record::to_signed;
use netsage_alerts::text::{parse_id, to_hex};

/// The shortest stretch: a page that is too slow looks at a tenth as much, down to this.
const FEWEST_ROWS: u32 = 500;

/// What a page is of.
pub(super) struct Asked {
    pub(super) listing: Listing,
    /// The field of the time that the listing is sorted by.
    pub(super) time: &'static str,
    pub(super) action: &'static str,
    /// Entries wanted, as a query says so.
    pub(super) limit: Option<u32>,
    pub(super) cursor: Option<Cursor>,
    /// A condition whose index lies in the order of the listing, and bounds of the time.
    pub(super) indexed: Document,
    /// Other conditions.
    pub(super) others: Document,
    /// Most entries looked at.
    pub(super) rows: u32,
}

impl Asked {
    /// The page, by the documents of `collection`; `place` is where one of them stands.
    pub(super) async fn page<D>(
        self,
        collection: &Collection<D>,
        place: impl Fn(&D) -> Cursor,
    ) -> Result<Page<D>, StoreError>
    where
        D: DeserializeOwned + Send + Sync,
    {
        let limit = page_limit(self.limit);
        let mut rows = self.rows.max(1);
        loop {
            let is_shortest = rows <= FEWEST_ROWS;
            let end = match self.others.is_empty() {
                // Every entry looked at is wanted.
                true => None,
                false => self.end_of_stretch(collection, rows).await?,
            };
            match self.find(collection, end, limit, is_shortest).await {
                Ok(mut items) => {
                    let is_full = items.len() > limit;
                    items.truncate(limit);
                    let next = if is_full { items.last().map(&place) } else { end };
                    return Ok(Page {
                        items,
                        next: next.map(|place| place.encode(self.listing)),
                    });
                }
                Err(error) if !is_shortest && is_out_of_time(&error) => rows = (rows / 10).max(FEWEST_ROWS),
                Err(error) => return Err(StoreError::mongo(self.action)(error)),
            }
        }
    }

    /// The place of the last entry that may be looked at; `None` when all that is left may be.
    async fn end_of_stretch<D: Send + Sync>(
        &self,
        collection: &Collection<D>,
        rows: u32,
    ) -> Result<Option<Cursor>, StoreError> {
        let found = collection
            .clone_with_type::<Document>()
            .find_one(self.conditions(None))
            .projection(doc! { self.time: 1 })
            .sort(self.order())
            .skip(u64::from(rows - 1))
            .max_time(LONGEST_READ)
            .await
            .map_err(StoreError::mongo(self.action))?;
        Ok(found.and_then(|found| {
            Some(Cursor {
                time: integer(&found, self.time)?,
                id: parse_id(found.get_str("_id").ok()?)?,
            })
        }))
    }

    async fn find<D>(
        &self,
        collection: &Collection<D>,
        end: Option<Cursor>,
        limit: usize,
        is_shortest: bool,
    ) -> mongodb::error::Result<Vec<D>>
    where
        D: DeserializeOwned + Send + Sync,
    {
        let bounded = !self.others.is_empty() && !is_shortest;
        collection
            .find(self.conditions(Some((end, &self.others))))
            .sort(self.order())
            // The one too many only says that there are more.
            .limit(to_signed(limit as u64 + 1))
            .max_time(if bounded { LONGEST_LISTING } else { LONGEST_READ })
            .await?
            .try_collect()
            .await
    }

    fn order(&self) -> Document {
        doc! { self.time: -1, "_id": -1 }
    }

    /// What stands behind the cursor, and with `within` up to an end and by the other conditions.
    fn conditions(&self, within: Option<(Option<Cursor>, &Document)>) -> Document {
        let time = self.time;
        let mut all = vec![self.indexed.clone()];
        if let Some(cursor) = self.cursor {
            all.push(doc! { time: { "$lte": cursor.time } });
            all.push(doc! { "$or": [
                { time: { "$lt": cursor.time } },
                { time: cursor.time, "_id": { "$lt": to_hex(&cursor.id) } },
            ] });
        }
        if let Some((end, others)) = within {
            all.push(others.clone());
            if let Some(end) = end {
                all.push(doc! { time: { "$gte": end.time } });
                all.push(doc! { "$or": [
                    { time: { "$gt": end.time } },
                    { time: end.time, "_id": { "$gte": to_hex(&end.id) } },
                ] });
            }
        }
        all.retain(|condition| !condition.is_empty());
        match all.len() {
            0 => Document::new(),
            1 => all.remove(0),
            _ => doc! { "$and": all },
        }
    }
}

/// The condition of a text that documents leave out where it is empty.
pub(super) fn text_or_none(text: &str) -> Bson {
    match text {
        // What is not there is null to the server.
        "" => doc! { "$in": [Bson::Null, ""] }.into(),
        text => text.into(),
    }
}

/// The condition of a time within `since` and `until`.
pub(super) fn within(since: Option<i64>, until: Option<i64>) -> Option<Document> {
    let mut range = Document::new();
    if let Some(since) = since {
        range.insert("$gte", since);
    }
    if let Some(until) = until {
        range.insert("$lt", until);
    }
    (!range.is_empty()).then_some(range)
}
