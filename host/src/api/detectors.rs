//! `/detectors`: packages, their upload and activation, and their form for the browser.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use netsage_api_types::{Activated, DetectorInfo, Problem, Stage, Step, StepRequest};
use netsage_lifecycle::{LifecycleError, NewPackage};
use netsage_runtime::Package;

use super::dashboard::{cacheable, media_type};
use super::extract::{Bytes, Json, Path};
use super::problem::ApiError;
use super::state::AppState;

/// How long an upload waits until its package is warm.
const LOAD_PATIENCE: Duration = Duration::from_secs(120);

/// Every package that this program holds, active ones first.
#[utoipa::path(get, path = "/detectors", tag = "detectors", responses((status = 200, body = Vec<DetectorInfo>)))]
pub(crate) async fn list_detectors(State(state): State<AppState>) -> Json<Vec<DetectorInfo>> {
    Json(state.lifecycle.list())
}

/// Uploads a detector package: the body is the file. It is checked and compiled; afterwards it is available,
/// and an activation makes it score. Uploading the same file again gives the same answer.
#[utoipa::path(
    post,
    path = "/detectors",
    tag = "detectors",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 201, body = DetectorInfo),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "This program holds as many packages as it can", body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not a package, or one that this host does not take", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn post_detector(
    State(state): State<AppState>,
    Bytes(body): Bytes,
) -> Result<(StatusCode, Json<DetectorInfo>), ApiError> {
    if body.is_empty() {
        return Err(ApiError::unprocessable(
            "bad-package",
            format!(
                "the body is empty; send a detector package of at most {} bytes",
                state.upload_limit
            ),
        ));
    }
    let lifecycle = Arc::clone(&state.lifecycle);
    // Compiling takes up to a second of processor time.
    let info = tokio::task::spawn_blocking(move || {
        let new = NewPackage::from_api(body.to_vec());
        let staged = lifecycle.stage(&new, &StepRequest::default(), Stage::Warm)?;
        lifecycle.wait(&staged.detector.digest, Stage::Warm, LOAD_PATIENCE)
    })
    .await
    .map_err(ApiError::internal)?
    .map_err(refused)?;
    Ok((StatusCode::CREATED, Json(info)))
}

fn refused(error: LifecycleError) -> ApiError {
    match error {
        LifecycleError::Full { .. } => ApiError::new(
            StatusCode::CONFLICT,
            "too-many-packages",
            "Too many packages",
            error.to_string(),
        ),
        LifecycleError::Impossible { .. }
        | LifecycleError::Ambiguous { .. }
        | LifecycleError::Busy { .. } => ApiError::new(
            StatusCode::CONFLICT,
            "step-not-possible",
            "The step cannot be done now",
            error.to_string(),
        ),
        LifecycleError::NotFound { .. } => ApiError::not_found(error.to_string()),
        LifecycleError::Package { .. } | LifecycleError::Refused { .. } => {
            ApiError::unprocessable("bad-package", error.to_string())
        }
        LifecycleError::Request { .. } => ApiError::unprocessable("bad-request", error.to_string()),
        other => ApiError::internal(other),
    }
}

/// Makes a package score from the next block of flows on, in place of the active one of the same name.
#[utoipa::path(
    post,
    path = "/detectors/{digest}/activate",
    tag = "detectors",
    params(("digest" = String, Path, description = "64 hexadecimal digits")),
    responses(
        (status = 200, body = Activated),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn post_activate(
    State(state): State<AppState>,
    Path(digest): Path<String>,
) -> Result<Json<Activated>, ApiError> {
    let lifecycle = Arc::clone(&state.lifecycle);
    let activated = tokio::task::spawn_blocking(move || {
        let before = lifecycle.wait(&digest, Stage::Checked, LOAD_PATIENCE)?;
        if before.stage == Stage::Active {
            return Ok(Activated {
                active: before.detector,
                replaced: None,
            });
        }
        if before.stage == Stage::Checked {
            lifecycle.step(&digest, Step::Warm, &StepRequest::default())?;
        }
        let after = lifecycle.step(&digest, Step::Promote, &StepRequest::default())?;
        Ok(Activated {
            active: after.detector,
            replaced: after.previous,
        })
    });
    let activated = activated.await.map_err(ApiError::internal)?;
    activated.map(Json).map_err(refused)
}

/// The package, as it was uploaded or bundled.
#[utoipa::path(
    get,
    path = "/detectors/{digest}/package",
    tag = "detectors",
    params(("digest" = String, Path, description = "64 hexadecimal digits")),
    responses(
        (status = 200, content_type = "application/wasm", body = Vec<u8>),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn get_package(
    State(state): State<AppState>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let package = find(&state, digest).await?;
    let tag = package.digest().to_string();
    Ok(cacheable("application/wasm", &tag, &headers, || {
        axum::body::Bytes::copy_from_slice(package.bytes())
    }))
}

/// A file of the package's form for the browser: `detector.js`, an ES module, and the core modules it loads.
#[utoipa::path(
    get,
    path = "/detectors/{digest}/browser/{file}",
    tag = "detectors",
    params(
        ("digest" = String, Path, description = "64 hexadecimal digits"),
        ("file" = String, Path, description = "`detector.js`, or a file that it names")
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "text/javascript"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The package has no form for the browser", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn get_browser_file(
    State(state): State<AppState>,
    Path((digest, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let package = find(&state, digest).await?;
    let digest = package.digest();
    // Made at the first call, which takes a moment.
    let shared = state.clone();
    let module = tokio::task::spawn_blocking(move || shared.browser.of(&package))
        .await
        .map_err(ApiError::internal)?
        .map_err(|error| ApiError::unprocessable("no-browser-form", error.to_string()))?;
    let found = module
        .files
        .iter()
        .find(|candidate| candidate.name == file)
        .ok_or_else(|| {
            ApiError::not_found("the package has no such file for the browser; start with detector.js")
        })?;
    // What is generated depends on the package and on the generator in this program.
    let tag = format!("{digest}-{file}-{}", env!("CARGO_PKG_VERSION"));
    Ok(cacheable(media_type(&found.name), &tag, &headers, || {
        axum::body::Bytes::copy_from_slice(&found.bytes)
    }))
}

/// The package, which may have to be read from the disk.
async fn find(state: &AppState, given: String) -> Result<Package, ApiError> {
    let lifecycle = Arc::clone(&state.lifecycle);
    tokio::task::spawn_blocking(move || {
        lifecycle.package(&given).ok_or_else(|| {
            let shown: String = given.chars().take(64).collect();
            ApiError::not_found(format!(
                "there is no detector package `{shown}`; GET /api/v1/detectors lists them"
            ))
        })
    })
    .await
    .map_err(ApiError::internal)?
}
