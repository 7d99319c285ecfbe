//! The time series of the store under `/prometheus/api/v1`, as Prometheus answers for its own: so that Grafana, and whatever
//! else asks a Prometheus, can ask this program.
//!
//! Goals: answers and errors are in Prometheus's envelope; of its language a plain selector is understood, and the sum of one
//! by labels; what is not understood is refused with a sentence, never answered with something else. The permission is that
//! of any reading call.
//!
//! A value at a time counts the step that ends there, as a `increase` over one step would.

mod expression;
mod reply;
mod times;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use jiff::Timestamp;
use netsage_api_types::{SeriesLabel, SeriesName};
use netsage_store::{MAX_SERIES_STEPS, OVERVIEW_GRAIN_MS, StoreSeries, StoreSeriesQuery};
use serde::Deserialize;
use serde_json::{Value, json};

use super::series::round_up;
use super::state::AppState;
use expression::{Expression, Selection};
use reply::{Answer, Failure};

/// The label of the name.
const NAME: &str = "__name__";

/// The step that a query for one time looks back, ms.
const LOOK_BACK: i64 = 60_000;

/// How far back values of labels are looked for when no start is given, ms: ten years.
const LONG_AGO: i64 = 10 * 366 * 24 * 60 * 60 * 1000;

/// What calls may say. Parameters that others understand, such as `timeout`, change nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Parameters {
    query: Option<String>,
    time: Option<String>,
    start: Option<String>,
    end: Option<String>,
    step: Option<String>,
    metric: Option<String>,
}

/// The parameters: of a GET in the address, of a POST in a form.
pub(crate) type Asked = Result<Form<Parameters>, FormRejection>;

/// `/query_range`: a selector over a range of times.
pub(crate) async fn query_range(State(state): State<AppState>, asked: Asked) -> Answer {
    let asked = parameters(asked)?;
    let (start, end) = (
        times::instant("start", required("start", asked.start.as_deref())?)?,
        times::instant("end", required("end", asked.end.as_deref())?)?,
    );
    let step = times::duration("step", required("step", asked.step.as_deref())?)?;
    if end < start {
        return Err(Failure::bad_data("`end` lies before `start`"));
    }
    let steps = (i128::from(end) - i128::from(start)) / i128::from(step) + 1;
    if steps > i128::from(MAX_SERIES_STEPS) {
        return Err(Failure::bad_data(format!(
            "exceeded maximum resolution of {MAX_SERIES_STEPS} points per timeseries; try a longer step"
        )));
    }
    // Steps of the store are multiples of the grain: of a step that is none, fewer points are given.
    let step = round_up(step);
    let steps = u32::try_from((end - start) / step + 1).unwrap_or(MAX_SERIES_STEPS);
    let selection = match expression::parse(required("query", asked.query.as_deref())?)? {
        Expression::Number(number) => {
            let values: Vec<Value> = (0..steps)
                .map(|place| reply::sample(start + i64::from(place) * step, number))
                .collect();
            return reply::success(json!({
                "resultType": "matrix", "result": [{ "metric": {}, "values": values }],
            }));
        }
        Expression::Nothing => return reply::success(json!({ "resultType": "matrix", "result": [] })),
        Expression::Selection(selection) => selection,
    };
    let series = read(
        &state,
        &selection,
        grain_of(start).saturating_sub(step),
        step,
        steps,
    )
    .await?;
    let result: Vec<Value> = series
        .iter()
        .map(|series| {
            let values = (0_i64..).zip(&series.values);
            let values: Vec<Value> = values
                .map(|(place, count)| reply::sample(start + place * step, *count as f64))
                .collect();
            json!({ "metric": metric(&selection, series), "values": values })
        })
        .collect();
    reply::success(json!({ "resultType": "matrix", "result": result }))
}

/// `/query`: a selector at one time, or a number.
pub(crate) async fn query(State(state): State<AppState>, asked: Asked) -> Answer {
    let asked = parameters(asked)?;
    let time = match &asked.time {
        Some(time) => times::instant("time", time)?,
        None => Timestamp::now().as_millisecond(),
    };
    let selection = match expression::parse(required("query", asked.query.as_deref())?)? {
        Expression::Number(number) => {
            let result = reply::sample(time, number);
            return reply::success(json!({ "resultType": "scalar", "result": result }));
        }
        Expression::Nothing => return reply::success(json!({ "resultType": "vector", "result": [] })),
        Expression::Selection(selection) => selection,
    };
    let since = grain_of(time).saturating_sub(LOOK_BACK);
    let series = read(&state, &selection, since, LOOK_BACK, 1).await?;
    let result: Vec<Value> = series
        .iter()
        .map(|series| {
            let count = series.values.first().copied().unwrap_or_default();
            json!({ "metric": metric(&selection, series), "value": reply::sample(time, count as f64) })
        })
        .collect();
    reply::success(json!({ "resultType": "vector", "result": result }))
}

/// `/labels`: the names of labels.
pub(crate) async fn labels() -> Answer {
    let labels = SeriesLabel::ALL.iter().map(|label| label.name());
    reply::success(std::iter::once(NAME).chain(labels).collect::<Vec<_>>())
}

/// `/label/{name}/values`: the values of a label.
pub(crate) async fn label_values(
    State(state): State<AppState>,
    Path(name): Path<String>,
    asked: Asked,
) -> Answer {
    let asked = parameters(asked)?;
    if name == NAME {
        let mut names = SeriesName::ALL.map(SeriesName::name);
        names.sort_unstable();
        return reply::success(names);
    }
    let Some(label) = SeriesLabel::ALL.into_iter().find(|label| label.name() == name) else {
        return reply::success([""; 0]);
    };
    let end = match &asked.end {
        Some(end) => times::instant("end", end)?,
        None => Timestamp::now().as_millisecond(),
    };
    let start = match &asked.start {
        Some(start) => times::instant("start", start)?,
        None => end.saturating_sub(LONG_AGO),
    };
    if end < start {
        return Err(Failure::bad_data("`end` lies before `start`"));
    }
    let since = grain_of(start);
    // One step is enough for the values that there are.
    let step = round_up((end - since).saturating_add(1));
    let selection = Selection {
        name: SeriesName::AlertsBegun,
        by: Some(vec![label]),
        matchers: Vec::new(),
    };
    let series = read(&state, &selection, since, step, 1).await?;
    let values = series.into_iter().flat_map(|series| series.labels);
    let values = values.map(|(_, value)| value).filter(|value| !value.is_empty());
    reply::success(values.collect::<Vec<_>>())
}

/// `/metadata`: what each name counts.
pub(crate) async fn metadata(asked: Asked) -> Answer {
    let asked = parameters(asked)?;
    let names = SeriesName::ALL.into_iter();
    let names = names.filter(|name| asked.metric.as_deref().is_none_or(|wanted| wanted == name.name()));
    let described = names.map(|name| {
        let description = json!([{ "type": "gauge", "help": name.help(), "unit": "" }]);
        (name.name().to_owned(), description)
    });
    reply::success(described.collect::<serde_json::Map<_, _>>())
}

/// `/status/buildinfo`: by which Grafana tells Prometheus from others that answer like it.
pub(crate) async fn build_info() -> Answer {
    reply::success(json!({
        "application": "NetSage",
        "version": env!("CARGO_PKG_VERSION"),
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

fn parameters(asked: Asked) -> Result<Parameters, Failure> {
    match asked {
        Ok(Form(parameters)) => Ok(parameters),
        Err(rejection) => Err(Failure::bad_data(rejection.body_text())),
    }
}

fn required<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, Failure> {
    value.ok_or_else(|| Failure::bad_data(format!("the parameter `{name}` is missing")))
}

/// The last multiple of the grain up to a time.
fn grain_of(time: i64) -> i64 {
    time.div_euclid(OVERVIEW_GRAIN_MS)
        .saturating_mul(OVERVIEW_GRAIN_MS)
}

async fn read(
    state: &AppState,
    selection: &Selection,
    since: i64,
    step: i64,
    steps: u32,
) -> Result<Vec<StoreSeries>, Failure> {
    let labels = || selection.name.labels().to_vec();
    let query = StoreSeriesQuery {
        name: selection.name,
        since,
        step,
        steps,
        by: selection.by.clone().unwrap_or_else(labels),
        matchers: selection.matchers.clone(),
    };
    Ok(state.store.series(&query).await?)
}

/// The labels of a series; a sum has no name, and a label without a value is left out.
fn metric(selection: &Selection, series: &StoreSeries) -> serde_json::Map<String, Value> {
    let name = selection
        .by
        .is_none()
        .then(|| (NAME.to_owned(), selection.name.name().into()));
    let labels = series.labels.iter().filter(|(_, value)| !value.is_empty());
    let labels = labels.map(|(label, value)| (label.name().to_owned(), value.as_str().into()));
    name.into_iter().chain(labels).collect()
}
