//! Salvages what a damaged file still gives into a new file.
//!
//! Every page of the damaged file is read by itself, so that a damaged one costs its own rows and no others. Which table a
//! row belongs to is found on the way from the root of that table; the rows of pages that no way leads to any more are
//! known by the kinds of their values. What is computed of other rows (the time axis, sources by step, minutes of
//! recording) is computed again, and a row that the program could not show is left out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use netsage_alerts::{Sketch, Summary};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::damage::beside;
use super::rows::{ALERT_COLUMNS, alert as read_alert};
use super::write::MINUTE_MS;
use super::{schema, write};
use crate::StoreError;
use crate::overview::OVERVIEW_GRAIN_MS;

mod pages;

use pages::{Pages, TreePage};

/// Tables that are computed of others.
const COMPUTED: [&str; 3] = ["timeline", "flow_sources", "recorded"];

/// Rows written in one transaction.
const ROWS_AT_ONCE: u64 = 50_000;

/// Pages looked at to find out whether a file without marks is a store.
const PAGES_LOOKED_AT: u32 = 256;

/// What was salvaged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// The new store.
    pub target: PathBuf,
    /// Flows in the new store.
    pub flows: u64,
    /// Flows that were lost; `None` when the damaged file does not tell any more how many it had.
    pub flows_lost: Option<u64>,
    /// Alerts in the new store.
    pub alerts: u64,
    /// Alerts that were lost.
    pub alerts_lost: u64,
}

/// Reads what the damaged store `file` and its log still give into the new store `target`; neither `file` nor its log is
/// written to. Without a `target` it is made beside `file`, with `.recovered` behind its name.
///
/// # Errors
/// When `file` cannot be read or holds nothing of a store, or when `target` is there already or cannot be written.
pub fn recover(file: &Path, target: Option<&Path>) -> Result<Recovered, StoreError> {
    let target = target.map_or_else(|| beside(file, ".recovered"), Path::to_owned);
    let failed = |error: std::io::Error| StoreError::CannotOpen {
        path: target.clone(),
        reason: error.to_string(),
    };
    if target.exists() {
        return Err(StoreError::TargetExists { path: target });
    }
    let pages = Pages::open(file, &beside(file, "-wal")).map_err(|error| StoreError::CannotRead {
        path: file.to_owned(),
        reason: error.to_string(),
    })?;
    // Under another name until it is whole.
    let unfinished = beside(&target, ".part");
    let remove = || {
        for end in ["", "-wal", "-shm"] {
            // Left by an attempt that was cut short, or by this one when it failed.
            let _ = fs::remove_file(beside(&unfinished, end));
        }
    };
    remove();
    let salvage = || -> Result<Recovered, StoreError> {
        super::damage::make_private(&unfinished).map_err(failed)?;
        let mut connection = schema::open_writer(&unfinished, |_| Ok(()))?;
        let salvaged = Salvage::new(&pages, &connection)
            .and_then(|salvage| salvage.run(&mut connection))
            .map_err(StoreError::sqlite("write what was salvaged"))?;
        if salvaged.rows == 0 {
            return Err(StoreError::NothingToRecover {
                path: file.to_owned(),
            });
        }
        super::bring_in_log(&connection);
        drop(connection);
        fs::rename(&unfinished, &target).map_err(failed)?;
        Ok(Recovered {
            target: target.clone(),
            flows: salvaged.flows,
            flows_lost: salvaged
                .flows_expected
                .map(|expected| expected.saturating_sub(salvaged.flows)),
            alerts: salvaged.alerts,
            alerts_lost: salvaged.alerts_lost,
        })
    };
    let outcome = salvage();
    if outcome.is_err() {
        remove();
    }
    outcome
}

/// Whether a file whose marks are damaged has rows of a store.
pub(super) fn holds_rows(file: &Path) -> bool {
    let look = || -> Option<bool> {
        let pages = Pages::open(file, &beside(file, "-wal")).ok()?;
        let connection = schema::in_memory().ok()?;
        let shapes = shapes(&connection).ok()?;
        let telling: Vec<&Shape> = shapes
            .iter()
            .filter(|shape| ["flows", "alerts"].contains(&shape.table.as_str()))
            .collect();
        let holds = |number: u32| {
            let page = pages.newest(number)?;
            let tree = TreePage::parse(&page, number)?;
            let rows = tree.rows(&page, &pages);
            let is_of = |(row, values): &(Option<i64>, Vec<Value>)| {
                telling.iter().any(|shape| shape.fits(*row, values))
            };
            rows.iter().any(is_of).then_some(())
        };
        Some((2..=pages.count().min(PAGES_LOOKED_AT)).any(|number| holds(number).is_some()))
    };
    look().unwrap_or(false)
}

/// Whether the log of a file has damaged frames, behind which SQLite does not read on.
pub(super) fn has_damaged_log(file: &Path) -> bool {
    let log = beside(file, "-wal");
    log.exists() && Pages::open(file, &log).is_ok_and(|pages| pages.has_damaged_log())
}

/// The last revision that a damaged file still names, 0 if none.
pub(super) fn last_revision(file: &Path) -> i64 {
    let read = || {
        // SQLite deletes the log of an empty database.
        fs::metadata(file).ok().filter(|metadata| metadata.len() > 0)?;
        schema::open_reader(file)
            .ok()?
            .query_row("SELECT max(last) FROM revisions", [], |row| row.get(0))
            .ok()
    };
    read().unwrap_or(0)
}

/// What the rows of a table are like.
struct Shape {
    table: String,
    columns: Vec<Column>,
    /// Rows by number, which stands in this column if it is in one.
    number_in: Option<usize>,
    is_by_number: bool,
    /// Columns that every version of the table has.
    fewest: usize,
}

struct Column {
    name: String,
    kind: String,
    may_be_null: bool,
}

impl Shape {
    fn fits(&self, row: Option<i64>, values: &[Value]) -> bool {
        row.is_some() == self.is_by_number
            && (self.fewest..=self.columns.len()).contains(&values.len())
            && self
                .columns
                .iter()
                .zip(values)
                .enumerate()
                .all(|(place, (column, value))| {
                    match (value, column.kind.as_str()) {
                        (Value::Null, _) => column.may_be_null || self.number_in == Some(place),
                        (Value::Integer(_), "INTEGER") => self.number_in != Some(place),
                        // A whole number is stored as such.
                        (Value::Integer(_) | Value::Real(_), "REAL") => true,
                        (Value::Text(_), "TEXT") | (Value::Blob(_), "BLOB") => true,
                        _ => false,
                    }
                })
    }
}

/// The tables of a store with their columns.
fn shapes(connection: &Connection) -> rusqlite::Result<Vec<Shape>> {
    let tables: Vec<(String, bool)> = connection
        .prepare("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut shapes = Vec::new();
    for (table, is_by_key) in tables {
        let mut number_in = None;
        let mut fewest = 0;
        let mut columns = Vec::new();
        let mut statement = connection.prepare(
            "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk FROM pragma_table_info(?1)",
        )?;
        let mut rows = statement.query([&table])?;
        while let Some(row) = rows.next()? {
            let (kind, is_filled, has_default): (String, bool, bool) =
                (row.get(1)?, row.get(2)?, row.get(3)?);
            let is_key = row.get::<_, i64>(4)? > 0;
            if is_key && !is_by_key && kind == "INTEGER" {
                number_in = Some(columns.len());
            }
            columns.push(Column {
                name: row.get(0)?,
                kind,
                may_be_null: !is_filled && !is_key,
            });
            // A column that was added later has a default or may be null.
            if is_key || (is_filled && !has_default) {
                fewest = columns.len();
            }
        }
        shapes.push(Shape {
            table,
            columns,
            number_in,
            is_by_number: !is_by_key,
            fewest,
        });
    }
    Ok(shapes)
}

/// What came of it.
#[derive(Default)]
struct Salvaged {
    rows: u64,
    flows: u64,
    flows_expected: Option<u64>,
    alerts: u64,
    alerts_lost: u64,
}

/// The work.
struct Salvage<'a> {
    pages: &'a Pages,
    shapes: Vec<Shape>,
    /// The table or index that the pages of a tree belong to.
    owners: BTreeMap<u32, String>,
    free: BTreeSet<u32>,
}

impl<'a> Salvage<'a> {
    fn new(pages: &'a Pages, connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            pages,
            shapes: shapes(connection)?,
            owners: owners(pages),
            free: pages.free(),
        })
    }

    fn run(&self, connection: &mut Connection) -> rusqlite::Result<Salvaged> {
        connection.pragma_update(None, "foreign_keys", false)?;
        let mut salvaged = Salvaged::default();
        let mut expected: BTreeMap<i64, u64> = BTreeMap::new();
        let mut alert_ids: HashSet<[u8; 16]> = HashSet::new();
        let mut detectors: BTreeSet<u32> = BTreeSet::new();
        let mut transaction = connection.transaction()?;
        transaction.execute("DELETE FROM revisions", [])?;
        for number in 1..=self.pages.count() {
            let owner = self.owners.get(&number).map(String::as_str);
            if owner.is_none() && self.free.contains(&number) {
                continue;
            }
            for page in self.pages.versions(number) {
                let Some(tree) = TreePage::parse(&page, number) else {
                    continue;
                };
                for (row, values) in tree.rows(&page, self.pages) {
                    if let Some(id) = alert_id_of_index(row, &values) {
                        alert_ids.insert(id);
                    }
                    if let ("timeline", Some(time), [_, Value::Integer(flows), ..]) =
                        (owner.unwrap_or_default(), row, &values[..])
                    {
                        // The newest version of a page comes first.
                        let flows = u64::try_from(*flows).unwrap_or(0);
                        expected.entry(time).or_insert(flows);
                        continue;
                    }
                    let Some(shape) = self.shape(owner, row, &values) else {
                        continue;
                    };
                    if shape.table == "flows" {
                        note_detectors(&values, &mut detectors);
                    }
                    insert(&transaction, shape, row, values)?;
                    salvaged.rows += 1;
                    if salvaged.rows.is_multiple_of(ROWS_AT_ONCE) {
                        transaction.commit()?;
                        transaction = connection.transaction()?;
                    }
                }
            }
        }
        if !expected.is_empty() {
            let sum = expected
                .values()
                .fold(0, |sum: u64, flows| sum.saturating_add(*flows));
            salvaged.flows_expected = Some(sum);
        }
        leave_out_what_cannot_be_shown(&transaction)?;
        fill_in(&transaction, &detectors)?;
        let count = |table: &str| {
            transaction.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get::<_, i64>(0)
            })
        };
        salvaged.flows = count("flows")?.cast_unsigned();
        salvaged.alerts = count("alerts")?.cast_unsigned();
        for id in alert_ids {
            let is_there = transaction
                .prepare_cached("SELECT count(*) FROM alerts WHERE id = ?1")?
                .query_row([id], |row| row.get::<_, bool>(0))?;
            salvaged.alerts_lost += u64::from(!is_there);
        }
        transaction.commit()?;
        Ok(salvaged)
    }

    /// The table that a row belongs to: that of its page, or where that cannot be, one whose rows are like it.
    fn shape(&self, owner: Option<&str>, row: Option<i64>, values: &[Value]) -> Option<&Shape> {
        let is_table = |name: &str| self.shapes.iter().any(|shape| shape.table == name);
        let of_owner = self
            .shapes
            .iter()
            .find(|shape| Some(shape.table.as_str()) == owner && shape.fits(row, values));
        if of_owner.is_some() || owner.is_some_and(|owner| !is_table(owner)) {
            return of_owner.filter(|shape| !COMPUTED.contains(&shape.table.as_str()));
        }
        self.shapes
            .iter()
            .find(|shape| !COMPUTED.contains(&shape.table.as_str()) && shape.fits(row, values))
    }
}

/// Which pages belong to which table or index, as far as ways from its root lead.
fn owners(pages: &Pages) -> BTreeMap<u32, String> {
    let mut owners = BTreeMap::new();
    let mut roots = Vec::new();
    for number in tree(pages, 1) {
        owners.insert(number, "sqlite_schema".to_owned());
        let Some(page) = pages.newest(number) else {
            continue;
        };
        let Some(parsed) = TreePage::parse(&page, number) else {
            continue;
        };
        for (_, values) in parsed.rows(&page, pages) {
            if let [Value::Text(_), Value::Text(name), _, Value::Integer(root), ..] = &values[..]
                && let Ok(root) = u32::try_from(*root)
                && root > 1
            {
                roots.push((root, name.clone()));
            }
        }
    }
    let mut contested = BTreeSet::new();
    for (root, name) in roots {
        for number in tree(pages, root) {
            if owners.insert(number, name.clone()).is_some() {
                contested.insert(number);
            }
        }
    }
    // A root that was written to a second place leads to the pages of another tree.
    owners.retain(|number, _| !contested.contains(number));
    owners
}

/// The pages of a tree.
fn tree(pages: &Pages, root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut to_visit = vec![root];
    while let Some(number) = to_visit.pop() {
        if number == 0 || number > pages.count() || !found.insert(number) {
            continue;
        }
        if let Some(page) = pages.newest(number)
            && let Some(parsed) = TreePage::parse(&page, number)
        {
            to_visit.extend(parsed.children);
        }
    }
    found
}

/// The id of an alert in an entry of the indexes by id and by time.
fn alert_id_of_index(row: Option<i64>, values: &[Value]) -> Option<[u8; 16]> {
    match (row, values) {
        (
            None,
            [Value::Blob(id), Value::Integer(_)] | [Value::Integer(_), Value::Blob(id), Value::Integer(_)],
        ) => id.as_slice().try_into().ok(),
        _ => None,
    }
}

/// Notes which detectors the scores of a flow refer to.
fn note_detectors(values: &[Value], detectors: &mut BTreeSet<u32>) {
    /// Where the scores stand in a flow.
    const SCORES: usize = 11;
    if let Some(Value::Blob(scores)) = values.get(SCORES) {
        let numbers = scores.as_chunks::<8>().0.iter();
        detectors.extend(numbers.map(|&[n0, n1, n2, n3, ..]| u32::from_le_bytes([n0, n1, n2, n3])));
    }
}

fn insert(
    connection: &Connection,
    shape: &Shape,
    row: Option<i64>,
    mut values: Vec<Value>,
) -> rusqlite::Result<()> {
    if let (Some(place), Some(number)) = (shape.number_in, row)
        && let Some(value) = values.get_mut(place)
    {
        *value = number.into();
    }
    if shape.table == "alerts"
        && let [number, id, revision, ..] = &values[..]
    {
        // Of two versions the later one counts.
        connection
            .prepare_cached("DELETE FROM alerts WHERE (number = ?1 OR id = ?2) AND revision < ?3")?
            .execute(params![number, id, revision])?;
    }
    let columns: Vec<&str> = shape.columns[..values.len()]
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let places: Vec<String> = (1..=values.len()).map(|place| format!("?{place}")).collect();
    let (table, columns, places) = (&shape.table, columns.join(", "), places.join(", "));
    let sql = format!("INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})");
    connection
        .prepare_cached(&sql)?
        .execute(params_from_iter(values))
        .map(drop)
}

/// Removes rows with values that no program writes: a bit of a value may be damaged where the page is sound. None was
/// recorded before 2020.
fn leave_out_what_cannot_be_shown(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM flows WHERE length(id) <> 16 OR length(community_id) <> 20 OR length(scores) % 8 <> 0 \
            OR length(source) NOT IN (4, 16) OR length(destination) NOT IN (4, 16) \
            OR source_port NOT BETWEEN 0 AND 65535 OR destination_port NOT BETWEEN 0 AND 65535 \
            OR alerted NOT IN (0, 1, 2) OR recorded_ms < 1577836800000; \
         UPDATE alerts SET detector_name = 'unknown' WHERE detector_name = '' \
            AND detector NOT IN (SELECT number FROM detectors); \
         UPDATE alerts SET detector_name = (SELECT name FROM detectors WHERE number = alerts.detector) \
            WHERE detector_name = ''; \
         INSERT OR IGNORE INTO detectors (number, digest, name, version, generation) \
            SELECT DISTINCT detector, 'lost', detector_name, '0.0.0', detector FROM alerts \
            WHERE detector NOT IN (SELECT number FROM detectors);",
    )?;
    let mut broken: Vec<i64> = Vec::new();
    let mut statement = connection.prepare(&format!("SELECT {ALERT_COLUMNS}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if read_alert(row).is_err() {
            broken.push(row.get("number")?);
        }
    }
    for number in broken {
        connection.execute("DELETE FROM alerts WHERE number = ?1", [number])?;
    }
    drop(rows);
    leave_out_unreadable(connection, "raised", "number", "summary", |bytes| {
        Summary::from_bytes(bytes).is_some()
    })?;
    leave_out_unreadable(connection, "parts", "number", "flows", |bytes| {
        Sketch::from_bytes(bytes).is_some()
    })?;
    leave_out_unreadable(connection, "cells", "number", "summary", |bytes| {
        Summary::from_bytes(bytes).is_some()
    })
}

/// Removes the rows of a table, by a key, whose bytes in a column cannot be read.
fn leave_out_unreadable(
    connection: &Connection,
    table: &str,
    key: &str,
    column: &str,
    is_readable: fn(&[u8]) -> bool,
) -> rusqlite::Result<()> {
    let mut unreadable: Vec<i64> = Vec::new();
    let mut statement = connection.prepare(&format!(
        "SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !row.get_ref(1)?.as_blob().is_ok_and(is_readable) {
            unreadable.push(row.get(0)?);
        }
    }
    for number in unreadable {
        connection.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), [number])?;
    }
    Ok(())
}

/// Fills in what other rows refer to and what is lost, and computes what is computed.
fn fill_in(connection: &Connection, detectors: &BTreeSet<u32>) -> rusqlite::Result<()> {
    for number in detectors {
        connection.execute(
            "INSERT OR IGNORE INTO detectors (number, digest, name, version, generation) \
             VALUES (?1, 'lost', 'unknown', '0.0.0', ?1)",
            [number],
        )?;
    }
    connection.execute_batch(
        "INSERT OR IGNORE INTO labels (number, protocol, service, state) \
            SELECT DISTINCT label, '-', '-', 'lost ' || label FROM flows \
            WHERE label NOT IN (SELECT number FROM labels); \
         DELETE FROM raised WHERE cell NOT IN (SELECT number FROM cells) OR length(id) <> 16; \
         DELETE FROM parts WHERE raised NOT IN (SELECT number FROM raised); \
         DELETE FROM counted WHERE raised NOT IN (SELECT number FROM raised) OR length(flow) <> 16; \
         UPDATE raised SET is_shown = EXISTS (SELECT 1 FROM alerts WHERE alerts.id = raised.id AND state <> 3); \
         UPDATE cells SET raised = (SELECT count(*) FROM raised WHERE raised.cell = cells.number), \
            targets = (SELECT count(summary) FROM raised WHERE raised.cell = cells.number);",
    )?;
    // The start of a step, also before 1970.
    let start = |column: &str, step: i64| format!("{column} - (({column} % {step}) + {step}) % {step}");
    let (step, minute) = (
        start("end_ms", OVERVIEW_GRAIN_MS),
        start("recorded_ms", MINUTE_MS),
    );
    connection.execute_batch(&format!(
        "INSERT INTO timeline (time_ms, flows, alerted, held_back) \
            SELECT {step}, count(*), sum(alerted <> 0), sum(alerted = 2) FROM flows GROUP BY 1; \
         INSERT OR IGNORE INTO flow_sources (time_ms, source) SELECT {step}, source FROM flows; \
         INSERT INTO recorded (minute_ms, first_end_ms, last_end_ms) \
            SELECT {minute}, min(end_ms), max(end_ms) FROM flows GROUP BY 1;"
    ))?;
    let last = connection.query_row(
        "SELECT max(coalesce((SELECT max(last) FROM revisions), 0), coalesce((SELECT max(revision) FROM alerts), 0))",
        [],
        |row| row.get(0),
    )?;
    connection.execute("DELETE FROM revisions", [])?;
    connection.execute("INSERT INTO revisions (last) VALUES (0)", [])?;
    write::write_last_revision(connection, last)
}
