//! Prometheus's envelope of answers and errors.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use netsage_store::StoreError;
use serde::Serialize;
use serde_json::{Value, json};

/// What a handler gives.
pub(crate) type Answer = Result<Json<Value>, Failure>;

/// An error as Prometheus gives it.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

impl Failure {
    /// The call is not valid.
    pub(super) fn bad_data(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "bad_data",
            text: text.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (status, kind) = match &error {
            StoreError::InvalidSeries { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            StoreError::Overloaded | StoreError::TooSlow { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "timeout")
            }
            // What a database says belongs in the log: it may name hosts and users.
            passing if passing.is_passing() => {
                tracing::error!(cause = %error, "request failed");
                return Self {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    kind: "unavailable",
                    text: "the store does not answer now; try again".to_owned(),
                };
            }
            _ => {
                tracing::error!(cause = %error, "request failed");
                return Self {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    kind: "internal",
                    text: "the program could not do this; its log says why".to_owned(),
                };
            }
        };
        Self {
            status,
            kind,
            text: error.to_string(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "status": "error", "errorType": self.kind, "error": self.text });
        (self.status, Json(body)).into_response()
    }
}

/// A good answer.
pub(super) fn success(data: impl Serialize) -> Answer {
    Ok(Json(json!({ "status": "success", "data": data })))
}

/// A time, in seconds, with a value, which Prometheus writes as text.
pub(super) fn sample(time: i64, value: f64) -> Value {
    let seconds = match time % 1000 {
        0 => json!(time / 1000),
        _ => json!(time as f64 / 1000.0),
    };
    json!([seconds, value.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_of_prometheus() {
        let check = |time: i64, value: f64, expected: &str| {
            assert_eq!(sample(time, value).to_string(), expected);
        };
        check(1_700_000_000_000, 2.0, r#"[1700000000,"2"]"#);
        check(1_700_000_000_123, 0.5, r#"[1700000000.123,"0.5"]"#);
        check(-1_000, 18_446_744.0, r#"[-1,"18446744"]"#);
    }
}
