//! Recording. One transaction per delivery: after a kill all of it is there or nothing.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use netsage_api_types::{Alert, StateChange};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::numbers::{DetectorNumbers, Labels};
use super::rows::{ALERT_COLUMNS, Address, StoredAlert, alert, state_code};
use crate::overview::{OVERVIEW_GRAIN_MS, step_start};
use crate::record::{hits, severity_rank, to_signed};
use crate::{FlowBatchRecord, StoreError};
use netsage_alerts::text::parse_id;
use netsage_alerts::{AlertGroup, AlertRecord, AlertWindow, FlowRecord, HitOfFlow, group};

const INSERT_FLOW: &str = "INSERT INTO flows (end_ms, id, start_ms, source, source_port, destination, \
     destination_port, label, packets, bytes, community_id, scores, highest_score, fused_mean, fused_max, alerted, \
     recorded_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
     ON CONFLICT (end_ms, id) DO NOTHING";

const UPDATE_FLOW: &str = "UPDATE flows SET label = ?3, packets = ?4, bytes = ?5, scores = ?6, highest_score = ?7, \
     fused_mean = ?8, fused_max = ?9, alerted = max(alerted, ?10) WHERE end_ms = ?1 AND id = ?2";

const INSERT_ALERT: &str = "INSERT INTO alerts (id, first_seen_ms, last_seen_ms, count, kind, source, source_port, \
     destination, destination_port, protocol, community_id, score, threshold, severity, detector, schema, \
     contributions, best_flow, touched_ms, revision, detector_name) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) \
     ON CONFLICT (id) DO UPDATE SET first_seen_ms = ?2, last_seen_ms = ?3, count = ?4, source_port = ?7, \
     destination = ?8, destination_port = ?9, protocol = ?10, community_id = ?11, score = ?12, threshold = ?13, \
     severity = ?14, detector = ?15, schema = ?16, contributions = ?17, best_flow = ?18, touched_ms = ?19, \
     revision = ?20 RETURNING number";

/// Length of the steps of `recorded`, ms.
pub(super) const MINUTE_MS: i64 = 60_000;

/// Flows and alerted flows to add to steps of the time axis, or to take away.
type TimelineChanges = HashMap<i64, (i64, i64)>;

/// What outlives a transaction.
#[derive(Debug, Default)]
pub(super) struct Memory {
    labels: Labels,
    /// Scores of one flow, packed.
    packed: Vec<u8>,
    /// Which flows of a batch have a hit.
    alerted: Vec<bool>,
    timeline: TimelineChanges,
    sources: HashSet<(i64, IpAddr)>,
}

/// Records batches that have been checked; returns the alerts that they made or changed.
pub(super) fn record(
    connection: &mut Connection,
    memory: &mut Memory,
    batches: &[Arc<FlowBatchRecord>],
    window: AlertWindow,
) -> Result<Vec<Alert>, StoreError> {
    let mut write = || -> rusqlite::Result<Vec<Alert>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        memory.timeline.clear();
        memory.sources.clear();
        let mut numbers = DetectorNumbers::new(&transaction);
        let now = Timestamp::now().as_millisecond();
        for batch in batches {
            record_flows(&transaction, batch, &mut numbers, memory, now)?;
        }
        let mut changed = Vec::new();
        let mut stamp = Stamp {
            now,
            revision: last_revision(&transaction)?,
        };
        for group in group(batches.iter().flat_map(|batch| hits(batch)), window) {
            if let Some(alert) = record_group(&transaction, &group, &mut numbers, &mut stamp)? {
                changed.push(alert);
            }
        }
        if !changed.is_empty() {
            write_last_revision(&transaction, stamp.revision)?;
        }
        write_timeline(&transaction, &memory.timeline)?;
        write_sources(&transaction, &memory.sources)?;
        write_recorded(&transaction, batches, now)?;
        drop(numbers);
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
    numbers: &mut DetectorNumbers<'a>,
    memory: &mut Memory,
    now: i64,
) -> rusqlite::Result<()> {
    memory.alerted.clear();
    memory.alerted.resize(batch.flows.len(), false);
    for hit in &batch.hits {
        if let Some(alerted) = memory.alerted.get_mut(hit.flow as usize) {
            *alerted = true;
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
        let (new, newly_alerted) = if inserted == 1 {
            memory.sources.insert((step, flow.source));
            (1, i64::from(alerted))
        } else {
            let was_alerted = was_alerted(transaction, flow)?;
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
            (0, i64::from(alerted && !was_alerted))
        };
        if (new, newly_alerted) != (0, 0) {
            let change = memory.timeline.entry(step).or_default();
            change.0 += new;
            change.1 += newly_alerted;
        }
    }
    Ok(())
}

fn was_alerted(transaction: &Transaction<'_>, flow: &FlowRecord) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT alerted FROM flows WHERE end_ms = ?1 AND id = ?2")?
        .query_row(params![flow.end, flow.id], |row| row.get(0))
}

/// What the alerts changed in one transaction get.
struct Stamp {
    /// The time, ms since the epoch.
    now: i64,
    /// The last revision given. Writers exclude each other, so that whoever reads a revision finds all before it.
    revision: i64,
}

fn last_revision(connection: &Connection) -> rusqlite::Result<i64> {
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

/// Counts those hits of one alert whose flows the alert has not counted yet; `None` when it has them all.
fn record_group<'a>(
    transaction: &Transaction<'_>,
    group: &AlertGroup<'a>,
    numbers: &mut DetectorNumbers<'a>,
    stamp: &mut Stamp,
) -> rusqlite::Result<Option<Alert>> {
    let found = transaction
        .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))?
        .query_row([group.id], alert)
        .optional()?;
    let mut note =
        transaction.prepare_cached("INSERT OR IGNORE INTO alert_flows (alert, flow) VALUES (?1, ?2)")?;
    let Some(StoredAlert { record, number, .. }) = found else {
        let Some(record) = AlertRecord::extend(None, &group.id, &group.hits) else {
            return Ok(None);
        };
        let number = write_alert(transaction, group, &record, numbers, stamp)?;
        note_flows(&mut note, number, &group.hits)?;
        return Ok(Some(record.alert));
    };
    let fresh = note_flows(&mut note, number, &group.hits)?;
    if fresh.is_empty() {
        return Ok(None);
    }
    let Some(record) = AlertRecord::extend(Some(record), &group.id, &fresh) else {
        return Ok(None);
    };
    write_alert(transaction, group, &record, numbers, stamp)?;
    Ok(Some(record.alert))
}

/// Notes the flows of hits for an alert; returns the hits whose flows it did not have.
fn note_flows<'a>(
    note: &mut CachedStatement<'_>,
    alert: i64,
    hits: &[HitOfFlow<'a>],
) -> rusqlite::Result<Vec<HitOfFlow<'a>>> {
    let mut fresh = Vec::new();
    for hit in hits {
        if note.execute(params![alert, hit.flow.id])? == 1 {
            fresh.push(*hit);
        }
    }
    Ok(fresh)
}

fn write_alert<'a>(
    transaction: &Transaction<'_>,
    group: &AlertGroup<'a>,
    record: &AlertRecord,
    numbers: &mut DetectorNumbers<'a>,
    stamp: &mut Stamp,
) -> rusqlite::Result<i64> {
    let alert = &record.alert;
    // The detector changes only with the flow that is shown; otherwise it is the one the alert has already.
    let shown = group.hits.iter().find(|hit| hit.flow.id == record.best_flow);
    let detector = match shown {
        Some(hit) => numbers.number(hit.detector)?,
        None => transaction
            .prepare_cached("SELECT detector FROM alerts WHERE id = ?1")?
            .query_row([group.id], |row| row.get(0))?,
    };
    let contributions = serde_json::to_string(&alert.contributions)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    stamp.revision += 1;
    transaction.prepare_cached(INSERT_ALERT)?.query_row(
        params![
            group.id,
            alert.first_seen,
            alert.last_seen,
            to_signed(alert.count),
            alert.kind,
            alert.source,
            alert.source_port,
            alert.destination,
            alert.destination_port,
            alert.protocol,
            alert.community_id,
            alert.score,
            alert.threshold,
            severity_rank(alert.severity),
            detector,
            alert.schema,
            contributions,
            record.best_flow,
            stamp.now,
            stamp.revision,
            alert.detector.name,
        ],
        |row| row.get(0),
    )
}

pub(super) fn write_timeline(
    transaction: &Transaction<'_>,
    timeline: &TimelineChanges,
) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO timeline (time_ms, flows, alerted) VALUES (?1, ?2, ?3) ON CONFLICT (time_ms) DO UPDATE SET \
         flows = flows + excluded.flows, alerted = alerted + excluded.alerted",
    )?;
    for (time, (flows, alerted)) in timeline {
        add.execute(params![time, flows, alerted])?;
        if *flows < 0 {
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
    let mut write = || -> rusqlite::Result<Option<Alert>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = Timestamp::now().as_millisecond();
        let revision = last_revision(&transaction)? + 1;
        let changed = transaction
            .prepare_cached(
                "UPDATE alerts SET state = ?2, changed_by = ?3, changed_ms = ?4, touched_ms = ?4, revision = ?5 \
                 WHERE id = ?1",
            )?
            .execute(params![id, state_code(change.state), change.by, now, revision])?;
        if changed == 0 {
            return Ok(None);
        }
        write_last_revision(&transaction, revision)?;
        let stored = transaction
            .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))?
            .query_row([id], alert)?;
        transaction.commit()?;
        Ok(Some(stored.record.alert))
    };
    write().map_err(StoreError::sqlite("change the state of an alert"))
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
