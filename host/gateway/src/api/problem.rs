//! Errors as `application/problem+json` (RFC 9457): a message for the client, and apart from it one for the log.
//!
//! An [`ApiError`] does not know the request that it answers. It travels in the extensions of its response to
//! [`write`], which knows the request: there the document is written with the request's id, and the cause is logged
//! beside the same id.

use std::error::Error;

use axum::extract::Request;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use netsage_api_types::Problem;
use netsage_calibration::RuleError;
use netsage_lifecycle::LifecycleError;
use netsage_store::StoreError;

use super::request_id;
use crate::server::BodyRefused;

/// What an error is sent as.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// An error of a handler.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    /// The text for the client: what happened, and what to do about it.
    detail: String,
    /// What only the log says.
    internal: Option<String>,
    /// Headers that the answer has beside the document.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            internal: None,
            headers: Vec::new(),
        }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_request(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, "The request is not valid", detail)
    }

    /// The request is well formed, and its content cannot be used.
    pub(crate) fn unprocessable(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            kind,
            "The content cannot be used",
            detail,
        )
    }

    /// The body is too large.
    pub(crate) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Too large",
            "the body is larger than this server takes",
        )
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// There is such a thing, and what is asked for of it is not there.
    pub(crate) fn absent(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, kind, "Not there", detail)
    }

    /// A fault of this program, or of a part that it depends on. The client reads the id of the request; the log has the
    /// cause.
    #[expect(clippy::needless_pass_by_value, reason = "this is given to `map_err`")]
    pub(crate) fn internal(internal: impl ToString) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "internal",
            title: "Internal error",
            detail: "the program could not do this; its log says why".to_owned(),
            internal: Some(internal.to_string()),
            headers: Vec::new(),
        }
    }

    /// The store cannot answer now, and may later.
    fn store_busy(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store-busy",
            "Store not available",
            detail,
        )
    }

    /// The same, with a header of its answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same, with a cause for the log.
    pub(crate) fn because(self, internal: &impl ToString) -> Self {
        Self {
            internal: Some(internal.to_string()),
            ..self
        }
    }

    /// What the client reads.
    fn document(self, request_id: &str) -> Problem {
        let detail = if self.internal.is_some() {
            // People see this sentence, in the dashboard and on the command line, and no headers.
            format!("{} (request {request_id})", self.detail)
        } else {
            self.detail
        };
        Problem {
            kind: format!("urn:netsage:problem:{}", self.kind),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail,
            request_id: request_id.to_owned(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The middleware that writes the document of an error, and logs its cause within the span of the request.
pub(crate) async fn write(request: Request, next: Next) -> Response {
    let request_id = request_id::of(&request);
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return response;
    };
    if let Some(cause) = &error.internal {
        tracing::error!(%cause, "request failed");
    }
    for (name, value) in &error.headers {
        response.headers_mut().insert(name, value.clone());
    }
    *response.body_mut() = axum::Json(error.document(&request_id))
        .into_response()
        .into_body();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        // Seconds.
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The limits of [`crate::server`] reach a handler as errors of the body that it reads.
fn of_body(error: &(dyn Error + 'static)) -> Option<ApiError> {
    let mut cause = error;
    let refused = loop {
        match cause.downcast_ref::<BodyRefused>() {
            Some(refused) => break refused,
            None => cause = cause.source()?,
        }
    };
    let (status, kind, title) = match refused {
        BodyRefused::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow"),
        BodyRefused::NoMemory => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-bodies",
            "Too many bodies",
        ),
    };
    Some(ApiError::new(status, kind, title, refused.to_string()))
}

fn of_rejection(status: StatusCode, text: String, error: &(dyn Error + 'static)) -> ApiError {
    if let Some(error) = of_body(error) {
        return error;
    }
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(
            status,
            "media-type",
            "Unsupported media type",
            "send the body as JSON, with the header `Content-Type: application/json`",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => ApiError::unprocessable("bad-body", text),
        status if status.is_server_error() => ApiError::internal(text),
        _ => ApiError::bad_request("bad-request", text),
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        of_rejection(rejection.status(), rejection.body_text(), &rejection)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        of_rejection(rejection.status(), rejection.body_text(), &rejection)
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        of_rejection(rejection.status(), rejection.body_text(), &rejection)
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        of_rejection(rejection.status(), rejection.body_text(), &rejection)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadCursor => Self::bad_request("bad-cursor", error.to_string()),
            StoreError::InvalidSeries { .. } => Self::bad_request("bad-query", error.to_string()),
            StoreError::InvalidChange { .. } => Self::unprocessable("bad-body", error.to_string()),
            // Not a fault: who asks for less, or later, is answered. The log would fill with it.
            StoreError::Overloaded | StoreError::TooSlow { .. } => Self::store_busy(error.to_string()),
            passing if passing.is_passing() => {
                Self::store_busy("the store does not answer now; try again").because(&passing)
            }
            other => Self::internal(other),
        }
    }
}

impl From<LifecycleError> for ApiError {
    fn from(error: LifecycleError) -> Self {
        let conflict = |kind, title| Self::new(StatusCode::CONFLICT, kind, title, error.to_string());
        match &error {
            LifecycleError::NotFound { .. } => Self::not_found(error.to_string()),
            LifecycleError::BadCursor => Self::bad_request("bad-cursor", error.to_string()),
            LifecycleError::Ambiguous { .. } => conflict("ambiguous", "More than one package may be meant"),
            LifecycleError::Impossible { .. } => conflict("step-not-possible", "The step cannot be done now"),
            LifecycleError::Busy { .. } | LifecycleError::NotYet { .. } => {
                conflict("under-way", "Another step is under way")
            }
            LifecycleError::Full { .. } => conflict("too-many-packages", "Too many packages"),
            LifecycleError::Package { .. } => Self::unprocessable("bad-package", error.to_string()),
            LifecycleError::Refused { .. } => Self::unprocessable("refused-package", error.to_string()),
            LifecycleError::Request { .. } => Self::unprocessable("bad-body", error.to_string()),
            LifecycleError::Threshold {
                source: RuleError::NoRate { .. } | RuleError::NoCalibration { .. },
                ..
            } => conflict("no-threshold", "The rule gives no score now"),
            LifecycleError::Threshold { .. } => Self::unprocessable("bad-threshold", error.to_string()),
            LifecycleError::Ending => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ending",
                "The program is ending",
                error.to_string(),
            ),
            _ => Self::internal(error),
        }
    }
}
