//! Listings and the overview.

use std::collections::BTreeMap;

use netsage_api_types::{Alert, AlertQuery, AlertState, Flow, FlowQuery, Page, TopSource};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::rows::{ALERT_COLUMNS, DetectorNames, FLOW_COLUMNS, alert as read_alert, flow, state_code};
use crate::cursor::{Cursor, Listing, page, page_limit};
use crate::overview::{Axis, round_step, step_start};
use crate::record::{parse_id, severity_rank, to_signed, to_unsigned};
use crate::{StoreError, StoreOverview};

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
        rows.map(|row| row.map(|(record, _)| record.alert)).collect()
    };
    let items = read().map_err(StoreError::sqlite("list alerts"))?;
    Ok(page(items, limit, Listing::Alerts, alert_place))
}

pub(super) fn alert(connection: &Connection, id: &str) -> Result<Option<Alert>, StoreError> {
    let Some(id) = parse_id(id) else { return Ok(None) };
    connection
        .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))
        .and_then(|mut statement| statement.query_row([id], read_alert).optional())
        .map(|found| found.map(|(record, _)| record.alert))
        .map_err(StoreError::sqlite("read an alert"))
}

pub(super) fn flows(connection: &Connection, query: &FlowQuery) -> Result<Page<Flow>, StoreError> {
    let cursor = Cursor::of_query(query.cursor.as_ref(), Listing::Flows)?;
    let limit = page_limit(query.limit);
    let mut filter = Filter::default();
    filter.add("source = ?", query.source.clone());
    filter.add("highest_score >= ?", query.min_score.map(f64::from));
    filter.add("end_ms >= ?", query.since);
    filter.add("end_ms < ?", query.until);
    filter.add_cursor("(end_ms, id) < (?, ?)", cursor);
    filter.values.push(to_signed(limit as u64 + 1).into());
    let sql = format!(
        "SELECT {FLOW_COLUMNS}{} ORDER BY end_ms DESC, id DESC LIMIT ?",
        filter.clause()
    );
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
