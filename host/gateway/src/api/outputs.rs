//! `/outputs`: where alerts go, how that fares, and what can be asked of an output.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use netsage_api_types::{OutputAnswer, OutputInfo, OutputTable, RefusedMessage, RepeatRequest};
use netsage_outputs::Busy;

use super::extract::{Json, Path};
use super::problem::ApiError;
use super::state::AppState;
use crate::outputs::{NotSet, RunningOutput};

/// All outputs but the event stream, which feeds the clients of this API.
#[utoipa::path(get, path = "/outputs", tag = "outputs", responses((status = 200, body = Vec<OutputInfo>)))]
pub(crate) async fn list_outputs(State(state): State<AppState>) -> Json<Vec<OutputInfo>> {
    let outputs = state.outputs.all();
    Json(outputs.iter().map(|output| output.info()).collect())
}

/// Sets a webhook, in place of the one of this name if there is one. It outlasts the program; an output of the settings file
/// is changed there alone. It reaches public addresses, and the networks that the setting `webhook-network` allows.
#[utoipa::path(
    put,
    path = "/outputs/{name}",
    tag = "outputs",
    params(("name" = String, Path, description = "Name of the output: lower-case letters, digits and `-`, at most 64")),
    request_body = OutputTable,
    responses(
        (status = 200, body = OutputInfo),
        (status = 409, description = "The settings file has it, or there are too many"),
        (status = 422, description = "The name or the table cannot be used, or the webhook leads where it must not")
    )
)]
pub(crate) async fn put_output(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(OutputTable(table)): Json<OutputTable>,
) -> Result<Json<OutputInfo>, ApiError> {
    // What is wrong with a value is said without the value, which may be a secret.
    let table = toml::Table::try_from(table).map_err(|_| {
        ApiError::unprocessable("output", "a table has no `null` and no number beyond 64 bits")
    })?;
    let info = state.outputs.set(&name, table).await.map_err(not_set)?;
    tracing::info!(output = info.name, "output set");
    Ok(Json(info))
}

/// Removes an output that was set through the API. One of this name that is set later goes on where this one has ended.
#[utoipa::path(
    delete,
    path = "/outputs/{name}",
    tag = "outputs",
    params(("name" = String, Path, description = "Name of an output")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404),
        (status = 409, description = "The settings file has it")
    )
)]
pub(crate) async fn delete_output(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.outputs.remove(&name).await.map_err(not_set)?;
    tracing::info!(output = name, "output removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test message now, whatever waits or is paused, and says what became of it.
#[utoipa::path(
    post,
    path = "/outputs/{name}/test",
    tag = "outputs",
    params(("name" = String, Path, description = "Name of an output")),
    responses(
        (status = 200, body = OutputAnswer, description = "What became of it"),
        (status = 404)
    )
)]
pub(crate) async fn post_output_test(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<OutputAnswer>, ApiError> {
    let output = named(&state, &name)?;
    answered(output.test().await)
}

/// Has an output that is paused, or waits after a failure, try again at once.
#[utoipa::path(
    post,
    path = "/outputs/{name}/resume",
    tag = "outputs",
    params(("name" = String, Path, description = "Name of an output")),
    responses((status = 200, body = OutputInfo), (status = 404))
)]
pub(crate) async fn post_output_resume(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<OutputInfo>, ApiError> {
    let output = named(&state, &name)?;
    output.handle.resume().map_err(busy)?;
    Ok(Json(output.info()))
}

/// Has an output open anew what it keeps open: a file that was moved away.
#[utoipa::path(
    post,
    path = "/outputs/{name}/reopen",
    tag = "outputs",
    params(("name" = String, Path, description = "Name of an output")),
    responses(
        (status = 200, body = OutputAnswer, description = "What became of it"),
        (status = 404)
    )
)]
pub(crate) async fn post_output_reopen(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<OutputAnswer>, ApiError> {
    let output = named(&state, &name)?;
    answered(output.handle.reopen().await)
}

/// The messages that the receiver of an output will never take, and that were set aside: at most 1,000, the oldest first.
#[utoipa::path(
    get,
    path = "/outputs/{name}/refused",
    tag = "outputs",
    params(("name" = String, Path, description = "Name of an output")),
    responses((status = 200, body = Vec<RefusedMessage>), (status = 404))
)]
pub(crate) async fn list_refused(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<Vec<RefusedMessage>>, ApiError> {
    let output = named(&state, &name)?;
    let refused = output.set_aside.list().into_iter().map(|refused| RefusedMessage {
        id: refused.message.id(),
        revision: refused.message.revision(),
        reason: refused.reason,
        at: refused.at_ms,
    });
    Ok(Json(refused.collect()))
}

/// Sends messages that were set aside once more. Those that the receiver takes leave the list.
#[utoipa::path(
    post,
    path = "/outputs/{name}/repeat",
    tag = "outputs",
    params(("name" = String, Path, description = "Name of an output")),
    request_body = RepeatRequest,
    responses(
        (status = 202, body = RepeatRequest, description = "They will be sent"),
        (status = 404),
        (status = 422, description = "There are too many ids")
    )
)]
pub(crate) async fn post_output_repeat(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(request): Json<RepeatRequest>,
) -> Result<(StatusCode, Json<RepeatRequest>), ApiError> {
    let output = named(&state, &name)?;
    if request.ids.len() > 1_000 {
        let detail = "name at most 1,000 messages, or none for all of them";
        return Err(ApiError::unprocessable("too-many", detail));
    }
    output.handle.repeat(request.ids.clone()).map_err(busy)?;
    Ok((StatusCode::ACCEPTED, Json(request)))
}

fn named(state: &AppState, name: &str) -> Result<Arc<RunningOutput>, ApiError> {
    state.outputs.named(name).map_err(not_set)
}

fn not_set(error: NotSet) -> ApiError {
    match error {
        NotSet::Unknown(_) => ApiError::not_found(error.to_string()),
        NotSet::InFile(_) | NotSet::TooMany => ApiError::new(
            StatusCode::CONFLICT,
            "output-not-changed",
            "Output not changed",
            error.to_string(),
        ),
        NotSet::Kind(_) | NotSet::Table(_) | NotSet::Receiver(_) => {
            ApiError::unprocessable("output", error.to_string())
        }
        NotSet::Kept(error) => ApiError::internal(error),
    }
}

fn answered(answer: Result<Result<(), String>, Busy>) -> Result<Json<OutputAnswer>, ApiError> {
    let reason = answer.map_err(busy)?.err();
    Ok(Json(OutputAnswer {
        is_done: reason.is_none(),
        reason,
    }))
}

fn busy(error: Busy) -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "output-busy",
        "Output not available",
        error.to_string(),
    )
}
