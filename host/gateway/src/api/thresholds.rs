//! `/thresholds`: the rule in force for each detector; and how far traffic has drifted from the rows of a training.

use std::sync::Arc;

use axum::extract::State;
use netsage_api_types::{Drift, ThresholdInfo, ThresholdRequest};
use netsage_calibration::Rule;
use netsage_lifecycle::{LifecycleError, ThresholdQuestion};
use serde::Deserialize;

use super::extract::{Json, Path, Query};
use super::problem::ApiError;
use super::state::AppState;
use crate::traffic;

/// The thresholds of all detectors that score, and of the fused verdict.
#[utoipa::path(get, path = "/thresholds", tag = "detectors", responses((status = 200, body = Vec<ThresholdInfo>)))]
pub(crate) async fn list_thresholds(State(state): State<AppState>) -> Json<Vec<ThresholdInfo>> {
    Json(state.lifecycle.thresholds())
}

/// A threshold to try.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ThresholdQuery {
    /// A rule to try instead of the one in force: `10/day`, `fpr:0.001` or `0.1%`, `p99.9`, a score.
    #[param(
        pattern = "^(card|off|[1-9][0-9]{0,8}/day|fpr:0\\.[0-4][0-9]{0,8}[1-9]|0?\\.[0-9]{0,8}[1-9]%|p[5-9][0-9](\\.[0-9]{1,8})?|[0-9]{1,9}(\\.[0-9]{1,9})?)$"
    )]
    rule: Option<String>,
}

/// The threshold of a detector, in force or tried, with the alerts that it would have raised in the last 24 hours.
#[utoipa::path(
    get,
    path = "/thresholds/{name}",
    tag = "detectors",
    params(("name" = String, Path, description = "Name of a detector, or `fused`"), ThresholdQuery),
    responses(
        (status = 200, body = ThresholdInfo),
        (status = 404),
        (status = 409, description = "The rule gives no score here now; `detail` says why"),
        (status = 422, description = "The rule is none; `detail` says why")
    )
)]
pub(crate) async fn get_threshold(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Query(query): Query<ThresholdQuery>,
) -> Result<Json<ThresholdInfo>, ApiError> {
    let rule = query.rule.as_deref().map(|rule| parse(&name, rule)).transpose()?;
    let flows_per_day = measured(&state, rule).await?;
    let question = state.lifecycle.threshold(&name, rule, flows_per_day)?;
    with_yesterday(&state, question).await
}

/// Sets the threshold of a detector, from the next block of flows on and over restarts. The history keeps the threshold
/// before.
#[utoipa::path(
    post,
    path = "/thresholds/{name}",
    tag = "detectors",
    params(("name" = String, Path, description = "Name of a detector, or `fused`")),
    request_body = ThresholdRequest,
    responses(
        (status = 200, body = ThresholdInfo),
        (status = 404),
        (status = 409, description = "The rule gives no score here now; `detail` says why"),
        (status = 422, description = "The rule is none; `detail` says why")
    )
)]
pub(crate) async fn post_threshold(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(request): Json<ThresholdRequest>,
) -> Result<Json<ThresholdInfo>, ApiError> {
    let rule = parse(&name, &request.rule)?;
    let flows_per_day = measured(&state, Some(rule)).await?;
    let lifecycle = Arc::clone(&state.lifecycle);
    // The journal is brought to the disk.
    let setting = tokio::task::spawn_blocking(move || {
        lifecycle.set_threshold(&name, &request, flows_per_day)?;
        lifecycle.threshold(&name, None, None)
    });
    let question = setting.await.map_err(ApiError::internal)??;
    with_yesterday(&state, question).await
}

/// How far the flows that a package scores have drifted from the rows of its training.
#[utoipa::path(
    get,
    path = "/detectors/{package}/drift",
    tag = "detectors",
    params(("package" = String, Path, description = "Digest, the first 8 or more digits of it, or name")),
    responses(
        (status = 200, body = Drift),
        (status = 404),
        (status = 409, description = "More than one package may be meant")
    )
)]
pub(crate) async fn get_drift(
    State(state): State<AppState>,
    Path(package): Path<String>,
) -> Result<Json<Drift>, ApiError> {
    Ok(Json(state.lifecycle.drift(&package)?))
}

fn parse(name: &str, rule: &str) -> Result<Rule, LifecycleError> {
    rule.parse().map_err(|source| LifecycleError::Threshold {
        name: name.chars().take(64).collect(),
        source,
    })
}

/// The number of flows a day, where the rule asks for it.
async fn measured(state: &AppState, rule: Option<Rule>) -> Result<Option<f64>, ApiError> {
    match rule {
        Some(Rule::PerDay(_)) => Ok(traffic::flows_per_day(&*state.store).await?),
        _ => Ok(None),
    }
}

async fn with_yesterday(
    state: &AppState,
    question: ThresholdQuestion,
) -> Result<Json<ThresholdInfo>, ApiError> {
    let yesterday = traffic::yesterday(&*state.store, &question).await?;
    Ok(Json(ThresholdInfo {
        yesterday,
        ..question.info
    }))
}
