//! `/outputs`: where alerts go, how that fares, and what can be asked of an output.

use axum::extract::State;
use axum::http::StatusCode;
use netsage_api_types::{OutputAnswer, OutputInfo, RefusedMessage, RepeatRequest};
use netsage_outputs::Busy;

use super::extract::{Json, Path};
use super::problem::ApiError;
use super::state::AppState;
use crate::outputs::RunningOutput;

/// All outputs but the event stream, which feeds the clients of this API.
#[utoipa::path(get, path = "/outputs", tag = "outputs", responses((status = 200, body = Vec<OutputInfo>)))]
pub(crate) async fn list_outputs(State(state): State<AppState>) -> Json<Vec<OutputInfo>> {
    Json(state.outputs.iter().map(RunningOutput::info).collect())
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

fn named<'a>(state: &'a AppState, name: &str) -> Result<&'a RunningOutput, ApiError> {
    let found = state.outputs.iter().find(|output| output.name == name);
    found.ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        ApiError::not_found(format!(
            "there is no output `{shown}`; `netsage output list` names those there are"
        ))
    })
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
