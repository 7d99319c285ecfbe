//! Measures how many flows per second each store takes, in batches of 1,024 with 2 % hits unless told otherwise, and how
//! long a page and an overview take in the embedded store then. Prints a JSON object for each store. A server is compared
//! with itself: the documents of the same flows go into it as plain unordered inserts too, with the indexes that the store
//! needs (listings by time and by source, the time axis, what goes when its time has come), and without any. It is the one
//! that `MONGODB_URI` names, or the one of the tests; the requests of a delivery are counted by what stands before it.
//! `cargo run --release -p netsage-store --example bench_store -- [FLOWS [PERCENT OF HITS [FLOWS FOR THE SERVER]]]`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::bson::{RawDocumentBuf, doc};
use mongodb::options::WriteConcern;
use mongodb::{Client, Collection, IndexModel};
use netsage_api_types::{AlertQuery, FlowQuery};
use netsage_store::{FlowBatchRecord, SharedStore, StoreError, open};
use netsage_testkit::proxy::Proxy;
use netsage_testkit::{backends, sample};

const BATCH: u64 = 1_024;

/// As many as a pipeline delivers at once when its store is what it waits for.
const BATCHES_AT_ONCE: u64 = 16;

/// Flows of a delivery each of which is a hit, with more alerts than a kind may show.
const FLOOD: u64 = 4 * BATCH;

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

/// Makes batches of the flows with these numbers.
fn fill(records: &mut Vec<Arc<FlowBatchRecord>>, numbers: std::ops::Range<u64>, hits: u64) {
    let batches = (numbers.end - numbers.start).div_ceil(BATCH);
    records.resize_with(batches as usize, Arc::default);
    for (record, first) in records.iter_mut().zip(numbers.clone().step_by(BATCH as usize)) {
        let of_batch = first..(first + BATCH).min(numbers.end);
        let flows: Vec<sample::Sample> = of_batch.map(|number| flow(number, hits)).collect();
        sample::fill(Arc::make_mut(record), &flows);
    }
}

/// How long recording took.
struct Recording {
    all: Duration,
    slowest: Duration,
}

/// Records flows, so many batches at once.
async fn record(store: &SharedStore, flows: u64, hits: u64, at_once: u64) -> Result<Recording, StoreError> {
    let (mut all, mut slowest) = (Duration::ZERO, Duration::ZERO);
    let mut records: Vec<Arc<FlowBatchRecord>> = Vec::new();
    for first in (0..flows).step_by((BATCH * at_once) as usize) {
        fill(&mut records, first..flows.min(first + BATCH * at_once), hits);
        let start = Instant::now();
        store.record(&records).await?;
        all += start.elapsed();
        slowest = slowest.max(start.elapsed());
    }
    Ok(Recording { all, slowest })
}

fn per_second(flows: u64, time: Duration) -> f64 {
    (flows as f64 / time.as_secs_f64()).round()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let argument = |position, usual| match std::env::args().nth(position) {
        Some(text) => text.parse::<u64>(),
        None => Ok(usual),
    };
    let (flows, hits) = (argument(1, 500_000)?, argument(2, 2)?);
    if flows > 0 {
        println!("{}", sqlite(flows, hits).await?);
    }
    match backends::mongodb() {
        Ok(_) => println!("{}", mongodb(argument(3, 50_000)?, hits).await?),
        Err(reason) => eprintln!("skipped: MongoDB: {reason}"),
    }
    Ok(())
}

async fn sqlite(flows: u64, hits: u64) -> Result<serde_json::Value, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = open(&folder.path().join("bench.db").display().to_string()).await?;
    let recording = record(&store, flows, hits, 1).await?;
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
    let size = std::fs::metadata(folder.path().join("bench.db"))?;
    Ok(serde_json::json!({
        "store": store.kind(),
        "flows": flows,
        "batch": BATCH,
        "hits_percent": hits,
        "flows_per_second": per_second(flows, recording.all),
        "slowest_batch_ms": milliseconds(recording.slowest),
        "overview_ms": milliseconds(overview),
        "two_pages_ms": milliseconds(pages),
        "page_of_one_source_ms": milliseconds(one_source),
        "flows_of_one_source_on_the_page": found,
        "bytes_per_flow": size.len() as f64 / flows as f64,
    }))
}

async fn mongodb(flows: u64, hits: u64) -> Result<serde_json::Value, Box<dyn Error>> {
    let (first, second) = (backends::mongodb()?.url, backends::mongodb()?.url);
    let store = open(&first).await?;
    let with_hits = record(&store, flows, hits, BATCHES_AT_ONCE).await?;
    let database = database_of(&first).await?;
    let recorded = database.collection::<RawDocumentBuf>("flows");
    let in_order = recorded.find(doc! {}).sort(doc! { "end": 1, "_id": 1 });
    let documents: Vec<RawDocumentBuf> = in_order.await?.try_collect().await?;
    let bytes: usize = documents.iter().map(|document| document.as_bytes().len()).sum();
    let indexes: Vec<IndexModel> = recorded.list_indexes().await?.try_collect().await?;
    database.drop().await?;
    let quiet = requests(0..BATCH * BATCHES_AT_ONCE, 0).await?;
    let flood = requests(0..FLOOD, 100).await?;
    // In turns, so that what else the machine does slows all of them.
    let store = open(&second).await?;
    let database = database_of(&second).await?;
    let (plain, indexed) = (database.collection("plain"), database.collection("indexed"));
    let others = indexes
        .into_iter()
        .filter(|index| index.keys != doc! { "_id": 1 });
    indexed.create_indexes(others).await?;
    let mut records: Vec<Arc<FlowBatchRecord>> = Vec::new();
    let [mut own, mut plainly, mut with_indexes, mut again] = [Duration::ZERO; 4];
    let delivery = (BATCH * BATCHES_AT_ONCE) as usize;
    for (place, documents) in documents.chunks(delivery).enumerate() {
        let first = (place * delivery) as u64;
        fill(&mut records, first..flows.min(first + delivery as u64), 0);
        own += timed(store.record(&records)).await?;
        plainly += timed(insert(&plain, documents)).await?;
        with_indexes += timed(insert(&indexed, documents)).await?;
        // As after an outage: each flow is there already.
        again += timed(store.record(&records)).await?;
    }
    database.drop().await?;
    Ok(serde_json::json!({
        "store": store.kind(),
        "flows": flows,
        "batch": BATCH,
        "batches_at_once": BATCHES_AT_ONCE,
        "bytes_per_document": bytes as f64 / documents.len() as f64,
        "flows_per_second": per_second(flows, own),
        "plain_inserts_per_second": per_second(flows, plainly),
        "plain_inserts_with_indexes_per_second": per_second(flows, with_indexes),
        "ratio_to_plain_inserts": plainly.as_secs_f64() / own.as_secs_f64(),
        "ratio_to_plain_inserts_with_indexes": with_indexes.as_secs_f64() / own.as_secs_f64(),
        "repeated_flows_per_second": per_second(flows, again),
        "requests_per_delivery": quiet.0,
        "hits_percent": hits,
        "flows_per_second_with_hits": per_second(flows, with_hits.all),
        "slowest_delivery_with_hits_ms": milliseconds(with_hits.slowest),
        "flood": serde_json::json!({
            "flows": FLOOD,
            "hits_percent": 100,
            "flows_per_second": per_second(FLOOD, flood.1),
            "requests_per_delivery": flood.0,
        }),
    }))
}

/// Delivers flows at once, each source to a target of its own: the requests, and the time.
async fn requests(numbers: std::ops::Range<u64>, hits: u64) -> Result<(u64, Duration), Box<dyn Error>> {
    let url = backends::mongodb()?.url;
    let (proxy, through) = Proxy::before(&url);
    let store = open(&through).await?;
    let mut records: Vec<Arc<FlowBatchRecord>> = Vec::new();
    fill(&mut records, numbers, hits);
    for flow in records
        .iter_mut()
        .flat_map(|record| &mut Arc::make_mut(record).flows)
    {
        if let std::net::IpAddr::V4(source) = flow.source {
            let [.., high, low] = source.octets();
            flow.destination_port = u16::from_be_bytes([high, low]);
        }
    }
    // Which a store does at the start, too.
    store.purge().await?;
    let before = proxy.commands();
    let took = timed(store.record(&records)).await?;
    let requests = proxy.commands() - before;
    drop(store);
    database_of(&url).await?.drop().await?;
    Ok((requests, took))
}

async fn database_of(url: &str) -> Result<mongodb::Database, Box<dyn Error>> {
    let client = Client::with_uri_str(url).await?;
    Ok(client.default_database().ok_or("the URL names no database")?)
}

async fn timed<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<Duration, E> {
    let start = Instant::now();
    work.await.map(|_| start.elapsed())
}

/// What the server takes by itself: many documents to a request, with the write concern of the store.
async fn insert(
    collection: &Collection<RawDocumentBuf>,
    documents: &[RawDocumentBuf],
) -> Result<(), mongodb::error::Error> {
    collection
        .insert_many(documents)
        .ordered(false)
        .write_concern(WriteConcern::majority())
        .await
        .map(drop)
}
