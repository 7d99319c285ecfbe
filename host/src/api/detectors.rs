//! `/detectors`: packages, their upload and activation, and their form for the browser.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use netsage_api_types::{Activated, DetectorInfo, LiveEvent, Problem};
use netsage_runtime::Package;

use super::dashboard::{cacheable, media_type};
use super::extract::{Bytes, Json, Path};
use super::problem::ApiError;
use super::state::AppState;
use crate::catalog::{CatalogError, Loaded};

/// Every package that this program holds, active ones first.
#[utoipa::path(get, path = "/detectors", tag = "detectors", responses((status = 200, body = Vec<DetectorInfo>)))]
pub(crate) async fn list_detectors(State(state): State<AppState>) -> Json<Vec<DetectorInfo>> {
    Json(state.catalog.list())
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
    let catalog = Arc::clone(&state.catalog);
    // Compiling takes up to a second of processor time.
    let info = tokio::task::spawn_blocking(move || {
        let origin = "the uploaded package";
        let package = Package::from_bytes(body.to_vec()).map_err(|source| CatalogError::Package {
            origin: origin.to_owned(),
            source,
        })?;
        let loaded = catalog.add(origin, package)?;
        Ok::<_, CatalogError>(catalog.info(&loaded))
    })
    .await
    .map_err(ApiError::internal)?
    .map_err(refused)?;
    tracing::info!(detector = %info.detector.name, digest = %info.detector.digest, "detector uploaded");
    let _ = state.events.send(LiveEvent::Detectors);
    Ok((StatusCode::CREATED, Json(info)))
}

fn refused(error: CatalogError) -> ApiError {
    match error {
        CatalogError::Full => ApiError::new(
            StatusCode::CONFLICT,
            "too-many-packages",
            "Too many packages",
            error.to_string(),
        ),
        other => ApiError::unprocessable("bad-package", other.to_string()),
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
    let loaded = find(&state, &digest)?;
    let activated = state.catalog.activate(&loaded);
    tracing::info!(detector = %activated.active.name, digest = %activated.active.digest, "detector activated");
    let _ = state.events.send(LiveEvent::Detectors);
    Ok(Json(activated))
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
    let loaded = find(&state, &digest)?;
    let tag = &loaded.reference.digest;
    Ok(cacheable("application/wasm", tag, &headers, || {
        axum::body::Bytes::copy_from_slice(loaded.package().bytes())
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
    let loaded = find(&state, &digest)?;
    // Made at the first call, which takes a moment.
    let module = tokio::task::spawn_blocking(move || loaded.browser_module())
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

fn find(state: &AppState, digest: &str) -> Result<Arc<Loaded>, ApiError> {
    state.catalog.get(digest).ok_or_else(|| {
        let shown: String = digest.chars().take(64).collect();
        ApiError::not_found(format!(
            "there is no detector package `{shown}`; GET /api/v1/detectors lists them"
        ))
    })
}
