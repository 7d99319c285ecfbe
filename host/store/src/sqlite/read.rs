//! Listings and the overview.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netsage_api_types::{Alert, AlertQuery, AlertState, Flow, FlowQuery, Page, Severity, TopSource};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::numbers::DetectorNames;
use super::rows::{ALERT_COLUMNS, Address, FLOW_COLUMNS, alert as read_alert, flow, state_code};
use super::series::TIME_AXIS;
use crate::cursor::{Cursor, Listing, PageBuilder};
use crate::overview::{Axis, OVERVIEW_GRAIN_MS, round_step, step_start};
use crate::record::{severity_rank, to_signed, to_unsigned};
use crate::{Change, Changes, StoreError, StoreOverview};
use netsage_alerts::text::parse_id;

pub(super) fn health(connection: &Connection) -> Result<(), StoreError> {
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(StoreError::sqlite("read the catalogue"))
}

/// Conditions and their values, in step with each other.
#[derive(Default)]
struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    /// Adds a condition: what stands before the value.
    fn add(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.values.push(value.into());
            self.conditions
                .push(format!("{condition} ?{}", self.values.len()));
        }
    }

    /// Adds that an entry stands after the cursor: `columns` are those of the time and the id.
    fn add_cursor(&mut self, columns: [&str; 2], cursor: Option<Cursor>) {
        if let Some(cursor) = cursor {
            self.values.push(cursor.time.into());
            self.values.push(cursor.id.to_vec().into());
            let ([time, id], last) = (columns, self.values.len());
            self.conditions
                .push(format!("({time}, {id}) < (?{}, ?{last})", last - 1));
        }
    }

    fn clause(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", self.conditions.join(" AND "))
        }
    }
}

/// Columns of [`ALERT_COLUMNS`] that a filter looks at, and those of the place in the listing.
mod alert_column {
    pub(super) const ID: usize = 0;
    pub(super) const LAST_SEEN: usize = 2;
    pub(super) const KIND: usize = 4;
    pub(super) const SOURCE: usize = 5;
    pub(super) const SEVERITY: usize = 13;
    pub(super) const DETECTOR: usize = 14;
    pub(super) const STATE: usize = 20;
    pub(super) const SENSOR: usize = 25;
    pub(super) const NETWORK: usize = 26;
}

/// The query for alerts in the order of their listing. An index serves the narrowest of the conditions, and the times;
/// [`is_wanted`] looks after the others, so that each row that is passed over is counted.
fn alerts_query(query: &AlertQuery, cursor: Option<Cursor>) -> (String, Vec<Value>) {
    let mut filter = Filter::default();
    filter.add("a.last_seen_ms >=", query.since);
    filter.add("a.last_seen_ms <", query.until);
    filter.add_cursor(["a.last_seen_ms", "a.id"], cursor);
    let text = |text: &Option<String>| text.clone();
    if query.source.is_some() {
        filter.add("a.source =", text(&query.source));
    } else if query.kind.is_some() {
        filter.add("a.kind =", text(&query.kind));
    } else if query.detector.is_some() {
        filter.add("a.detector_name =", text(&query.detector));
    } else if query.state.is_some() {
        filter.add("a.state =", query.state.map(state_code));
    } else if let Some(least @ 1..) = query.min_severity.map(severity_rank) {
        // Each severity lies in the order of the listing, and SQLite merges them.
        let most = severity_rank(Severity::Critical);
        let ranks: Vec<String> = (least..=most)
            .map(|rank| {
                let mut conditions = filter.conditions.clone();
                conditions.push(format!("a.severity = {rank}"));
                format!("SELECT {ALERT_COLUMNS} WHERE {}", conditions.join(" AND "))
            })
            .collect();
        let (time, id) = (alert_column::LAST_SEEN + 1, alert_column::ID + 1);
        let sql = format!("{} ORDER BY {time} DESC, {id} DESC", ranks.join(" UNION ALL "));
        return (sql, filter.values);
    }
    let sql = format!(
        "SELECT {ALERT_COLUMNS}{} ORDER BY a.last_seen_ms DESC, a.id DESC",
        filter.clause()
    );
    (sql, filter.values)
}

/// Whether a column of a row has the text that is wanted, where one is.
fn has_text(row: &Row<'_>, column: usize, wanted: Option<&str>) -> rusqlite::Result<bool> {
    let Some(wanted) = wanted else { return Ok(true) };
    Ok(row.get_ref(column)?.as_str()? == wanted)
}

/// Whether a row of [`ALERT_COLUMNS`] is what a query asks for, its times apart.
fn is_wanted(row: &Row<'_>, query: &AlertQuery) -> rusqlite::Result<bool> {
    let has_text = |column, wanted: &Option<String>| has_text(row, column, wanted.as_deref());
    let state: i64 = row.get(alert_column::STATE)?;
    let severity: i32 = row.get(alert_column::SEVERITY)?;
    let is_of_state = match query.state {
        Some(wanted) => state == state_code(wanted),
        None => state != state_code(AlertState::Merged),
    };
    Ok(is_of_state
        && query
            .min_severity
            .is_none_or(|least| severity_rank(least) <= severity)
        && has_text(alert_column::SOURCE, &query.source)?
        && has_text(alert_column::KIND, &query.kind)?
        && has_text(alert_column::DETECTOR, &query.detector)?
        && has_text(alert_column::SENSOR, &query.sensor)?
        && has_text(alert_column::NETWORK, &query.network)?)
}

pub(super) fn alerts(
    connection: &Connection,
    query: &AlertQuery,
    rows: u32,
) -> Result<Page<Alert>, StoreError> {
    let cursor = Cursor::of_query(query.cursor.as_ref(), Listing::Alerts)?;
    let mut page = PageBuilder::new(Listing::Alerts, query.limit, rows);
    let (sql, values) = alerts_query(query, cursor);
    let read = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let place = Cursor {
                time: row.get(alert_column::LAST_SEEN)?,
                id: row.get(alert_column::ID)?,
            };
            let entry = match is_wanted(row, query)? {
                true => Some(read_alert(row)?.record.alert),
                false => None,
            };
            if !page.look_at(place, entry) {
                break;
            }
        }
        Ok(())
    };
    read().map_err(StoreError::sqlite("list alerts"))?;
    Ok(page.finish())
}

pub(super) fn alert(connection: &Connection, id: &str) -> Result<Option<Alert>, StoreError> {
    let Some(id) = parse_id(id) else { return Ok(None) };
    connection
        .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))
        .and_then(|mut statement| statement.query_row([id], read_alert).optional())
        .map(|found| found.map(|stored| stored.record.alert))
        .map_err(StoreError::sqlite("read an alert"))
}

/// Up to `limit` alerts that changed after a revision, and the last revision given, both of the same moment.
pub(super) fn changes(connection: &mut Connection, after: u64, limit: usize) -> Result<Changes, StoreError> {
    let mut read = || -> rusqlite::Result<Changes> {
        let transaction = connection.transaction()?;
        let newest = transaction
            .prepare_cached("SELECT last FROM revisions")?
            .query_row([], |row| row.get(0))
            .map(to_unsigned)?;
        let sql = format!("SELECT {ALERT_COLUMNS} WHERE a.revision > ?1 ORDER BY a.revision LIMIT ?2");
        let items = transaction
            .prepare_cached(&sql)?
            .query_map([to_signed(after), to_signed(limit as u64)], read_alert)?
            .map(|row| {
                row.map(|stored| Change {
                    revision: stored.revision,
                    alert: stored.record.alert,
                })
            })
            .collect::<rusqlite::Result<Vec<Change>>>()?;
        Ok(Changes { items, newest })
    };
    read().map_err(StoreError::sqlite("read the changes of alerts"))
}

pub(super) fn position(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    connection
        .prepare_cached("SELECT position FROM positions WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional())
        .map_err(StoreError::sqlite("read a position"))
}

/// The query for flows in the order of their listing, in which they lie; `step` holds it to those that ended in that step
/// of the time axis.
fn flows_query(query: &FlowQuery, cursor: Option<Cursor>, step: Option<i64>) -> (String, Vec<Value>) {
    let mut filter = Filter::default();
    filter.add("f.end_ms >=", query.since);
    filter.add("f.end_ms <", query.until);
    filter.add("f.end_ms >=", step);
    filter.add(
        "f.end_ms <",
        step.map(|step| step.saturating_add(OVERVIEW_GRAIN_MS)),
    );
    filter.add_cursor(["f.end_ms", "f.id"], cursor);
    let sql = format!(
        "SELECT {FLOW_COLUMNS}, f.highest_score FROM flows f CROSS JOIN labels l ON l.number = f.label{} \
         ORDER BY f.end_ms DESC, f.id DESC",
        filter.clause()
    );
    (sql, filter.values)
}

/// The query for the steps of the time axis, the latest first, each with whether a source has flows in it.
fn steps_query(query: &FlowQuery, cursor: Option<Cursor>, source: IpAddr) -> (String, Vec<Value>) {
    let mut filter = Filter::default();
    filter.values.push(Address::from(source).bytes().to_vec().into());
    let since = query.since.map(|since| step_start(since, OVERVIEW_GRAIN_MS));
    filter.add("t.time_ms >=", since);
    filter.add("t.time_ms <", query.until);
    filter.add("t.time_ms <=", cursor.map(|cursor| cursor.time));
    let sql = format!(
        "SELECT t.time_ms, EXISTS (SELECT 1 FROM flow_sources s WHERE s.time_ms = t.time_ms AND s.source = ?1) \
         FROM timeline t{} ORDER BY t.time_ms DESC",
        filter.clause()
    );
    (sql, filter.values)
}

/// Looks through flows for a page.
struct FlowReader<'a> {
    connection: &'a Connection,
    query: &'a FlowQuery,
    cursor: Option<Cursor>,
    source: Option<Address>,
    page: PageBuilder<(Flow, Vec<u8>)>,
}

impl FlowReader<'_> {
    /// Looks through the flows that ended in a step, or through all; says whether to go on.
    fn look_through(&mut self, step: Option<i64>) -> rusqlite::Result<bool> {
        // Of `FLOW_COLUMNS`.
        const ID: usize = 0;
        const END: usize = 2;
        const SOURCE: usize = 3;
        const SENSOR: usize = 15;
        const NETWORK: usize = 16;
        let (sql, values) = flows_query(self.query, self.cursor, step);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let place = Cursor {
                time: row.get(END)?,
                id: row.get(ID)?,
            };
            let has_score = match self.query.min_score.map(f64::from) {
                None => true,
                Some(least) => row
                    .get::<_, Option<f64>>("highest_score")?
                    .is_some_and(|score| score >= least),
            };
            let is_of_source = match &self.source {
                None => true,
                Some(source) => row.get_ref(SOURCE)?.as_blob()? == source.bytes(),
            };
            let is_wanted = has_score
                && is_of_source
                && has_text(row, SENSOR, self.query.sensor.as_deref())?
                && has_text(row, NETWORK, self.query.network.as_deref())?;
            let entry = match is_wanted {
                true => Some(flow(row)?),
                false => None,
            };
            if !self.page.look_at(place, entry) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks only into the steps in which the source has flows.
    fn look_for(&mut self, source: IpAddr) -> rusqlite::Result<()> {
        let (sql, values) = steps_query(self.query, self.cursor, source);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut steps = statement.query(params_from_iter(values))?;
        while let Some(step) = steps.next()? {
            let (start, has_source): (i64, bool) = (step.get(0)?, step.get(1)?);
            let goes_on = if has_source {
                self.look_through(Some(start))?
            } else {
                // What is left stands before the step.
                let place = Cursor {
                    time: start,
                    id: [0; 16],
                };
                self.page.look_at(place, None)
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}

pub(super) fn flows(connection: &Connection, query: &FlowQuery, rows: u32) -> Result<Page<Flow>, StoreError> {
    let cursor = Cursor::of_query(query.cursor.as_ref(), Listing::Flows)?;
    let source: Option<IpAddr> = match query.source.as_deref().map(str::parse) {
        None => None,
        Some(Ok(address)) => Some(address),
        // No flow comes from what is no address.
        Some(Err(_)) => {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
    };
    let mut reader = FlowReader {
        connection,
        query,
        cursor,
        source: source.map(Address::from),
        page: PageBuilder::new(Listing::Flows, query.limit, rows),
    };
    match source {
        Some(source) => reader.look_for(source),
        None => reader.look_through(None).map(drop),
    }
    .map_err(StoreError::sqlite("list flows"))?;
    let Page { items: found, next } = reader.page.finish();
    let mut names = DetectorNames::new(connection);
    let mut items = Vec::with_capacity(found.len());
    for (mut flow, packed) in found {
        flow.scores = names.unpack(&packed)?;
        items.push(flow);
    }
    Ok(Page { items, next })
}

pub(super) fn overview(
    connection: &mut Connection,
    step_ms: i64,
    max_points: u32,
) -> Result<StoreOverview, StoreError> {
    let mut read = || -> rusqlite::Result<StoreOverview> {
        // One transaction, so that all figures are of the same moment.
        let transaction = connection.transaction()?;
        // Two queries, as SQLite answers each from one end of the keys and both together by reading all of them.
        let ends = |end: &str| {
            format!(
                "SELECT {end}(time_ms) AS time_ms FROM timeline UNION ALL SELECT {end}(time_ms) FROM counted_only"
            )
        };
        let oldest: Option<i64> = transaction.query_row(
            &format!("SELECT min(time_ms) FROM ({})", ends("min")),
            [],
            |row| row.get(0),
        )?;
        let newest: Option<i64> = transaction.query_row(
            &format!("SELECT max(time_ms) FROM ({})", ends("max")),
            [],
            |row| row.get(0),
        )?;
        let points = match oldest.zip(newest) {
            None => Vec::new(),
            Some((oldest, newest)) => {
                let axis = Axis::new(step_ms, max_points, oldest, newest);
                let mut known: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
                let mut statement = transaction.prepare_cached(TIME_AXIS)?;
                let mut rows = statement.query(params![axis.first, axis.end()])?;
                while let Some(row) = rows.next()? {
                    let point = known.entry(step_start(row.get(0)?, axis.step)).or_default();
                    point.0 += to_unsigned(row.get(1)?);
                    point.1 += to_unsigned(row.get(2)?);
                }
                axis.points(&known)
            }
        };
        let count = |sql| transaction.query_row(sql, [], |row| row.get(0)).map(to_unsigned);
        let alerts_new = transaction
            .query_row(
                "SELECT count(*) FROM alerts WHERE state = ?1",
                [state_code(AlertState::New)],
                |row| row.get(0),
            )
            .map(to_unsigned)?;
        let merged = transaction
            .query_row(
                "SELECT count(*) FROM alerts WHERE state = ?1",
                [state_code(AlertState::Merged)],
                |row| row.get(0),
            )
            .map(to_unsigned)?;
        let alerts_total = count("SELECT count(*) FROM alerts")?.saturating_sub(merged);
        let top_sources = transaction
            .prepare_cached(
                "SELECT source, network, count(*), sum(count), max(score) FROM alerts \
                 WHERE state <> 3 AND sources IS NULL \
                 GROUP BY source, network ORDER BY 4 DESC, source, network LIMIT 10",
            )?
            .query_map([], |row| {
                Ok(TopSource {
                    source: row.get(0)?,
                    network: row.get(1)?,
                    alerts: to_unsigned(row.get(2)?),
                    flows: to_unsigned(row.get(3)?),
                    score: row.get(4)?,
                })
            })?
            .collect::<rusqlite::Result<Vec<TopSource>>>()?;
        Ok(StoreOverview {
            step: round_step(step_ms),
            points,
            top_sources,
            alerts_new,
            alerts_total,
        })
    };
    read().map_err(StoreError::sqlite("read the overview"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema::open_writer;

    /// The lines of the plan of a query.
    fn plan(connection: &Connection, sql: &str, values: Vec<Value>) -> Vec<String> {
        connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .and_then(|mut plan| {
                plan.query_map(params_from_iter(values), |row| row.get(3))?
                    .collect()
            })
            .expect("a plan")
    }

    /// Checks that nothing is sorted, and that what is read begins at an index, where there are `bounds`.
    fn check_plan(connection: &Connection, (sql, values): (String, Vec<Value>), bounds: bool) {
        let plan = plan(connection, &sql, values);
        for unwanted in ["TEMP B-TREE", "AUTOMATIC"] {
            assert!(
                !plan.iter().any(|line| line.contains(unwanted)),
                "{sql}: {plan:?}"
            );
        }
        let scans = plan
            .iter()
            .any(|line| line.contains("SCAN f") || line.contains("SCAN a"));
        assert!(!(bounds && scans), "{sql}: {plan:?}");
    }

    #[test]
    fn no_page_is_sorted_or_read_from_its_start() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let connection = open_writer(&folder.path().join("a.db"), |_| Ok(())).expect("made");
        let cursor = Cursor { time: 7, id: [1; 16] };
        let source = IpAddr::from([10, 0, 0, 1]);
        let within = FlowQuery {
            since: Some(5),
            until: Some(50_000),
            ..FlowQuery::default()
        };
        for query in [FlowQuery::default(), within] {
            for cursor in [None, Some(cursor)] {
                for step in [None, Some(10_000)] {
                    let bounds = step.is_some() || cursor.is_some() || query.since.is_some();
                    check_plan(&connection, flows_query(&query, cursor, step), bounds);
                }
                check_plan(&connection, steps_query(&query, cursor, source), true);
            }
        }
        let choices: [fn(&mut AlertQuery); 6] = [
            |_| {},
            |query| query.source = Some("10.0.0.1".into()),
            |query| query.kind = Some("tcp/ssh".into()),
            |query| query.detector = Some("iforest".into()),
            |query| query.state = Some(AlertState::New),
            |query| query.min_severity = Some(Severity::Medium),
        ];
        for (number, choose) in choices.into_iter().enumerate() {
            for cursor in [None, Some(cursor)] {
                for since in [None, Some(5)] {
                    let mut query = AlertQuery {
                        since,
                        ..AlertQuery::default()
                    };
                    choose(&mut query);
                    let bounds = number > 0 || cursor.is_some() || since.is_some();
                    check_plan(&connection, alerts_query(&query, cursor), bounds);
                }
            }
        }
    }
}
