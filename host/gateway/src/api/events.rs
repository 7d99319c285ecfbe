//! `GET /events`: live updates as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::Stream;
use netsage_api_types::LiveEvent;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::state::AppState;

/// Live updates: `alert` (an alert is new or has changed), `counters` (about once a second), `detectors`
/// (a package was staged, or a step was done with one).
///
/// A client that reads too slowly misses events and gets one named `missed` with their number: it should
/// load the lists again.
#[utoipa::path(
    get,
    path = "/events",
    tag = "system",
    responses((status = 200, description = "Events without end", content_type = "text/event-stream", body = LiveEvent))
)]
pub(crate) async fn get_events(
    State(state): State<AppState>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = tokio_stream::once(Ok(LiveEvent::Counters(state.counters.snapshot())));
    let live = BroadcastStream::new(state.events.subscribe());
    let events = first.chain(live).filter_map(|received| match received {
        Ok(event) => encode(&event),
        Err(BroadcastStreamRecvError::Lagged(missed)) => {
            Some(Event::default().event("missed").data(missed.to_string()))
        }
    });
    Sse::new(events.map(Ok)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

fn encode(event: &LiveEvent) -> Option<Event> {
    let encoded = match event {
        LiveEvent::Alert(alert) => Event::default().event("alert").json_data(alert),
        LiveEvent::Counters(counters) => Event::default().event("counters").json_data(counters),
        LiveEvent::Detectors => Ok(Event::default().event("detectors").data("null")),
    };
    encoded
        .inspect_err(|error| tracing::error!(%error, "event cannot be written as JSON"))
        .ok()
}
