//! The facts that alerts follow from: parts, summaries, and which alerts there are.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::{DeleteOneModel, UpdateOneModel, WriteModel};
use serde::Deserialize;

use super::super::documents::{PartDocument, SummaryDocument};
use super::super::{MongoStore, all_of, answer, answered, places_of_duplicates};
use super::{ATTEMPTS, Change, Work, contended, ids_of, in_chunks, overtaken};
use crate::StoreError;
use crate::record::to_signed;
use netsage_alerts::text::to_hex;
use netsage_alerts::{HitOfFlow, Id, Part, Summary, by_source};

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

/// What a delivery has for a part.
struct OfPart<'w, 'a> {
    /// The id of the part.
    id: String,
    alert: Id,
    target: String,
    hits: &'w [HitOfFlow<'a>],
}

impl MongoStore {
    pub(super) async fn write_facts(&self, work: &mut Work<'_, '_>) -> Result<(), StoreError> {
        let hits = work.hits;
        let targets: Vec<String> = hits
            .targets()
            .map(|(target, _)| to_hex(&work.key.id_of_target(target)))
            .collect();
        let known = self.known_ids(&self.facts.targets, &targets).await?;
        let (mut parts, mut summaries) = (Vec::new(), Vec::new());
        for ((target, hits), id) in hits.targets().zip(&targets) {
            if known.contains(id) || by_source(hits).count() > self.options.alert_limits.sources {
                summaries.extend(Summary::of_hits(hits).map(|summary| (id.clone(), summary)));
                continue;
            }
            let target = target.to_string();
            parts.extend(by_source(hits).map(|(source, hits)| {
                let alert = work.key.id_of_source(source);
                OfPart {
                    id: format!("{}{target}", to_hex(&alert)),
                    alert,
                    target: target.clone(),
                    hits,
                }
            }));
        }
        work.targets.extend(summaries.iter().map(|(id, _)| id.clone()));
        work.singles.extend(parts.iter().map(|part| to_hex(&part.alert)));
        let cell = work.id.as_str();
        in_chunks(&summaries, |some| {
            self.add_to_summaries(&self.facts.targets, cell, some)
        })
        .await?;
        in_chunks(&parts, |some| self.count_in_parts(cell, some)).await?;
        Ok(())
    }

    /// Adds to summaries of a cell; those that are not there are made.
    async fn add_to_summaries(
        &self,
        summaries: &Collection<SummaryDocument>,
        cell: &str,
        added: &[(String, Summary)],
    ) -> Result<(), StoreError> {
        let mut left: Vec<&(String, Summary)> = added.iter().collect();
        for _ in 0..ATTEMPTS {
            let ids: Vec<&str> = left.iter().map(|(id, _)| id.as_str()).collect();
            let found = summaries.find(doc! { "_id": { "$in": ids } });
            let mut found: HashMap<String, SummaryDocument> = all_of("read summaries", found)
                .await?
                .into_iter()
                .map(|document: SummaryDocument| (document.id.clone(), document))
                .collect();
            let (mut changed, mut changes) = (Vec::new(), Vec::new());
            for of_summary in left {
                let (id, more) = of_summary;
                let found = found.remove(id);
                let version = found.as_ref().map(|found| found.version);
                let summary = match found {
                    None => more.clone(),
                    Some(found) => {
                        let mut summary = found.summary()?;
                        if !summary.join(more) {
                            continue;
                        }
                        summary
                    }
                };
                let document = SummaryDocument::new(id.clone(), cell.to_owned(), &summary, version);
                changed.push(of_summary);
                changes.push(Change {
                    id: id.clone(),
                    version,
                    document,
                });
            }
            let held = self.replace_many(summaries, &changes, "write summaries").await?;
            left = overtaken(changed, &held);
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(contended("a summary"))
    }

    /// Counts those hits whose flows their parts have not counted yet.
    async fn count_in_parts(&self, cell: &str, parts: &[OfPart<'_, '_>]) -> Result<(), StoreError> {
        let mut left: Vec<&OfPart<'_, '_>> = parts.iter().collect();
        for _ in 0..ATTEMPTS {
            let ids: Vec<&str> = left.iter().map(|part| part.id.as_str()).collect();
            let found = self.facts.parts.find(doc! { "_id": { "$in": ids } });
            let mut found: HashMap<String, PartDocument> = all_of("read parts of alerts", found)
                .await?
                .into_iter()
                .map(|document: PartDocument| (document.id.clone(), document))
                .collect();
            let counted = self.counted(&left, &found).await?;
            let (mut changed, mut changes, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
            for part in left {
                let known = found.remove(&part.id);
                let is_fresh =
                    |hit: &&HitOfFlow<'_>| !counted.contains(&pair(&part.id, &to_hex(&hit.flow.id)));
                let fresh: Vec<HitOfFlow<'_>> = part.hits.iter().filter(is_fresh).copied().collect();
                let version = known.as_ref().map(|known| known.version);
                let last = known.as_ref().map(|known| known.counted_last.clone());
                let whole = match fresh.is_empty() {
                    true => None,
                    false => Part::extend(known.map(PartDocument::into_part), &part.alert, &fresh),
                };
                let Some(whole) = whole else { continue };
                pairs.extend(last.iter().flatten().map(|flow| pair(&part.id, flow)));
                let document = PartDocument::new(
                    part.id.clone(),
                    cell.to_owned(),
                    part.target.clone(),
                    whole,
                    version,
                    fresh.iter().map(|hit| to_hex(&hit.flow.id)).collect(),
                );
                changed.push(part);
                changes.push(Change {
                    id: part.id.clone(),
                    version,
                    document,
                });
            }
            self.note_counted(pairs).await?;
            let action = "write parts of alerts";
            let held = self.replace_many(&self.facts.parts, &changes, action).await?;
            left = overtaken(changed, &held);
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(contended("a part of an alert"))
    }

    /// Which pairs of these hits and their parts are counted already, by the parts that were found.
    async fn counted(
        &self,
        parts: &[&OfPart<'_, '_>],
        found: &HashMap<String, PartDocument>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let of_known = parts.iter().filter(|part| found.contains_key(&part.id));
        let pairs: Vec<String> = of_known
            .flat_map(|part| {
                let flows = part.hits.iter();
                flows.map(|hit| pair(&part.id, &to_hex(&hit.flow.id)))
            })
            .collect();
        let mut counted = self.known_ids(&self.alert_flows, &pairs).await?;
        for part in found.values() {
            counted.extend(part.counted_last.iter().map(|flow| pair(&part.id, flow)));
        }
        Ok(counted)
    }

    /// Writes pairs of parts and their flows; those that are there are left alone.
    async fn note_counted(&self, pairs: Vec<String>) -> Result<(), StoreError> {
        let noted = DateTime::now();
        let pairs = pairs.into_iter().map(|pair| doc! { "_id": pair, "noted": noted });
        let pairs: Vec<Document> = pairs.collect();
        self.insert_missing(&self.alert_flows, &pairs, "note the flows of alerts")
            .await
            .map(drop)
    }

    /// Inserts documents; gives the places of those that are there already and are left alone.
    pub(in super::super) async fn insert_missing(
        &self,
        collection: &Collection<Document>,
        documents: &[Document],
        action: &'static str,
    ) -> Result<Vec<usize>, StoreError> {
        /// A request that a slow line and a slow server take in time.
        const AT_ONCE: usize = 1_000;
        let mut known = Vec::new();
        for (number, some) in documents.chunks(AT_ONCE).enumerate() {
            let inserted = answered(collection.insert_many(some).ordered(false)).await?;
            let Err(error) = inserted else { continue };
            match places_of_duplicates(&error) {
                Some(places) => known.extend(places.into_iter().map(|place| number * AT_ONCE + place)),
                None => return Err(StoreError::mongo(action)(error)),
            }
        }
        Ok(known)
    }

    /// The targets of a delivery that have an alert, or that more sources hit than may have alerts of their own.
    pub(super) async fn targets_of_many(&self, work: &Work<'_, '_>) -> Result<Vec<SocketAddr>, StoreError> {
        let targets: Vec<SocketAddr> = work.hits.targets().map(|(target, _)| target).collect();
        let texts: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let ids: Vec<String> = targets
            .iter()
            .map(|target| to_hex(&work.key.id_of_target(*target)))
            .collect();
        let known = self.known_ids(&self.facts.targets, &ids).await?;
        let most = to_signed(self.options.alert_limits.sources as u64);
        let counts = in_chunks(&texts, |some| {
            let counts = self.facts.parts.aggregate(vec![
                doc! { "$match": { "cell": &work.id, "target": { "$in": some } } },
                doc! { "$group": { "_id": "$target", "sources": { "$sum": 1_i64 } } },
                doc! { "$match": { "sources": { "$gt": most } } },
            ]);
            all_of("count the sources of targets", counts)
        });
        let found: Vec<Document> = counts.await?.into_iter().flatten().collect();
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
            self.add_to_summaries(&self.facts.targets, &work.id, &[(id.clone(), all)])
                .await?;
            let sources: BTreeSet<&str> = parts.iter().map(|part| part.alert.as_str()).collect();
            self.note_merging(&sources, &id).await?;
            // One that has counted more meanwhile is added again.
            let namespace = self.facts.parts.namespace();
            let deletions = parts.iter().map(|part| {
                WriteModel::from(
                    DeleteOneModel::builder()
                        .namespace(namespace.clone())
                        .filter(doc! { "_id": &part.id, "version": part.version })
                        .build(),
                )
            });
            self.write_many(deletions, "merge alerts").await?;
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
        self.write_many(writes, "note what is merged").await
    }

    /// Takes up the alerts that are noted as merging into one of the targets at work, also by a delivery that broke off.
    pub(super) async fn take_up_merging(&self, work: &mut Work<'_, '_>) -> Result<(), StoreError> {
        if work.targets.is_empty() {
            return Ok(());
        }
        let targets: Vec<&String> = work.targets.iter().collect();
        let noted = in_chunks(&targets, |some| {
            let noted = self.facts.merging.find(doc! { "target": { "$in": some } });
            all_of("read what is merged", noted)
        });
        for noted in noted.await?.into_iter().flatten() {
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

    /// Notes which of the alerts at work there are, and which are not any more.
    pub(super) async fn note_raised(&self, work: &Work<'_, '_>) -> Result<(), StoreError> {
        let singles: Vec<&String> = work.singles.iter().collect();
        let with_parts = in_chunks(&singles, |some| {
            let of_alerts = doc! { "alert": { "$in": some } };
            answer(
                "read parts of alerts",
                self.facts.parts.distinct("alert", of_alerts),
            )
        });
        let with_parts = with_parts.await?.into_iter().flatten();
        let with_parts: HashSet<String> = with_parts
            .filter_map(|id| id.as_str().map(ToOwned::to_owned))
            .collect();
        let (there, gone): (Vec<&String>, Vec<&String>) =
            singles.into_iter().partition(|id| with_parts.contains(*id));
        let there: Vec<&String> = there.into_iter().chain(&work.targets).collect();
        self.write_raised(&work.id, &there).await?;
        in_chunks(&gone, |some| {
            let deletion = self.facts.raised.delete_many(doc! { "_id": { "$in": some } });
            answer("forget alerts", deletion)
        })
        .await
        .map(drop)
    }

    /// Notes alerts; of those that are noted already, that they were touched.
    async fn write_raised(&self, cell: &str, alerts: &[&String]) -> Result<(), StoreError> {
        let touched = DateTime::now();
        let notes = alerts
            .iter()
            .map(|id| doc! { "_id": *id, "cell": cell, "touched": touched });
        let notes: Vec<Document> = notes.collect();
        let action = "note alerts";
        let known = self.insert_missing(&self.facts.raised, &notes, action).await?;
        let known: Vec<&String> = known
            .iter()
            .filter_map(|place| alerts.get(*place).copied())
            .collect();
        in_chunks(&known, |some| {
            let update = self.facts.raised.update_many(
                doc! { "_id": { "$in": some } },
                doc! { "$set": { "touched": touched } },
            );
            answer(action, update)
        })
        .await
        .map(drop)
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
                self.add_to_summaries(&self.facts.cells, &work.id, &[(work.id.clone(), all)])
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
