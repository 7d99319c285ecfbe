//! The facts that alerts follow from: parts, summaries, and which alerts there are.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::{UpdateOneModel, WriteModel};
use serde::Deserialize;

use super::super::documents::{PartDocument, SummaryDocument};
use super::super::{MongoStore, all_of, answer, answered, is_duplicate_key};
use super::{ATTEMPTS, CONCURRENT, Work, contended, ids_of, replace};
use crate::record::to_signed;
use crate::{BoxFuture, StoreError};
use netsage_alerts::text::to_hex;
use netsage_alerts::{Cell, HitOfFlow, Part, Summary, by_source};

/// The collections of facts.
pub(in super::super) struct Facts {
    pub(super) cells: Collection<SummaryDocument>,
    pub(super) raised: Collection<Document>,
    pub(super) parts: Collection<PartDocument>,
    pub(super) targets: Collection<SummaryDocument>,
    pub(super) merging: Collection<Merging>,
}

/// A note that the alert of a source loses a part to the alert of a target.
#[derive(Debug, Deserialize)]
pub(super) struct Merging {
    alert: String,
    target: String,
    /// Of those who wrote it last.
    note: ObjectId,
}

impl Facts {
    pub(in super::super) fn new(database: &mongodb::Database) -> Self {
        Self {
            cells: database.collection("cells"),
            raised: database.collection("raised"),
            parts: database.collection("parts"),
            targets: database.collection("targets"),
            merging: database.collection("merging"),
        }
    }
}

impl MongoStore {
    pub(super) async fn write_facts(&self, work: &mut Work<'_, '_>) -> Result<(), StoreError> {
        let targets: Vec<String> = work
            .hits
            .targets()
            .map(|(target, _)| to_hex(&work.key.id_of_target(target)))
            .collect();
        let known = self
            .ids(&self.facts.targets, doc! { "_id": { "$in": &targets } })
            .await?;
        let mut parts = Vec::new();
        for ((target, hits), id) in work.hits.targets().zip(&targets) {
            let has_alert = known.contains(id);
            if has_alert || by_source(hits).count() > self.options.alert_limits.sources {
                let Some(summary) = Summary::of_hits(hits) else {
                    continue;
                };
                self.add_to_summary(&self.facts.targets, id, &work.id, &summary)
                    .await?;
                work.targets.insert(id.clone());
                continue;
            }
            parts.extend(by_source(hits).map(|(source, hits)| (target, source, hits)));
        }
        work.singles.extend(
            parts
                .iter()
                .map(|(_, source, _)| to_hex(&work.key.id_of_source(*source))),
        );
        let (key, cell) = (work.key, work.id.as_str());
        let writes: Vec<BoxFuture<'_, _>> = parts
            .into_iter()
            .map(|(target, source, hits)| self.record_part(key, cell, target, source, hits).boxed())
            .collect();
        futures_util::stream::iter(writes)
            .buffered(CONCURRENT)
            .try_collect::<()>()
            .await
    }

    /// Adds to a summary; one that is not there is made.
    async fn add_to_summary(
        &self,
        summaries: &Collection<SummaryDocument>,
        id: &str,
        cell: &str,
        more: &Summary,
    ) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let found = answer("read a summary", summaries.find_one(doc! { "_id": id })).await?;
            let version = found.as_ref().map(|found| found.version);
            let summary = match found {
                None => more.clone(),
                Some(found) => {
                    let mut summary = found.summary()?;
                    if !summary.join(more) {
                        return Ok(());
                    }
                    summary
                }
            };
            let document = SummaryDocument::new(id.to_owned(), cell.to_owned(), &summary, version);
            if replace(summaries, id, version, &document, "write a summary").await? {
                return Ok(());
            }
        }
        Err(contended("a summary"))
    }

    /// Counts those hits of a source on a target whose flows its part has not counted yet.
    async fn record_part(
        &self,
        key: Cell<'_>,
        cell: &str,
        target: SocketAddr,
        source: IpAddr,
        hits: &[HitOfFlow<'_>],
    ) -> Result<(), StoreError> {
        let alert = key.id_of_source(source);
        let target = target.to_string();
        let id = format!("{}{target}", to_hex(&alert));
        for _ in 0..ATTEMPTS {
            let part = self.facts.parts.find_one(doc! { "_id": &id });
            let found = answer("read a part of an alert", part).await?;
            let mut fresh = hits.to_vec();
            if let Some(found) = &found {
                self.note_counted(&id, &found.counted_last).await?;
                let pairs: Vec<String> = hits.iter().map(|hit| pair(&id, &to_hex(&hit.flow.id))).collect();
                let counted = self
                    .ids(&self.alert_flows, doc! { "_id": { "$in": pairs } })
                    .await?;
                fresh.retain(|hit| !counted.contains(&pair(&id, &to_hex(&hit.flow.id))));
            }
            if fresh.is_empty() {
                return Ok(());
            }
            let version = found.as_ref().map(|found| found.version);
            let Some(part) = Part::extend(found.map(PartDocument::into_part), &alert, &fresh) else {
                return Ok(());
            };
            let counted_last = fresh.iter().map(|hit| to_hex(&hit.flow.id)).collect();
            let document = PartDocument::new(
                id.clone(),
                cell.to_owned(),
                target.clone(),
                part,
                version,
                counted_last,
            );
            let action = "write a part of an alert";
            if replace(&self.facts.parts, &id, version, &document, action).await? {
                return Ok(());
            }
        }
        Err(contended("a part of an alert"))
    }

    /// Writes the pairs of a part and its flows; those that are there are left alone.
    async fn note_counted(&self, id: &str, flows: &[String]) -> Result<(), StoreError> {
        if flows.is_empty() {
            return Ok(());
        }
        let noted = DateTime::now();
        let pairs = flows
            .iter()
            .map(|flow| doc! { "_id": pair(id, flow), "noted": noted });
        match answered(self.alert_flows.insert_many(pairs).ordered(false)).await? {
            Ok(_) => Ok(()),
            Err(error) if is_duplicate_key(&error) => Ok(()),
            Err(error) => Err(StoreError::mongo("note the flows of an alert")(error)),
        }
    }

    /// The targets of a delivery that have an alert, or that more sources hit than may have alerts of their own.
    pub(super) async fn targets_of_many(&self, work: &Work<'_, '_>) -> Result<Vec<SocketAddr>, StoreError> {
        let targets: Vec<SocketAddr> = work.hits.targets().map(|(target, _)| target).collect();
        let texts: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let ids: Vec<String> = targets
            .iter()
            .map(|target| to_hex(&work.key.id_of_target(*target)))
            .collect();
        let known = self
            .ids(&self.facts.targets, doc! { "_id": { "$in": &ids } })
            .await?;
        let most = to_signed(self.options.alert_limits.sources as u64);
        let counts = self.facts.parts.aggregate(vec![
            doc! { "$match": { "cell": &work.id, "target": { "$in": texts.clone() } } },
            doc! { "$group": { "_id": "$target", "sources": { "$sum": 1_i64 } } },
            doc! { "$match": { "sources": { "$gt": most } } },
        ]);
        let found = all_of("count the sources of targets", counts).await?;
        let crowded: HashSet<String> = ids_of(&found).collect();
        let of_many = targets.iter().zip(texts.iter().zip(&ids));
        Ok(of_many
            .filter(|(_, (text, id))| known.contains(*id) || crowded.contains(*text))
            .map(|(target, _)| *target)
            .collect())
    }

    /// Gives a target an alert of its own, if it has none, and adds the parts of its sources to that alert. Their alerts are
    /// noted as merging before their parts go, since nothing else says then that they are to be looked at.
    pub(super) async fn merge_target(
        &self,
        work: &mut Work<'_, '_>,
        target: SocketAddr,
    ) -> Result<(), StoreError> {
        let id = to_hex(&work.key.id_of_target(target));
        let of_target = doc! { "cell": &work.id, "target": target.to_string() };
        work.targets.insert(id.clone());
        for _ in 0..ATTEMPTS {
            let parts = self.facts.parts.find(of_target.clone());
            let parts: Vec<PartDocument> = all_of("read the sources of a target", parts).await?;
            let mut all: Option<Summary> = None;
            for part in &parts {
                let summary = Summary::of_part(&part.clone().into_part());
                match (&mut all, summary) {
                    (Some(all), Some(summary)) => drop(all.join(&summary)),
                    (all @ None, summary) => *all = summary,
                    (Some(_), None) => {}
                }
            }
            let Some(all) = all else { return Ok(()) };
            self.add_to_summary(&self.facts.targets, &id, &work.id, &all)
                .await?;
            let sources: BTreeSet<&str> = parts.iter().map(|part| part.alert.as_str()).collect();
            self.note_merging(&sources, &id).await?;
            for part in &parts {
                // One that has counted more meanwhile is added again.
                let deletion = self
                    .facts
                    .parts
                    .delete_one(doc! { "_id": &part.id, "version": part.version });
                answer("merge an alert", deletion).await?;
            }
        }
        Err(contended("the alert of a target"))
    }

    /// Notes that alerts of sources lose a part to the alert of a target.
    async fn note_merging(&self, sources: &BTreeSet<&str>, target: &str) -> Result<(), StoreError> {
        let (touched, note) = (DateTime::now(), ObjectId::new());
        let namespace = self.facts.merging.namespace();
        let writes = sources.iter().map(|source| {
            WriteModel::from(
                UpdateOneModel::builder()
                    .namespace(namespace.clone())
                    .filter(doc! { "_id": pair(source, target) })
                    .update(
                        doc! { "$set": { "alert": *source, "target": target, "note": note, "touched": touched } },
                    )
                    .upsert(true)
                    .build(),
            )
        });
        answer(
            "note what is merged",
            self.client.bulk_write(writes).ordered(false),
        )
        .await
        .map(drop)
    }

    /// Takes up the alerts that are noted as merging into one of the targets at work, also by a delivery that broke off.
    pub(super) async fn take_up_merging(&self, work: &mut Work<'_, '_>) -> Result<(), StoreError> {
        if work.targets.is_empty() {
            return Ok(());
        }
        let targets: Vec<&String> = work.targets.iter().collect();
        let noted = self.facts.merging.find(doc! { "target": { "$in": targets } });
        for noted in all_of("read what is merged", noted).await? {
            work.singles.insert(noted.alert.clone());
            work.merged.insert(noted.alert, noted.target);
            work.merging.insert(noted.note);
        }
        Ok(())
    }

    /// Forgets the notes that were taken up, now that their alerts follow; those that others have written anew stay.
    pub(super) async fn forget_merging(&self, work: &Work<'_, '_>) -> Result<(), StoreError> {
        if work.merging.is_empty() {
            return Ok(());
        }
        let notes: Vec<ObjectId> = work.merging.iter().copied().collect();
        let targets: Vec<&String> = work.targets.iter().collect();
        let done = doc! { "target": { "$in": targets }, "note": { "$in": notes } };
        answer("forget what was merged", self.facts.merging.delete_many(done))
            .await
            .map(drop)
    }

    /// Notes that there is an alert of a source, or is not any more.
    pub(super) async fn note_raised(&self, cell: &str, alert: &str) -> Result<(), StoreError> {
        let part = self.facts.parts.find_one(doc! { "alert": alert });
        if answer("read a part of an alert", part).await?.is_some() {
            return self.write_raised(cell, alert).await;
        }
        let deletion = self.facts.raised.delete_one(doc! { "_id": alert });
        answer("forget an alert", deletion).await.map(drop)
    }

    pub(super) async fn write_raised(&self, cell: &str, alert: &str) -> Result<(), StoreError> {
        let fields = doc! { "cell": cell, "touched": DateTime::now() };
        let write = self
            .facts
            .raised
            .update_one(doc! { "_id": alert }, doc! { "$set": fields })
            .upsert(true);
        match answered(write).await? {
            Err(error) if !is_duplicate_key(&error) => Err(StoreError::mongo("note an alert")(error)),
            _ => Ok(()),
        }
    }

    /// Keeps a summary of all hits of a cell from the moment on that it has more alerts than its limit.
    pub(super) async fn summarize(&self, work: &Work<'_, '_>, is_needed: bool) -> Result<(), StoreError> {
        let known = self.summary_of(&self.facts.cells, &work.id).await?;
        let mut all: Option<Summary> = None;
        if known.is_some() {
            all = Summary::of_hits(work.hits.hits());
        } else if is_needed {
            let action = "read the alerts of a kind";
            let of_cell = doc! { "cell": &work.id };
            let mut parts = answer(action, self.facts.parts.find(of_cell.clone())).await?;
            let mut add = |summary: Summary| match &mut all {
                Some(all) => drop(all.join(&summary)),
                None => all = Some(summary),
            };
            while let Some(part) = answer(action, parts.try_next()).await? {
                Summary::of_part(&part.into_part()).into_iter().for_each(&mut add);
            }
            let mut targets = answer(action, self.facts.targets.find(of_cell)).await?;
            while let Some(target) = answer(action, targets.try_next()).await? {
                add(target.summary()?);
            }
        }
        match all {
            Some(all) => {
                self.add_to_summary(&self.facts.cells, &work.id, &work.id, &all)
                    .await
            }
            None => Ok(()),
        }
    }

    pub(super) async fn summary_of(
        &self,
        summaries: &Collection<SummaryDocument>,
        id: &str,
    ) -> Result<Option<Summary>, StoreError> {
        let found = answer("read a summary", summaries.find_one(doc! { "_id": id })).await?;
        found.map(|found| found.summary()).transpose()
    }
}

/// Key of a flow in a part.
fn pair(part: &str, flow: &str) -> String {
    format!("{part}/{flow}")
}
