//! `/detectors`: the packages that this program holds, their upload, and their modules for the browser. The steps of a
//! package are in [`super::steps`].

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use netsage_api_types::{DetectorInfo, Stage, StepRequest};
use netsage_lifecycle::{LifecycleError, NewPackage};
use netsage_package::Package;

use serde::Deserialize;

use super::dashboard::{cacheable, media_type};
use super::extract::{Bytes, Fits, Json, Path, Query};
use super::problem::ApiError;
use super::state::AppState;

/// How long an upload waits for the verdict of the checks. Compiling takes a second, of a large component a few.
const CHECK_PATIENCE: Duration = Duration::from_secs(30);

/// Every package that this program holds: those that score first, then by name and digest.
#[utoipa::path(get, path = "/detectors", tag = "detectors", responses((status = 200, body = Vec<DetectorInfo>)))]
pub(crate) async fn list_detectors(State(state): State<AppState>) -> Json<Vec<DetectorInfo>> {
    Json(state.lifecycle.list())
}

/// One package.
#[utoipa::path(
    get,
    path = "/detectors/{package}",
    tag = "detectors",
    params(("package" = String, Path, description = "Digest, the first 8 or more digits of it, or name")),
    responses(
        (status = 200, body = DetectorInfo),
        (status = 404),
        (status = 409, description = "More than one package may be meant")
    )
)]
pub(crate) async fn get_detector(
    State(state): State<AppState>,
    Path(package): Path<String>,
) -> Result<Json<DetectorInfo>, ApiError> {
    Ok(Json(state.lifecycle.info(&package)?))
}

/// The stages that a package reaches by itself, for `openapi.json`.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter and is never made")]
enum Reachable {
    Staged,
    Checked,
    Warm,
    Shadow,
    Canary,
    Active,
}

/// How far an uploaded package goes by itself, and what the history notes about the upload.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StageQuery {
    /// The last stage that the package reaches by itself; without it the setting `rollout` holds.
    #[param(inline, value_type = Option<Reachable>)]
    until: Option<Stage>,
    /// Who brings it; at most 128 characters.
    #[param(max_length = 128)]
    by: Option<String>,
    /// Why; at most 1,024 characters.
    #[param(max_length = 1_024)]
    why: Option<String>,
    /// The content of its `.minisig` file, where the program takes signed packages only.
    signature: Option<String>,
}

/// Stages a detector package: the body is the file. The answer comes when it is checked, or at once with
/// `until=staged`; the package then goes on in the background as far as `until` says. A package that this program holds
/// already goes on from its stage.
#[utoipa::path(
    post,
    path = "/detectors",
    tag = "detectors",
    params(StageQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 201, body = DetectorInfo),
        (status = 409, description = "This program holds as many packages as it can"),
        (status = 413),
        (status = 422, description = "Not a package, or one that this host does not take; `detail` says why")
    )
)]
pub(crate) async fn post_detector(
    State(state): State<AppState>,
    _: Fits,
    Query(query): Query<StageQuery>,
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
    let until = query.until.unwrap_or(state.rollout);
    let request = StepRequest {
        by: query.by,
        why: query.why,
        ..StepRequest::default()
    };
    let lifecycle = Arc::clone(&state.lifecycle);
    let staging = tokio::task::spawn_blocking(move || {
        let new = NewPackage {
            signature: query.signature,
            ..NewPackage::from_api(body.to_vec())
        };
        let staged = lifecycle.stage(&new, &request, until)?;
        let digest = &staged.detector.digest;
        match lifecycle.wait(digest, until.min(Stage::Checked), CHECK_PATIENCE) {
            // It goes on, and the history will say how.
            Err(LifecycleError::NotYet { .. }) => lifecycle.info(digest),
            result => result,
        }
    });
    let info = staging.await.map_err(ApiError::internal)??;
    tracing::info!(detector = %info.detector.name, digest = %info.detector.digest, "detector staged");
    Ok((StatusCode::CREATED, Json(info)))
}

/// The package, as it was uploaded or bundled.
#[utoipa::path(
    get,
    path = "/detectors/{package}/package",
    tag = "detectors",
    params(("package" = String, Path, description = "Digest, the first 8 or more digits of it, or name")),
    responses(
        (status = 200, content_type = "application/wasm", body = Vec<u8>),
        (status = 404)
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
    path = "/detectors/{package}/browser/{file}",
    tag = "detectors",
    params(
        ("package" = String, Path, description = "Digest, the first 8 or more digits of it, or name"),
        ("file" = String, Path, description = "`detector.js`, or a file that it names")
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "text/javascript"),
        (status = 404),
        (status = 422, description = "The package has no form for the browser")
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
    let files = tokio::task::spawn_blocking(move || shared.browser.of(&package))
        .await
        .map_err(ApiError::internal)?
        .map_err(|error| ApiError::unprocessable("no-browser-form", error.to_string()))?;
    let (name, content) = files.iter().find(|(name, _)| *name == file).ok_or_else(|| {
        ApiError::not_found("the package has no such file for the browser; start with detector.js")
    })?;
    // What is generated depends on the package and on the generator in this program.
    let tag = format!("{digest}-{file}-{}", env!("CARGO_PKG_VERSION"));
    Ok(cacheable(media_type(name), &tag, &headers, || match content {
        Cow::Borrowed(content) => axum::body::Bytes::from_static(content),
        Cow::Owned(content) => axum::body::Bytes::copy_from_slice(content),
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
