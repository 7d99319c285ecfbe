//! Tables, and how a file of any age becomes one with them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::StoreError;

/// Marks the file as ours (`PRAGMA application_id`): "NtSg".
const APPLICATION_ID: i64 = 0x4E74_5367;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Step `n` makes version `n + 1` of version `n`. Steps are only ever added at the end.
const MIGRATIONS: &[&str] = &["
-- The digest of a package is 64 digits long and the same for millions of scores, so flows refer to it by number.
CREATE TABLE detectors (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    UNIQUE (digest, name, version)
) STRICT;

-- `number` rises in the order of recording, so the flows past their time are those with the smallest numbers and
-- purging needs no index on `recorded_ms`. `scores`: pairs of detector number (u32) and score (f32), little-endian.
CREATE TABLE flows (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    source_port INTEGER NOT NULL,
    destination TEXT NOT NULL,
    destination_port INTEGER NOT NULL,
    protocol TEXT NOT NULL,
    service TEXT NOT NULL,
    state TEXT NOT NULL,
    packets INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    community_id TEXT NOT NULL,
    scores BLOB NOT NULL,
    highest_score REAL,
    alerted INTEGER NOT NULL DEFAULT 0,
    recorded_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX flows_by_end ON flows (end_ms, id);
CREATE INDEX flows_by_source ON flows (source, end_ms, id);

-- The time axis of the overview, kept up as flows arrive: `time_ms` is the start of a step of 10 s.
CREATE TABLE timeline (
    time_ms INTEGER PRIMARY KEY,
    flows INTEGER NOT NULL,
    alerted INTEGER NOT NULL
) STRICT;

-- `severity` 0 low to 3 critical; `state` 0 new, 1 acknowledged, 2 closed; `contributions` JSON.
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    source_port INTEGER NOT NULL,
    destination TEXT NOT NULL,
    destination_port INTEGER NOT NULL,
    protocol TEXT NOT NULL,
    community_id TEXT NOT NULL,
    score REAL NOT NULL,
    threshold REAL NOT NULL,
    severity INTEGER NOT NULL,
    detector INTEGER NOT NULL REFERENCES detectors (number),
    schema TEXT NOT NULL,
    contributions TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    changed_by TEXT,
    changed_ms INTEGER,
    best_flow BLOB NOT NULL
) STRICT;
CREATE INDEX alerts_by_last_seen ON alerts (last_seen_ms, id);
CREATE INDEX alerts_by_state ON alerts (state, last_seen_ms, id);
CREATE INDEX alerts_by_source ON alerts (source, count, score);

-- Which flows an alert has counted. Kept as long as the alert, longer than the flows themselves.
CREATE TABLE alert_flows (
    alert INTEGER NOT NULL REFERENCES alerts (number),
    flow BLOB NOT NULL,
    PRIMARY KEY (alert, flow)
) STRICT, WITHOUT ROWID;
", "
-- Without the id an index is half as large, so that a batch rewrites fewer of its pages. Flows that ended in the same
-- millisecond are few; the listing sorts them by id itself.
DROP INDEX flows_by_end;
DROP INDEX flows_by_source;
CREATE INDEX flows_by_end ON flows (end_ms);
CREATE INDEX flows_by_source ON flows (source, end_ms);

-- When an alert last counted a flow or changed its state, by the clock: alerts untouched for long are deleted, and with
-- them their `alert_flows`.
ALTER TABLE alerts ADD COLUMN touched_ms INTEGER NOT NULL DEFAULT 0;
UPDATE alerts SET touched_ms = unixepoch() * 1000;
CREATE INDEX alerts_by_touched ON alerts (touched_ms);

-- From here on the timeline counts the flows that are there, and loses those that are deleted.
DELETE FROM timeline;
INSERT INTO timeline (time_ms, flows, alerted)
    SELECT (end_ms - ((end_ms % 10000) + 10000) % 10000) AS step, count(*), sum(alerted) FROM flows GROUP BY step;
"];

/// Latest version that this program knows.
fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Opens the file for writing, makes it when absent, and brings its tables up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path).map_err(|error| opening(path, &error))?;
    prepare(&connection).map_err(|error| opening(path, &error))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens the file for reading beside the writer.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| opening(path, &error))?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(|error| opening(path, &error))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Reading the header now tells a foreign file from a database before anything is written to it.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    // A killed process loses nothing; a power cut may lose the last batches and leaves the file whole.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    // In pages. Flow ids are random, so each batch touches pages all over their index; a longer log lets many batches
    // share one write of the same page. The log file grows to about 64 MB.
    connection.pragma_update(None, "wal_autocheckpoint", 16 * 1024)?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| opening(path, &error);
    // Immediate, so that of two processes that start at once one waits and then finds the work done.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let pragma = |name| {
        transaction
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(failed)
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    let fresh = application == 0 && version == 0 && tables == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    if version > known_version() {
        return Err(StoreError::Newer {
            place: path.display().to_string(),
            found: version,
            known: known_version(),
        });
    }
    let done = usize::try_from(version).map_err(|_| StoreError::Damaged {
        detail: format!("{} has schema version {version}", path.display()),
    })?;
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(failed)?;
    transaction
        .pragma_update(None, "user_version", known_version())
        .map_err(failed)?;
    transaction.commit().map_err(failed)?;
    // Only now that the file is known to be ours, as this changes it for good.
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(failed)
}

fn opening(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::NotADatabase {
            path: path.to_owned(),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        _ => StoreError::CannotOpen {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_keeps_what_it_has() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("old.db");
        let old = Connection::open(&path).expect("made");
        old.execute_batch(MIGRATIONS[0]).expect("the first version");
        old.execute_batch(
            "INSERT INTO detectors VALUES (1, 'd', 'iforest', '1.0.0');
             INSERT INTO alerts (id, first_seen_ms, last_seen_ms, count, kind, source, source_port, destination,
                 destination_port, protocol, community_id, score, threshold, severity, detector, schema, contributions,
                 best_flow) VALUES (x'00', 1, 2, 1, 'k', 's', 1, 'd', 2, 'tcp', '1:', 0.7, 0.6, 1, 1, 'u', '[]', x'01');
             INSERT INTO alert_flows VALUES (1, x'01');
             INSERT INTO timeline VALUES (70000, 99, 9);",
        )
        .expect("an alert and a timeline");
        for (id, end) in [(1_u8, -5_000), (2, 12_000), (3, 19_999)] {
            old.execute(
                "INSERT INTO flows (id, start_ms, end_ms, source, source_port, destination, destination_port, protocol,
                     service, state, packets, bytes, community_id, scores, alerted, recorded_ms)
                 VALUES (?1, 0, ?2, 's', 1, 'd', 2, 'tcp', '-', 'FIN', 1, 1, '1:', x'', ?1 = x'02', 0)",
                rusqlite::params![[id], end],
            )
            .expect("a flow");
        }
        old.pragma_update(None, "application_id", APPLICATION_ID)
            .expect("set");
        old.pragma_update(None, "user_version", 1).expect("set");
        drop(old);

        let new = open_writer(&path).expect("brought up to date");
        let timeline: Vec<(i64, i64, i64)> = new
            .prepare("SELECT time_ms, flows, alerted FROM timeline ORDER BY 1")
            .expect("a table")
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .and_then(Iterator::collect)
            .expect("rows");
        assert_eq!(timeline, [(-10_000, 1, 0), (10_000, 2, 1)]);
        let touched: i64 = new
            .query_row("SELECT touched_ms FROM alerts", [], |row| row.get(0))
            .expect("the alert");
        assert!(
            touched > 1_500_000_000_000,
            "an alert of before is not old: {touched}"
        );
        let version: i64 = new
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .expect("a version");
        assert_eq!(version, known_version());
    }
}
