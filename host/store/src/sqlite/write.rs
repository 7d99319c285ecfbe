//! Recording. One transaction per delivery: after a kill all of it is there or nothing.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;
use netsage_api_types::{Alert, AlertState, StateChange};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::alerts::{Recorded, record_hits};
use super::numbers::{DetectorNumbers, Labels};
use super::rows::{ALERT_COLUMNS, Address, alert, state_code};
use crate::overview::{OVERVIEW_GRAIN_MS, step_start};
use crate::record::to_signed;
use crate::{FlowBatchRecord, StoreError};
use netsage_alerts::text::parse_id;
use netsage_alerts::{AlertLimits, AlertWindow, FlowRecord, Id};

const INSERT_FLOW: &str = "INSERT INTO flows (end_ms, id, start_ms, source, source_port, destination, \
     destination_port, label, packets, bytes, community_id, scores, highest_score, fused_mean, fused_max, alerted, \
     recorded_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
     ON CONFLICT (end_ms, id) DO NOTHING";

const UPDATE_FLOW: &str = "UPDATE flows SET label = ?3, packets = ?4, bytes = ?5, scores = ?6, highest_score = ?7, \
     fused_mean = ?8, fused_max = ?9, alerted = iif(alerted = 0, ?10, alerted) WHERE end_ms = ?1 AND id = ?2";

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
    /// The `alerted` of the flows of a batch.
    alerted: Vec<i64>,
    timeline: TimelineChanges,
    sources: HashSet<(i64, IpAddr)>,
}

/// Records batches that have been checked; returns the alerts that they made or changed.
pub(super) fn record(
    connection: &mut Connection,
    memory: &mut Memory,
    batches: &[Arc<FlowBatchRecord>],
    window: AlertWindow,
    limits: AlertLimits,
) -> Result<Vec<Alert>, StoreError> {
    let mut write = || -> rusqlite::Result<Vec<Alert>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        memory.timeline.clear();
        memory.sources.clear();
        let mut numbers = DetectorNumbers::new(&transaction);
        let now = Timestamp::now().as_millisecond();
        // Before the hits, each of which names its detector.
        for detector in batches.iter().flat_map(|batch| batch.scores.detectors()) {
            numbers.number(detector)?;
        }
        let Recorded { changed, kept } =
            record_hits(&transaction, batches, window, limits, &mut numbers, now)?;
        for batch in batches {
            record_flows(&transaction, batch, &kept, &mut numbers, memory, now)?;
        }
        write_timeline(&transaction, &memory.timeline)?;
        write_sources(&transaction, &memory.sources)?;
        write_recorded(&transaction, batches, now)?;
        drop((numbers, kept));
        transaction.commit()?;
        Ok(changed)
    };
    let outcome = write().map_err(StoreError::sqlite("record a batch"));
    if outcome.is_err() {
        // Labels made in this transaction are gone with it.
        memory.labels = Labels::default();
    }
    outcome
}

fn record_flows<'a>(
    transaction: &Transaction<'_>,
    batch: &'a FlowBatchRecord,
    kept: &HashSet<&Id>,
    numbers: &mut DetectorNumbers<'a>,
    memory: &mut Memory,
    now: i64,
) -> rusqlite::Result<()> {
    memory.alerted.clear();
    memory.alerted.resize(batch.flows.len(), alerted::NO);
    for hit in &batch.hits {
        let row = hit.flow as usize;
        if let Some((flow, alerted)) = batch.flows.get(row).zip(memory.alerted.get_mut(row)) {
            *alerted = match kept.contains(&flow.id) {
                true => alerted::SHOWN,
                false => alerted::HELD_BACK,
            };
        }
    }
    numbers.number_all(batch.scores.detectors())?;
    let mut insert = transaction.prepare_cached(INSERT_FLOW)?;
    for (row, (flow, &alerted)) in batch.flows.iter().zip(&memory.alerted).enumerate() {
        numbers.pack(batch.scores.row(row), &mut memory.packed);
        let label = memory.labels.number(transaction, flow)?;
        let highest = batch.scores.highest(row);
        let (mean, max) = flow.fused.map(|fused| (fused.mean, fused.max)).unzip();
        let (packets, bytes) = (to_signed(flow.packets), to_signed(flow.bytes));
        let inserted = insert.execute(params![
            flow.end,
            flow.id,
            flow.start,
            Address::from(flow.source),
            flow.source_port,
            Address::from(flow.destination),
            flow.destination_port,
            label,
            packets,
            bytes,
            flow.community_id,
            memory.packed,
            highest,
            mean,
            max,
            alerted,
            now,
        ])?;
        let step = step_start(flow.end, OVERVIEW_GRAIN_MS);
        let mut change = StepChange::default();
        if inserted == 1 {
            memory.sources.insert((step, flow.source));
            change.add(StepChange::of(alerted));
        } else {
            let was_alerted = was_alerted(transaction, flow)?;
            if was_alerted == alerted::NO {
                change.add(StepChange::of(alerted));
                change.take_away(StepChange::of(was_alerted));
            }
            transaction.prepare_cached(UPDATE_FLOW)?.execute(params![
                flow.end,
                flow.id,
                label,
                packets,
                bytes,
                memory.packed,
                highest,
                mean,
                max,
                alerted,
            ])?;
        }
        if change != StepChange::default() {
            memory.timeline.entry(step).or_default().add(change);
        }
    }
    Ok(())
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
