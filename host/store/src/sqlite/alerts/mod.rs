//! From hits to alerts, within the transaction that records them. The rule is that of `netsage-alerts`; its model
//! [`netsage_alerts::Bounded`] says what the tables here hold.
//!
//! `raised` has every alert of a cell, shown or held back: those of sources, whose flows are in `parts`, a row per target,
//! and those of targets that many sources hit, which are summaries. `alerts` has what is shown, and what was shown before it
//! was merged.

mod following;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use hashbrown::{HashMap, HashSet};
use netsage_alerts::{
    AlertLimits, AlertWindow, Cell, CellHits, HitOfFlow, Id, Part, Summary, by_source, group,
};
use netsage_api_types::Alert;
use rusqlite::{CachedStatement, OptionalExtension, Row, Transaction, params};

use super::numbers::DetectorNumbers;
use super::rows::{PART_COLUMNS, PartRow, StoredPart, part};
use super::write::{InsertNew, Parameters, Take, last_revision, write_last_revision};
use crate::FlowBatchRecord;
use crate::record::{hits, severity_rank, to_signed, to_unsigned};

static INSERT_COUNTED: LazyLock<InsertNew> =
    LazyLock::new(|| InsertNew::into("counted", &[], &["raised", "flow"], "raised, flow"));

const INSERT_PART: &str = "INSERT INTO parts (raised, target, cell, first_seen_ms, last_seen_ms, count, source_port, \
     protocol, community_id, score, threshold, severity, detector, schema, contributions, best_flow, flows, sensor) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) \
     ON CONFLICT (cell, target, raised) DO NOTHING";

const UPDATE_PART: &str = "UPDATE parts SET first_seen_ms = ?4, last_seen_ms = ?5, count = ?6, source_port = ?7, \
     protocol = ?8, community_id = ?9, score = ?10, threshold = ?11, severity = ?12, detector = ?13, schema = ?14, \
     contributions = ?15, best_flow = ?16, flows = ?17, sensor = ?18 WHERE cell = ?3 AND target = ?2 AND raised = ?1";

/// What recording hits came to.
pub(super) struct Recorded<'a> {
    /// The alerts made or changed.
    pub(super) changed: Vec<Alert>,
    /// The flows that are in an alert of their source which is shown; other flows with hits are held back.
    pub(super) kept: HashSet<&'a Id>,
}

/// Counts the hits of batches, and brings the alerts up to date. `None` when they were taken for new and are not.
pub(super) fn record_hits<'a>(
    transaction: &Transaction<'_>,
    batches: &'a [Arc<FlowBatchRecord>],
    take: Take,
    window: AlertWindow,
    limits: AlertLimits,
    numbers: &mut DetectorNumbers<'a>,
    now: i64,
) -> rusqlite::Result<Option<Recorded<'a>>> {
    let before = last_revision(transaction)?;
    let mut recorder = Recorder {
        transaction,
        note: transaction.prepare_cached("INSERT OR IGNORE INTO counted (raised, flow) VALUES (?1, ?2)")?,
        insert_part: transaction.prepare_cached(INSERT_PART)?,
        update_part: transaction.prepare_cached(UPDATE_PART)?,
        more_sources: transaction
            .prepare_cached("SELECT 1 FROM parts WHERE cell = ?1 AND target = ?2 LIMIT 1 OFFSET ?3")?,
        numbers,
        take,
        fresh: Vec::new(),
        has_repeated: false,
        limits,
        now,
        revision: before,
        changed: BTreeMap::new(),
        kept: HashSet::new(),
        has_merged: false,
    };
    for hits in group(batches.iter().flat_map(|batch| hits(batch)), window) {
        recorder.record_cell(&hits)?;
    }
    recorder.note_fresh()?;
    if recorder.has_repeated {
        return Ok(None);
    }
    if recorder.revision != before {
        write_last_revision(transaction, recorder.revision)?;
    }
    Ok(Some(Recorded {
        changed: recorder.changed.into_values().collect(),
        kept: recorder.kept,
    }))
}

struct Recorder<'t, 'c, 'n, 'a> {
    transaction: &'t Transaction<'c>,
    // What a scan needs once for each of its thousands of targets: to look a statement up costs as much as some run.
    note: CachedStatement<'t>,
    insert_part: CachedStatement<'t>,
    update_part: CachedStatement<'t>,
    more_sources: CachedStatement<'t>,
    numbers: &'n mut DetectorNumbers<'a>,
    take: Take,
    /// Flows taken for new that are still to be noted as counted, each with the number of the alert.
    fresh: Vec<(i64, &'a Id)>,
    /// Whether one of those was counted before.
    has_repeated: bool,
    limits: AlertLimits,
    /// The time, ms since the epoch.
    now: i64,
    /// The last revision given. Writers exclude each other, so that whoever reads a revision finds all before it.
    revision: i64,
    changed: BTreeMap<Id, Alert>,
    kept: HashSet<&'a Id>,
    /// Whether an alert of the cell at hand was merged.
    has_merged: bool,
}

/// A row of `cells`.
struct StoredCell {
    number: i64,
    /// Alerts, shown or not.
    raised: u64,
    /// Targets that have got an alert of their own.
    targets: i64,
    /// Of all hits, since the cell first had more alerts than its limit.
    summary: Option<Summary>,
}

/// A row of `raised`.
#[derive(Clone)]
struct Raised {
    number: i64,
    id: Id,
    /// Whether this delivery raised it, so that all its flows are at hand.
    is_new: bool,
    /// Of the alert of a target.
    summary: Option<Summary>,
}

/// A target of flows.
struct Target {
    address: SocketAddr,
    /// As the tables name it. A scan makes thousands of texts, each of which costs a tenth of a statement.
    text: String,
}

impl Target {
    fn of(address: SocketAddr) -> Self {
        Self {
            address,
            text: address.to_string(),
        }
    }
}

/// What happened in a cell, for its alerts to follow.
#[derive(Default)]
struct Happened<'h, 'a> {
    /// Hits that alerts of sources have counted, by alert.
    counted: BTreeMap<Id, (Raised, Vec<HitOfFlow<'a>>)>,
    /// Alerts of sources that have lost a part and still have others.
    shrunk: BTreeMap<Id, Raised>,
    /// Alerts of sources that have lost all parts, each with the alert of the target that took the last one.
    emptied: BTreeMap<Id, Id>,
    /// Alerts of targets, made or changed.
    targets: BTreeMap<Id, Raised>,
    /// The ids and alerts of sources, so that those of a scan are looked up once.
    ids: HashMap<IpAddr, Id>,
    known: HashMap<Id, Raised>,
    /// Hits by the alert of their source.
    of_sources: Vec<(Id, &'h HitOfFlow<'a>)>,
}

fn read_raised(row: &Row<'_>) -> rusqlite::Result<Raised> {
    Ok(Raised {
        number: row.get(0)?,
        id: row.get(1)?,
        is_new: false,
        summary: read_summary(row, 2)?,
    })
}

fn read_summary(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Summary>> {
    let Some(bytes) = row.get_ref(column)?.as_blob_or_null()? else {
        return Ok(None);
    };
    let summary = Summary::from_bytes(bytes).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Blob,
            "the summary of an alert is cut short".into(),
        )
    })?;
    Ok(Some(summary))
}

impl<'a> Recorder<'_, '_, '_, 'a> {
    fn record_cell(&mut self, hits: &CellHits<'a>) -> rusqlite::Result<()> {
        let mut cell = self.cell(&hits.cell)?;
        let mut happened = Happened::default();
        for (target, on_target) in hits.targets() {
            let target = Target::of(target);
            let known = match cell.targets {
                0 => None,
                _ => self.raised(cell.number, &hits.cell.id_of_target(target.address))?,
            };
            if let Some(mut known) = known {
                self.add_to_target(&mut known, on_target)?;
                happened.targets.insert(known.id, known);
                continue;
            }
            if by_source(on_target).count() > self.limits.sources {
                // As if they had come one after the other, without the alerts of the first ones.
                let summary = Summary::of_hits(on_target);
                self.merge_target(&hits.cell, &mut cell, &target, summary, &mut happened)?;
                continue;
            }
            let mut has_more_sources = false;
            for (source, hits_of_source) in by_source(on_target) {
                has_more_sources |= self.count(
                    &hits.cell,
                    &mut cell,
                    &target,
                    source,
                    hits_of_source,
                    &mut happened,
                )?;
            }
            if has_more_sources && self.has_many_sources(&cell, &target)? {
                self.merge_target(&hits.cell, &mut cell, &target, None, &mut happened)?;
            }
        }
        self.summarize(hits, &mut cell)?;
        self.transaction
            .prepare_cached("UPDATE cells SET raised = ?2, targets = ?3, touched_ms = ?4 WHERE number = ?1")?
            .execute(params![
                cell.number,
                to_signed(cell.raised),
                cell.targets,
                self.now
            ])?;
        self.follow(&hits.cell, &cell, &happened)
    }

    fn cell(&self, cell: &Cell<'_>) -> rusqlite::Result<StoredCell> {
        let key = params![cell.detector(), cell.kind(), cell.window(), cell.network()];
        let found = self
            .transaction
            .prepare_cached(
                "SELECT number, raised, targets, summary FROM cells WHERE detector = ?1 AND kind = ?2 AND window_number = ?3 \
                 AND network = ?4",
            )?
            .query_row(key, |row| {
                Ok(StoredCell {
                    number: row.get(0)?,
                    raised: to_unsigned(row.get(1)?),
                    targets: row.get(2)?,
                    summary: read_summary(row, 3)?,
                })
            })
            .optional()?;
        if let Some(found) = found {
            return Ok(found);
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO cells (detector, kind, window_number, raised, touched_ms, network) \
                 VALUES (?1, ?2, ?3, 0, 0, ?4)",
            )?
            .execute(key)?;
        Ok(StoredCell {
            number: self.transaction.last_insert_rowid(),
            raised: 0,
            targets: 0,
            summary: None,
        })
    }

    fn raised(&self, cell: i64, id: &Id) -> rusqlite::Result<Option<Raised>> {
        self.transaction
            .prepare_cached("SELECT number, id, summary FROM raised WHERE cell = ?1 AND id = ?2")?
            .query_row(params![cell, id], read_raised)
            .optional()
    }

    fn raise(
        &self,
        cell: &mut StoredCell,
        id: Id,
        subject: &str,
        summary: Option<Summary>,
    ) -> rusqlite::Result<Raised> {
        self.transaction
            .prepare_cached(
                "INSERT INTO raised (cell, id, subject, is_shown, summary) VALUES (?1, ?2, ?3, 0, ?4)",
            )?
            .execute(params![
                cell.number,
                id,
                subject,
                summary.as_ref().map(Summary::to_bytes)
            ])?;
        cell.raised += 1;
        Ok(Raised {
            number: self.transaction.last_insert_rowid(),
            id,
            is_new: true,
            summary,
        })
    }

    fn add_to_target(&self, raised: &mut Raised, hits: &[HitOfFlow<'a>]) -> rusqlite::Result<()> {
        let Some(summary) = &mut raised.summary else {
            return Ok(());
        };
        let mut changed = false;
        for hit in hits {
            changed |= summary.add_hit(hit);
        }
        if changed {
            self.transaction
                .prepare_cached("UPDATE raised SET summary = ?2 WHERE number = ?1")?
                .execute(params![raised.number, summary.to_bytes()])?;
        }
        Ok(())
    }

    /// Counts those hits of a source on a target whose flows its alert has not counted yet; says whether the target had
    /// none of that source before.
    fn count<'h>(
        &mut self,
        key: &Cell<'_>,
        cell: &mut StoredCell,
        target: &Target,
        source: IpAddr,
        hits: &'h [HitOfFlow<'a>],
        happened: &mut Happened<'h, 'a>,
    ) -> rusqlite::Result<bool> {
        let id = *happened
            .ids
            .entry(source)
            .or_insert_with(|| key.id_of_source(source));
        happened.of_sources.extend(hits.iter().map(|hit| (id, hit)));
        let raised = match happened.known.get(&id) {
            Some(raised) => raised.clone(),
            None => {
                let raised = match self.raised(cell.number, &id)? {
                    Some(raised) => raised,
                    None => self.raise(cell, id, &source.to_string(), None)?,
                };
                happened.known.insert(id, raised.clone());
                raised
            }
        };
        let mut fresh = Vec::new();
        for hit in hits {
            match self.take {
                Take::New => self.fresh.push((raised.number, &hit.flow.id)),
                Take::Any if self.note.execute(params![raised.number, hit.flow.id])? == 0 => continue,
                Take::Any => {}
            }
            fresh.push(*hit);
        }
        if fresh.is_empty() {
            return Ok(false);
        }
        // A scan makes a part for each target, so that most parts are new: looking first would be one statement more.
        let is_new = match PartRow::of_hits(&fresh) {
            Some(row) => write_part(&mut self.insert_part, self.numbers, &raised, cell, target, &row)?,
            None => false,
        };
        if !is_new {
            let known = self
                .transaction
                .prepare_cached(&format!(
                    "SELECT {PART_COLUMNS} WHERE p.cell = ?1 AND p.target = ?2 AND p.raised = ?3"
                ))?
                .query_row(params![cell.number, target.text, raised.number], |row| {
                    part(row, key)
                })
                .optional()?;
            if let Some(part) = Part::extend(known.map(|known| known.part), &id, &fresh) {
                let row = PartRow::of(&part);
                write_part(&mut self.update_part, self.numbers, &raised, cell, target, &row)?;
            }
        }
        let counted = happened.counted.entry(id).or_insert_with(|| (raised, Vec::new()));
        counted.1.append(&mut fresh);
        Ok(is_new)
    }

    /// Notes which flows were counted.
    fn note_fresh(&mut self) -> rusqlite::Result<()> {
        let are_new = INSERT_COUNTED.run(
            self.transaction,
            &[],
            &self.fresh,
            |insert, first, (raised, flow)| {
                insert.raw_bind_parameter(first, raised)?;
                insert.raw_bind_parameter(first + 1, flow)
            },
        )?;
        self.fresh.clear();
        self.has_repeated |= !are_new;
        Ok(())
    }

    /// Whether more sources hit a target than may have alerts of their own.
    fn has_many_sources(&mut self, cell: &StoredCell, target: &Target) -> rusqlite::Result<bool> {
        let most = self.limits.sources as u64;
        if cell.raised <= most {
            // Each of these sources has an alert.
            return Ok(false);
        }
        self.more_sources
            .exists(params![cell.number, target.text, to_signed(most)])
    }

    /// Gives a target an alert of its own, which takes the parts of its sources; `summary` is of other hits on it.
    fn merge_target(
        &mut self,
        key: &Cell<'_>,
        cell: &mut StoredCell,
        target: &Target,
        mut summary: Option<Summary>,
        happened: &mut Happened<'_, 'a>,
    ) -> rusqlite::Result<()> {
        let members = self.members(
            key,
            "p.cell = ?1 AND p.target = ?2",
            params![cell.number, target.text],
        )?;
        let id = key.id_of_target(target.address);
        if !members.is_empty() {
            // Before alerts go, and what they have counted with them.
            self.note_fresh()?;
        }
        for (raised, part) in members {
            let of_part = Summary::of_part(&part);
            match (&mut summary, of_part) {
                (Some(summary), Some(of_part)) => drop(summary.join(&of_part)),
                (summary @ None, of_part) => *summary = of_part,
                (Some(_), None) => {}
            }
            self.transaction
                .prepare_cached("DELETE FROM parts WHERE cell = ?1 AND target = ?2 AND raised = ?3")?
                .execute(params![cell.number, target.text, raised.number])?;
            let has_others = self
                .transaction
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM parts WHERE raised = ?1)")?
                .query_row([raised.number], |row| row.get(0))?;
            if has_others {
                happened.shrunk.insert(raised.id, raised);
                continue;
            }
            forget_raised(self.transaction, raised.number)?;
            cell.raised = cell.raised.saturating_sub(1);
            happened.known.remove(&raised.id);
            happened.counted.remove(&raised.id);
            happened.shrunk.remove(&raised.id);
            happened.emptied.insert(raised.id, id);
        }
        let raised = self.raise(cell, id, &target.text, summary)?;
        cell.targets += 1;
        happened.targets.insert(id, raised);
        Ok(())
    }

    /// The parts that fulfil a condition, and whose they are.
    fn members(
        &self,
        key: &Cell<'_>,
        condition: &str,
        values: impl rusqlite::Params,
    ) -> rusqlite::Result<Vec<(Raised, Part)>> {
        let sql = format!("SELECT {PART_COLUMNS} WHERE {condition}");
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let parts = statement.query_map(values, |row| part(row, key))?;
        parts
            .map(|stored| {
                let StoredPart {
                    raised: number,
                    id,
                    part,
                } = stored?;
                let raised = Raised {
                    number,
                    id,
                    is_new: false,
                    summary: None,
                };
                Ok((raised, part))
            })
            .collect()
    }

    /// Keeps a summary of all hits of a cell from the moment on that it has more alerts than its limit.
    fn summarize(&self, hits: &CellHits<'a>, cell: &mut StoredCell) -> rusqlite::Result<()> {
        let mut changed = false;
        match &mut cell.summary {
            Some(summary) => {
                for hit in hits.hits() {
                    changed |= summary.add_hit(hit);
                }
            }
            None if cell.raised <= self.limits.alerts as u64 => {}
            None => {
                cell.summary = self.summary_of_all(&hits.cell, cell.number)?;
                changed = true;
            }
        }
        if let (true, Some(summary)) = (changed, &cell.summary) {
            self.transaction
                .prepare_cached("UPDATE cells SET summary = ?2 WHERE number = ?1")?
                .execute(params![cell.number, summary.to_bytes()])?;
        }
        Ok(())
    }

    fn summary_of_all(&self, key: &Cell<'_>, cell: i64) -> rusqlite::Result<Option<Summary>> {
        let mut all: Option<Summary> = None;
        let mut add = |summary: Summary| match &mut all {
            Some(all) => drop(all.join(&summary)),
            None => all = Some(summary),
        };
        for (_, part) in self.members(key, "p.cell = ?1", [cell])? {
            Summary::of_part(&part).into_iter().for_each(&mut add);
        }
        let mut statement = self.transaction.prepare_cached(
            "SELECT number, id, summary FROM raised WHERE cell = ?1 AND summary IS NOT NULL",
        )?;
        for raised in statement.query_map([cell], read_raised)? {
            raised?.summary.into_iter().for_each(&mut add);
        }
        Ok(all)
    }
}

/// Inserts or updates a part; says whether that was so.
fn write_part(
    statement: &mut CachedStatement<'_>,
    numbers: &DetectorNumbers<'_>,
    raised: &Raised,
    cell: &StoredCell,
    target: &Target,
    row: &PartRow<'_>,
) -> rusqlite::Result<bool> {
    let detector = numbers.find(row.detector)?;
    Parameters::starting_at(statement, 1)
        .bind(raised.number)?
        .bind(&target.text)?
        .bind(cell.number)?
        .bind(row.first_seen)?
        .bind(row.last_seen)?
        .bind(to_signed(row.count))?
        .bind(row.source_port)?
        .bind(row.protocol)?
        .bind(&row.community_id)?
        .bind(row.score)?
        .bind(row.threshold)?
        .bind(severity_rank(row.severity))?
        .bind(detector)?
        .bind(row.schema)?
        .bind(to_json(row.contributions)?)?
        .bind(row.best_flow)?
        .bind(row.flows.to_bytes())?
        .bind(row.sensor)?;
    Ok(statement.raw_execute()? == 1)
}

/// Deletes an alert of `raised` and all that it has counted.
pub(super) fn forget_raised(transaction: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    for delete in [
        "DELETE FROM counted WHERE raised = ?1",
        "DELETE FROM parts WHERE raised = ?1",
        "DELETE FROM raised WHERE number = ?1",
    ] {
        transaction.prepare_cached(delete)?.execute([number])?;
    }
    Ok(())
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
