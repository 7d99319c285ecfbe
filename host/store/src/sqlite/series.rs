//! Time series, read along an index of the time and added up here.

use netsage_alerts::Sketch;
use netsage_api_types::SeriesName;
use rusqlite::{Connection, Row, params};

use crate::overview::step_start;
use crate::record::to_unsigned;
use crate::series::{NO_LABELS, SEVERITIES, STATES, Tally};
use crate::{StoreError, StoreSeries, StoreSeriesQuery};

const ACTION: &str = "read a time series";

/// The time axis: steps of the grain with their flows and alerted flows, in no order.
pub(super) const TIME_AXIS: &str = "\
    SELECT time_ms, flows, alerted FROM timeline WHERE time_ms >= ?1 AND time_ms < ?2 \
    UNION ALL SELECT time_ms, flows, 0 FROM counted_only WHERE time_ms >= ?1 AND time_ms < ?2";

/// Kept flows as they lie.
const FLOW_SIZES: &str = "SELECT end_ms, packets, bytes FROM flows WHERE end_ms >= ?1 AND end_ms < ?2";

/// The sources of each step of the grain, step by step.
const SOURCES: &str =
    "SELECT time_ms, source FROM flow_sources WHERE time_ms >= ?1 AND time_ms < ?2 ORDER BY time_ms";

/// Alerts that are shown, by their begin; an index has all columns.
const ALERTS: &str = "SELECT first_seen_ms, severity, state, detector_name, network FROM alerts \
    WHERE first_seen_ms >= ?1 AND first_seen_ms < ?2 AND state <> 3";

pub(super) fn series(
    connection: &Connection,
    query: &StoreSeriesQuery,
) -> Result<Vec<StoreSeries>, StoreError> {
    let mut tally = Tally::new(query)?;
    let column = |sql, column: usize, tally: &mut Tally<'_>| {
        each(connection, query, sql, |row| {
            let (time, count) = read(|| Ok((row.get(0)?, row.get(column)?)))?;
            tally.add(time, &NO_LABELS, to_unsigned(count))
        })
    };
    match query.name {
        SeriesName::Flows => column(TIME_AXIS, 1, &mut tally)?,
        SeriesName::FlowsAlerted => column(TIME_AXIS, 2, &mut tally)?,
        SeriesName::FlowPackets => column(FLOW_SIZES, 1, &mut tally)?,
        SeriesName::FlowBytes => column(FLOW_SIZES, 2, &mut tally)?,
        SeriesName::FlowSources => sources(connection, query, &mut tally)?,
        SeriesName::AlertsBegun => alerts(connection, query, &mut tally)?,
    }
    Ok(tally.finish())
}

/// Counts the sources of one step after the other, in the memory of one step.
fn sources(
    connection: &Connection,
    query: &StoreSeriesQuery,
    tally: &mut Tally<'_>,
) -> Result<(), StoreError> {
    let step_of = |time: i64| step_start(time.saturating_sub(query.since), query.step);
    let mut step: Option<(i64, Sketch)> = None;
    let mut count = |done: Option<(i64, Sketch)>| match done {
        Some((time, sources)) => tally.add(time, &NO_LABELS, sources.count()),
        None => Ok(()),
    };
    each(connection, query, SOURCES, |row| {
        let time: i64 = read(|| row.get(0))?;
        if step
            .as_ref()
            .is_none_or(|(begun, _)| step_of(*begun) != step_of(time))
        {
            count(step.replace((time, Sketch::default())))?;
        }
        if let Some((_, sources)) = &mut step {
            sources.insert(read(|| Ok(row.get_ref(1)?.as_blob()?))?);
        }
        Ok(())
    })?;
    count(step)
}

fn alerts(
    connection: &Connection,
    query: &StoreSeriesQuery,
    tally: &mut Tally<'_>,
) -> Result<(), StoreError> {
    each(connection, query, ALERTS, |row| {
        let text = |column| read(|| Ok(row.get_ref(column)?.as_str()?));
        let (severity, state) = (choice(row, 1, &SEVERITIES)?, choice(row, 2, &STATES)?);
        let time = read(|| row.get(0))?;
        tally.add(time, &[text(3)?, text(4)?, severity, state], 1)
    })
}

/// One of several names, by its number in a column.
fn choice(row: &Row<'_>, column: usize, names: &[&'static str]) -> Result<&'static str, StoreError> {
    read(|| {
        let number: i64 = row.get(column)?;
        let name = usize::try_from(number).ok().and_then(|number| names.get(number));
        // What no program wrote.
        name.copied()
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
    })
}

/// Reads a value of a row.
fn read<T>(value: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, StoreError> {
    value().map_err(StoreError::sqlite(ACTION))
}

/// Gives each row of a query between the first and the last step.
fn each(
    connection: &Connection,
    query: &StoreSeriesQuery,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = StoreError::sqlite(ACTION);
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let mut rows = statement
        .query(params![query.since, query.until()])
        .map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        take(row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema::open_writer;

    #[test]
    fn every_query_begins_at_an_index_and_sorts_nothing() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let connection = open_writer(&folder.path().join("a.db"), |_| Ok(())).expect("made");
        for sql in [TIME_AXIS, FLOW_SIZES, SOURCES, ALERTS] {
            let plan: Vec<String> = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .and_then(|mut plan| plan.query_map(params![0, 1], |row| row.get(3))?.collect())
                .expect("a plan");
            let unwanted = ["SCAN", "TEMP B-TREE", "AUTOMATIC"];
            let is_wanted = |line: &String| !unwanted.iter().any(|word| line.contains(word));
            assert!(plan.iter().all(is_wanted), "{sql}: {plan:?}");
        }
        let plan: String = connection
            .query_row(&format!("EXPLAIN QUERY PLAN {ALERTS}"), params![0, 1], |row| {
                row.get(3)
            })
            .expect("a plan");
        assert!(plan.contains("COVERING INDEX"), "{plan}");
    }
}
