//! `GET /overview`.

use axum::extract::State;
use netsage_api_types::Overview;
use netsage_store::MAX_OVERVIEW_POINTS;
use serde::Deserialize;

use super::extract::{Json, Query};
use super::problem::ApiError;
use super::state::AppState;

/// Longest step, ms: a day.
const LONGEST_STEP: i64 = 24 * 60 * 60 * 1000;

/// How fine the time axis is.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OverviewQuery {
    /// Length of a step, ms, 1 to 86,400,000; rounded up to 10 s. 60,000 when not given.
    #[param(minimum = 1, maximum = 86_400_000)]
    step: Option<i64>,
    /// Most steps, 1 to 2,000, up to the newest flow; 120 when not given.
    #[param(minimum = 1, maximum = 2_000)]
    points: Option<u32>,
}

/// The figures of the Overview page.
#[utoipa::path(
    get,
    path = "/overview",
    tag = "system",
    params(OverviewQuery),
    responses((status = 200, body = Overview), (status = 400), (status = 503))
)]
pub(crate) async fn get_overview(
    State(state): State<AppState>,
    Query(query): Query<OverviewQuery>,
) -> Result<Json<Overview>, ApiError> {
    let (step, points) = (query.step.unwrap_or(60_000), query.points.unwrap_or(120));
    if !(1..=LONGEST_STEP).contains(&step) || !(1..=MAX_OVERVIEW_POINTS).contains(&points) {
        return Err(ApiError::bad_request(
            "bad-request",
            format!("`step` is 1 to {LONGEST_STEP} ms and `points` 1 to {MAX_OVERVIEW_POINTS}"),
        ));
    }
    let overview = state.store.overview(step, points).await?;
    Ok(Json(overview.with_counters(state.counters.snapshot())))
}
