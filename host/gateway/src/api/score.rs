//! `POST /score`: rows scored by every active detector, without being stored.

use axum::extract::State;
use axum::http::StatusCode;
use netsage_api_types::{ScoreRequest, ScoreResponse, SingleScoreRequest, Value};
use netsage_runtime::{GuestFailure, ScoreError};
use netsage_schema::{Rows, Schema, UNSW_NB15};

use super::extract::Json;
use super::problem::ApiError;
use super::state::AppState;
use crate::pipeline;

/// Most rows of a request.
const MOST_ROWS: usize = 10_000;

/// The two forms of a request, for `openapi.json`. `read_rows` tells them apart by hand: its errors then say
/// what is wrong with the form that was meant.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the body and is never made")]
pub(crate) enum ScoreBody {
    /// Rows of a named schema.
    Rows(ScoreRequest),
    /// One row of `unsw-nb15`.
    Single(SingleScoreRequest),
}

/// Scores rows with every active detector. Nothing is stored.
#[utoipa::path(
    post,
    path = "/score",
    tag = "detectors",
    request_body = ScoreBody,
    responses(
        (status = 200, body = Vec<ScoreResponse>),
        (status = 415),
        (status = 422),
        (status = 500, description = "A detector failed on these rows; `detail` says which and how")
    )
)]
pub(crate) async fn post_score(
    State(state): State<AppState>,
    Json(body): Json<serde_json::Value>,
) -> Result<Json<Vec<ScoreResponse>>, ApiError> {
    let lifecycle = std::sync::Arc::clone(&state.lifecycle);
    // Reading 10,000 rows takes tens of milliseconds, scoring them more.
    let scored = tokio::task::spawn_blocking(move || {
        let rows = read_rows(body)?;
        let mut responses = Vec::new();
        for generation in lifecycle.active() {
            let loaded = &generation.loaded;
            let threshold = loaded.threshold();
            let scores = pipeline::score_rows(&loaded.detector, &rows, None).map_err(failed)?;
            responses.push(ScoreResponse {
                detector: generation.reference.clone(),
                threshold,
                anomalous: scores.iter().map(|&score| score > threshold).collect(),
                scores,
            });
        }
        Ok::<_, ApiError>(responses)
    });
    scored.await.map_err(ApiError::internal)?.map(Json)
}

/// Why a detector gave no scores. The client reads what the detector did, since the detector may be the client's own.
fn failed(error: ScoreError) -> ApiError {
    match error {
        ScoreError::OtherSchema { .. } => ApiError::unprocessable("other-schema", error.to_string()),
        // The rows are no flows: nobody knows where and when they were.
        ScoreError::Guest {
            failure: GuestFailure::Refused {
                kind: "bad-input", ..
            },
            ..
        } => ApiError::unprocessable("bad-rows", error.to_string()),
        ScoreError::Guest { .. } => ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "detector-failed",
            "A detector failed",
            error.to_string(),
        )
        .because(&error),
        other => ApiError::internal(other),
    }
}

fn read_rows(body: serde_json::Value) -> Result<Rows, ApiError> {
    let bad = |error: serde_json::Error| ApiError::unprocessable("bad-rows", error.to_string());
    let (schema, rows) = if body.get("features").is_some() {
        let single: SingleScoreRequest = serde_json::from_value(body).map_err(bad)?;
        (&UNSW_NB15, vec![single.features])
    } else if body.get("rows").is_some() || body.get("schema").is_some() {
        let request: ScoreRequest = serde_json::from_value(body).map_err(bad)?;
        let schema = Schema::by_id(&request.schema).ok_or_else(|| {
            let known = Schema::ALL.map(|schema| schema.id).join(", ");
            ApiError::unprocessable(
                "unknown-schema",
                format!("schema `{}` is not known; known: {known}", request.schema),
            )
        })?;
        (schema, request.rows)
    } else {
        return Err(ApiError::unprocessable(
            "bad-rows",
            "give `{\"schema\": \"unsw-nb15\", \"rows\": [[...]]}` or `{\"features\": [...]}`",
        ));
    };
    if rows.is_empty() || rows.len() > MOST_ROWS {
        return Err(ApiError::unprocessable(
            "bad-rows",
            format!("there are {} rows; give 1 to {MOST_ROWS}", rows.len()),
        ));
    }
    let mut table = Rows::with_capacity(schema, rows.len());
    let mut values = Vec::with_capacity(schema.width());
    for (index, row) in rows.iter().enumerate() {
        read_row(schema, row, &mut values).map_err(|message| {
            ApiError::unprocessable("bad-rows", format!("row {}: {message}", index + 1))
        })?;
        table.push(&values);
    }
    Ok(table)
}

fn read_row(schema: &'static Schema, row: &[Value], values: &mut Vec<f64>) -> Result<(), String> {
    if row.len() != schema.width() {
        return Err(format!(
            "{} values; schema {} has {} columns",
            row.len(),
            schema.id,
            schema.width()
        ));
    }
    values.clear();
    for (column, value) in schema.columns.iter().zip(row) {
        let read = match value {
            Value::Number(number) => column.value_from_number(*number),
            Value::Term(term) => column.value_from_text(term),
        };
        values.push(read.map_err(|error| format!("column `{}`: {error}", column.name))?);
    }
    Ok(())
}
