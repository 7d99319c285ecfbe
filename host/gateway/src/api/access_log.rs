//! The access log: a line for each answered call, where that is asked for.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::access;
use super::state::AppState;

/// The target of its lines, for log filters. They stand within the span of their request, which names id, method and
/// path.
pub const TARGET: &str = "access";

/// The middleware that writes it.
pub(super) async fn write(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if !state.access_log {
        return next.run(request).await;
    }
    let peer = access::peer(&state, &request);
    let begun = Instant::now();
    let response = next.run(request).await;
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    let status = response.status().as_u16();
    tracing::info!(target: TARGET, %peer, status, milliseconds, "answered");
    response
}
