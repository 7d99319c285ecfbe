//! `GET /events`: the event stream, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::Stream;
use netsage_api_types::{PipelineCounters, StreamEvent};
use netsage_outputs::{OutputCounters, event_stream};
use netsage_store::{Change, SharedStore, Store};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::access::Caller;
use super::state::AppState;
use crate::Announcer;

/// Events as they happen: `alert` (an alert is new or has changed), `counters` (about once a second), `detectors`
/// (a package was staged, or a step was done with one).
///
/// The id of an `alert` event is the revision of the change. A client that connects again with `Last-Event-ID`, as
/// browsers do by themselves, gets the alerts that have changed since then, each as its last change left it; without it
/// the stream begins with the next change. Counters and news of detectors have no id and are not repeated: a client
/// that reads too slowly misses some and gets an event named `missed` with their number.
#[utoipa::path(
    get,
    path = "/events",
    tag = "system",
    params(("Last-Event-ID" = Option<u64>, Header, description = "Id of the last event that the client has seen")),
    responses((status = 200, description = "Events without end", content_type = "text/event-stream", body = StreamEvent))
)]
pub(crate) async fn get_events(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seen = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let counters = state.counters.snapshot();
    let events = stream(&state.store, &state.events, &state.event_stream, counters, seen).await;
    let events = futures_util::StreamExt::take_until(events, end_of(caller));
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

/// Ends when a caller may not listen any more.
async fn end_of(caller: Caller) {
    match caller {
        Caller::Session(ends) => tokio::time::sleep_until(ends.into()).await,
        Caller::Anyone | Caller::Bearer => std::future::pending().await,
    }
}

/// The events for a client that has seen everything up to a revision.
async fn stream(
    store: &SharedStore,
    announcer: &Announcer,
    counted: &Arc<OutputCounters>,
    counters: PipelineCounters,
    seen: Option<u64>,
) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let after = first_revision(&**store, seen).await;
    let announced = BroadcastStream::new(announcer.subscribe());
    let alerts = event_stream::open(
        Arc::clone(store),
        announcer.news().clone(),
        Arc::clone(counted),
        after,
    );
    // An event without data gives the client its id and is not shown: so even one that sees no alert has a cursor.
    let cursor = after.map(|revision| Event::default().id(revision.to_string()));
    let counters = encode(&StreamEvent::Counters(counters));
    let events = announced.filter_map(|received| match received {
        Ok(event) => encode(&event),
        Err(BroadcastStreamRecvError::Lagged(missed)) => {
            Some(Event::default().event("missed").data(missed.to_string()))
        }
    });
    let first = tokio_stream::iter(cursor.into_iter().chain(counters));
    let events = first.chain(events.merge(alerts.filter_map(encode_change)));
    events.map(Ok)
}

/// The revision after which a client's stream begins: the one that it has seen, or the newest, also where the last event
/// that it has seen was of another store. `None` when the store does not say.
async fn first_revision(store: &dyn Store, seen: Option<u64>) -> Option<u64> {
    match store.changes(u64::MAX, 1).await {
        Ok(page) => Some(seen.map_or(page.newest, |seen| seen.min(page.newest))),
        Err(_) => seen,
    }
}

fn encode_change(change: Change) -> Option<Event> {
    let event = encode(&StreamEvent::Alert(Box::new(change.alert)))?;
    Some(event.id(change.revision.to_string()))
}

fn encode(event: &StreamEvent) -> Option<Event> {
    let encoded = match event {
        StreamEvent::Alert(alert) => Event::default().event("alert").json_data(alert),
        StreamEvent::Counters(counters) => Event::default().event("counters").json_data(counters),
        StreamEvent::Detectors => Ok(Event::default().event("detectors").data("null")),
    };
    encoded
        .inspect_err(|error| tracing::error!(%error, "event cannot be written as JSON"))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::body::BodyDataStream;
    use axum::response::IntoResponse as _;
    use netsage_alerts::{AlertHit, FlowRecord, Provenance};
    use netsage_api_types::{DetectorRef, Severity};
    use netsage_store::FlowBatchRecord;

    use super::*;

    /// Records a flow of this source, which is an alert.
    async fn record(store: &SharedStore, number: u8, source: u8) {
        let mut batch = FlowBatchRecord::default();
        batch.scores.reset(1, 1);
        let detector = batch.scores.detector(&DetectorRef {
            name: "d".into(),
            version: "1.0.0".into(),
            digest: "0".repeat(64),
            generation: 1,
        });
        batch.scores.set(0, 0, detector, 0.9);
        batch.flows.push(FlowRecord {
            id: [number; 16],
            start: 0,
            end: 0,
            source: IpAddr::from([10, 0, 0, source]),
            source_port: 1,
            destination: IpAddr::from([10, 0, 0, 100]),
            destination_port: 2,
            protocol: "tcp",
            service: "-",
            state: "FIN",
            packets: 1,
            bytes: 1,
            community_id: [0; 20],
            fused: None,
            provenance: Provenance::NONE,
            foreign: None,
        });
        batch.hits.push(AlertHit {
            flow: 0,
            detector,
            score: 0.9,
            threshold: 0.5,
            severity: Severity::Low,
            contributions: Vec::new(),
        });
        store.record(&[Arc::new(batch)]).await.unwrap();
    }

    /// A browser: what it has seen of a stream, as name and id of each event.
    struct Browser {
        body: BodyDataStream,
        text: String,
    }

    impl Browser {
        async fn open(store: &SharedStore, announcer: &Announcer, seen: Option<u64>) -> Self {
            let counters = PipelineCounters::default();
            let stream = stream(store, announcer, &Arc::default(), counters, seen).await;
            Self {
                body: Sse::new(stream).into_response().into_body().into_data_stream(),
                text: String::new(),
            }
        }

        async fn next(&mut self) -> (String, Option<u64>) {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let field = |name: &str| {
                        let line = event.lines().find_map(|line| line.strip_prefix(name));
                        line.map(|line| line.trim_start_matches([':', ' ']).to_owned())
                    };
                    let found = (
                        field("event").unwrap_or_default(),
                        field("id").and_then(|id| id.parse().ok()),
                    );
                    self.text = rest.to_owned();
                    return found;
                }
                let bytes = self.body.next().await.unwrap().unwrap();
                self.text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }

        async fn sees(&mut self, expected: &[(&str, Option<u64>)]) {
            for (name, id) in expected {
                assert_eq!(self.next().await, ((*name).to_owned(), *id));
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_comes_back_gets_what_it_missed() {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("store.db").display().to_string();
        let store = netsage_store::open(&url).await.unwrap();
        let announcer = Announcer::default();
        record(&store, 1, 1).await;
        // A page that is opened has the lists; it gets a cursor and what changes from now on.
        let mut page = Browser::open(&store, &announcer, None).await;
        page.sees(&[("", Some(1)), ("counters", None)]).await;
        record(&store, 2, 2).await;
        announcer.alerts_changed();
        page.sees(&[("alert", Some(2))]).await;
        announcer.say(StreamEvent::Detectors);
        page.sees(&[("detectors", None)]).await;
        drop(page);
        // While it is away the first alert grows, and there is a new one.
        record(&store, 3, 1).await;
        record(&store, 4, 3).await;
        let mut page = Browser::open(&store, &announcer, Some(2)).await;
        page.sees(&[
            ("", Some(2)),
            ("counters", None),
            ("alert", Some(3)),
            ("alert", Some(4)),
        ])
        .await;
        // An id of another store is no cursor of this one.
        let mut page = Browser::open(&store, &announcer, Some(1_000)).await;
        page.sees(&[("", Some(4)), ("counters", None)]).await;
    }
}
