//! `GET /senders`.

use axum::extract::State;
use netsage_api_types::SenderStatus;

use super::extract::Json;
use super::state::AppState;

/// The gateways that have forwarded flows to this one since its start: when each was heard last, and how far behind it said it
/// was. A sender is known by its network and sensor.
#[utoipa::path(
    get,
    path = "/senders",
    tag = "flows",
    responses((status = 200, body = Vec<SenderStatus>))
)]
pub(crate) async fn list_senders(State(state): State<AppState>) -> Json<Vec<SenderStatus>> {
    Json(state.senders.list())
}
