//! Measures how many flows per second the embedded store takes, in batches of 1,024 with 2 % hits, and how long a page
//! and an overview take then. Prints one JSON object. `cargo run --release -p netsage-store --example bench_store -- [FLOWS]`
#![allow(clippy::print_stdout)]

use std::time::Instant;

use netsage_api_types::{AlertQuery, DetectorRef, Flow, FlowQuery, FlowScore, Severity};
use netsage_store::{AlertHit, FlowBatchRecord, StoreError, open};

const BATCH: u64 = 1_024;

fn flow(number: u64, detector: &DetectorRef) -> Flow {
    // Spreads ids as a hash does.
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let start = 1_700_000_000_000 + i64::try_from(number / 50).unwrap_or(0);
    Flow {
        id: format!("{mixed:016x}{number:016x}"),
        start,
        end: start + i64::try_from(mixed % 5_000).unwrap_or(0),
        source: format!("10.0.{}.{}", mixed >> 8 & 15, mixed & 255),
        source_port: u16::try_from(mixed >> 20 & 0xFFFF).unwrap_or(0),
        destination: format!("192.0.2.{}", mixed >> 40 & 255),
        destination_port: 443,
        protocol: "tcp".into(),
        service: "ssl".into(),
        state: "FIN".into(),
        packets: 20,
        bytes: 12_000,
        community_id: format!("1:{mixed:016x}AAAAAAAAAAA="),
        scores: vec![FlowScore {
            detector: detector.clone(),
            score: 0.5,
        }],
    }
}

fn hit(flow: &Flow, detector: &DetectorRef) -> AlertHit {
    AlertHit {
        flow_id: flow.id.clone(),
        source: flow.source.clone(),
        source_port: flow.source_port,
        destination: flow.destination.clone(),
        destination_port: flow.destination_port,
        protocol: flow.protocol.clone(),
        community_id: flow.community_id.clone(),
        kind: "tcp/ssl".into(),
        score: 0.7,
        threshold: 0.6,
        severity: Severity::Medium,
        detector: detector.clone(),
        schema: "unsw-nb15@1".into(),
        contributions: Vec::new(),
        start: flow.start,
        end: flow.end,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flows: u64 = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 500_000,
    };
    let folder = tempfile::tempdir()?;
    let store = open(&folder.path().join("bench.db").display().to_string()).await?;
    let detector = DetectorRef {
        name: "iforest".into(),
        version: "1.0.0".into(),
        digest: "0".repeat(64),
    };
    let mut recording = std::time::Duration::ZERO;
    let mut slowest = std::time::Duration::ZERO;
    for first in (0..flows).step_by(1_024) {
        let numbers = first..(first + BATCH).min(flows);
        let flows: Vec<Flow> = numbers.map(|number| flow(number, &detector)).collect();
        let hits = flows
            .iter()
            .step_by(50)
            .map(|flow| hit(flow, &detector))
            .collect();
        let start = Instant::now();
        store.record(FlowBatchRecord { flows, hits }).await?;
        recording += start.elapsed();
        slowest = slowest.max(start.elapsed());
    }
    let start = Instant::now();
    store.overview(60_000, 500).await?;
    let overview = start.elapsed();
    let start = Instant::now();
    store.flows(&FlowQuery::default()).await?;
    store.alerts(&AlertQuery::default()).await?;
    let pages = start.elapsed();
    let size = std::fs::metadata(folder.path().join("bench.db")).map_err(|error| StoreError::Damaged {
        detail: error.to_string(),
    })?;
    let report = serde_json::json!({
        "flows": flows,
        "batch": BATCH,
        "flows_per_second": (flows as f64 / recording.as_secs_f64()).round(),
        "slowest_batch_ms": slowest.as_secs_f64() * 1e3,
        "overview_ms": overview.as_secs_f64() * 1e3,
        "two_pages_ms": pages.as_secs_f64() * 1e3,
        "bytes_per_flow": size.len() as f64 / flows as f64,
    });
    println!("{report}");
    Ok(())
}
