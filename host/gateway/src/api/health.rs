//! `GET /health`.

use axum::extract::State;
use netsage_api_types::{ForwardHealth, Health, PartitionHealth, SourceHealth};
use netsage_forward::Forwarder;
use netsage_sources::{PartitionStatus, SourceCounters};

use super::extract::Json;
use super::state::AppState;
use crate::pipeline::Counters;

/// Whether the program is well, and what it is doing. What is wrong, and that it is over, is told within 5 seconds.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
pub(crate) async fn get_health(State(state): State<AppState>) -> Json<Health> {
    let problems = state.condition.problems();
    Json(Health {
        status: if problems.is_empty() { "ok" } else { "degraded" }.to_owned(),
        problems,
        notes: state.condition.notes(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: state.started.elapsed().as_secs(),
        source: state.source.clone(),
        finished: state.counters.finished(),
        store: state.store.kind().to_owned(),
        token_required: state.guard.token_required(),
        sources: sources(&state.counters),
        interfaces: state.counters.interfaces(),
        kept_packets: state.evidence.as_ref().map(|evidence| evidence.kept()),
        forward: state.forwarder.as_deref().map(forward_health),
        counters: state.counters.snapshot(),
    })
}

fn forward_health(forwarder: &Forwarder) -> ForwardHealth {
    let (status, spool) = (forwarder.status(), forwarder.spool());
    ForwardHealth {
        target: forwarder.target().to_owned(),
        waiting: spool.waiting,
        waiting_bytes: spool.waiting_bytes,
        lag_ms: u64::try_from(spool.age().as_millis()).unwrap_or(u64::MAX),
        sent: status.sent,
        given_up: spool.given_up,
        set_aside: spool.set_aside,
        cut_off: spool.cut_off,
        trouble: status.trouble.map(|trouble| trouble.reason),
    }
}

/// The sources as the API shows them, each with its partitions.
fn sources(counters: &Counters) -> Vec<SourceHealth> {
    let counted = counters.sources().into_iter().zip(counters.partitions());
    let health = |((name, counted), (_, partitions)): ((String, _), (_, Vec<PartitionStatus>))| {
        let SourceCounters {
            records,
            rejected,
            flows,
            late,
            bytes: _,
            lost: _,
        } = counted;
        SourceHealth {
            name,
            records,
            records_rejected: rejected,
            records_late: late,
            flows,
            partitions: partitions.iter().map(partition_health).collect(),
        }
    };
    counted.map(health).collect()
}

fn partition_health(status: &PartitionStatus) -> PartitionHealth {
    PartitionHealth {
        partition: status.partition,
        state: status.state.name().to_owned(),
        position: status.position,
        committed: status.stored,
        end: status.end,
        lag: status.lag(),
        waiting: status.waiting as u64,
        passed_over: status.passed_over,
    }
}
