//! `GET /health`.

use axum::extract::State;
use netsage_api_types::Health;

use super::extract::Json;
use super::state::AppState;

/// Whether the program is well, and what it is doing.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
pub(crate) async fn get_health(State(state): State<AppState>) -> Json<Health> {
    let counters = state.counters.snapshot();
    // Something was lost or not scored: an operator should look.
    let lost = counters.flows_failed + counters.flows_dropped + counters.kernel_drops;
    let interfaces = state.counters.interfaces();
    let degraded = lost > 0
        || state.catalog.active().is_empty()
        || interfaces.iter().any(|interface| !interface.up) && !state.counters.finished();
    Json(Health {
        status: if degraded { "degraded" } else { "ok" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: state.started.elapsed().as_secs(),
        source: state.source.clone(),
        finished: state.counters.finished(),
        store: state.store.kind().to_owned(),
        token_required: state.guard.token_required(),
        interfaces,
        kept_packets: state.evidence.as_ref().map(|evidence| evidence.kept()),
        counters,
    })
}
