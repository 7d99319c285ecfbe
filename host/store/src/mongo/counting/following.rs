//! Alerts are made to follow from the facts.

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use netsage_api_types::{Alert, AlertState};

use super::super::documents::{AlertDocument, Before, SHOWN, integer};
use super::super::{MongoStore, all_of, answer};
use super::{ATTEMPTS, CONCURRENT, Recorded, Work, contended, ids_of, replace};
use crate::record::to_unsigned;
use crate::{BoxFuture, StoreError};
use netsage_alerts::text::parse_id;
use netsage_alerts::{AlertRecord, Summary};

/// What an alert should be.
enum Wanted {
    Shown(Box<AlertRecord>),
    /// Merged, if it is there.
    Merged {
        into: Option<String>,
    },
}

/// How an attempt to write an alert ended.
enum Put {
    /// With the alert, when it has changed.
    Done(Option<Box<Alert>>),
    Overtaken,
}

impl MongoStore {
    /// Makes the alerts of a cell what the facts say; gives the id of the last one that is shown, when some are held back.
    pub(super) async fn follow(
        &self,
        work: &mut Work<'_, '_>,
        recorded: &mut Recorded,
    ) -> Result<Option<String>, StoreError> {
        for target in self.targets_of_many(work).await? {
            self.merge_target(work, target).await?;
        }
        self.take_up_merging(work).await?;
        for id in &work.singles {
            self.note_raised(&work.id, id).await?;
        }
        for id in &work.targets {
            self.write_raised(&work.id, id).await?;
        }
        let most = self.options.alert_limits.alerts as u64;
        let of_cell = doc! { "cell": &work.id };
        let raised = answer("count alerts", self.facts.raised.count_documents(of_cell)).await?;
        let last = match raised > most {
            true => self.last_shown(&work.id, most).await?,
            false => None,
        };
        self.summarize(work, last.is_some()).await?;
        let ids: Vec<&String> = work.singles.iter().chain(&work.targets).collect();
        let (cell, merged) = (work.id.as_str(), &work.merged);
        let writes: Vec<BoxFuture<'_, _>> = ids
            .into_iter()
            .map(|id| self.follow_one(cell, id, last.as_deref(), merged.get(id)).boxed())
            .collect();
        let changed: Vec<Option<Alert>> = futures_util::stream::iter(writes)
            .buffered(CONCURRENT)
            .try_collect()
            .await?;
        recorded.note(changed.into_iter().flatten());
        if let Some(summary) = self.summary_of(&self.facts.cells, &work.id).await? {
            let held_back = raised.saturating_sub(most);
            self.hold_back(work, &summary, held_back, last.as_deref(), recorded)
                .await?;
        }
        self.forget_merged(&work.id).await?;
        Ok(last)
    }

    /// The id of the last alert of a cell that is shown, where there are more than `most`.
    async fn last_shown(&self, cell: &str, most: u64) -> Result<Option<String>, StoreError> {
        let Some(before) = most.checked_sub(1) else {
            // Nothing is smaller.
            return Ok(Some(String::new()));
        };
        let last = self
            .facts
            .raised
            .find_one(doc! { "cell": cell })
            .sort(doc! { "_id": 1 })
            .skip(before);
        let found = answer("read the order of alerts", last).await?;
        Ok(found.and_then(|found| found.get_str("_id").ok().map(ToOwned::to_owned)))
    }

    /// Shows and holds back what has changed its side since, and says how much is held back.
    async fn hold_back(
        &self,
        work: &Work<'_, '_>,
        summary: &Summary,
        held_back: u64,
        last: Option<&str>,
        recorded: &mut Recorded,
    ) -> Result<(), StoreError> {
        let shown = doc! { "cell": &work.id, "state": { "$in": SHOWN.to_vec() }, "_id": { "$ne": &work.id } };
        let shown = self.ids(&self.alerts, shown).await?;
        let within = match last {
            Some(last) => doc! { "cell": &work.id, "_id": { "$lte": last } },
            None => doc! { "cell": &work.id },
        };
        let wanted = self.ids(&self.facts.raised, within).await?;
        for id in wanted.symmetric_difference(&shown) {
            let changed = self.follow_one(&work.id, id, last, work.merged.get(id)).await?;
            recorded.note(changed);
        }
        let wanted = match (held_back, parse_id(&work.id)) {
            (1.., Some(id)) => Wanted::Shown(Box::new(summary.alert(&id, Some(held_back)))),
            _ => Wanted::Merged { into: None },
        };
        let found = self.alert_document(&work.id).await?;
        let changed = match self.put(&work.id, &work.id, found, wanted).await? {
            Put::Done(changed) => changed.map(|alert| *alert),
            // The writer that was faster sees that the cell has changed, as this one does.
            Put::Overtaken => None,
        };
        recorded.note(changed);
        Ok(())
    }

    /// Makes one alert what the facts say; gives it when it has changed.
    async fn follow_one(
        &self,
        cell: &str,
        id: &str,
        last: Option<&str>,
        target: Option<&String>,
    ) -> Result<Option<Alert>, StoreError> {
        for _ in 0..ATTEMPTS {
            let found = self.alert_document(id).await?;
            let wanted = match last {
                Some(last) if id > last => Wanted::Merged {
                    into: Some(cell.to_owned()),
                },
                _ => match self.fact(id).await? {
                    Some(record) => Wanted::Shown(Box::new(record)),
                    None => Wanted::Merged {
                        into: target.cloned(),
                    },
                },
            };
            match self.put(cell, id, found, wanted).await? {
                Put::Done(changed) => return Ok(changed.map(|alert| *alert)),
                Put::Overtaken => {}
            }
        }
        Err(contended(&format!("alert {id}")))
    }

    async fn alert_document(&self, id: &str) -> Result<Option<AlertDocument>, StoreError> {
        answer("read an alert", self.alerts.find_one(doc! { "_id": id })).await
    }

    /// The alert that follows from parts or summary.
    async fn fact(&self, id: &str) -> Result<Option<AlertRecord>, StoreError> {
        if let Some(summary) = self.summary_of(&self.facts.targets, id).await? {
            return Ok(parse_id(id).map(|id| summary.alert(&id, None)));
        }
        // The part with the flow that is shown has all but what is added up, which the server does.
        let best = self
            .facts
            .parts
            .find_one(doc! { "alert": id })
            .sort(doc! { "score": -1, "best_flow": 1 });
        let Some(best) = answer("read a part of an alert", best).await? else {
            return Ok(None);
        };
        let sums = self.facts.parts.aggregate(vec![
            doc! { "$match": { "alert": id } },
            doc! { "$group": {
                "_id": null,
                "first": { "$min": "$first_seen" },
                "last": { "$max": "$last_seen" },
                "count": { "$sum": "$count" },
            } },
        ]);
        let sums: Vec<Document> = all_of("add up the parts of an alert", sums).await?;
        let mut record = best.into_part().record;
        let sum = |key| sums.first().and_then(|sums| integer(sums, key));
        if let (Some(first), Some(last), Some(count)) = (sum("first"), sum("last"), sum("count")) {
            record.alert.first_seen = first;
            record.alert.last_seen = last;
            record.alert.count = to_unsigned(count);
        }
        Ok(Some(record))
    }

    /// Makes an alert what it should be, if it is not; the state that a person gave it stays.
    async fn put(
        &self,
        cell: &str,
        id: &str,
        found: Option<AlertDocument>,
        wanted: Wanted,
    ) -> Result<Put, StoreError> {
        let before = found.as_ref().map(AlertDocument::before);
        let state = found.as_ref().map_or(AlertState::New, AlertDocument::state_shown);
        let known = found.map(AlertDocument::into_record);
        let record = match (wanted, &known) {
            (Wanted::Merged { .. }, None) => return Ok(Put::Done(None)),
            (Wanted::Merged { .. }, Some(known)) if known.alert.state == AlertState::Merged => {
                return Ok(Put::Done(None));
            }
            (Wanted::Merged { into }, Some(known)) => {
                let mut record = known.clone();
                record.alert.state = AlertState::Merged;
                record.alert.merged_into = into;
                record
            }
            (Wanted::Shown(mut record), known) => {
                record.alert.state = state;
                if let Some(known) = known {
                    record.alert.changed_by.clone_from(&known.alert.changed_by);
                    record.alert.changed_at = known.alert.changed_at;
                }
                *record
            }
        };
        if known.as_ref() == Some(&record) {
            return Ok(Put::Done(None));
        }
        let alert = Box::new(record.alert.clone());
        let document = AlertDocument::new(record, cell.to_owned(), before.unwrap_or_default());
        let version = before.map(|before: Before| before.version);
        match replace(&self.alerts, id, version, &document, "write an alert").await? {
            true => Ok(Put::Done(Some(alert))),
            false => Ok(Put::Overtaken),
        }
    }

    /// Deletes the merged alerts beyond those that are kept for readers of the changes.
    async fn forget_merged(&self, cell: &str) -> Result<(), StoreError> {
        let most = self.options.alert_limits.merged as u64;
        let merged = doc! { "cell": cell, "state": "merged" };
        let action = "forget merged alerts";
        let alerts = self.alerts.clone_with_type::<Document>();
        let beyond = alerts
            .find(merged)
            .projection(doc! { "_id": 1 })
            .sort(doc! { "touched": -1 })
            .skip(most);
        let beyond = all_of(action, beyond).await?;
        let ids: Vec<String> = ids_of(&beyond).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let forgotten = doc! { "_id": { "$in": ids }, "state": "merged" };
        answer(action, self.alerts.delete_many(forgotten)).await.map(drop)
    }
}
