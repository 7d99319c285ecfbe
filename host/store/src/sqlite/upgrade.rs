//! From the second version of the tables to the third: flows in the order of their listing, narrow.

use std::net::IpAddr;

use rusqlite::types::{Type, Value};
use rusqlite::{Row, Transaction, params};

use super::numbers::label_number;
use super::rows::Address;
use netsage_alerts::text::parse_community_id;

const BEFORE: &str = "
-- A detector's generation is part of what a score says about its origin.
CREATE TABLE detectors_with_generation (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    generation INTEGER NOT NULL,
    UNIQUE (digest, name, version, generation)
) STRICT;
INSERT INTO detectors_with_generation SELECT number, digest, name, version, 0 FROM detectors;
DROP TABLE detectors;
ALTER TABLE detectors_with_generation RENAME TO detectors;

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
ALTER TABLE flows RENAME TO flows_of_before;
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
";

const AFTER: &str = "
DROP TABLE flows_of_before;
INSERT INTO flow_sources (time_ms, source)
    SELECT DISTINCT end_ms - ((end_ms % 10000) + 10000) % 10000, source FROM flows;
INSERT INTO recorded (minute_ms, first_end_ms, last_end_ms)
    SELECT recorded_ms / 60000 * 60000 AS minute, min(end_ms), max(end_ms) FROM flows GROUP BY minute;
";

/// Makes version 3 of version 2.
pub(super) fn to_third(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(BEFORE)?;
    move_flows(transaction)?;
    transaction.execute_batch(AFTER)
}

fn move_flows(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut read = transaction.prepare(
        "SELECT end_ms, id, start_ms, source, source_port, destination, destination_port, protocol, service, state, \
         packets, bytes, community_id, scores, highest_score, alerted, recorded_ms FROM flows_of_before ORDER BY end_ms",
    )?;
    let mut write = transaction.prepare(
        "INSERT INTO flows (end_ms, id, start_ms, source, source_port, destination, destination_port, label, packets, \
         bytes, community_id, scores, highest_score, alerted, recorded_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        let label = label_number(transaction, [text(7)?, text(8)?, text(9)?])?;
        let community_id = convert(row, 12, |text| parse_community_id(text).map(|hash| hash.to_vec()))?;
        write.execute(params![
            value(row, 0)?,
            value(row, 1)?,
            value(row, 2)?,
            address(row, 3)?,
            value(row, 4)?,
            address(row, 5)?,
            value(row, 6)?,
            label,
            value(row, 10)?,
            value(row, 11)?,
            community_id,
            value(row, 13)?,
            value(row, 14)?,
            value(row, 15)?,
            value(row, 16)?,
        ])?;
    }
    Ok(())
}

fn value(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    row.get(column)
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Address> {
    convert(row, column, |text| text.parse::<IpAddr>().ok().map(Address::from))
}

/// What a text means, or an error that shows it.
fn convert<T>(row: &Row<'_>, column: usize, meaning: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    meaning(&text).ok_or_else(|| {
        let problem = format!("a flow of an earlier version has `{text}` where that makes no sense");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, problem.into())
    })
}
