//! Listings and the overview.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netsage_api_types::{Alert, AlertQuery, AlertState, Flow, FlowQuery, Page, TopSource};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::numbers::DetectorNames;
use super::rows::{ALERT_COLUMNS, Address, FLOW_COLUMNS, alert as read_alert, flow, state_code};
use crate::cursor::{Cursor, Listing, page, page_limit};
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
    conditions: Vec<&'static str>,
    values: Vec<Value>,
}

impl Filter {
    fn add(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push(value.into());
        }
    }

    fn add_cursor(&mut self, condition: &'static str, cursor: Option<Cursor>) {
        if let Some(cursor) = cursor {
            self.conditions.push(condition);
            self.values.push(cursor.time.into());
            self.values.push(cursor.id.to_vec().into());
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

/// Where an alert stands in its listing.
fn alert_place(alert: &Alert) -> Cursor {
    Cursor {
        time: alert.last_seen,
        id: parse_id(&alert.id).unwrap_or_default(),
    }
}

/// Where a flow stands in its listing.
fn flow_place(flow: &Flow) -> Cursor {
    Cursor {
        time: flow.end,
        id: parse_id(&flow.id).unwrap_or_default(),
    }
}

pub(super) fn alerts(connection: &Connection, query: &AlertQuery) -> Result<Page<Alert>, StoreError> {
    let cursor = Cursor::of_query(query.cursor.as_ref(), Listing::Alerts)?;
    let limit = page_limit(query.limit);
    let mut filter = Filter::default();
    filter.add("a.state = ?", query.state.map(state_code));
    filter.add("a.severity >= ?", query.min_severity.map(severity_rank));
    filter.add("a.source = ?", query.source.clone());
    filter.add("a.kind = ?", query.kind.clone());
    filter.add("d.name = ?", query.detector.clone());
    filter.add("a.last_seen_ms >= ?", query.since);
    filter.add("a.last_seen_ms < ?", query.until);
    filter.add_cursor("(a.last_seen_ms, a.id) < (?, ?)", cursor);
    filter.values.push(to_signed(limit as u64 + 1).into());
    let sql = format!(
        "SELECT {ALERT_COLUMNS}{} ORDER BY a.last_seen_ms DESC, a.id DESC LIMIT ?",
        filter.clause()
    );
    let read = || -> rusqlite::Result<Vec<Alert>> {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(&filter.values), read_alert)?;
        rows.map(|row| row.map(|stored| stored.record.alert)).collect()
    };
    let items = read().map_err(StoreError::sqlite("list alerts"))?;
    Ok(page(items, limit, Listing::Alerts, alert_place))
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

/// The query for a page of flows. Flows lie in the order of their listing; nothing has to be sorted.
///
/// Those of one source are looked for only in the steps of the time axis in which it has some. No index serves
/// `min_score`: flows below it are read and passed over.
fn flows_query(query: &FlowQuery, cursor: Option<Cursor>, source: Option<IpAddr>) -> (String, Filter) {
    let mut filter = Filter::default();
    let mut from = format!("SELECT {FLOW_COLUMNS} FROM flows f CROSS JOIN labels l ON l.number = f.label");
    let mut order = "f.end_ms DESC, f.id DESC";
    if let Some(source) = source {
        // CROSS JOIN keeps SQLite to this order of the tables.
        from = format!(
            "SELECT {FLOW_COLUMNS} FROM timeline t \
             CROSS JOIN flow_sources s ON s.time_ms = t.time_ms \
             CROSS JOIN flows f ON f.end_ms >= t.time_ms AND f.end_ms < t.time_ms + {OVERVIEW_GRAIN_MS} \
             CROSS JOIN labels l ON l.number = f.label"
        );
        order = "t.time_ms DESC, f.end_ms DESC, f.id DESC";
        let source = Address::from(source).bytes().to_vec();
        filter.add("s.source = ?", Some(source.clone()));
        // The sign keeps SQLite from making an index of all flows by source for this one query.
        filter.add("+f.source = ?", Some(source));
        // The same bounds as for the flows below, for the steps.
        let since = query.since.map(|since| step_start(since, OVERVIEW_GRAIN_MS));
        filter.add("t.time_ms >= ?", since);
        filter.add("t.time_ms < ?", query.until);
        filter.add("t.time_ms <= ?", cursor.map(|cursor| cursor.time));
    }
    filter.add("f.highest_score >= ?", query.min_score.map(f64::from));
    filter.add("f.end_ms >= ?", query.since);
    filter.add("f.end_ms < ?", query.until);
    filter.add_cursor("(f.end_ms, f.id) < (?, ?)", cursor);
    let sql = format!("{from}{} ORDER BY {order} LIMIT ?", filter.clause());
    (sql, filter)
}

pub(super) fn flows(connection: &Connection, query: &FlowQuery) -> Result<Page<Flow>, StoreError> {
    let cursor = Cursor::of_query(query.cursor.as_ref(), Listing::Flows)?;
    let limit = page_limit(query.limit);
    let source = match query.source.as_deref().map(str::parse) {
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
    let (sql, mut filter) = flows_query(query, cursor, source);
    filter.values.push(to_signed(limit as u64 + 1).into());
    let read = || -> rusqlite::Result<Vec<(Flow, Vec<u8>)>> {
        let mut statement = connection.prepare_cached(&sql)?;
        statement
            .query_map(params_from_iter(&filter.values), flow)?
            .collect()
    };
    let rows = read().map_err(StoreError::sqlite("list flows"))?;
    let mut names = DetectorNames::new(connection);
    let mut items = Vec::with_capacity(rows.len());
    for (mut flow, packed) in rows {
        flow.scores = names.unpack(&packed)?;
        items.push(flow);
    }
    Ok(page(items, limit, Listing::Flows, flow_place))
}

pub(super) fn overview(
    connection: &mut Connection,
    step_ms: i64,
    max_points: u32,
) -> Result<StoreOverview, StoreError> {
    let mut read = || -> rusqlite::Result<StoreOverview> {
        // One transaction, so that all figures are of the same moment.
        let transaction = connection.transaction()?;
        // Two queries, as SQLite answers each from one end of the key and both together by reading all of it.
        let oldest: Option<i64> =
            transaction.query_row("SELECT min(time_ms) FROM timeline", [], |row| row.get(0))?;
        let newest: Option<i64> =
            transaction.query_row("SELECT max(time_ms) FROM timeline", [], |row| row.get(0))?;
        let points = match oldest.zip(newest) {
            None => Vec::new(),
            Some((oldest, newest)) => {
                let axis = Axis::new(step_ms, max_points, oldest, newest);
                let mut known: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
                let mut statement = transaction.prepare_cached(
                    "SELECT time_ms, flows, alerted FROM timeline WHERE time_ms >= ?1 AND time_ms < ?2",
                )?;
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
        let alerts_total = count("SELECT count(*) FROM alerts")?;
        let top_sources = transaction
            .prepare_cached(
                "SELECT source, count(*), sum(count), max(score) FROM alerts GROUP BY source \
                 ORDER BY 3 DESC, source LIMIT 10",
            )?
            .query_map([], |row| {
                Ok(TopSource {
                    source: row.get(0)?,
                    alerts: to_unsigned(row.get(1)?),
                    flows: to_unsigned(row.get(2)?),
                    score: row.get(3)?,
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

    #[test]
    fn no_page_of_flows_is_sorted_or_read_from_its_start() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let connection = open_writer(&folder.path().join("a.db")).expect("made");
        let query = FlowQuery {
            since: Some(5),
            until: Some(50_000),
            min_score: Some(0.5),
            ..FlowQuery::default()
        };
        let cursor = Cursor { time: 7, id: [1; 16] };
        for query in [FlowQuery::default(), query] {
            for cursor in [None, Some(cursor)] {
                for source in [None, Some(IpAddr::from([10, 0, 0, 1]))] {
                    let (sql, mut filter) = flows_query(&query, cursor, source);
                    filter.values.push(Value::from(50));
                    let plan: Vec<String> = connection
                        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                        .and_then(|mut plan| {
                            plan.query_map(params_from_iter(&filter.values), |row| row.get(3))?
                                .collect()
                        })
                        .expect("a plan");
                    assert!(
                        !plan.iter().any(|line| line.contains("TEMP B-TREE")),
                        "{sql}: {plan:?}"
                    );
                    let bounded = source.is_some() || cursor.is_some() || query.since.is_some();
                    let scans = plan.iter().any(|line| line.contains("SCAN f"));
                    assert!(!(bounded && scans), "{sql}: {plan:?}");
                    assert!(
                        !plan.iter().any(|line| line.contains("AUTOMATIC")),
                        "{sql}: {plan:?}"
                    );
                }
            }
        }
    }
}
