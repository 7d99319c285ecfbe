//! `POST /partitions/skip`.

use axum::extract::State;
use axum::http::StatusCode;
use netsage_api_types::SkipRequest;
use netsage_sources::NotPassedOver;

use super::extract::Json;
use super::problem::ApiError;
use super::state::AppState;

/// Lets a partition of a topic go on behind a batch of messages that cannot be unpacked and holds it up. The messages of that
/// batch are counted as rejected and are in no flow. The health says when reading has gone on.
#[utoipa::path(
    post,
    path = "/partitions/skip",
    tag = "system",
    request_body = SkipRequest,
    responses(
        (status = 202, body = SkipRequest, description = "It will be passed over"),
        (status = 404, description = "No source of this program reads the topic, or the partition is with another program"),
        (status = 409, description = "The partition is not held up at that offset"),
        (status = 422)
    )
)]
pub(crate) async fn post_skip(
    State(state): State<AppState>,
    Json(request): Json<SkipRequest>,
) -> Result<(StatusCode, Json<SkipRequest>), ApiError> {
    let SkipRequest {
        ref topic,
        partition,
        offset,
    } = request;
    let controls = state.counters.partition_controls();
    let control = controls.iter().find(|control| control.topic() == *topic);
    let control = control.ok_or_else(|| {
        let shown: String = topic.chars().take(64).collect();
        ApiError::not_found(format!(
            "this program does not read the topic `{shown}`; ask one that does"
        ))
    })?;
    (control.pass_over(partition, offset)).map_err(|error| match error {
        NotPassedOver::NotHere(_) => ApiError::not_found(error.to_string()),
        NotPassedOver::NotHeld(_) | NotPassedOver::Elsewhere { .. } => ApiError::new(
            StatusCode::CONFLICT,
            "not-held",
            "Not held up there",
            error.to_string(),
        ),
    })?;
    tracing::info!(topic, partition, offset, "batch is to be passed over");
    Ok((StatusCode::ACCEPTED, Json(request)))
}
