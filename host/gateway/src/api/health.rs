//! `GET /health`.

use axum::extract::State;
use netsage_api_types::Health;

use super::extract::Json;
use super::state::AppState;

/// Whether the program is well, and what it is doing. What is wrong, and that it is over, is told within 5 seconds.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
pub(crate) async fn get_health(State(state): State<AppState>) -> Json<Health> {
    let problems = state.condition.problems();
    Json(Health {
        status: if problems.is_empty() { "ok" } else { "degraded" }.to_owned(),
        problems,
        notes: state.condition.notes(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: state.started.elapsed().as_secs(),
        source: state.source.clone(),
        finished: state.counters.finished(),
        store: state.store.kind().to_owned(),
        token_required: state.guard.token_required(),
        interfaces: state.counters.interfaces(),
        kept_packets: state.evidence.as_ref().map(|evidence| evidence.kept()),
        counters: state.counters.snapshot(),
    })
}
