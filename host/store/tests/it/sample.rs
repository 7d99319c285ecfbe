//! Flows and hits to store.

use netsage_api_types::{Contribution, DetectorRef, Flow, FlowScore, Severity};
use netsage_store::{AlertHit, FlowBatchRecord};

/// A full hour, so that windows of an hour start here.
pub(crate) const T0: i64 = 1_700_002_800_000;

pub(crate) fn id(number: u32) -> String {
    format!("{number:032x}")
}

pub(crate) fn detector(version: &str) -> DetectorRef {
    DetectorRef {
        name: "iforest".into(),
        version: version.into(),
        digest: version.repeat(10),
        generation: 0,
    }
}

pub(crate) fn flow(number: u32, source: &str, end: i64, score: f32) -> Flow {
    Flow {
        id: id(number),
        start: end - 500,
        end,
        source: source.into(),
        source_port: 40_000 + u16::try_from(number % 1000).expect("small"),
        destination: "192.0.2.7".into(),
        destination_port: 22,
        protocol: "tcp".into(),
        service: "ssh".into(),
        state: "FIN".into(),
        packets: 12,
        bytes: 3_400,
        community_id: format!("1:{number}"),
        scores: vec![FlowScore {
            detector: detector("1.0.0"),
            score,
        }],
        fused: None,
    }
}

pub(crate) fn hit(flow: &Flow) -> AlertHit {
    let score = flow.scores[0].score;
    AlertHit {
        flow_id: flow.id.clone(),
        source: flow.source.clone(),
        source_port: flow.source_port,
        destination: flow.destination.clone(),
        destination_port: flow.destination_port,
        protocol: flow.protocol.clone(),
        community_id: flow.community_id.clone(),
        kind: "tcp/ssh".into(),
        score,
        threshold: 0.6,
        severity: if score > 0.9 {
            Severity::Critical
        } else {
            Severity::Medium
        },
        detector: flow.scores[0].detector.clone(),
        schema: "unsw-nb15@1".into(),
        contributions: vec![Contribution {
            column: "sbytes".into(),
            unit: "B".into(),
            weight: 0.1 + score / 3.0,
            value: "9000".into(),
            typical: "120".into(),
        }],
        start: flow.start,
        end: flow.end,
    }
}

/// Flows of which those that score above 0.6 are hits.
pub(crate) fn batch(flows: Vec<Flow>) -> FlowBatchRecord {
    let hits = flows
        .iter()
        .filter(|flow| flow.scores[0].score > 0.6)
        .map(hit)
        .collect();
    FlowBatchRecord { flows, hits }
}

/// A mix of sources, times and scores, the same every time.
pub(crate) fn traffic(first: u32, count: u32) -> FlowBatchRecord {
    let flows = (first..first + count).map(|number| {
        let mixed = number.wrapping_mul(2_654_435_761);
        let source = format!("10.0.0.{}", mixed % 5);
        let score = f32::from(u8::try_from(mixed >> 24).expect("eight bits")) / 255.0;
        flow(
            number,
            &source,
            T0 + 1_000 + i64::from(mixed % 7_000) * 1_000,
            score,
        )
    });
    batch(flows.collect())
}
