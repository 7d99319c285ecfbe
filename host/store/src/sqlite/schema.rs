//! Tables, and how a file of any age becomes one with them.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::upgrade;
use crate::StoreError;

/// Marks the file as ours (`PRAGMA application_id`): "NtSg".
const APPLICATION_ID: i64 = 0x4E74_5367;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Brings a file from one version to the next.
enum Migration {
    Sql(&'static str),
    Code(fn(&Transaction<'_>) -> rusqlite::Result<()>),
}

/// Step `n` makes version `n + 1` of version `n`. Steps are only ever added at the end.
const MIGRATIONS: &[Migration] = &[
    Migration::Sql(FIRST),
    Migration::Sql(SECOND),
    Migration::Code(upgrade::to_third),
];

const FIRST: &str = "
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
";

const SECOND: &str = "
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
";

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
    fix_plans(&connection).map_err(|error| opening(path, &error))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Says that plans must not depend on the values bound. They need not, and otherwise SQLite prepares the query that
/// finds an alert anew for every alert, a quarter of what recording costs.
fn fix_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(|_| ())
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    fix_plans(connection)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Reading the header now tells a foreign file from a database before anything is written to it.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    // A killed process loses nothing; a power cut may lose the last batches and leaves the file whole.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    // In pages. A longer log lets many batches share one write of the same page. The log file grows to about 64 MB.
    connection.pragma_update(None, "wal_autocheckpoint", 16 * 1024)?;
    // A table that others refer to is made anew in an upgrade. Set again afterwards.
    connection.pragma_update(None, "foreign_keys", false)
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
        match step {
            Migration::Sql(text) => transaction.execute_batch(text),
            Migration::Code(upgrade) => upgrade(&transaction),
        }
        .map_err(failed)?;
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
        .map_err(failed)?;
    connection
        .pragma_update(None, "foreign_keys", true)
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

    /// A file of an earlier version, with three flows, one of them alerted.
    fn old_file(path: &Path, version: usize) {
        let old = Connection::open(path).expect("made");
        let texts = [FIRST, SECOND];
        old.execute_batch(texts[0]).expect("the first version");
        old.execute_batch(
            "INSERT INTO detectors VALUES (1, 'd', 'iforest', '1.0.0');
             INSERT INTO alerts (id, first_seen_ms, last_seen_ms, count, kind, source, source_port, destination,
                 destination_port, protocol, community_id, score, threshold, severity, detector, schema, contributions,
                 best_flow) VALUES (zeroblob(16), 1, 2, 1, 'k', '10.0.0.1', 1, 'd', 2, 'tcp', '1:', 0.7, 0.6, 1, 1, 'u',
                 '[]', zeroblob(16));
             INSERT INTO alert_flows VALUES (1, zeroblob(16));
             INSERT INTO timeline VALUES (70000, 99, 9);",
        )
        .expect("an alert and a timeline");
        // Number 1 and the score 0.5.
        let scores = [1_u8, 0, 0, 0, 0, 0, 0, 0x3f];
        for (id, end, source) in [
            (1_u8, -5_000, "10.0.0.1"),
            (2, 12_000, "fe80::1"),
            (3, 19_999, "10.0.0.1"),
        ] {
            old.execute(
                "INSERT INTO flows (id, start_ms, end_ms, source, source_port, destination, destination_port, protocol,
                     service, state, packets, bytes, community_id, scores, highest_score, alerted, recorded_ms)
                 VALUES (?1, 0, ?2, ?3, 1, '10.0.0.2', 2, 'tcp', '-', 'FIN', 1, 1, '1:LQU9qZlK+B5F3KDmev6m5PMibrg=', ?4,
                     0.5, ?1 = ?5, 120001)",
                rusqlite::params![[id; 16], end, source, scores, [2_u8; 16]],
            )
            .expect("a flow");
        }
        for text in &texts[1..version] {
            old.execute_batch(text).expect("the next version");
        }
        old.pragma_update(None, "application_id", APPLICATION_ID)
            .expect("set");
        let version = i64::try_from(version).expect("small");
        old.pragma_update(None, "user_version", version).expect("set");
    }

    #[test]
    fn a_file_of_an_earlier_version_keeps_what_it_has() {
        for version in [1, 2] {
            let folder = tempfile::TempDir::new().expect("a temporary folder");
            let path = folder.path().join("old.db");
            old_file(&path, version);
            let new = open_writer(&path).expect("brought up to date");
            let timeline: Vec<(i64, i64, i64)> = new
                .prepare("SELECT time_ms, flows, alerted FROM timeline ORDER BY 1")
                .expect("a table")
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .and_then(Iterator::collect)
                .expect("rows");
            assert_eq!(timeline, [(-10_000, 1, 0), (10_000, 2, 1)]);
            let one = |sql| new.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
            assert!(
                one("SELECT touched_ms FROM alerts") > 1_500_000_000_000,
                "an alert of before is not old"
            );
            assert_eq!(one("SELECT generation FROM detectors"), 0);
            assert_eq!(
                one("SELECT first_end_ms FROM recorded WHERE minute_ms = 120000"),
                -5_000
            );
            assert_eq!(one("SELECT last_end_ms FROM recorded"), 19_999);
            assert_eq!(one("SELECT count(*) FROM flow_sources"), 3);
            assert_eq!(one("SELECT count(*) FROM pragma_foreign_key_check"), 0);
            assert_eq!(one("PRAGMA user_version"), known_version());

            let flows = |source: Option<&str>| {
                let query = netsage_api_types::FlowQuery {
                    source: source.map(ToOwned::to_owned),
                    ..netsage_api_types::FlowQuery::default()
                };
                super::super::read::flows(&new, &query).expect("flows").items
            };
            let all = flows(None);
            assert_eq!(
                all.iter().map(|flow| flow.end).collect::<Vec<_>>(),
                [19_999, 12_000, -5_000]
            );
            assert_eq!(
                (all[1].source.as_str(), all[1].state.as_str()),
                ("fe80::1", "FIN")
            );
            assert_eq!(all[1].community_id, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
            assert_eq!(all[1].scores[0].score, 0.5);
            assert_eq!(
                (all[1].scores[0].detector.name.as_str(), all[1].fused),
                ("iforest", None)
            );
            assert_eq!(flows(Some("10.0.0.1")), [all[0].clone(), all[2].clone()]);
            let alerts = super::super::read::alerts(&new, &netsage_api_types::AlertQuery::default());
            assert_eq!(alerts.expect("alerts").items[0].detector.name, "iforest");
        }
    }

    #[test]
    fn a_file_that_cannot_be_brought_up_to_date_stays_as_it_is() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("old.db");
        old_file(&path, 2);
        let change = |sql| {
            Connection::open(&path)
                .and_then(|old| old.execute(sql, []))
                .expect(sql)
        };
        change("UPDATE flows SET source = 'x' WHERE id = x'02020202020202020202020202020202'");
        let error = open_writer(&path)
            .expect_err("an address that is none")
            .to_string();
        assert!(error.contains("`x`"), "{error}");
        change("UPDATE flows SET source = '10.0.0.1' WHERE source = 'x'");
        open_writer(&path).expect("as it was");
    }
}
