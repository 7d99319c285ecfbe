//! The steps of packages, the history of steps, and the comparison of candidates with the active package.

use std::sync::Arc;

use axum::extract::State;
use netsage_api_types::{
    Comparison, DetectorInfo, HistoryEntry, HistoryQuery, Page, Stage, Step, StepRequest,
};
use netsage_lifecycle::Lifecycle;

use super::extract::{Bytes, Json, Path, Query};
use super::problem::ApiError;
use super::state::AppState;

/// Most entries of a page of the history.
const LARGEST_PAGE: u32 = 500;

/// The steps that can be asked for, for `openapi.json`.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter and is never made")]
enum PackageStep {
    Check,
    Warm,
    Shadow,
    Canary,
    Promote,
    Rollback,
    Retire,
    Quarantine,
    Release,
}

/// Does a step with a package and answers when the step is done. A step that is not possible from the stage of the
/// package is refused, and the answer names the possible steps.
#[utoipa::path(
    post,
    path = "/detectors/{package}/{step}",
    tag = "detectors",
    params(
        ("package" = String, Path, description = "Digest, the first 8 or more digits of it, or name: that of a canary for `rollback` and `promote`, else of the active package"),
        ("step" = inline(PackageStep), Path, description = "What to do")
    ),
    request_body(content = Option<StepRequest>, description = "May be empty"),
    responses(
        (status = 200, body = DetectorInfo),
        (status = 404),
        (status = 409, description = "The stage of the package does not allow the step; `detail` names those it allows"),
        (status = 422, description = "The package was found bad and is quarantined, or the body cannot be used")
    )
)]
pub(crate) async fn post_step(
    State(state): State<AppState>,
    Path((package, step)): Path<(String, String)>,
    Bytes(body): Bytes,
) -> Result<Json<DetectorInfo>, ApiError> {
    let step = step_of(&step)?;
    let request = if body.iter().all(u8::is_ascii_whitespace) {
        StepRequest::default()
    } else {
        let request: Option<StepRequest> = serde_json::from_slice(&body).map_err(|error| {
            ApiError::unprocessable("bad-body", format!("the body is not that of a step: {error}"))
        })?;
        request.unwrap_or_default()
    };
    let lifecycle = Arc::clone(&state.lifecycle);
    // A step that has to compile takes a second or more.
    let taken = tokio::task::spawn_blocking(move || lifecycle.step(&package, step, &request));
    let info = taken.await.map_err(ApiError::internal)??;
    tracing::info!(
        detector = %info.detector.name,
        digest = %info.detector.digest,
        step = step.name(),
        stage = info.stage.name(),
        "step done"
    );
    Ok(Json(info))
}

fn step_of(name: &str) -> Result<Step, ApiError> {
    let mut steps = Step::ALL
        .into_iter()
        .filter(|step| *step != Step::Stage && !step.is_note());
    steps.clone().find(|step| step.name() == name).ok_or_else(|| {
        let first = steps.next().map_or("", Step::name);
        let names = steps.fold(first.to_owned(), |names, step| names + ", " + step.name());
        let shown: String = name.chars().take(64).collect();
        ApiError::not_found(format!("there is no step `{shown}`; the steps are {names}"))
    })
}

/// What was done with packages, by whom and why, newest first.
#[utoipa::path(
    get,
    path = "/detectors/history",
    tag = "detectors",
    params(HistoryQuery),
    responses(
        (status = 200, body = Page<HistoryEntry>),
        (status = 400)
    )
)]
pub(crate) async fn get_history(
    State(state): State<AppState>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<HistoryEntry>>, ApiError> {
    if query
        .limit
        .is_some_and(|limit| !(1..=LARGEST_PAGE).contains(&limit))
    {
        return Err(ApiError::bad_request(
            "bad-request",
            format!("`limit` is 1 to {LARGEST_PAGE}"),
        ));
    }
    Ok(Json(state.lifecycle.history(&query)?))
}

/// How a shadow or a canary compares with the active package of its name. During its probation, a promoted package is
/// compared with the package that it replaced.
#[utoipa::path(
    get,
    path = "/detectors/{package}/comparison",
    tag = "detectors",
    params(("package" = String, Path, description = "Digest, the first 8 or more digits of it, or name: that of its only candidate")),
    responses(
        (status = 200, body = Comparison),
        (status = 404, description = "There is no such package, or it is not compared with any"),
        (status = 409, description = "More than one package may be meant")
    )
)]
pub(crate) async fn get_comparison(
    State(state): State<AppState>,
    Path(package): Path<String>,
) -> Result<Json<Comparison>, ApiError> {
    let lifecycle = &state.lifecycle;
    let digest = candidate(lifecycle, &package)?;
    lifecycle.comparison(&digest).map(Json).ok_or_else(|| {
        ApiError::absent(
            "no-comparison",
            "the package is not compared with any; make it a shadow or a canary of a name that has an active package",
        )
    })
}

/// The digest of the package that is meant. A name stands for its only shadow or canary, otherwise for the active
/// package.
fn candidate(lifecycle: &Lifecycle, package: &str) -> Result<String, ApiError> {
    let list = lifecycle.list();
    let mut candidates = list
        .iter()
        .filter(|info| info.detector.name == package && matches!(info.stage, Stage::Shadow | Stage::Canary));
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(only.detector.digest.clone()),
        _ => Ok(lifecycle.info(package)?.detector.digest),
    }
}
