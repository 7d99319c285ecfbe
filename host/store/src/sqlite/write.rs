//! Recording. One transaction per delivery: after a kill all of it is there or nothing.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;
use netsage_api_types::{Alert, AlertState, StateChange};
use rusqlite::types::Value;
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior, params,
};

use super::alerts::{Recorded, record_hits};
use super::numbers::{DetectorNumbers, Labels};
use super::rows::{ALERT_COLUMNS, Address, alert, state_code};
use crate::kept::{CountedOnly, KeptFlows};
use crate::overview::{OVERVIEW_GRAIN_MS, step_start};
use crate::record::{ScoreMatrix, to_signed};
use crate::{FlowBatchRecord, StoreError};
use netsage_alerts::text::parse_id;
use netsage_alerts::{AlertLimits, AlertWindow, FlowRecord, Id, Sketch};

/// Columns of a flow with values of its own, in the order in which they are bound.
const FLOW_COLUMNS: [&str; 17] = [
    "end_ms",
    "id",
    "start_ms",
    "source",
    "source_port",
    "destination",
    "destination_port",
    "label",
    "packets",
    "bytes",
    "community_id",
    "scores",
    "highest_score",
    "fused_mean",
    "fused_max",
    "alerted",
    "foreign_said",
];

static INSERT_FLOWS: LazyLock<InsertNew> =
    LazyLock::new(|| InsertNew::into("flows", &["recorded_ms"], &FLOW_COLUMNS, "end_ms, id"));

const UPDATE_FLOW: &str = "UPDATE flows SET label = ?3, packets = ?4, bytes = ?5, scores = ?6, highest_score = ?7, \
     fused_mean = ?8, fused_max = ?9, alerted = iif(alerted = 0, ?10, alerted), foreign_said = ?11 WHERE end_ms = ?1 AND id = ?2";

/// Inserts rows that are new.
pub(super) struct InsertNew {
    many: String,
    one: String,
    /// Columns with one value for all rows of a delivery, which is bound once.
    shared: usize,
    /// Columns with a value for each row.
    own: usize,
}

impl InsertNew {
    /// Rows that one statement inserts: to open the table anew for each, and find the place behind the one before from the
    /// root, is a third of what a flow costs.
    const ROWS: usize = 16;

    /// Into columns of a table, which its key tells apart.
    pub(super) fn into(table: &str, shared: &[&str], own: &[&str], key: &str) -> Self {
        let columns = [shared, own].concat().join(", ");
        let values = (1..=shared.len()).map(|number| format!("?{number}"));
        let values: Vec<String> = values.chain(own.iter().map(|_| "?".to_owned())).collect();
        let row = format!("({})", values.join(", "));
        let insert = |rows| {
            let rows = vec![row.as_str(); rows].join(", ");
            format!("INSERT OR FAIL INTO {table} ({columns}) VALUES {rows} ON CONFLICT ({key}) DO NOTHING")
        };
        Self {
            many: insert(Self::ROWS),
            one: insert(1),
            shared: shared.len(),
            own: own.len(),
        }
    }

    /// The parameter of the first own value of a row.
    fn first_of(&self, row: usize) -> usize {
        self.shared + row * self.own + 1
    }

    /// Prepares one of the statements and binds the shared values.
    fn prepare<'t>(
        &self,
        transaction: &'t Transaction<'_>,
        statement: &str,
        shared: &[&dyn ToSql],
    ) -> rusqlite::Result<CachedStatement<'t>> {
        let mut statement = transaction.prepare_cached(statement)?;
        for (parameter, value) in (1..=self.shared).zip(shared) {
            statement.raw_bind_parameter(parameter, value)?;
        }
        Ok(statement)
    }

    /// Inserts rows until one of them is there; says whether none was. `bind` binds the own values of a row, from a
    /// parameter on.
    pub(super) fn run<R>(
        &self,
        transaction: &Transaction<'_>,
        shared: &[&dyn ToSql],
        rows: &[R],
        mut bind: impl FnMut(&mut CachedStatement<'_>, usize, &R) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<bool> {
        let mut many = self.prepare(transaction, &self.many, shared)?;
        let mut one = self.prepare(transaction, &self.one, shared)?;
        let (together, others) = rows.as_chunks::<{ Self::ROWS }>();
        for rows in together {
            for (place, row) in rows.iter().enumerate() {
                bind(&mut many, self.first_of(place), row)?;
            }
            if many.raw_execute()? < Self::ROWS {
                return Ok(false);
            }
        }
        for row in others {
            bind(&mut one, self.first_of(0), row)?;
            if one.raw_execute()? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Binds one value after the other. What has its type here is bound by a call of SQLite; a list of `&dyn ToSql` makes a
/// value of any type of each first, which takes a tenth of what recording does.
pub(super) struct Parameters<'s, 't> {
    statement: &'s mut CachedStatement<'t>,
    next: usize,
}

impl<'s, 't> Parameters<'s, 't> {
    /// From a parameter of a statement on.
    pub(super) const fn starting_at(statement: &'s mut CachedStatement<'t>, first: usize) -> Self {
        Self {
            statement,
            next: first,
        }
    }

    pub(super) fn bind(mut self, value: impl ToSql) -> rusqlite::Result<Self> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(self)
    }
}

/// Length of the steps of `recorded`, ms.
pub(super) const MINUTE_MS: i64 = 60_000;

/// Flows to add to steps of the time axis, or to take away.
pub(super) type TimelineChanges = HashMap<i64, StepChange>;

/// Flows to add to a step, or to take away.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct StepChange {
    pub(super) flows: i64,
    /// Of these, the ones with a hit.
    pub(super) alerted: i64,
    /// Of those, the ones that are in no shown alert of their source.
    pub(super) held_back: i64,
}

/// What `alerted` says of a flow: no hit, a hit in a shown alert of its source, hits in other alerts only.
pub(super) mod alerted {
    pub(in super::super) const NO: i64 = 0;
    pub(in super::super) const SHOWN: i64 = 1;
    pub(in super::super) const HELD_BACK: i64 = 2;
}

impl StepChange {
    /// A flow by its `alerted`.
    pub(super) const fn of(alerted: i64) -> Self {
        Self {
            flows: 1,
            alerted: (alerted != alerted::NO) as i64,
            held_back: (alerted == alerted::HELD_BACK) as i64,
        }
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.flows += other.flows;
        self.alerted += other.alerted;
        self.held_back += other.held_back;
    }

    pub(super) const fn take_away(&mut self, other: Self) {
        self.flows -= other.flows;
        self.alerted -= other.alerted;
        self.held_back -= other.held_back;
    }
}

/// What outlives a transaction.
#[derive(Debug, Default)]
pub(super) struct Memory {
    labels: Labels,
    /// Scores of one flow, packed.
    packed: Vec<u8>,
    timeline: TimelineChanges,
    sources: HashSet<(i64, IpAddr)>,
    /// Whether the delivery before held flows that were there already.
    has_repeated: bool,
}

/// How the flows of a delivery and their hits are recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// As new ones, many a statement; one that is there already undoes the delivery.
    New,
    /// Each by itself.
    Any,
}

/// What becomes of the flows and hits of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) window: AlertWindow,
    pub(super) limits: AlertLimits,
    pub(super) kept: KeptFlows,
}

/// Records batches that have been checked; returns the alerts that they made or changed.
///
/// A delivery is taken for new until one of its flows is there already; then it is undone and recorded again. To undo
/// less, SQLite would copy each page before a delivery changes it: 26 MB for 200,000 flows. Whoever repeats one delivery
/// repeats the next, which therefore is not taken for new.
pub(super) fn record(
    connection: &mut Connection,
    memory: &mut Memory,
    batches: &[Arc<FlowBatchRecord>],
    rules: Rules,
) -> Result<Vec<Alert>, StoreError> {
    let Rules { window, limits, .. } = rules;
    let mut write = |memory: &mut Memory, take| -> rusqlite::Result<Option<Vec<Alert>>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        memory.timeline.clear();
        memory.sources.clear();
        memory.has_repeated = false;
        let mut numbers = DetectorNumbers::new(&transaction);
        let now = Timestamp::now().as_millisecond();
        // Before the hits, each of which names its detector.
        for detector in batches.iter().flat_map(|batch| batch.scores.detectors()) {
            numbers.number(detector)?;
        }
        let Some(Recorded { changed, kept }) =
            record_hits(&transaction, batches, take, window, limits, &mut numbers, now)?
        else {
            return Ok(None);
        };
        let mut counted_only = CountedOnly::default();
        for batch in batches {
            let mut rows = flow_rows(batch, &kept);
            if rules.kept != KeptFlows::All {
                let keeps = rules.kept.choose(batch);
                counted_only.add(batch, &keeps);
                rows.retain(|row| keeps.get(row.row) == Some(&true));
            }
            numbers.number_all(batch.scores.detectors())?;
            let mut recorder = FlowRecorder {
                transaction: &transaction,
                scores: &batch.scores,
                numbers: &numbers,
                memory,
                now,
            };
            match take {
                Take::New if recorder.insert_all(&rows)? => {}
                Take::New => return Ok(None),
                Take::Any => recorder.insert_or_update_all(&rows)?,
            }
        }
        write_counted_only(&transaction, &counted_only, now)?;
        write_timeline(&transaction, &memory.timeline)?;
        write_sources(&transaction, &memory.sources)?;
        write_recorded(&transaction, batches, now)?;
        drop((numbers, kept));
        transaction.commit()?;
        Ok(Some(changed))
    };
    let mut take = match memory.has_repeated {
        true => Take::Any,
        false => Take::New,
    };
    loop {
        let outcome = write(memory, take).map_err(StoreError::sqlite("record a batch"));
        if let Ok(Some(changed)) = outcome {
            return Ok(changed);
        }
        // Labels made in this transaction are gone with it.
        memory.labels = Labels::default();
        outcome?;
        take = Take::Any;
    }
}

fn flow_rows<'a>(batch: &'a FlowBatchRecord, kept: &HashSet<&Id>) -> Vec<FlowRow<'a>> {
    let rows = batch.flows.iter().enumerate();
    let mut rows: Vec<FlowRow<'_>> = rows
        .map(|(row, flow)| FlowRow {
            row,
            flow,
            alerted: alerted::NO,
        })
        .collect();
    for hit in &batch.hits {
        if let Some(row) = rows.get_mut(hit.flow as usize) {
            row.alerted = match kept.contains(&row.flow.id) {
                true => alerted::SHOWN,
                false => alerted::HELD_BACK,
            };
        }
    }
    rows
}

/// A flow on its way into the table.
#[derive(Clone, Copy)]
struct FlowRow<'r> {
    /// Its place in the batch.
    row: usize,
    flow: &'r FlowRecord,
    alerted: i64,
}

struct FlowRecorder<'r, 'c, 'n> {
    transaction: &'r Transaction<'c>,
    scores: &'r ScoreMatrix,
    numbers: &'r DetectorNumbers<'n>,
    memory: &'r mut Memory,
    /// The time, ms since the epoch.
    now: i64,
}

impl FlowRecorder<'_, '_, '_> {
    /// Inserts until one of them is there; says whether none was.
    fn insert_all(&mut self, rows: &[FlowRow<'_>]) -> rusqlite::Result<bool> {
        let now = self.now;
        let are_new = INSERT_FLOWS.run(self.transaction, &[&now], rows, |insert, first, row| {
            self.bind(insert, first, row)
        })?;
        rows.iter().for_each(|row| self.count_new(row));
        Ok(are_new)
    }

    fn insert_or_update_all(&mut self, rows: &[FlowRow<'_>]) -> rusqlite::Result<()> {
        let mut insert = INSERT_FLOWS.prepare(self.transaction, &INSERT_FLOWS.one, &[&self.now])?;
        for row in rows {
            self.bind(&mut insert, INSERT_FLOWS.first_of(0), row)?;
            match insert.raw_execute()? {
                0 => self.update(row)?,
                _ => self.count_new(row),
            }
        }
        Ok(())
    }

    /// Binds the values of a flow, from a parameter on.
    fn bind(
        &mut self,
        insert: &mut CachedStatement<'_>,
        first: usize,
        row: &FlowRow<'_>,
    ) -> rusqlite::Result<()> {
        let flow = row.flow;
        self.numbers
            .pack(self.scores.row(row.row), &mut self.memory.packed);
        let label = self.memory.labels.number(self.transaction, flow)?;
        let (mean, max) = row.fused();
        let parameters = Parameters::starting_at(insert, first)
            .bind(flow.end)?
            .bind(flow.id)?
            .bind(flow.start)?
            .bind(Address::from(flow.source))?
            .bind(flow.source_port)?
            .bind(Address::from(flow.destination))?
            .bind(flow.destination_port)?
            .bind(label)?
            .bind(to_signed(flow.packets))?
            .bind(to_signed(flow.bytes))?
            .bind(flow.community_id)?
            .bind(&self.memory.packed)?
            .bind(self.scores.highest(row.row))?
            .bind(mean)?
            .bind(max)?
            .bind(row.alerted)?
            .bind(flow.foreign.as_deref())?;
        debug_assert_eq!(parameters.next, first + FLOW_COLUMNS.len());
        Ok(())
    }

    fn count_new(&mut self, row: &FlowRow<'_>) {
        let step = step_start(row.flow.end, OVERVIEW_GRAIN_MS);
        self.memory.sources.insert((step, row.flow.source));
        let change = self.memory.timeline.entry(step).or_default();
        change.add(StepChange::of(row.alerted));
    }

    fn update(&mut self, row: &FlowRow<'_>) -> rusqlite::Result<()> {
        self.memory.has_repeated = true;
        let flow = row.flow;
        if row.alerted != alerted::NO && was_alerted(self.transaction, flow)? == alerted::NO {
            let step = step_start(flow.end, OVERVIEW_GRAIN_MS);
            let change = self.memory.timeline.entry(step).or_default();
            change.add(StepChange::of(row.alerted));
            change.take_away(StepChange::of(alerted::NO));
        }
        self.numbers
            .pack(self.scores.row(row.row), &mut self.memory.packed);
        let label = self.memory.labels.number(self.transaction, flow)?;
        let (mean, max) = row.fused();
        self.transaction
            .prepare_cached(UPDATE_FLOW)?
            .execute(params![
                flow.end,
                flow.id,
                label,
                to_signed(flow.packets),
                to_signed(flow.bytes),
                self.memory.packed,
                self.scores.highest(row.row),
                mean,
                max,
                row.alerted,
                flow.foreign.as_deref(),
            ])
            .map(drop)
    }
}

impl FlowRow<'_> {
    /// Mean and highest score of the fused verdict.
    fn fused(&self) -> (Option<f32>, Option<f32>) {
        self.flow.fused.map(|fused| (fused.mean, fused.max)).unzip()
    }
}

fn was_alerted(transaction: &Transaction<'_>, flow: &FlowRecord) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("SELECT alerted FROM flows WHERE end_ms = ?1 AND id = ?2")?
        .query_row(params![flow.end, flow.id], |row| row.get(0))
}

pub(super) fn last_revision(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT last FROM revisions")?
        .query_row([], |row| row.get(0))
}

pub(super) fn write_last_revision(connection: &Connection, last: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE revisions SET last = ?1")?
        .execute([last])
        .map(drop)
}

pub(super) fn write_timeline(
    transaction: &Transaction<'_>,
    timeline: &TimelineChanges,
) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO timeline (time_ms, flows, alerted, held_back) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (time_ms) DO UPDATE SET flows = flows + excluded.flows, alerted = alerted + excluded.alerted, \
         held_back = held_back + excluded.held_back",
    )?;
    for (time, change) in timeline {
        add.execute(params![time, change.flows, change.alerted, change.held_back])?;
        if change.flows < 0 {
            remove_empty_step(transaction, *time)?;
        }
    }
    Ok(())
}

fn remove_empty_step(transaction: &Transaction<'_>, time: i64) -> rusqlite::Result<()> {
    let removed = transaction
        .prepare_cached("DELETE FROM timeline WHERE time_ms = ?1 AND flows <= 0")?
        .execute([time])?;
    if removed > 0 {
        transaction
            .prepare_cached("DELETE FROM flow_sources WHERE time_ms = ?1")?
            .execute([time])?;
    }
    Ok(())
}

/// Adds to what is known of flows that are counted and not kept.
fn write_counted_only(
    transaction: &Transaction<'_>,
    counted_only: &CountedOnly,
    now: i64,
) -> rusqlite::Result<()> {
    for (step, more) in counted_only.steps() {
        let known: Option<Vec<u8>> = transaction
            .prepare_cached("SELECT sketch FROM counted_only WHERE time_ms = ?1")?
            .query_row([step], |row| row.get(0))
            .optional()?;
        // Bytes that are no sketch were never written.
        let known = known.and_then(|bytes| Sketch::from_bytes(&bytes));
        let is_known = known.is_some();
        let mut flows = known.unwrap_or_default();
        if flows.join(more) || !is_known {
            transaction
                .prepare_cached(
                    "INSERT INTO counted_only (time_ms, flows, sketch, recorded_ms) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (time_ms) DO UPDATE SET flows = excluded.flows, sketch = excluded.sketch",
                )?
                .execute(params![step, to_signed(flows.count()), flows.to_bytes(), now])?;
        }
    }
    Ok(())
}

fn write_sources(transaction: &Transaction<'_>, sources: &HashSet<(i64, IpAddr)>) -> rusqlite::Result<()> {
    let mut add =
        transaction.prepare_cached("INSERT OR IGNORE INTO flow_sources (time_ms, source) VALUES (?1, ?2)")?;
    for (step, source) in sources {
        add.execute(params![step, Address::from(*source)])?;
    }
    Ok(())
}

/// Notes between which ends the flows recorded in this minute lie.
fn write_recorded(
    transaction: &Transaction<'_>,
    batches: &[Arc<FlowBatchRecord>],
    now: i64,
) -> rusqlite::Result<()> {
    let ends = || batches.iter().flat_map(|batch| &batch.flows).map(|flow| flow.end);
    let Some((first, last)) = ends().min().zip(ends().max()) else {
        return Ok(());
    };
    transaction
        .prepare_cached(
            "INSERT INTO recorded (minute_ms, first_end_ms, last_end_ms) VALUES (?1, ?2, ?3) \
             ON CONFLICT (minute_ms) DO UPDATE SET first_end_ms = min(first_end_ms, excluded.first_end_ms), \
             last_end_ms = max(last_end_ms, excluded.last_end_ms)",
        )?
        .execute([step_start(now, MINUTE_MS), first, last].map(Value::from))?;
    Ok(())
}

/// Gives an alert a state.
pub(super) fn change_state(
    connection: &mut Connection,
    id: &str,
    change: &StateChange,
) -> Result<Option<Alert>, StoreError> {
    let Some(id) = parse_id(id) else { return Ok(None) };
    let mut write = || -> rusqlite::Result<Result<Option<Alert>, StoreError>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = Timestamp::now().as_millisecond();
        let revision = last_revision(&transaction)? + 1;
        let state: Option<i64> = transaction
            .prepare_cached("SELECT state FROM alerts WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        if state == Some(state_code(AlertState::Merged)) {
            return Ok(Err(StoreError::merged()));
        }
        let changed = transaction
            .prepare_cached(
                "UPDATE alerts SET state = ?2, changed_by = ?3, changed_ms = ?4, touched_ms = ?4, revision = ?5 \
                 WHERE id = ?1",
            )?
            .execute(params![id, state_code(change.state), change.by, now, revision])?;
        if changed == 0 {
            return Ok(Ok(None));
        }
        write_last_revision(&transaction, revision)?;
        let stored = transaction
            .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))?
            .query_row([id], alert)?;
        transaction.commit()?;
        Ok(Ok(Some(stored.record.alert)))
    };
    write().map_err(StoreError::sqlite("change the state of an alert"))?
}

/// Saves how far a source or an output has come.
pub(super) fn save_position(connection: &Connection, name: &str, position: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO positions (name, position) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        )
        .and_then(|mut statement| statement.execute(params![name, position]))
        .map(drop)
        .map_err(StoreError::sqlite("save a position"))
}

pub(super) fn swap_position(
    connection: &Connection,
    name: &str,
    expected: Option<&[u8]>,
    position: &[u8],
) -> Result<bool, StoreError> {
    let changed = match expected {
        Some(expected) => connection
            .prepare_cached("UPDATE positions SET position = ?2 WHERE name = ?1 AND position = ?3")
            .and_then(|mut statement| statement.execute(params![name, position, expected])),
        None => connection
            .prepare_cached(
                "INSERT INTO positions (name, position) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
            )
            .and_then(|mut statement| statement.execute(params![name, position])),
    };
    changed
        .map(|changed| changed > 0)
        .map_err(StoreError::sqlite("save a position"))
}
