//! Deleting what is past its time.

use std::time::Duration;

use jiff::Timestamp;
use netsage_alerts::Id;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::alerts::forget_raised;
use super::write::{MINUTE_MS, StepChange, TimelineChanges, write_timeline};
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
        let mut timeline = TimelineChanges::new();
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
                let change = timeline.entry(step).or_default();
                change.take_away(StepChange::of(row.get(1)?));
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
        transaction
            .prepare_cached("DELETE FROM counted_only WHERE recorded_ms < ?1")?
            .execute([cutoff])?;
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

/// Deletes up to `chunk` alerts that have not changed for their retention, and their counted flows; then as many that were
/// never shown, of cells without shown ones. Says whether there may be more.
pub(super) fn purge_alerts(
    connection: &mut Connection,
    alert_retention: Duration,
    chunk: usize,
) -> Result<bool, StoreError> {
    let mut delete = || -> rusqlite::Result<bool> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let cutoff = cutoff(alert_retention);
        let alerts = delete_alerts(&transaction, cutoff, chunk)?;
        let cells = delete_untouched_cells(&transaction, cutoff, chunk)?;
        transaction.commit()?;
        Ok(alerts == chunk || cells > 0)
    };
    delete().map_err(StoreError::sqlite("delete old alerts"))
}

/// Deletes up to `chunk` alerts that were last changed before `cutoff`, and what they have counted. Revisions rise with the
/// time of the last change, so that the first alerts are the oldest; where the clock was set back they may stay a little
/// longer.
pub(super) fn delete_alerts(
    transaction: &Transaction<'_>,
    cutoff: i64,
    chunk: usize,
) -> rusqlite::Result<usize> {
    let old: Vec<(i64, i64, Id)> = transaction
        .prepare_cached(
            "SELECT number, cell, id FROM (SELECT number, cell, id, touched_ms FROM alerts ORDER BY revision LIMIT ?2) \
             WHERE touched_ms < ?1",
        )?
        .query_map(params![cutoff, to_signed(chunk as u64)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (number, cell, id) in &old {
        transaction
            .prepare_cached("DELETE FROM alerts WHERE number = ?1")?
            .execute([number])?;
        // A merged alert has none.
        let raised: Option<i64> = transaction
            .prepare_cached("SELECT number FROM raised WHERE cell = ?1 AND id = ?2")?
            .query_row(params![cell, id], |row| row.get(0))
            .optional()?;
        if let Some(raised) = raised {
            forget(transaction, *cell, raised)?;
        }
    }
    Ok(old.len())
}

/// Deletes up to `chunk` alerts that were never shown, of a cell which has no shown ones and was last changed before
/// `cutoff`, and the cell when it has none. Says how much it deleted.
pub(super) fn delete_untouched_cells(
    transaction: &Transaction<'_>,
    cutoff: i64,
    chunk: usize,
) -> rusqlite::Result<usize> {
    let cell: Option<i64> = transaction
        .prepare_cached(
            "SELECT number FROM cells WHERE touched_ms < ?1 AND NOT EXISTS \
             (SELECT 1 FROM raised WHERE raised.cell = cells.number AND is_shown = 1) ORDER BY touched_ms LIMIT 1",
        )?
        .query_row([cutoff], |row| row.get(0))
        .optional()?;
    let Some(cell) = cell else { return Ok(0) };
    let raised: Vec<i64> = transaction
        .prepare_cached("SELECT number FROM raised WHERE cell = ?1 LIMIT ?2")?
        .query_map(params![cell, to_signed(chunk as u64)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for number in &raised {
        forget(transaction, cell, *number)?;
    }
    if raised.len() < chunk {
        transaction
            .prepare_cached("DELETE FROM cells WHERE number = ?1")?
            .execute([cell])?;
    }
    Ok(raised.len() + 1)
}

fn forget(transaction: &Transaction<'_>, cell: i64, raised: i64) -> rusqlite::Result<()> {
    forget_raised(transaction, raised)?;
    transaction
        .prepare_cached("UPDATE cells SET raised = max(raised - 1, 0) WHERE number = ?1")?
        .execute([cell])
        .map(drop)
}
