//! `GET /flows`, and `POST /flows`, which takes records of flows.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use netsage_api_types::{Flow, FlowQuery, Page, PassedOver, RecordsTaken, RefusedRecord, SenderQuery};
use netsage_records::formats::Format;
use netsage_sources::stream::{Accepted, InboxError, Sender};

use super::extract::{Bytes, Json, Query};
use super::problem::ApiError;
use super::state::AppState;
use crate::config::LONGEST_NAME;

/// Flows with their scores, newest first. `next` of one page is the `cursor` of the next. A page looks at 50,000 flows at
/// most: it may have fewer than asked for, or none, and still a `next`.
#[utoipa::path(
    get,
    path = "/flows",
    tag = "flows",
    params(FlowQuery),
    responses((status = 200, body = Page<Flow>), (status = 400), (status = 503))
)]
pub(crate) async fn list_flows(
    State(state): State<AppState>,
    Query(query): Query<FlowQuery>,
) -> Result<Json<Page<Flow>>, ApiError> {
    Ok(Json(state.store.flows(&query).await?))
}

/// Most bytes of a body of records, unpacked.
const MOST_UNPACKED: usize = 2 * super::BODY_LIMIT;

/// Takes records of flows: JSON of flows, as a list or one on each line, or a log of Zeek, Suricata or Argus; as it is or
/// packed by gzip, zstd or lz4. The answer comes when they lie on the disk. A sender that gets none sends the same again: the
/// ids of flows make repeats harmless.
#[utoipa::path(
    post,
    path = "/flows",
    tag = "flows",
    params(SenderQuery),
    request_body(
        content = String,
        content_type = "application/x-ndjson",
        description = "The format is told by the first line, whatever the `Content-Type`; docs/flow.schema.json describes flows in JSON"
    ),
    responses(
        (status = 202, body = RecordsTaken),
        (status = 409, description = "The program takes no records: it was started without `--inbox`"),
        (status = 422, description = "No record could be taken of the body; `detail` says why"),
        (status = 503, description = "The inbox is full, or its disk does not take it; send the same again after `retry-after`")
    )
)]
pub(crate) async fn post_flows(
    State(state): State<AppState>,
    Query(query): Query<SenderQuery>,
    headers: HeaderMap,
    Bytes(body): Bytes,
) -> Result<(StatusCode, Json<RecordsTaken>), ApiError> {
    let Some(inbox) = state.inbox.clone() else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "no-inbox",
            "No inbox",
            "this program takes no records; start it with `--inbox 256MiB`",
        ));
    };
    if let Some(note) = headers.get(netsage_forward::HEADER) {
        state.senders.hear(note.as_bytes(), None);
    }
    let sender = sender(&state, &query)?;
    // Few at a time: each holds its records in memory until they are written.
    let _turn = state.inbox_turns.acquire().await.map_err(ApiError::internal)?;
    let taken = tokio::task::spawn_blocking(move || inbox.accept(&body, MOST_UNPACKED, &sender));
    let accepted = (taken.await.map_err(ApiError::internal)?).map_err(|error| not_taken(&error))?;
    if accepted.counts.records == 0
        && let Some(first) = accepted.refused.first()
    {
        let refused = accepted.counts.refused.total();
        let detail = format!("none of the {refused} records can be used; the first: {first}");
        return Err(ApiError::unprocessable("bad-records", detail));
    }
    Ok((StatusCode::ACCEPTED, Json(told(&accepted))))
}

/// How the records of a call are read.
fn sender(state: &AppState, query: &SenderQuery) -> Result<Sender, ApiError> {
    let label = |name, value: &Option<String>| match value {
        Some(value) if value.is_empty() || value.chars().count() > LONGEST_NAME => {
            let detail = format!("`{name}` has 1 to {LONGEST_NAME} characters");
            Err(ApiError::bad_request("bad-query", detail))
        }
        value => Ok(value.as_deref().map(Arc::from)),
    };
    let mut sender = Sender {
        options: state.records.clone(),
        network: label("network", &query.network)?,
        sensor: label("sensor", &query.sensor)?,
    };
    if let Some(name) = &query.format {
        let format = Format::by_name(name).ok_or_else(|| {
            let known = Format::ALL.map(Format::name).join(", ");
            ApiError::bad_request("bad-query", format!("`{name}` is no format; there are {known}"))
        })?;
        sender.options.format = Some(format);
    }
    Ok(sender)
}

fn told(accepted: &Accepted) -> RecordsTaken {
    let counts = &accepted.counts;
    let passed_over = counts.passed_over.iter().map(|(reason, count)| PassedOver {
        what: reason.to_string(),
        count,
    });
    let refusals = accepted.refused.iter().map(|refused| RefusedRecord {
        place: refused.place.to_string(),
        reason: refused.refusal.to_string(),
    });
    RecordsTaken {
        records: counts.records,
        passed_over: passed_over.collect(),
        refused: counts.refused.total(),
        refusals: refusals.collect(),
    }
}

fn not_taken(error: &InboxError) -> ApiError {
    let detail = error.to_string();
    match error {
        InboxError::Full { .. } => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "inbox-full",
            "The inbox is full",
            detail,
        ),
        InboxError::TooLarge { .. } | InboxError::Unpacked { .. } => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
        }
        InboxError::Unreadable(_) => ApiError::unprocessable("bad-records", detail),
        _ => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "inbox-not-written",
            "The inbox cannot be written",
            "the disk of the inbox does not take the records; send the same again later",
        )
        .because(&detail),
    }
}
