//! Alerts are made to follow from the facts.

use std::collections::HashMap;

use mongodb::bson::{Document, doc};
use netsage_api_types::{Alert, AlertState};
use serde::Deserialize;

use super::super::documents::{AlertDocument, PartDocument, SHOWN};
use super::super::{MongoStore, all_of, answer};
use super::{ATTEMPTS, Change, Recorded, Work, contended, ids_of, in_chunks};
use crate::StoreError;
use crate::record::to_unsigned;
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

/// The parts of an alert, added up by the server.
#[derive(Deserialize)]
struct SumOfParts {
    #[serde(rename = "_id")]
    alert: String,
    /// The part with the flow that the alert shows.
    best: PartDocument,
    first: i64,
    last: i64,
    count: i64,
}

/// What makes of an alert that was found the one that is wanted, with that alert; `None` when it is the one. The state that
/// a person gave an alert stays.
fn change_of(
    cell: &str,
    id: &str,
    found: Option<AlertDocument>,
    wanted: Wanted,
) -> Option<(Alert, Change<AlertDocument>)> {
    let before = found.as_ref().map(AlertDocument::before);
    let state = found.as_ref().map_or(AlertState::New, AlertDocument::state_shown);
    let known = found.map(AlertDocument::into_record);
    let record = match (wanted, &known) {
        (Wanted::Merged { .. }, None) => return None,
        (Wanted::Merged { .. }, Some(known)) if known.alert.state == AlertState::Merged => return None,
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
        return None;
    }
    let alert = record.alert.clone();
    let change = Change {
        id: id.to_owned(),
        version: before.map(|before| before.version),
        document: AlertDocument::new(record, cell.to_owned(), before.unwrap_or_default()),
    };
    Some((alert, change))
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
        self.note_raised(work).await?;
        let most = self.options.alert_limits.alerts as u64;
        let of_cell = doc! { "cell": &work.id };
        let raised = answer("count alerts", self.facts.raised.count_documents(of_cell)).await?;
        let last = match raised > most {
            true => self.last_shown(&work.id, most).await?,
            false => None,
        };
        self.summarize(work, last.is_some()).await?;
        let ids: Vec<&str> = work
            .singles
            .iter()
            .chain(&work.targets)
            .map(String::as_str)
            .collect();
        let followed = in_chunks(&ids, |some| self.follow_some(work, some, last.as_deref()));
        recorded.note(followed.await?.into_iter().flatten());
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
        let ids = wanted.symmetric_difference(&shown).map(String::as_str);
        let ids: Vec<&str> = ids.collect();
        let followed = in_chunks(&ids, |some| self.follow_some(work, some, last));
        recorded.note(followed.await?.into_iter().flatten());
        let wanted = match (held_back, parse_id(&work.id)) {
            (1.., Some(id)) => Wanted::Shown(Box::new(summary.alert(&id, Some(held_back)))),
            _ => Wanted::Merged { into: None },
        };
        let found = answer("read an alert", self.alerts.find_one(doc! { "_id": &work.id })).await?;
        let Some((alert, change)) = change_of(&work.id, &work.id, found, wanted) else {
            return Ok(());
        };
        let held = self
            .replace_many(&self.alerts, &[change], "write an alert")
            .await?;
        // A writer that was faster sees that the cell has changed, as this one does.
        recorded.note(held.contains(&true).then_some(alert));
        Ok(())
    }

    /// Makes alerts what the facts say; gives those that have changed.
    async fn follow_some(
        &self,
        work: &Work<'_, '_>,
        ids: &[&str],
        last: Option<&str>,
    ) -> Result<Vec<Alert>, StoreError> {
        let (mut left, mut followed) = (ids.to_vec(), Vec::new());
        for _ in 0..ATTEMPTS {
            let found = self.alerts.find(doc! { "_id": { "$in": &left } });
            let mut found: HashMap<String, AlertDocument> = all_of("read alerts", found)
                .await?
                .into_iter()
                .map(|document: AlertDocument| (document.id.clone(), document))
                .collect();
            let is_held_back = |id: &str| last.is_some_and(|last| id > last);
            let shown: Vec<&str> = left.iter().copied().filter(|id| !is_held_back(id)).collect();
            let mut facts = self.facts_of(&shown).await?;
            let (mut changed, mut changes) = (Vec::new(), Vec::new());
            for id in left {
                let wanted = match facts.remove(id) {
                    Some(record) => Wanted::Shown(Box::new(record)),
                    None if is_held_back(id) => Wanted::Merged {
                        into: Some(work.id.clone()),
                    },
                    None => Wanted::Merged {
                        into: work.merged.get(id).cloned(),
                    },
                };
                if let Some((alert, change)) = change_of(&work.id, id, found.remove(id), wanted) {
                    changed.push((id, alert));
                    changes.push(change);
                }
            }
            let held = self.replace_many(&self.alerts, &changes, "write alerts").await?;
            left = Vec::new();
            for ((id, alert), held) in changed.into_iter().zip(held) {
                match held {
                    true => followed.push(alert),
                    false => left.push(id),
                }
            }
            if left.is_empty() {
                return Ok(followed);
            }
        }
        Err(contended("alerts"))
    }

    /// The alerts that follow from parts or summaries, by id.
    async fn facts_of(&self, ids: &[&str]) -> Result<HashMap<String, AlertRecord>, StoreError> {
        let mut facts = HashMap::with_capacity(ids.len());
        let summaries = self.facts.targets.find(doc! { "_id": { "$in": ids } });
        for document in all_of("read summaries", summaries).await? {
            if let Some(id) = parse_id(&document.id) {
                let alert = document.summary()?.alert(&id, None);
                facts.insert(document.id, alert);
            }
        }
        let of_sources: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| !facts.contains_key(*id))
            .collect();
        if of_sources.is_empty() {
            return Ok(facts);
        }
        // The part with the flow that is shown has all but what is added up.
        let sums = self.facts.parts.aggregate(vec![
            doc! { "$match": { "alert": { "$in": of_sources } } },
            doc! { "$sort": { "alert": 1, "score": -1, "best_flow": 1 } },
            doc! { "$group": {
                "_id": "$alert",
                "best": { "$first": "$$ROOT" },
                "first": { "$min": "$first_seen" },
                "last": { "$max": "$last_seen" },
                "count": { "$sum": "$count" },
            } },
        ]);
        let sums = sums.with_type::<SumOfParts>();
        for sum in all_of("add up the parts of alerts", sums).await? {
            let mut record = sum.best.into_part().record;
            record.alert.first_seen = sum.first;
            record.alert.last_seen = sum.last;
            record.alert.count = to_unsigned(sum.count);
            facts.insert(sum.alert, record);
        }
        Ok(facts)
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
        in_chunks(&ids, |some| {
            let forgotten = doc! { "_id": { "$in": some }, "state": "merged" };
            answer(action, self.alerts.delete_many(forgotten))
        })
        .await
        .map(drop)
    }
}
