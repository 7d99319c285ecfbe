//! The id of a request: in the header `x-request-id` of its answer, in every log line about it, and in the document of
//! an error.
//!
//! Each request gets an id here, whatever it brings: an id that a caller chooses could stand twice in the log, or look
//! like something else. A proxy can connect its log with this log by the id in the answer.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use tower_http::request_id::{MakeRequestId as _, MakeRequestUuid, PropagateRequestIdLayer, RequestId};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

use super::state::AppState;

/// The header.
const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request of a router an id, and logs what happens in it, its body's stream included, under id, method and
/// path.
pub(super) fn on(router: Router<AppState>) -> Router<AppState> {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(())
        .on_body_chunk(())
        .on_eos(())
        .on_failure(());
    router
        .layer(trace)
        .layer(PropagateRequestIdLayer::new(NAME))
        .layer(SetRequestHeaderLayer::overriding(NAME, fresh))
}

fn fresh(request: &Request) -> Option<HeaderValue> {
    MakeRequestUuid
        .make_request_id(request)
        .map(RequestId::into_header_value)
}

/// The id of a request that came through [`on`].
pub(super) fn of(request: &Request) -> String {
    let id = request.headers().get(NAME).and_then(|id| id.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// Of the highest level, so that every log filter that lets an error through lets its request through.
fn span(request: &Request) -> Span {
    tracing::error_span!(
        "request",
        id = of(request),
        method = %request.method(),
        path = request.uri().path()
    )
}
