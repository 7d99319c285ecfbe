//! Measures how many flows per second the embedded store takes, in batches of 1,024 with 2 % hits unless told
//! otherwise, and how long a page and an overview take then. Prints one JSON object.
//! `cargo run --release -p netsage-store --example bench_store -- [FLOWS [PERCENT OF HITS]]`
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use netsage_api_types::{AlertQuery, FlowQuery};
use netsage_store::{FlowBatchRecord, StoreError, open};
use netsage_testkit::sample;

const BATCH: u64 = 1_024;

/// Flows of 4,096 sources, 50 a millisecond, so many in 100 a hit; ids begin with the time, as those of the host do.
fn flow(number: u64, hits: u64) -> sample::Sample {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let end = sample::T0 + i64::try_from(number / 50).unwrap_or(0);
    let source = format!("10.0.{}.{}", mixed >> 8 & 15, mixed & 255);
    let score = if number * hits % 100 < hits { 0.7 } else { 0.5 };
    let mut sample = sample::flow(u32::try_from(number).unwrap_or(0), &source, end, score);
    let id = u128::from(end.cast_unsigned()) << 80 | u128::from(mixed);
    sample.flow.id = id.to_be_bytes();
    sample
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |position, usual| match std::env::args().nth(position) {
        Some(text) => text.parse::<u64>(),
        None => Ok(usual),
    };
    let (flows, hits) = (argument(1, 500_000)?, argument(2, 2)?);
    let folder = tempfile::tempdir()?;
    let store = open(&folder.path().join("bench.db").display().to_string()).await?;
    let mut recording = std::time::Duration::ZERO;
    let mut slowest = std::time::Duration::ZERO;
    let mut record = Arc::new(FlowBatchRecord::default());
    for first in (0..flows).step_by(BATCH as usize) {
        let numbers = first..(first + BATCH).min(flows);
        let flows: Vec<sample::Sample> = numbers.map(|number| flow(number, hits)).collect();
        sample::fill(Arc::make_mut(&mut record), &flows);
        let start = Instant::now();
        store.record(std::slice::from_ref(&record)).await?;
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
    let of_source = FlowQuery {
        source: Some("10.0.3.7".to_owned()),
        ..FlowQuery::default()
    };
    let start = Instant::now();
    let found = store.flows(&of_source).await?.items.len();
    let one_source = start.elapsed();
    let size = std::fs::metadata(folder.path().join("bench.db")).map_err(|error| StoreError::Damaged {
        detail: error.to_string(),
    })?;
    let report = serde_json::json!({
        "flows": flows,
        "batch": BATCH,
        "hits_percent": hits,
        "flows_per_second": (flows as f64 / recording.as_secs_f64()).round(),
        "slowest_batch_ms": slowest.as_secs_f64() * 1e3,
        "overview_ms": overview.as_secs_f64() * 1e3,
        "two_pages_ms": pages.as_secs_f64() * 1e3,
        "page_of_one_source_ms": one_source.as_secs_f64() * 1e3,
        "flows_of_one_source_on_the_page": found,
        "bytes_per_flow": size.len() as f64 / flows as f64,
    });
    println!("{report}");
    Ok(())
}
