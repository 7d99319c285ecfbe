//! The limit of size: what goes when the file has grown to it.
//!
//! Flows of alerts that are held back go first, then the flows that ended first, the counts of those that are not kept, and
//! alerts last. Freed pages are used
//! again, so that the file stops growing; a file that is larger than a new limit does not shrink.

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};

use super::purge::{delete_alerts, delete_untouched_cells};
use super::write::{StepChange, TimelineChanges, alerted, write_timeline};
use crate::StoreError;
use crate::overview::{OVERVIEW_GRAIN_MS, step_start};
use crate::record::{to_signed, to_unsigned};

/// Longest write-ahead log, bytes. A longer log lets many batches share one write of the same page.
const LONGEST_LOG: u64 = 64 << 20;

/// Shortest write-ahead log, bytes.
const SHORTEST_LOG: u64 = 256 << 10;

/// Part of a limit that the write-ahead log gets before it is brought into the database. Two more are for the transaction
/// under way, which comes on top, and for what a delivery adds before room is made.
const LOG_SHARE: u64 = 32;

/// Most flows deleted at once, and bytes of log for each.
const FLOW_CHUNK: u64 = 16 * 1024;
const BYTES_PER_FLOW: u64 = 512;

/// Steps of the time axis deleted at once, of up to 4 KB each.
const STEP_CHUNK: u64 = 256;

/// Alerts deleted at once.
const ALERT_CHUNK: usize = 256;

/// Longest time of making room after a delivery. A delivery needs a few milliseconds; a limit that was lowered takes many
/// deliveries.
const LONGEST: Duration = Duration::from_millis(250);

/// Says when the write-ahead log is brought into the database, and that one that a reader made longer is cut again.
pub(super) fn limit_log(connection: &Connection, limit: Option<u64>) -> Result<(), StoreError> {
    let longest = longest_log(limit);
    let set = || -> rusqlite::Result<()> {
        let pages = longest / read_number(connection, "page_size")?.max(1);
        connection.pragma_update(None, "wal_autocheckpoint", to_signed(pages))?;
        connection.pragma_update(None, "journal_size_limit", to_signed(longest))
    };
    set().map_err(StoreError::sqlite("set the length of the log"))
}

/// The longest log, bytes.
fn longest_log(limit: Option<u64>) -> u64 {
    limit.map_or(LONGEST_LOG, |limit| {
        (limit / LOG_SHARE).clamp(SHORTEST_LOG, LONGEST_LOG)
    })
}

fn read_number(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0).map(to_unsigned))
}

/// Deletes until the database and its log fit into a limit, or for as long as a delivery may take.
pub(super) fn make_room(connection: &mut Connection, limit: Option<u64>) -> Result<(), StoreError> {
    let Some(limit) = limit else { return Ok(()) };
    let log = longest_log(Some(limit));
    let chunk = (log / BYTES_PER_FLOW).min(FLOW_CHUNK);
    let begun = Instant::now();
    while used(connection)? > limit.saturating_sub(3 * log) && begun.elapsed() < LONGEST {
        if !delete_some(connection, chunk)? {
            break;
        }
    }
    Ok(())
}

/// Bytes of the database that are in use.
fn used(connection: &Connection) -> Result<u64, StoreError> {
    let number = |pragma| read_number(connection, pragma);
    let used = || -> rusqlite::Result<u64> {
        let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
        Ok(pages * number("page_size")?)
    };
    used().map_err(StoreError::sqlite("read the size of the store"))
}

/// Deletes a chunk of what goes first; `false` when nothing is left.
fn delete_some(connection: &mut Connection, chunk: u64) -> Result<bool, StoreError> {
    let mut delete = || -> rusqlite::Result<bool> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut timeline = TimelineChanges::new();
        let step: Option<i64> = transaction
            .prepare_cached("SELECT min(time_ms) FROM timeline WHERE held_back > 0")?
            .query_row([], |row| row.get(0))?;
        let mut deleted = 0;
        if let Some(step) = step {
            let end = step.saturating_add(OVERVIEW_GRAIN_MS);
            deleted = delete_flows(
                &transaction,
                "SELECT end_ms, id FROM flows WHERE end_ms >= ?1 AND end_ms < ?2 AND alerted = ?3 LIMIT ?4",
                params![step, end, alerted::HELD_BACK, to_signed(chunk)],
                &mut timeline,
            )?;
            if deleted == 0 {
                transaction
                    .prepare_cached("UPDATE timeline SET held_back = 0 WHERE time_ms = ?1")?
                    .execute([step])?;
                deleted = 1;
            }
        }
        if deleted == 0 {
            deleted = delete_flows(
                &transaction,
                "SELECT end_ms, id FROM flows ORDER BY end_ms, id LIMIT ?1",
                params![to_signed(chunk)],
                &mut timeline,
            )?;
        }
        write_timeline(&transaction, &timeline)?;
        if deleted == 0 {
            deleted = transaction
                .prepare_cached(
                    "DELETE FROM counted_only WHERE time_ms IN \
                     (SELECT time_ms FROM counted_only ORDER BY time_ms LIMIT ?1)",
                )?
                .execute(params![to_signed(STEP_CHUNK)])?;
        }
        if deleted == 0 {
            deleted = delete_alerts(&transaction, i64::MAX, ALERT_CHUNK)?;
            deleted += delete_untouched_cells(&transaction, i64::MAX, ALERT_CHUNK)?;
        }
        transaction.commit()?;
        Ok(deleted > 0)
    };
    delete().map_err(StoreError::sqlite("make room in the store"))
}

/// Deletes the flows that a query names, also from the timeline; says how many there were.
fn delete_flows(
    connection: &Connection,
    query: &str,
    values: &[&dyn rusqlite::ToSql],
    timeline: &mut TimelineChanges,
) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(&format!(
        "DELETE FROM flows WHERE (end_ms, id) IN ({query}) RETURNING end_ms, alerted"
    ))?;
    let mut rows = statement.query(values)?;
    let mut deleted = 0;
    while let Some(row) = rows.next()? {
        let step = step_start(row.get(0)?, OVERVIEW_GRAIN_MS);
        let change = timeline.entry(step).or_default();
        change.take_away(StepChange::of(row.get(1)?));
        deleted += 1;
    }
    Ok(deleted)
}
