//! Deleting what is past its time.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::write::{MINUTE_MS, write_timeline};
use crate::StoreError;
use crate::overview::{OVERVIEW_GRAIN_MS, step_start};
use crate::record::to_signed;

/// The time before which nothing is kept, ms since the epoch.
fn cutoff(retention: Duration) -> i64 {
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    Timestamp::now().as_millisecond().saturating_sub(retention_ms)
}

/// Deletes up to `chunk` flows that are past their time, also from the timeline.
///
/// Flows lie in the order of their ends; `recorded` says between which ends those of a minute of recording are to be
/// found. What lies there and was recorded later is passed over.
pub(super) fn purge_flows(
    connection: &mut Connection,
    flow_retention: Duration,
    chunk: usize,
) -> Result<usize, StoreError> {
    let mut delete = || -> rusqlite::Result<usize> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let cutoff = cutoff(flow_retention);
        let mut timeline = HashMap::new();
        let mut deleted = 0;
        let mut after = i64::MIN;
        while deleted < chunk {
            let Some((minute, first, last)) = next_minute(&transaction, after, cutoff)? else {
                break;
            };
            after = minute;
            let mut statement = transaction.prepare_cached(
                "DELETE FROM flows WHERE (end_ms, id) IN (SELECT end_ms, id FROM flows WHERE end_ms >= ?1 \
                 AND end_ms <= ?2 AND recorded_ms < ?3 LIMIT ?4) RETURNING end_ms, alerted",
            )?;
            let mut rows =
                statement.query(params![first, last, cutoff, to_signed((chunk - deleted) as u64)])?;
            while let Some(row) = rows.next()? {
                let step = step_start(row.get(0)?, OVERVIEW_GRAIN_MS);
                let change: &mut (i64, i64) = timeline.entry(step).or_default();
                change.0 -= 1;
                change.1 -= row.get::<_, i64>(1)?;
                deleted += 1;
            }
            let is_over = minute.saturating_add(MINUTE_MS) <= cutoff;
            if deleted < chunk && is_over {
                transaction
                    .prepare_cached("DELETE FROM recorded WHERE minute_ms = ?1")?
                    .execute([minute])?;
            }
        }
        write_timeline(&transaction, &timeline)?;
        transaction.commit()?;
        Ok(deleted)
    };
    delete().map_err(StoreError::sqlite("delete old flows"))
}

/// The first minute of recording after `after` and before `cutoff`, and between which ends its flows lie.
fn next_minute(
    transaction: &Transaction<'_>,
    after: i64,
    cutoff: i64,
) -> rusqlite::Result<Option<(i64, i64, i64)>> {
    transaction
        .prepare_cached(
            "SELECT minute_ms, first_end_ms, last_end_ms FROM recorded WHERE minute_ms > ?1 AND minute_ms < ?2 \
             ORDER BY minute_ms LIMIT 1",
        )?
        .query_row([after, cutoff], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}

/// Deletes up to `chunk` alerts that have not changed for their retention, and their counted flows. Revisions rise with
/// the time of the last change, so that the first alerts are the oldest; where the clock was set back they may stay a
/// little longer.
pub(super) fn purge_alerts(
    connection: &mut Connection,
    alert_retention: Duration,
    chunk: usize,
) -> Result<usize, StoreError> {
    let mut delete = || -> rusqlite::Result<usize> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let old: Vec<i64> = transaction
            .prepare_cached(
                "SELECT number FROM (SELECT number, touched_ms FROM alerts ORDER BY revision LIMIT ?2) \
                 WHERE touched_ms < ?1",
            )?
            .query_map(params![cutoff(alert_retention), to_signed(chunk as u64)], |row| {
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
