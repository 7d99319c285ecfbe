//! `/alerts`: the alerts of the detectors, and their states and notes by people.

use axum::extract::State;
use netsage_api_types::{Alert, AlertQuery, Page, StateChange};

use super::extract::{Json, Path, Query};
use super::problem::ApiError;
use super::state::AppState;

/// Alerts, newest first. `next` of one page is the `cursor` of the next. A page looks at 50,000 alerts at most: it may have
/// fewer than asked for, or none, and still a `next`.
#[utoipa::path(
    get,
    path = "/alerts",
    tag = "alerts",
    params(AlertQuery),
    responses((status = 200, body = Page<Alert>), (status = 400), (status = 503))
)]
pub(crate) async fn list_alerts(
    State(state): State<AppState>,
    Query(query): Query<AlertQuery>,
) -> Result<Json<Page<Alert>>, ApiError> {
    Ok(Json(state.store.alerts(&query).await?))
}

/// One alert.
#[utoipa::path(
    get,
    path = "/alerts/{id}",
    tag = "alerts",
    params(("id" = String, Path, description = "32 hexadecimal digits")),
    responses((status = 200, body = Alert), (status = 404), (status = 503))
)]
pub(crate) async fn get_alert(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<Alert>, ApiError> {
    state
        .store
        .alert(&id)
        .await?
        .map(Json)
        .ok_or_else(|| unknown(&id))
}

/// Changes the state of an alert. A change to the state that the alert has already only notes who made it and when.
#[utoipa::path(
    post,
    path = "/alerts/{id}/state",
    tag = "alerts",
    params(("id" = String, Path, description = "32 hexadecimal digits")),
    request_body = StateChange,
    responses(
        (status = 200, body = Alert),
        (status = 404),
        (status = 422)
    )
)]
pub(crate) async fn post_alert_state(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(change): Json<StateChange>,
) -> Result<Json<Alert>, ApiError> {
    let change = StateChange {
        by: change.by.replace(char::is_control, " "),
        ..change
    };
    let alert = state
        .store
        .change_state(&id, &change)
        .await?
        .ok_or_else(|| unknown(&id))?;
    state.events.alerts_changed();
    Ok(Json(alert))
}

pub(super) fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!(
        "there is no alert `{}`",
        id.chars().take(64).collect::<String>()
    ))
}
