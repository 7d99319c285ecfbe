//! Tables, and how a file of any age becomes one with them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::StoreError;

/// Marks the file as ours (`PRAGMA application_id`): "NtSg".
pub(super) const APPLICATION_ID: i64 = 0x4E74_5367;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a probe waits for it: less than whoever asks for the health of a store waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of a page of a new file; one that is there keeps its own. Flows are rows of a tree by key, whose full pages are
/// shared out anew among three: half as many pages, each of twice the rows, cost a sixth less than SQLite's 4,096.
const PAGE_SIZE: i64 = 8192;

/// Brings a file from one version to the next.
type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The version of a file with the tables of [`BASE`]. Files of earlier versions, which no release wrote, are refused.
const BASE_VERSION: i64 = 4;

/// Step `n` makes version `BASE_VERSION + n` of the version before; the first one makes the tables of a new file. Steps
/// are only ever added at the end, and each changes what tables or indexes there are: by them a file tells its version a
/// second time.
const MIGRATIONS: &[Migration] = &[
    |transaction| transaction.execute_batch(BASE),
    |transaction| transaction.execute_batch(INDEX_FILTERS),
    |transaction| transaction.execute_batch(BOUND_ALERTS),
    |transaction| transaction.execute_batch(COUNT_FLOWS),
    |transaction| transaction.execute_batch(PROVENANCE),
    |transaction| transaction.execute_batch(INDEX_BEGINS),
    |transaction| transaction.execute_batch(FOREIGN),
];

/// Time series of alerts by their begin, with all that tells them apart.
const INDEX_BEGINS: &str = "
CREATE INDEX alerts_by_begin ON alerts (first_seen_ms, severity, state, detector_name, network);
";

/// What the program that forwarded a flow has made and said of it, as JSON.
const FOREIGN: &str = "ALTER TABLE flows ADD COLUMN foreign_said TEXT;";

/// Where flows come from: a flow says it by its label, an alert is of one network, and shows the sensor of the flow that it
/// shows. The rows of labels and cells move into tables whose keys have it, as SQLite cannot change a key.
const PROVENANCE: &str = "
CREATE TABLE labels_by_provenance (
    number INTEGER PRIMARY KEY,
    protocol TEXT NOT NULL,
    service TEXT NOT NULL,
    state TEXT NOT NULL,
    sensor TEXT NOT NULL DEFAULT '',
    network TEXT NOT NULL DEFAULT '',
    is_late INTEGER NOT NULL DEFAULT 0,
    UNIQUE (protocol, service, state, sensor, network, is_late)
) STRICT;
INSERT INTO labels_by_provenance (number, protocol, service, state) SELECT number, protocol, service, state FROM labels;
DROP TABLE labels;
ALTER TABLE labels_by_provenance RENAME TO labels;

CREATE TABLE cells_by_network (
    number INTEGER PRIMARY KEY,
    detector TEXT NOT NULL,
    kind TEXT NOT NULL,
    window_number INTEGER NOT NULL,
    raised INTEGER NOT NULL,
    targets INTEGER NOT NULL DEFAULT 0,
    summary BLOB,
    touched_ms INTEGER NOT NULL,
    network TEXT NOT NULL DEFAULT '',
    UNIQUE (detector, kind, window_number, network)
) STRICT;
INSERT INTO cells_by_network (number, detector, kind, window_number, raised, targets, summary, touched_ms)
    SELECT number, detector, kind, window_number, raised, targets, summary, touched_ms FROM cells;
DROP TABLE cells;
ALTER TABLE cells_by_network RENAME TO cells;
CREATE INDEX cells_by_touched ON cells (touched_ms);

ALTER TABLE parts ADD COLUMN sensor TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN sensor TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN network TEXT NOT NULL DEFAULT '';
DROP INDEX alerts_by_source;
CREATE INDEX alerts_by_source ON alerts (source, network, count, score, state, sources)
    WHERE state <> 3 AND sources IS NULL;
";

/// Flows that are counted and not kept, by steps of the time axis: how many, and a sketch of their ids.
const COUNT_FLOWS: &str = "
CREATE TABLE counted_only (
    time_ms INTEGER PRIMARY KEY,
    flows INTEGER NOT NULL,
    sketch BLOB NOT NULL,
    recorded_ms INTEGER NOT NULL
) STRICT;
";

/// What `netsage_alerts::Bounded` has in memory. Of an alert that is there nobody knows how its flows were spread over
/// targets, so all of them become a part to the target that it shows; windows had an hour.
const BOUND_ALERTS: &str = "
-- Hits of one detector and kind in one window: `raised` counts the alerts, shown or held back, `targets` those of targets
-- of many sources; `summary` is of all hits since there first were more alerts than the limit.
CREATE TABLE cells (
    number INTEGER PRIMARY KEY,
    detector TEXT NOT NULL,
    kind TEXT NOT NULL,
    window_number INTEGER NOT NULL,
    raised INTEGER NOT NULL,
    targets INTEGER NOT NULL DEFAULT 0,
    summary BLOB,
    touched_ms INTEGER NOT NULL,
    UNIQUE (detector, kind, window_number)
) STRICT;
CREATE INDEX cells_by_touched ON cells (touched_ms);

-- Every alert of a cell, shown or held back; `subject` is its source, or, with a `summary`, its target.
CREATE TABLE raised (
    number INTEGER PRIMARY KEY,
    cell INTEGER NOT NULL REFERENCES cells (number),
    id BLOB NOT NULL,
    subject TEXT NOT NULL,
    is_shown INTEGER NOT NULL,
    summary BLOB,
    UNIQUE (cell, id)
) STRICT;
CREATE INDEX raised_shown ON raised (cell, id) WHERE is_shown = 1;

-- Of the alert of a source, what goes to one target that has no alert of its own. A scan makes thousands: rows lie in the
-- order in which they were made, so that recording them touches few pages.
CREATE TABLE parts (
    number INTEGER PRIMARY KEY,
    raised INTEGER NOT NULL REFERENCES raised (number),
    target TEXT NOT NULL,
    cell INTEGER NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    source_port INTEGER NOT NULL,
    protocol TEXT NOT NULL,
    community_id TEXT NOT NULL,
    score REAL NOT NULL,
    threshold REAL NOT NULL,
    severity INTEGER NOT NULL,
    detector INTEGER NOT NULL REFERENCES detectors (number),
    schema TEXT NOT NULL,
    contributions TEXT NOT NULL,
    best_flow BLOB NOT NULL,
    flows BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX parts_by_target ON parts (cell, target, raised);
CREATE INDEX parts_by_raised ON parts (raised);

-- Which flows the alert of a source has counted. Kept as long as the alert, longer than the flows themselves.
CREATE TABLE counted (
    raised INTEGER NOT NULL REFERENCES raised (number),
    flow BLOB NOT NULL,
    PRIMARY KEY (raised, flow)
) STRICT, WITHOUT ROWID;

INSERT INTO cells (detector, kind, window_number, raised, touched_ms)
    SELECT detector_name, kind, first_seen_ms / 3600000, count(*), max(touched_ms) FROM alerts GROUP BY 1, 2, 3;
ALTER TABLE alerts ADD COLUMN cell INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alerts ADD COLUMN sources TEXT;
ALTER TABLE alerts ADD COLUMN merged_into BLOB;
ALTER TABLE alerts ADD COLUMN state_before INTEGER NOT NULL DEFAULT 0;
UPDATE alerts SET cell = (SELECT number FROM cells WHERE cells.detector = alerts.detector_name
    AND cells.kind = alerts.kind AND cells.window_number = alerts.first_seen_ms / 3600000);
INSERT INTO raised (number, cell, id, subject, is_shown) SELECT number, cell, id, source, 1 FROM alerts;
INSERT INTO parts SELECT number, number,
    iif(instr(destination, ':'), '[' || destination || ']', destination) || ':' || destination_port, cell, first_seen_ms,
    last_seen_ms, count, source_port, protocol, community_id, score, threshold, severity, detector, schema, contributions,
    best_flow, x'' FROM alerts;
INSERT INTO counted SELECT alert, flow FROM alert_flows;
DROP TABLE alert_flows;

-- Merged alerts (`state` 3) are for readers of the changes.
CREATE INDEX alerts_merged ON alerts (cell, revision) WHERE state = 3;
DROP INDEX alerts_by_source;
CREATE INDEX alerts_by_source ON alerts (source, count, score, state, sources) WHERE state <> 3 AND sources IS NULL;

-- Of the flows of a step, those whose hits are all in alerts of targets of many sources or held back: `alerted` is 2.
ALTER TABLE timeline ADD COLUMN held_back INTEGER NOT NULL DEFAULT 0;
CREATE INDEX timeline_held_back ON timeline (time_ms) WHERE held_back > 0;
";

/// An index for each condition of a listing of alerts, in the order of the listing. The name of its detector is part of
/// what an alert is and never changes.
const INDEX_FILTERS: &str = "
ALTER TABLE alerts ADD COLUMN detector_name TEXT NOT NULL DEFAULT '';
UPDATE alerts SET detector_name = (SELECT name FROM detectors WHERE number = alerts.detector);
CREATE INDEX alerts_by_detector_name ON alerts (detector_name, last_seen_ms, id);
CREATE INDEX alerts_by_kind ON alerts (kind, last_seen_ms, id);
CREATE INDEX alerts_by_severity ON alerts (severity, last_seen_ms, id);
CREATE INDEX alerts_by_source_and_last_seen ON alerts (source, last_seen_ms, id);
";

const BASE: &str = "
-- The digest of a package is 64 digits long and the same for millions of scores, so flows refer to it by number.
CREATE TABLE detectors (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    generation INTEGER NOT NULL,
    UNIQUE (digest, name, version, generation)
) STRICT;

-- Protocol, application and state of flows: few different ones, so flows refer to them by number.
CREATE TABLE labels (
    number INTEGER PRIMARY KEY,
    protocol TEXT NOT NULL,
    service TEXT NOT NULL,
    state TEXT NOT NULL,
    UNIQUE (protocol, service, state)
) STRICT;

-- Rows lie in the order of the listing, which is nearly that in which flows arrive: recording touches few pages, and
-- there is no other index. Addresses: 4 or 16 bytes; `community_id`: its hash; `scores`: pairs of detector number (u32)
-- and score (f32), little-endian.
CREATE TABLE flows (
    end_ms INTEGER NOT NULL,
    id BLOB NOT NULL,
    start_ms INTEGER NOT NULL,
    source BLOB NOT NULL,
    source_port INTEGER NOT NULL,
    destination BLOB NOT NULL,
    destination_port INTEGER NOT NULL,
    label INTEGER NOT NULL REFERENCES labels (number),
    packets INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    community_id BLOB NOT NULL,
    scores BLOB NOT NULL,
    highest_score REAL,
    fused_mean REAL,
    fused_max REAL,
    alerted INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    PRIMARY KEY (end_ms, id)
) STRICT, WITHOUT ROWID;

-- Which sources have flows in which step of the timeline. A row per source and step costs recording a tenth of what an
-- index of flows by source does, which touches a page per flow.
CREATE TABLE flow_sources (
    time_ms INTEGER NOT NULL,
    source BLOB NOT NULL,
    PRIMARY KEY (time_ms, source)
) STRICT, WITHOUT ROWID;

-- Between which ends the flows recorded in a minute lie: where to look for those that are past their time.
CREATE TABLE recorded (
    minute_ms INTEGER PRIMARY KEY,
    first_end_ms INTEGER NOT NULL,
    last_end_ms INTEGER NOT NULL
) STRICT;

-- The time axis of the overview, kept up as flows arrive: `time_ms` is the start of a step of 10 s.
CREATE TABLE timeline (
    time_ms INTEGER PRIMARY KEY,
    flows INTEGER NOT NULL,
    alerted INTEGER NOT NULL
) STRICT;

-- `severity` 0 low to 3 critical; `state` 0 new, 1 acknowledged, 2 closed; `contributions` JSON. Each change gives an
-- alert a new `revision`, so that the alerts untouched for longest are those with the smallest.
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    revision INTEGER NOT NULL UNIQUE,
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
    best_flow BLOB NOT NULL,
    touched_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX alerts_by_last_seen ON alerts (last_seen_ms, id);
CREATE INDEX alerts_by_state ON alerts (state, last_seen_ms, id);
CREATE INDEX alerts_by_source ON alerts (source, count, score);

-- The last revision given, in one row. It is kept apart from the alerts, since the alert that has it may be deleted.
CREATE TABLE revisions (
    last INTEGER NOT NULL
) STRICT;
INSERT INTO revisions VALUES (0);

-- Which flows an alert has counted. Kept as long as the alert, longer than the flows themselves.
CREATE TABLE alert_flows (
    alert INTEGER NOT NULL REFERENCES alerts (number),
    flow BLOB NOT NULL,
    PRIMARY KEY (alert, flow)
) STRICT, WITHOUT ROWID;

-- How far sources and outputs have come, in their own words.
CREATE TABLE positions (
    name TEXT PRIMARY KEY,
    position BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The version that these steps lead to.
fn version_after(steps: &[Migration]) -> i64 {
    i64::try_from(steps.len()).map_or(i64::MAX, |steps| BASE_VERSION - 1 + steps)
}

/// Tables and indexes: kind, name and definition of each, as bytes, since what is damaged may be no text.
type Definitions = BTreeSet<[Vec<u8>; 3]>;

fn definitions(connection: &Connection) -> rusqlite::Result<Definitions> {
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")?
        .query_map([], |row| {
            let bytes = |column| -> rusqlite::Result<Vec<u8>> {
                Ok(row.get_ref(column)?.as_bytes().unwrap_or_default().to_vec())
            };
            Ok([bytes(0)?, bytes(1)?, bytes(2)?])
        })?
        .collect()
}

/// The definitions of every version that is known.
fn versions() -> rusqlite::Result<Vec<(i64, Definitions)>> {
    let mut connection = Connection::open_in_memory()?;
    let transaction = connection.transaction()?;
    (BASE_VERSION..)
        .zip(MIGRATIONS)
        .map(|(version, step)| {
            step(&transaction)?;
            Ok((version, definitions(&transaction)?))
        })
        .collect()
}

/// What the header of a file and its tables say of its version together.
pub(super) enum Marks {
    /// The same, or nothing that is known here.
    Agree,
    /// The tables are those of a version that is known, and a mark said otherwise; it is written again.
    Mended,
}

/// Compares the marks in the header of a file with its tables, each of which tells the version.
///
/// # Errors
/// [`StoreError::Damaged`] when a definition of the version that the header tells is missing or another; further ones, such
/// as an index that somebody made, do no harm.
pub(super) fn check_marks(connection: &Connection, path: &Path) -> Result<Marks, StoreError> {
    let check = || -> rusqlite::Result<Option<Marks>> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let (found, known) = (definitions(&transaction)?, versions()?);
        let mark = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (id, version) = (mark("application_id")?, mark("user_version")?);
        let Some((told, _)) = known.iter().find(|(_, expected)| *expected == found) else {
            let expected = known
                .iter()
                .find(|(known, _)| *known == version && id == APPLICATION_ID);
            let is_whole = expected.is_none_or(|(_, expected)| found.is_superset(expected));
            return Ok(is_whole.then_some(Marks::Agree));
        };
        if (id, version) == (APPLICATION_ID, *told) {
            return Ok(Some(Marks::Agree));
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", told)?;
        transaction.commit()?;
        Ok(Some(Marks::Mended))
    };
    check()
        .map_err(|error| opening(path, &error))?
        .ok_or_else(|| StoreError::Damaged {
            detail: "its tables are not those of its version".to_owned(),
        })
}

/// Opens the file for writing, makes it when absent, and brings its tables up to date. Before that `check` looks at the
/// file. A file that is refused is left as it was, with its log.
pub(super) fn open_writer(
    path: &Path,
    check: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| opening(path, &error);
    let mut connection = Connection::open(path).map_err(failed)?;
    keep_log_at_close(&connection, true).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    check(&connection)?;
    migrate(&mut connection, path, MIGRATIONS)?;
    keep_log_at_close(&connection, false).map_err(failed)?;
    Ok(connection)
}

/// Takes the right to write, and gives it back without having written.
pub(super) fn probe(connection: &mut Connection) -> Result<(), StoreError> {
    let mut take = || -> rusqlite::Result<()> {
        connection.busy_timeout(PROBE_TIMEOUT)?;
        let taken = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map(drop);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        taken
    };
    take().map_err(StoreError::sqlite("begin to write"))
}

/// An empty store in memory, for its tables.
pub(super) fn in_memory() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    let transaction = connection.transaction()?;
    MIGRATIONS.iter().try_for_each(|step| step(&transaction))?;
    transaction.commit()?;
    Ok(connection)
}

/// Whether the last connection that is closed leaves the log beside the database, and does not bring it into it.
pub(super) fn keep_log_at_close(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
        .map(|_| ())
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
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Reading the header now tells a foreign file from a database before anything is written to it.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    // A killed process loses nothing; a power cut may lose the last batches and leaves the file whole.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    // Statements here keep the references; to look each up again is a tenth of what recording costs.
    connection.pragma_update(None, "foreign_keys", false)
}

fn migrate(connection: &mut Connection, path: &Path, steps: &[Migration]) -> Result<(), StoreError> {
    let known = version_after(steps);
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
    let place = || path.display().to_string();
    if version > known {
        return Err(StoreError::Newer {
            place: place(),
            found: version,
            known,
        });
    }
    if !fresh && version < BASE_VERSION {
        return Err(StoreError::Older {
            place: place(),
            found: version,
            oldest: BASE_VERSION,
        });
    }
    if version < known {
        let done = if fresh { 0 } else { version - BASE_VERSION + 1 };
        for step in steps.iter().skip(usize::try_from(done).unwrap_or(usize::MAX)) {
            step(&transaction).map_err(failed)?;
        }
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", known)
            .map_err(failed)?;
    }
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
        // A number in the header that no SQLite writes, or tables that are not as their version says.
        Some(ErrorCode::Unknown) => StoreError::Damaged {
            detail: error.to_string(),
        },
        _ => StoreError::CannotOpen {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file as a later program would open it.
    fn migrate_further(path: &Path, step: Migration) -> Result<Connection, StoreError> {
        let mut connection = Connection::open(path).expect("opens");
        let steps = [MIGRATIONS, &[step]].concat();
        migrate(&mut connection, path, &steps).map(|()| connection)
    }

    fn position(connection: &Connection) -> (i64, String) {
        connection
            .query_row(
                "SELECT user_version, name FROM pragma_user_version, positions",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .expect("a position")
    }

    #[test]
    fn every_step_can_be_told_by_its_tables() {
        let versions = versions().expect("versions");
        let different: BTreeSet<&Definitions> = versions.iter().map(|(_, found)| found).collect();
        assert_eq!(different.len(), MIGRATIONS.len());
        assert!(!different.contains(&Definitions::new()));
    }

    #[test]
    fn a_step_keeps_what_is_there_or_leaves_the_file_as_it_was() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a.db");
        open_writer(&path, |_| Ok(()))
            .and_then(|made| {
                made.execute("INSERT INTO positions VALUES ('a', x'01')", [])
                    .map_err(StoreError::sqlite("write"))
            })
            .expect("made");
        migrate_further(&path, |transaction| {
            transaction.execute_batch("UPDATE positions SET name = 'b'; SELECT no_such_function()")
        })
        .expect_err("the step fails");
        assert_eq!(
            position(&open_writer(&path, |_| Ok(())).expect("as it was")),
            (version_after(MIGRATIONS), "a".to_owned())
        );
        let later = migrate_further(&path, |transaction| {
            transaction.execute_batch("UPDATE positions SET name = 'c'")
        });
        assert_eq!(
            position(&later.expect("brought up to date")),
            (version_after(MIGRATIONS) + 1, "c".to_owned())
        );
        assert!(matches!(
            open_writer(&path, |_| Ok(())),
            Err(StoreError::Newer { .. })
        ));
    }
}
