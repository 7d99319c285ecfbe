//! From hits to alerts, without transactions. The rule is that of `netsage-alerts`; its model [`netsage_alerts::Bounded`]
//! says what the collections hold: `parts`, `targets`, and `raised`, which has the id of every alert, shown or not.
//!
//! First the facts are written, then the alerts are made to follow from them:
//!
//! - A part's `count` is the number of flows in `alert_flows` and in its own `counted_last` together. To count more flows:
//!   (1) read the part; (2) write its `counted_last` into `alert_flows`, which holds each pair once; (3) see which flows of
//!   the batch are in neither; (4) replace the part, at the version read, by one that counts these and names them in
//!   `counted_last`. Step 4 is one write of one document, so a kill anywhere leaves the sentence above true; and a writer
//!   that another one overtook between 1 and 4 fails at 4 and starts again.
//! - A summary may be told of the same flows again, so it is read and replaced at its version. When a target gets one, the
//!   parts are added to it, and each is deleted at the version that was added.
//! - An alert is read first, then the facts that it follows from, then it is replaced at its version: whoever has seen fewer
//!   facts fails. Each delivery raises the version of its cell when it has written its facts, and begins again with the
//!   alerts of the cell when others have done so meanwhile. A delivery that was killed in between is delivered again, and
//!   makes the alerts follow then.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use mongodb::Collection;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::ReturnDocument;
use netsage_api_types::{Alert, AlertState};

use super::documents::{AlertDocument, Before, PartDocument, SHOWN, SummaryDocument, integer};
use super::{MongoStore, is_duplicate_key};
use crate::record::{hits, to_signed, to_unsigned};
use crate::{BoxFuture, FlowBatchRecord, StoreError};
use netsage_alerts::text::{parse_id, to_hex};
use netsage_alerts::{AlertRecord, Cell, CellHits, HitOfFlow, Part, Summary, group};

/// Documents of a cell that are worked on at the same time.
const CONCURRENT: usize = 8;

/// How often to start again when overtaken by other writers.
const ATTEMPTS: u32 = 32;

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
}

/// What an alert should be.
enum Wanted {
    Shown(Box<AlertRecord>),
    /// Merged, if it is there.
    Merged {
        into: Option<String>,
    },
}

/// The collections of facts.
pub(super) struct Facts {
    cells: Collection<SummaryDocument>,
    raised: Collection<Document>,
    parts: Collection<PartDocument>,
    targets: Collection<SummaryDocument>,
}

impl Facts {
    pub(super) fn new(database: &mongodb::Database) -> Self {
        Self {
            cells: database.collection("cells"),
            raised: database.collection("raised"),
            parts: database.collection("parts"),
            targets: database.collection("targets"),
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
        };
        self.write_facts(&mut work).await?;
        let mut version = self.raise_version(&work.id).await?;
        for _ in 0..ATTEMPTS {
            let last = self.follow(&mut work, recorded).await?;
            let now = self.version_of(&work.id).await?;
            if now == version {
                self.note_held_back(&work, last.as_deref(), recorded);
                return Ok(());
            }
            version = now;
        }
        Err(contended("the alerts of a kind"))
    }

    async fn write_facts(&self, work: &mut Work<'_, '_>) -> Result<(), StoreError> {
        let targets: Vec<String> = work
            .hits
            .targets
            .keys()
            .map(|target| to_hex(&work.key.id_of_target(*target)))
            .collect();
        let known: HashSet<String> = self.known_targets(&targets).await?;
        let mut parts = Vec::new();
        for ((target, sources), id) in work.hits.targets.iter().zip(&targets) {
            if known.contains(id) || sources.len() > self.options.alert_limits.sources {
                let mut hits = sources.values().flatten();
                let Some(first) = hits.next() else { continue };
                let mut summary = Summary::of_hit(first);
                for hit in hits {
                    summary.add_hit(hit);
                }
                self.add_to_summary(&self.facts.targets, id, &work.id, &summary)
                    .await?;
                work.targets.insert(id.clone());
                continue;
            }
            for (source, hits) in sources {
                parts.push((*target, *source, hits.as_slice()));
            }
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

    async fn known_targets(&self, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let failed = StoreError::mongo("look for alerts of targets");
        let found: Vec<Document> = self
            .facts
            .targets
            .clone_with_type::<Document>()
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_id": 1 })
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
        Ok(ids_of(&found).collect())
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
            let found = summaries
                .find_one(doc! { "_id": id })
                .await
                .map_err(StoreError::mongo("read a summary"))?;
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
            let written = replace(summaries, id, version, &document).await;
            if written.map_err(StoreError::mongo("write a summary"))? {
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
            let found = self
                .facts
                .parts
                .find_one(doc! { "_id": &id })
                .await
                .map_err(StoreError::mongo("read a part of an alert"))?;
            let mut fresh = hits.to_vec();
            if let Some(found) = &found {
                self.note_counted(&id, &found.counted_last).await?;
                let counted = self.counted(&id, hits).await?;
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
            let written = replace(&self.facts.parts, &id, version, &document).await;
            if written.map_err(StoreError::mongo("write a part of an alert"))? {
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
        match self.alert_flows.insert_many(pairs).ordered(false).await {
            Ok(_) => Ok(()),
            Err(error) if is_duplicate_key(&error) => Ok(()),
            Err(error) => Err(StoreError::mongo("note the flows of an alert")(error)),
        }
    }

    /// The pairs of a part and these hits' flows that are noted.
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
        Ok(ids_of(&found).collect())
    }

    /// Raises the version of a cell, so that others see that there are new facts.
    async fn raise_version(&self, cell: &str) -> Result<i64, StoreError> {
        let raised = self
            .meta_of_cells()
            .find_one_and_update(
                doc! { "_id": cell },
                doc! { "$inc": { "version": 1_i64 }, "$set": { "touched": DateTime::now() } },
            )
            .upsert(true)
            .return_document(ReturnDocument::After)
            .await;
        match raised {
            // Another writer has made it at the same moment.
            Err(error) if is_duplicate_key(&error) => Box::pin(self.raise_version(cell)).await,
            Err(error) => Err(StoreError::mongo("note that a kind has changed")(error)),
            Ok(document) => Ok(document.as_ref().and_then(version_in).unwrap_or(0)),
        }
    }

    async fn version_of(&self, cell: &str) -> Result<i64, StoreError> {
        let found = self
            .meta_of_cells()
            .find_one(doc! { "_id": cell })
            .await
            .map_err(StoreError::mongo("see whether a kind has changed"))?;
        Ok(found.as_ref().and_then(version_in).unwrap_or(0))
    }

    /// The versions of cells. Apart from `cells`, which has the summaries of few.
    fn meta_of_cells(&self) -> Collection<Document> {
        self.database.collection("cell_versions")
    }

    /// Makes the alerts of a cell what the facts say; gives the id of the last one that is shown, when some are held back.
    async fn follow(
        &self,
        work: &mut Work<'_, '_>,
        recorded: &mut Recorded,
    ) -> Result<Option<String>, StoreError> {
        for target in self.targets_of_many(work).await? {
            self.merge_target(work, target).await?;
        }
        for id in &work.singles {
            self.note_raised(&work.id, id).await?;
        }
        for id in &work.targets {
            self.write_raised(&work.id, id).await?;
        }
        let most = self.options.alert_limits.alerts as u64;
        let of_cell = doc! { "cell": &work.id };
        let raised = self
            .facts
            .raised
            .count_documents(of_cell.clone())
            .await
            .map_err(StoreError::mongo("count alerts"))?;
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

    /// The targets of a delivery that have an alert, or that more sources hit than may have alerts of their own.
    async fn targets_of_many(&self, work: &Work<'_, '_>) -> Result<Vec<SocketAddr>, StoreError> {
        let targets: Vec<SocketAddr> = work.hits.targets.keys().copied().collect();
        let texts: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let ids: Vec<String> = targets
            .iter()
            .map(|target| to_hex(&work.key.id_of_target(*target)))
            .collect();
        let known = self.known_targets(&ids).await?;
        let most = to_signed(self.options.alert_limits.sources as u64);
        let failed = StoreError::mongo("count the sources of targets");
        let found: Vec<Document> = self
            .facts
            .parts
            .aggregate(vec![
                doc! { "$match": { "cell": &work.id, "target": { "$in": texts.clone() } } },
                doc! { "$group": { "_id": "$target", "sources": { "$sum": 1_i64 } } },
                doc! { "$match": { "sources": { "$gt": most } } },
            ])
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
        let crowded: HashSet<String> = ids_of(&found).collect();
        let of_many = targets.iter().zip(texts.iter().zip(&ids));
        Ok(of_many
            .filter(|(_, (text, id))| known.contains(*id) || crowded.contains(*text))
            .map(|(target, _)| *target)
            .collect())
    }

    /// Gives a target an alert of its own, if it has none, and adds the parts of its sources to that alert.
    async fn merge_target(&self, work: &mut Work<'_, '_>, target: SocketAddr) -> Result<(), StoreError> {
        let id = to_hex(&work.key.id_of_target(target));
        let of_target = doc! { "cell": &work.id, "target": target.to_string() };
        work.targets.insert(id.clone());
        for _ in 0..ATTEMPTS {
            let failed = StoreError::mongo("read the sources of a target");
            let parts: Vec<PartDocument> = self
                .facts
                .parts
                .find(of_target.clone())
                .await
                .map_err(&failed)?
                .try_collect()
                .await
                .map_err(&failed)?;
            let mut all: Option<Summary> = None;
            for part in &parts {
                work.singles.insert(part.alert.clone());
                work.merged.insert(part.alert.clone(), id.clone());
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
            for part in &parts {
                // One that has counted more meanwhile is added again.
                self.facts
                    .parts
                    .delete_one(doc! { "_id": &part.id, "version": part.version })
                    .await
                    .map_err(StoreError::mongo("merge an alert"))?;
            }
        }
        Err(contended("the alert of a target"))
    }

    /// Notes that there is an alert of a source, or is not any more.
    async fn note_raised(&self, cell: &str, alert: &str) -> Result<(), StoreError> {
        let has_parts = self
            .facts
            .parts
            .find_one(doc! { "alert": alert })
            .await
            .map_err(StoreError::mongo("read a part of an alert"))?
            .is_some();
        if has_parts {
            return self.write_raised(cell, alert).await;
        }
        self.facts
            .raised
            .delete_one(doc! { "_id": alert })
            .await
            .map(drop)
            .map_err(StoreError::mongo("forget an alert"))
    }

    async fn write_raised(&self, cell: &str, alert: &str) -> Result<(), StoreError> {
        let fields = doc! { "cell": cell, "touched": DateTime::now() };
        let written = self
            .facts
            .raised
            .update_one(doc! { "_id": alert }, doc! { "$set": fields })
            .upsert(true)
            .await;
        match written {
            Err(error) if !is_duplicate_key(&error) => Err(StoreError::mongo("note an alert")(error)),
            _ => Ok(()),
        }
    }

    /// The id of the last alert of a cell that is shown, where there are more than `most`.
    async fn last_shown(&self, cell: &str, most: u64) -> Result<Option<String>, StoreError> {
        let Some(before) = most.checked_sub(1) else {
            // Nothing is smaller.
            return Ok(Some(String::new()));
        };
        let found = self
            .facts
            .raised
            .find_one(doc! { "cell": cell })
            .sort(doc! { "_id": 1 })
            .skip(before)
            .await
            .map_err(StoreError::mongo("read the order of alerts"))?;
        Ok(found.and_then(|found| found.get_str("_id").ok().map(ToOwned::to_owned)))
    }

    async fn summary_of(
        &self,
        summaries: &Collection<SummaryDocument>,
        id: &str,
    ) -> Result<Option<Summary>, StoreError> {
        let found = summaries
            .find_one(doc! { "_id": id })
            .await
            .map_err(StoreError::mongo("read a summary"))?;
        found.map(|found| found.summary()).transpose()
    }

    /// Keeps a summary of all hits of a cell from the moment on that it has more alerts than its limit.
    async fn summarize(&self, work: &Work<'_, '_>, is_needed: bool) -> Result<(), StoreError> {
        let known = self.summary_of(&self.facts.cells, &work.id).await?;
        let mut all: Option<Summary> = None;
        if known.is_some() {
            for hit in work.hits.hits() {
                match &mut all {
                    Some(all) => drop(all.add_hit(hit)),
                    None => all = Some(Summary::of_hit(hit)),
                }
            }
        } else if is_needed {
            let failed = StoreError::mongo("read the alerts of a kind");
            let of_cell = doc! { "cell": &work.id };
            let mut parts = self.facts.parts.find(of_cell.clone()).await.map_err(&failed)?;
            let mut add = |summary: Summary| match &mut all {
                Some(all) => drop(all.join(&summary)),
                None => all = Some(summary),
            };
            while let Some(part) = parts.try_next().await.map_err(&failed)? {
                Summary::of_part(&part.into_part()).into_iter().for_each(&mut add);
            }
            let mut targets = self.facts.targets.find(of_cell).await.map_err(&failed)?;
            while let Some(target) = targets.try_next().await.map_err(&failed)? {
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
        let shown = self.ids(&self.alerts.clone_with_type(), shown).await?;
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

    async fn ids(
        &self,
        collection: &Collection<Document>,
        condition: Document,
    ) -> Result<BTreeSet<String>, StoreError> {
        let failed = StoreError::mongo("list the alerts of a kind");
        let found: Vec<Document> = collection
            .find(condition)
            .projection(doc! { "_id": 1 })
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
        Ok(ids_of(&found).collect())
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
        self.alerts
            .find_one(doc! { "_id": id })
            .await
            .map_err(StoreError::mongo("read an alert"))
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
            .sort(doc! { "score": -1, "best_flow": 1 })
            .await
            .map_err(StoreError::mongo("read a part of an alert"))?;
        let Some(best) = best else { return Ok(None) };
        let failed = StoreError::mongo("add up the parts of an alert");
        let sums: Vec<Document> = self
            .facts
            .parts
            .aggregate(vec![
                doc! { "$match": { "alert": id } },
                doc! { "$group": {
                    "_id": null,
                    "first": { "$min": "$first_seen" },
                    "last": { "$max": "$last_seen" },
                    "count": { "$sum": "$count" },
                } },
            ])
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
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
        let written = replace(&self.alerts, id, version, &document).await;
        match written.map_err(StoreError::mongo("write an alert"))? {
            true => Ok(Put::Done(Some(alert))),
            false => Ok(Put::Overtaken),
        }
    }

    /// Deletes the merged alerts beyond those that are kept for readers of the changes.
    async fn forget_merged(&self, cell: &str) -> Result<(), StoreError> {
        let most = self.options.alert_limits.merged as u64;
        let merged = doc! { "cell": cell, "state": "merged" };
        let failed = StoreError::mongo("forget merged alerts");
        let beyond: Vec<Document> = self
            .alerts
            .clone_with_type::<Document>()
            .find(merged)
            .projection(doc! { "_id": 1 })
            .sort(doc! { "touched": -1 })
            .skip(most)
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
        let ids: Vec<String> = ids_of(&beyond).collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.alerts
            .delete_many(doc! { "_id": { "$in": ids }, "state": "merged" })
            .await
            .map(drop)
            .map_err(&failed)
    }

    /// Notes the flows that are in no shown alert of their source.
    fn note_held_back(&self, work: &Work<'_, '_>, last: Option<&str>, recorded: &mut Recorded) {
        for (target, sources) in &work.hits.targets {
            let is_of_target = work.targets.contains(&to_hex(&work.key.id_of_target(*target)));
            for (source, hits) in sources {
                let id = to_hex(&work.key.id_of_source(*source));
                if is_of_target || last.is_some_and(|last| id.as_str() > last) {
                    let flows = hits.iter().map(|hit| to_hex(&hit.flow.id));
                    recorded.held_back.extend(flows);
                }
            }
        }
    }
}

/// How an attempt to write an alert ended.
enum Put {
    /// With the alert, when it has changed.
    Done(Option<Box<Alert>>),
    Overtaken,
}

impl Recorded {
    fn note(&mut self, changed: impl IntoIterator<Item = Alert>) {
        for alert in changed {
            self.changed.insert(alert.id.clone(), alert);
        }
    }
}

/// Replaces a document at the version read, or inserts a new one; says whether that held.
async fn replace<D: serde::Serialize + Send + Sync>(
    collection: &Collection<D>,
    id: &str,
    version: Option<i64>,
    document: &D,
) -> Result<bool, Error> {
    match version {
        Some(version) => collection
            .replace_one(doc! { "_id": id, "version": version }, document)
            .await
            .map(|outcome| outcome.matched_count == 1),
        None => match collection.insert_one(document).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error),
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

fn contended(what: &str) -> StoreError {
    StoreError::Contended {
        what: what.to_owned(),
    }
}

/// Key of a flow in a part.
fn pair(part: &str, flow: &str) -> String {
    format!("{part}/{flow}")
}
