//! Recording. One transaction per batch: after a kill the batch is there or it is not.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use netsage_api_types::{Alert, Flow, StateChange};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::rows::{ALERT_COLUMNS, DetectorNumbers, alert, state_code};
use crate::grouping::{AlertGroup, AlertRecord, group};
use crate::overview::{OVERVIEW_GRAIN_MS, step_start};
use crate::record::{AlertHit, highest_score, parse_id, severity_rank, to_signed};
use crate::{FlowBatchRecord, StoreError};

const INSERT_FLOW: &str = "INSERT INTO flows (id, start_ms, end_ms, source, source_port, destination, \
     destination_port, protocol, service, state, packets, bytes, community_id, scores, highest_score, recorded_ms) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT (id) DO NOTHING";

const UPDATE_FLOW: &str = "UPDATE flows SET service = ?2, state = ?3, packets = ?4, bytes = ?5, scores = ?6, \
     highest_score = ?7 WHERE id = ?1";

const INSERT_ALERT: &str = "INSERT INTO alerts (id, first_seen_ms, last_seen_ms, count, kind, source, source_port, \
     destination, destination_port, protocol, community_id, score, threshold, severity, detector, schema, \
     contributions, best_flow, touched_ms) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
     ON CONFLICT (id) DO UPDATE SET first_seen_ms = ?2, last_seen_ms = ?3, count = ?4, source_port = ?7, \
     destination = ?8, destination_port = ?9, protocol = ?10, community_id = ?11, score = ?12, threshold = ?13, \
     severity = ?14, detector = ?15, schema = ?16, contributions = ?17, best_flow = ?18, touched_ms = ?19 \
     RETURNING number";

/// Flows and alerted flows to add to steps of the time axis, or to take away.
type TimelineChanges = HashMap<i64, (i64, i64)>;

/// Records a batch that has been checked; returns the alerts that it made or changed.
pub(super) fn record(
    connection: &mut Connection,
    batch: &FlowBatchRecord,
    window_ms: i64,
) -> Result<Vec<Alert>, StoreError> {
    let mut write = || -> rusqlite::Result<Vec<Alert>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut timeline = TimelineChanges::new();
        let mut numbers = DetectorNumbers::new(&transaction);
        record_flows(&transaction, &batch.flows, &mut numbers, &mut timeline)?;
        let mut changed = Vec::new();
        for group in group(&batch.hits, window_ms) {
            if let Some(alert) = record_group(&transaction, &group, &mut numbers)? {
                changed.push(alert);
            }
        }
        mark_alerted(&transaction, &batch.hits, &mut timeline)?;
        write_timeline(&transaction, &timeline)?;
        drop(numbers);
        transaction.commit()?;
        Ok(changed)
    };
    write().map_err(StoreError::sqlite("record a batch"))
}

fn record_flows<'a>(
    transaction: &Transaction<'_>,
    flows: &'a [Flow],
    numbers: &mut DetectorNumbers<'a>,
    timeline: &mut TimelineChanges,
) -> rusqlite::Result<()> {
    let now = Timestamp::now().as_millisecond();
    let mut insert = transaction.prepare_cached(INSERT_FLOW)?;
    let mut update = transaction.prepare_cached(UPDATE_FLOW)?;
    let mut scores = Vec::new();
    for flow in flows {
        // `check_batch` has seen to it that every id can be read.
        let Some(id) = parse_id(&flow.id) else { continue };
        numbers.pack(&flow.scores, &mut scores)?;
        let highest = highest_score(flow);
        let (packets, bytes) = (to_signed(flow.packets), to_signed(flow.bytes));
        let inserted = insert.execute(params![
            id,
            flow.start,
            flow.end,
            flow.source,
            flow.source_port,
            flow.destination,
            flow.destination_port,
            flow.protocol,
            flow.service,
            flow.state,
            packets,
            bytes,
            flow.community_id,
            scores,
            highest,
            now,
        ])?;
        if inserted == 1 {
            timeline
                .entry(step_start(flow.end, OVERVIEW_GRAIN_MS))
                .or_default()
                .0 += 1;
        } else {
            update.execute(params![
                id,
                flow.service,
                flow.state,
                packets,
                bytes,
                scores,
                highest
            ])?;
        }
    }
    Ok(())
}

/// Counts the hits of one alert whose flows it does not have yet; `None` when it has them all.
fn record_group<'a>(
    transaction: &Transaction<'_>,
    group: &AlertGroup<'a>,
    numbers: &mut DetectorNumbers<'a>,
) -> rusqlite::Result<Option<Alert>> {
    let found = transaction
        .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))?
        .query_row([group.id], alert)
        .optional()?;
    let (found, number) = found.unzip();
    let mut fresh: Vec<&AlertHit> = Vec::with_capacity(group.hits.len());
    let mut is_counted =
        transaction.prepare_cached("SELECT 1 FROM alert_flows WHERE alert = ?1 AND flow = ?2")?;
    for &hit in &group.hits {
        let counted = match number {
            Some(number) => is_counted.exists(params![number, parse_id(&hit.flow_id)])?,
            None => false,
        };
        if !counted {
            fresh.push(hit);
        }
    }
    if fresh.is_empty() {
        return Ok(None);
    }
    let Some(record) = AlertRecord::extend(found, &group.id, fresh.iter().copied()) else {
        return Ok(None);
    };
    let best = fresh.iter().find(|hit| hit.flow_id == record.best_flow);
    // The detector changes only with the best flow; otherwise it is the one the alert has already.
    let detector = match best {
        Some(hit) => numbers.number(&hit.detector)?,
        None => transaction
            .prepare_cached("SELECT detector FROM alerts WHERE id = ?1")?
            .query_row([group.id], |row| row.get(0))?,
    };
    let number = write_alert(transaction, group, &record, detector)?;
    let mut add = transaction.prepare_cached("INSERT INTO alert_flows (alert, flow) VALUES (?1, ?2)")?;
    for hit in &fresh {
        add.execute(params![number, parse_id(&hit.flow_id)])?;
    }
    Ok(Some(record.alert))
}

fn write_alert(
    transaction: &Transaction<'_>,
    group: &AlertGroup<'_>,
    record: &AlertRecord,
    detector: u32,
) -> rusqlite::Result<i64> {
    let alert = &record.alert;
    let contributions = serde_json::to_string(&alert.contributions)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
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
            parse_id(&record.best_flow),
            Timestamp::now().as_millisecond(),
        ],
        |row| row.get(0),
    )
}

/// Marks flows with a hit, each once however many detectors hit it.
fn mark_alerted(
    transaction: &Transaction<'_>,
    hits: &[AlertHit],
    timeline: &mut TimelineChanges,
) -> rusqlite::Result<()> {
    let mut mark = transaction
        .prepare_cached("UPDATE flows SET alerted = 1 WHERE id = ?1 AND alerted = 0 RETURNING end_ms")?;
    for hit in hits {
        let end: Option<i64> = mark
            .query_row(params![parse_id(&hit.flow_id)], |row| row.get(0))
            .optional()?;
        if let Some(end) = end {
            timeline.entry(step_start(end, OVERVIEW_GRAIN_MS)).or_default().1 += 1;
        }
    }
    Ok(())
}

fn write_timeline(transaction: &Transaction<'_>, timeline: &TimelineChanges) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO timeline (time_ms, flows, alerted) VALUES (?1, ?2, ?3) ON CONFLICT (time_ms) DO UPDATE SET \
         flows = flows + excluded.flows, alerted = alerted + excluded.alerted",
    )?;
    let mut remove_empty =
        transaction.prepare_cached("DELETE FROM timeline WHERE time_ms = ?1 AND flows <= 0")?;
    for (time, (flows, alerted)) in timeline {
        add.execute(params![time, flows, alerted])?;
        if *flows < 0 {
            remove_empty.execute([time])?;
        }
    }
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
        transaction
            .prepare_cached(
                "UPDATE alerts SET state = ?2, changed_by = ?3, changed_ms = ?4, touched_ms = ?4 WHERE id = ?1",
            )?
            .execute(params![id, state_code(change.state), change.by, now])?;
        let changed = transaction
            .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))?
            .query_row([id], alert)
            .optional()?;
        transaction.commit()?;
        Ok(changed.map(|(record, _)| record.alert))
    };
    write().map_err(StoreError::sqlite("change the state of an alert"))
}

/// The time before which nothing that is kept for `ttl` was recorded, ms.
fn cutoff(ttl: Duration) -> i64 {
    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
    Timestamp::now().as_millisecond().saturating_sub(ttl_ms)
}

/// Deletes up to `chunk` of the oldest flows that are past their time, also from the timeline.
pub(super) fn purge_flows(
    connection: &mut Connection,
    flow_ttl: Duration,
    chunk: usize,
) -> Result<usize, StoreError> {
    let mut delete = || -> rusqlite::Result<usize> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut timeline = TimelineChanges::new();
        let mut deleted = 0;
        let mut statement = transaction.prepare_cached(
            "DELETE FROM flows WHERE recorded_ms < ?1 AND number IN (SELECT number FROM flows ORDER BY number LIMIT ?2) \
             RETURNING end_ms, alerted",
        )?;
        let mut rows = statement.query(params![cutoff(flow_ttl), to_signed(chunk as u64)])?;
        while let Some(row) = rows.next()? {
            let change = timeline
                .entry(step_start(row.get(0)?, OVERVIEW_GRAIN_MS))
                .or_default();
            change.0 -= 1;
            change.1 -= row.get::<_, i64>(1)?;
            deleted += 1;
        }
        drop(rows);
        drop(statement);
        write_timeline(&transaction, &timeline)?;
        transaction.commit()?;
        Ok(deleted)
    };
    delete().map_err(StoreError::sqlite("delete old flows"))
}

/// Deletes up to `chunk` alerts that nothing has touched for their time, and what they have counted.
pub(super) fn purge_alerts(
    connection: &mut Connection,
    alert_ttl: Duration,
    chunk: usize,
) -> Result<usize, StoreError> {
    let mut delete = || -> rusqlite::Result<usize> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let old: Vec<i64> = transaction
            .prepare_cached("SELECT number FROM alerts WHERE touched_ms < ?1 ORDER BY touched_ms LIMIT ?2")?
            .query_map(params![cutoff(alert_ttl), to_signed(chunk as u64)], |row| {
                row.get(0)
            })?
            .collect::<rusqlite::Result<_>>()?;
        for number in &old {
            for delete in [
                "DELETE FROM alert_flows WHERE alert = ?1",
                "DELETE FROM alerts WHERE number = ?1",
            ] {
                transaction.prepare_cached(delete)?.execute([number])?;
            }
        }
        transaction.commit()?;
        Ok(old.len())
    };
    delete().map_err(StoreError::sqlite("delete old alerts"))
}
