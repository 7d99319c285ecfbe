//! `GET /health`.

use std::time::Duration;

use axum::extract::State;
use netsage_api_types::{Health, PipelineCounters};

use super::extract::Json;
use super::state::AppState;

/// How long the store may take to say that it is well.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Whether the program is well, and what it is doing.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
pub(crate) async fn get_health(State(state): State<AppState>) -> Json<Health> {
    let counters = state.counters.snapshot();
    let interfaces = state.counters.interfaces();
    let mut problems = losses(&counters);
    if state.lifecycle.active().is_empty() {
        problems.push("no detector is active, so nothing is scored; activate one".to_owned());
    }
    if !state.counters.finished() {
        let down = interfaces.iter().filter(|interface| !interface.up);
        problems.extend(down.map(|interface| {
            format!(
                "nothing is captured on `{}`, which is away; capture goes on when it is back",
                interface.name
            )
        }));
    }
    match tokio::time::timeout(STORE_PATIENCE, state.store.health()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            // What a database says belongs in the log: it may name hosts and users.
            tracing::warn!(%error, "the store is not well");
            problems.push("the store does not answer; the log says why".to_owned());
        }
        Err(_) => problems.push("the store has not answered for 2 seconds".to_owned()),
    }
    Json(Health {
        status: if problems.is_empty() { "ok" } else { "degraded" }.to_owned(),
        problems,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: state.started.elapsed().as_secs(),
        source: state.source.clone(),
        finished: state.counters.finished(),
        store: state.store.kind().to_owned(),
        token_required: state.guard.token_required(),
        interfaces,
        kept_packets: state.evidence.as_ref().map(|evidence| evidence.kept()),
        counters,
    })
}

/// What was lost or not scored, in words.
fn losses(counters: &PipelineCounters) -> Vec<String> {
    let mut losses = Vec::new();
    if counters.kernel_drops > 0 {
        losses.push(format!(
            "{} packets were lost because they came faster than they could be read; capture less, with a filter",
            counters.kernel_drops
        ));
    }
    if counters.flows_dropped > 0 {
        losses.push(format!(
            "{} flows were dropped because scoring or the store could not keep up; give it more `workers` or capture less",
            counters.flows_dropped
        ));
    }
    if counters.flows_failed > 0 {
        losses.push(format!(
            "{} flows were not scored by every detector; the log says what the detector did",
            counters.flows_failed
        ));
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_said_with_its_number() {
        let counters = PipelineCounters {
            flows_dropped: 3,
            flows_failed: 7,
            kernel_drops: 5,
            ..PipelineCounters::default()
        };
        let said = losses(&counters).join(" ");
        for expected in [
            "3 flows were dropped",
            "7 flows were not scored",
            "5 packets were lost",
        ] {
            assert!(said.contains(expected), "{said}");
        }
        assert!(losses(&PipelineCounters::default()).is_empty());
    }
}
