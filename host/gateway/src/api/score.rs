//! `POST /score`: rows scored by every active detector, without being stored.

use axum::extract::State;
use axum::http::StatusCode;
use netsage_api_types::{ScoreRequest, ScoreResponse, SingleScoreRequest, Value};
use netsage_runtime::{GuestFailure, ScoreError};
use netsage_schema::{Column, Kind, Rows, Schema, UNSW_NB15};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema as JsonSchema, Type};

use super::extract::Json;
use super::problem::ApiError;
use super::state::AppState;
use crate::pipeline;

/// Most rows of a request.
const MOST_ROWS: usize = 10_000;

/// The forms of a request, for `openapi.json`: rows of a named schema, or one row of `unsw-nb15`; what each column takes is
/// said there. `read_rows` tells the forms apart by hand: its errors then say what is wrong with the form that was meant.
pub(crate) struct ScoreBody;

impl utoipa::ToSchema for ScoreBody {}

impl utoipa::PartialSchema for ScoreBody {
    fn schema() -> RefOr<JsonSchema> {
        let rows = |schema: &'static Schema| {
            let name = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some([schema.id]));
            let rows = ArrayBuilder::new()
                .items(row(schema))
                .min_items(Some(1))
                .max_items(Some(MOST_ROWS));
            ObjectBuilder::new()
                .title(Some(format!("Rows of {}", schema.id)))
                .property("schema", name)
                .property("rows", rows)
                .required("schema")
                .required("rows")
        };
        let single = ObjectBuilder::new()
            .title(Some("One row of unsw-nb15"))
            .property("features", row(&UNSW_NB15))
            .required("features");
        let forms = Schema::ALL.into_iter().map(rows).chain([single]);
        let any = forms.fold(AnyOfBuilder::new(), AnyOfBuilder::item);
        RefOr::T(JsonSchema::AnyOf(any.build()))
    }
}

/// A row: all columns in their order.
fn row(schema: &'static Schema) -> ArrayBuilder {
    let columns = schema.columns.iter().map(column);
    ArrayBuilder::new()
        .prefix_items(columns)
        .min_items(Some(schema.width()))
        .max_items(Some(schema.width()))
}

/// A number from 0 on; of a nominal column the code of a term, or the term.
fn column(column: &Column) -> JsonSchema {
    let number = |kind| {
        let number = ObjectBuilder::new().schema_type(kind).minimum(Some(0));
        number.title(Some(column.name))
    };
    match column.kind {
        Kind::Nominal(vocabulary) => {
            let last = vocabulary.terms.len().saturating_sub(1);
            let code = number(Type::Integer).maximum(Some(last));
            let term = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(vocabulary.terms.iter().copied()));
            let either = AnyOfBuilder::new().item(code).item(term);
            JsonSchema::AnyOf(either.build())
        }
        Kind::Count | Kind::Continuous | Kind::Flag => JsonSchema::Object(number(Type::Number).build()),
    }
}

/// Scores rows with every active detector. Nothing is stored.
#[utoipa::path(
    post,
    path = "/score",
    tag = "detectors",
    request_body = ScoreBody,
    responses(
        (status = 200, body = Vec<ScoreResponse>),
        (status = 409, description = "The program runs on rows of another schema"),
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
        ScoreError::OtherSchema { .. } => ApiError::new(
            StatusCode::CONFLICT,
            "other-schema",
            "Another schema runs",
            error.to_string(),
        ),
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
