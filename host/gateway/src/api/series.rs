//! `GET /timeseries`: what the store counts, step by step.

use axum::extract::State;
use jiff::Timestamp;
use netsage_api_types::{LabelledSeries, SeriesLabel, SeriesQuery, TimeSeries};
use netsage_store::{MAX_SERIES_STEPS, OVERVIEW_GRAIN_MS, SeriesMatcher, StoreSeries, StoreSeriesQuery};
use serde::Serialize;

use super::extract::{Json, Query};
use super::problem::ApiError;
use super::state::AppState;

/// Longest step, ms: a day.
const LONGEST_STEP: i64 = 24 * 60 * 60 * 1000;

/// Length of a step when none is given, ms.
const STEP: i64 = 60_000;

/// Steps when no start is given.
const STEPS: i64 = 60;

/// Time series of the store: counts in steps without gaps, by the time of the flows. An answer has at most 11,000 steps and
/// 100 series.
#[utoipa::path(
    get,
    path = "/timeseries",
    tag = "system",
    params(SeriesQuery),
    responses((status = 200, body = TimeSeries), (status = 400), (status = 503))
)]
pub(crate) async fn get_timeseries(
    State(state): State<AppState>,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<TimeSeries>, ApiError> {
    let query = store_query(&query, Timestamp::now().as_millisecond())?;
    let series = state.store.series(&query).await?;
    Ok(Json(TimeSeries {
        name: query.name,
        step: query.step,
        since: query.since,
        series: series.into_iter().map(labelled).collect(),
    }))
}

fn labelled(series: StoreSeries) -> LabelledSeries {
    let labels = series.labels.into_iter();
    LabelledSeries {
        labels: labels
            .map(|(label, value)| (label.name().to_owned(), value))
            .collect(),
        values: series.values,
    }
}

fn store_query(query: &SeriesQuery, now: i64) -> Result<StoreSeriesQuery, ApiError> {
    let refuse = |detail: String| Err(ApiError::bad_request("bad-query", detail));
    let step = query.step.unwrap_or(STEP);
    if !(1..=LONGEST_STEP).contains(&step) {
        return refuse(format!("`step` is 1 to {LONGEST_STEP} ms"));
    }
    let step = round_up(step);
    let end = query.until.unwrap_or_else(|| now.saturating_add(1));
    let begin = query
        .since
        .unwrap_or_else(|| end.saturating_sub(STEPS.saturating_mul(step)));
    if begin >= end {
        return refuse(format!("`since` ({begin}) lies before `until` ({end})"));
    }
    let since = begin.div_euclid(step).saturating_mul(step);
    let span = i128::from(end) - i128::from(since);
    let steps = (span + i128::from(step) - 1) / i128::from(step);
    let Some(steps) = u32::try_from(steps)
        .ok()
        .filter(|steps| *steps <= MAX_SERIES_STEPS)
    else {
        return refuse(format!(
            "these are {steps} steps and at most {MAX_SERIES_STEPS} are given; ask for a longer `step` or less time"
        ));
    };
    Ok(StoreSeriesQuery {
        name: query.name,
        since,
        step,
        steps,
        by: by(query)?,
        matchers: matchers(query),
    })
}

/// The next multiple of what every step is a multiple of.
pub(super) fn round_up(step: i64) -> i64 {
    step.saturating_add(OVERVIEW_GRAIN_MS - 1) / OVERVIEW_GRAIN_MS * OVERVIEW_GRAIN_MS
}

fn by(query: &SeriesQuery) -> Result<Vec<SeriesLabel>, ApiError> {
    let known = query.name.labels();
    let Some(by) = &query.by else {
        return Ok(known.to_vec());
    };
    let mut labels = Vec::new();
    for name in by.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some(label) = known.iter().find(|label| label.name() == name) else {
            let names: Vec<&str> = known.iter().map(|label| label.name()).collect();
            let detail = match names.is_empty() {
                true => format!("`{}` has no labels; leave `by` out", query.name.name()),
                false => format!(
                    "`{}` has no such label; `by` names some of {}",
                    query.name.name(),
                    names.join(",")
                ),
            };
            return Err(ApiError::bad_request("bad-query", detail));
        };
        if !labels.contains(label) {
            labels.push(*label);
        }
    }
    Ok(labels)
}

fn matchers(query: &SeriesQuery) -> Vec<SeriesMatcher> {
    [
        (SeriesLabel::Detector, query.detector.clone()),
        (SeriesLabel::Network, query.network.clone()),
        (SeriesLabel::Severity, query.severity.map(named)),
        (SeriesLabel::State, query.state.map(named)),
    ]
    .into_iter()
    .filter_map(|(label, value)| {
        Some(SeriesMatcher {
            label,
            is_one_of: true,
            values: vec![value?],
        })
    })
    .collect()
}

/// The name of one of an enumeration of the API.
fn named(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        // Not reached: each of them is a text. No label has that value.
        _ => "\0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use netsage_api_types::{SeriesName, Severity};

    use super::*;

    fn query() -> SeriesQuery {
        SeriesQuery {
            name: SeriesName::AlertsBegun,
            since: None,
            until: None,
            step: None,
            by: None,
            detector: None,
            network: None,
            severity: None,
            state: None,
        }
    }

    #[test]
    fn steps_lie_at_multiples_of_their_length() {
        let check =
            |since: Option<i64>, until: Option<i64>, step: Option<i64>, expected: Option<(i64, i64, u32)>| {
                let query = SeriesQuery {
                    since,
                    until,
                    step,
                    ..query()
                };
                let found = store_query(&query, 600_000_000).ok();
                let found = found.map(|query| (query.since, query.step, query.steps));
                assert_eq!(found, expected, "{since:?} {until:?} {step:?}");
            };
        check(None, None, None, Some((596_400_000, 60_000, 61)));
        check(Some(0), Some(1), Some(1), Some((0, 10_000, 1)));
        check(Some(9_999), Some(10_001), Some(10_000), Some((0, 10_000, 2)));
        check(Some(-1), Some(0), Some(15_000), Some((-20_000, 20_000, 1)));
        check(
            Some(0),
            Some(110_000_000),
            Some(10_000),
            Some((0, 10_000, 11_000)),
        );
        check(Some(0), Some(110_000_001), Some(10_000), None);
        check(Some(0), Some(0), None, None);
        check(Some(0), Some(1), Some(0), None);
        check(Some(0), Some(1), Some(86_400_001), None);
        check(Some(i64::MIN), Some(i64::MAX), None, None);
        check(None, Some(i64::MIN), None, None);
    }

    #[test]
    fn labels_and_conditions_come_from_the_query() {
        let check = |name, by: Option<&str>, expected: Option<&[SeriesLabel]>| {
            let by = by.map(str::to_owned);
            let found = store_query(&SeriesQuery { name, by, ..query() }, 0).ok();
            assert_eq!(found.map(|query| query.by).as_deref(), expected);
        };
        use SeriesLabel::{Detector, Severity as BySeverity};
        check(SeriesName::AlertsBegun, None, Some(&SeriesLabel::ALL));
        check(SeriesName::AlertsBegun, Some(""), Some(&[]));
        check(
            SeriesName::AlertsBegun,
            Some("severity, detector,severity"),
            Some(&[BySeverity, Detector]),
        );
        check(SeriesName::AlertsBegun, Some("source"), None);
        check(SeriesName::Flows, None, Some(&[]));
        check(SeriesName::Flows, Some("severity"), None);
        let query = SeriesQuery {
            network: Some(String::new()),
            severity: Some(Severity::High),
            ..query()
        };
        let found = store_query(&query, 0).expect("taken").matchers;
        let found: Vec<_> = found
            .iter()
            .map(|matcher| (matcher.label, matcher.values.join("|")))
            .collect();
        assert_eq!(
            found,
            [
                (SeriesLabel::Network, String::new()),
                (BySeverity, "high".to_owned())
            ]
        );
    }
}
