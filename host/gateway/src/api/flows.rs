//! `GET /flows`.

use axum::extract::State;
use netsage_api_types::{Flow, FlowQuery, Page};

use super::extract::{Json, Query};
use super::problem::ApiError;
use super::state::AppState;

/// Flows with their scores, newest first. `next` of one page is the `cursor` of the next. A page looks at 50,000 flows at
/// most: it may have fewer than asked for, or none, and still a `next`.
#[utoipa::path(
    get,
    path = "/flows",
    tag = "flows",
    params(FlowQuery),
    responses((status = 200, body = Page<Flow>), (status = 400), (status = 503))
)]
pub(crate) async fn list_flows(
    State(state): State<AppState>,
    Query(query): Query<FlowQuery>,
) -> Result<Json<Page<Flow>>, ApiError> {
    Ok(Json(state.store.flows(&query).await?))
}
