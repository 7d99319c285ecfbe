//! `GET /alerts/{id}/pcap`: the packets of an alert's flow.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::alerts::unknown;
use super::extract::Path;
use super::problem::ApiError;
use super::state::AppState;
use crate::evidence::{Search, WantedFlow};

/// The packets of the flow that an alert shows.
///
/// Both directions, as far as they are still kept, as a pcapng file with times in nanoseconds. Once the server has a
/// token, this call must bear it too: packets hold what people sent.
#[utoipa::path(
    get,
    path = "/alerts/{id}/pcap",
    tag = "alerts",
    params(("id" = String, Path, description = "32 hexadecimal digits")),
    responses(
        (status = 200, description = "A pcapng file", content_type = "application/x-pcapng", body = [u8]),
        (status = 404)
    )
)]
pub(crate) async fn get_alert_packets(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let alert = state.store.alert(&id).await?.ok_or_else(|| unknown(&id))?;
    let Some(evidence) = &state.evidence else {
        return Err(ApiError::absent(
            "packets-not-kept",
            "this server keeps no packets; start it with `--keep-packets 256MiB` to have those of later alerts",
        ));
    };
    if alert.network != *state.records.site.network {
        return Err(ApiError::absent(
            "packets-elsewhere",
            "this alert is of another network than the packets that this server keeps; ask the server that captures there",
        ));
    }
    let gone = || {
        ApiError::absent(
            "packets-gone",
            "the packets of this alert are not kept any more: newer ones have overwritten them, or the program was \
             started again; a larger `--keep-packets` keeps them for longer",
        )
    };
    let flow = WantedFlow::of(&alert).ok_or_else(gone)?;
    let search = evidence.search(flow);
    let (first, search) = next_chunk(search).await?.ok_or_else(gone)?;
    let rest = stream::try_unfold(search, |search| async move {
        next_chunk(search).await.map_err(|error| {
            tracing::error!(?error, "packets of an alert could not be sent to the end");
            std::io::Error::other("the search ended")
        })
    });
    let file = stream::StreamExt::chain(stream::iter([Ok(first)]), rest);
    let headers = [
        (header::CONTENT_TYPE, "application/x-pcapng".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"alert-{}.pcapng\"", alert.id),
        ),
        // Packets are not to lie in a cache, and are other ones the next time.
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(file)).into_response())
}

/// Reading a piece of the ring takes longer than a task of the server may.
async fn next_chunk(mut search: Search) -> Result<Option<(Bytes, Search)>, ApiError> {
    tokio::task::spawn_blocking(move || {
        let chunk = search.next_chunk()?;
        Some((Bytes::from(chunk), search))
    })
    .await
    .map_err(ApiError::internal)
}
