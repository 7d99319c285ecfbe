//! Detectors are exchanged while a capture is replayed, and no flow notices.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, Stage, StateChange, Step, StepRequest};
use netsage_capture::MeterConfig;
use netsage_host::input::open_capture;
use netsage_host::pipeline::{Counters, OpenSource, Pipeline, PipelineConfig};
use netsage_lifecycle::{GuardLimits, HistoryQuery, Lifecycle, LifecycleConfig, NewPackage};
use netsage_runtime::{Runtime, RuntimeConfig};
use netsage_schema::UNSW_NB15;
use netsage_store::{BoxFuture, FlowBatchRecord, Id, Store, StoreError, StoreOverview};

use crate::recipe::Recipe;

const FLOWS: u64 = 1_000_000;
const SWAPS: u64 = 200;
/// Flows from one swap to the next; some are left after the last one.
const FLOWS_PER_SWAP: u64 = FLOWS / (SWAPS + 10);
const NAMES: [&str; 4] = ["one", "two", "three", "four"];
const VERSIONS: u8 = 3;
/// Every so many flows one is large, and above the threshold of each detector.
const FLOWS_PER_ALERT: u64 = 100;
const LARGE: f32 = 100.0;
/// Far longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who gave a score: name and generation.
type Who = (String, u64);

/// What was recorded, in short.
#[derive(Default)]
struct Recorded {
    ids: Vec<Id>,
    /// Scores by who gave them.
    scores: BTreeMap<Who, u64>,
    /// Digests that each generation called itself.
    digests: BTreeMap<u64, BTreeSet<String>>,
    hits: u64,
    /// What must not be, in words.
    wrong: Vec<String>,
}

/// Swaps and flows wait for each other, so that swaps fall between flows however fast the machine is.
#[derive(Default)]
struct Progress {
    flows: AtomicU64,
    swaps: AtomicU64,
}

/// Keeps what it is told in memory, and looks at every flow.
#[derive(Default)]
struct CountingStore {
    progress: Progress,
    recorded: Mutex<Recorded>,
}

impl CountingStore {
    fn take(&self, batch: &FlowBatchRecord) {
        let recorded = &mut *self.recorded.lock().unwrap();
        let detectors = batch.scores.detectors();
        for (row, flow) in batch.flows.iter().enumerate() {
            recorded.ids.push(flow.id);
            let scores: Vec<(u16, f32)> = batch.scores.row(row).collect();
            let by = |(number, _): &(u16, f32)| &detectors[usize::from(*number)];
            let names: BTreeSet<&str> = scores.iter().map(|score| by(score).name.as_str()).collect();
            if names.len() != NAMES.len() || scores.len() != NAMES.len() {
                recorded
                    .wrong
                    .push(format!("flow {row} has the scores {scores:?}"));
            }
            for score in &scores {
                let detector = by(score);
                let who = (detector.name.clone(), detector.generation);
                let digests = recorded.digests.entry(detector.generation).or_default();
                if !digests.contains(&detector.digest) {
                    digests.insert(detector.digest.clone());
                }
                *recorded.scores.entry(who).or_default() += 1;
            }
        }
        for hit in &batch.hits {
            recorded.hits += 1;
            let mut scores = batch.scores.row(hit.flow as usize);
            let is_known = scores.any(|score| score == (hit.detector, hit.score));
            if !is_known || hit.score <= LARGE {
                recorded.wrong.push(format!("the hit {hit:?}"));
            }
        }
    }
}

impl Store for CountingStore {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn alert_window_ms(&self) -> i64 {
        3_600_000
    }

    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        let mut flows = 0;
        for batch in batches {
            self.take(batch);
            flows += batch.flows.len() as u64;
        }
        let recorded = self.progress.flows.fetch_add(flows, Ordering::AcqRel) + flows;
        let due = (recorded / FLOWS_PER_SWAP).min(SWAPS);
        wait_until("the next swap", || {
            self.progress.swaps.load(Ordering::Acquire) >= due
        });
        Box::pin(async { Ok(Vec::new()) })
    }

    fn alerts<'a>(&'a self, _: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn alert<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn change_state<'a>(
        &'a self,
        _: &'a str,
        _: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn flows<'a>(&'a self, _: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn overview(&self, _: i64, _: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        unreachable!("the pipeline only records")
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A capture of as many flows as packets: each is a datagram between two ports that no other one uses.
fn write_capture(path: &Path) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    // Microseconds, little-endian, Ethernet.
    file.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0])?;
    let mut packet = Vec::new();
    for flow in 0..FLOWS {
        let payload: u16 = if flow % FLOWS_PER_ALERT == 0 { 120 } else { 8 };
        // 2,500 flows a second.
        let microseconds = flow * 400;
        packet.clear();
        packet.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        packet.extend([0x45, 0]);
        packet.extend((28 + payload).to_be_bytes());
        // No checksum: IPv4's is not looked at, UDP's may be left out.
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend([10, (flow >> 16) as u8, (flow >> 8) as u8, flow as u8]);
        packet.extend([192, 0, 2, 1]);
        packet.extend(40_000_u16.to_be_bytes());
        packet.extend(9_999_u16.to_be_bytes());
        packet.extend((8 + payload).to_be_bytes());
        packet.extend([0, 0]);
        packet.resize(packet.len() + usize::from(payload), 0);
        let length = (packet.len() as u32).to_le_bytes();
        file.write_all(&(1_700_000_000 + (microseconds / 1_000_000) as u32).to_le_bytes())?;
        file.write_all(&((microseconds % 1_000_000) as u32).to_le_bytes())?;
        file.write_all(&length)?;
        file.write_all(&length)?;
        file.write_all(&packet)?;
    }
    file.flush()
}

/// A life of detectors with four names, of which the first version is active and two more are warm.
fn lifecycle(folder: &Path) -> Arc<Lifecycle> {
    let runtime = Runtime::new(RuntimeConfig {
        workers: 2,
        cache_dir: Some(folder.join("cache")),
        ..RuntimeConfig::default()
    })
    .unwrap();
    let thresholds = NAMES.map(|name| (name.to_owned(), LARGE));
    let config = LifecycleConfig {
        directory: Some(folder.join("detectors")),
        thresholds: thresholds.into(),
        workers: 2,
        guard: GuardLimits {
            // Who is slow on a busy machine is not what this is about.
            cost_ratio: 1e6,
            ..GuardLimits::default()
        },
        ..LifecycleConfig::default()
    };
    let lifecycle = Lifecycle::open(config, runtime, &UNSW_NB15).unwrap();
    for version in 0..VERSIONS {
        for name in NAMES {
            let recipe = Recipe {
                name: name.to_owned(),
                columns: vec!["sbytes".to_owned(), "dur".to_owned()],
                ..Recipe::default()
            };
            let package = recipe.package_with(&[version], None);
            let new = NewPackage::from_api(package.bytes().to_vec());
            let request = StepRequest::default();
            let staged = lifecycle.stage(&new, &request, Stage::Warm).unwrap();
            let digest = staged.detector.digest;
            lifecycle.wait(&digest, Stage::Warm, PATIENCE).unwrap();
            if version == 0 {
                lifecycle.step(&digest, Step::Promote, &request).unwrap();
            }
        }
    }
    lifecycle
}

/// Does one swap of a name, another one for every `number`.
fn swap(lifecycle: &Lifecycle, number: u64) {
    let name = NAMES[number as usize % NAMES.len()];
    let possible: Vec<(String, Step)> = lifecycle
        .list()
        .into_iter()
        .filter(|info| info.detector.name == name)
        .flat_map(|info| {
            let swaps = [Step::Canary, Step::Promote, Step::Rollback];
            let next = info.next.into_iter().filter(move |step| swaps.contains(step));
            next.map(move |step| (info.detector.digest.clone(), step))
        })
        .collect();
    // Knuth's multiplicative hash: any order will do, as long as it is the same each time.
    let choice = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % possible.len();
    let (digest, step) = &possible[choice];
    let request = StepRequest {
        share: (*step == Step::Canary).then_some(0.3),
        ..StepRequest::default()
    };
    lifecycle.step(digest, *step, &request).unwrap();
}

#[test]
fn two_hundred_swaps_lose_no_flow_and_double_none() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("flows.pcap");
    write_capture(&capture).unwrap();
    let lifecycle = lifecycle(folder.path());
    let store = Arc::new(CountingStore::default());
    let counters = Arc::new(Counters::default());
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let (events, _) = tokio::sync::broadcast::channel(16);
    let config = PipelineConfig {
        workers: 2,
        queue_blocks: 16,
        meter: MeterConfig::default(),
        evidence: None,
    };
    let source = OpenSource::Replay(open_capture(&capture).unwrap());
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let handle = tokio.handle().clone();
    let pipeline = Pipeline::start(
        config,
        source,
        lifecycle.roster(),
        shared,
        &counters,
        events,
        handle,
    )
    .unwrap();
    let progress = &store.progress;
    for number in 0..SWAPS {
        wait_until("the next flows", || {
            progress.flows.load(Ordering::Acquire) >= number * FLOWS_PER_SWAP
        });
        swap(&lifecycle, number);
        progress.swaps.fetch_add(1, Ordering::AcqRel);
    }
    assert!(!counters.finished(), "all swaps fell into the replay");
    pipeline.join().unwrap();

    let counted = counters.snapshot();
    assert_eq!((counted.flows, counted.flows_scored), (FLOWS, FLOWS));
    assert_eq!((counted.flows_failed, counted.flows_dropped), (0, 0));
    assert_eq!(counted.flows_alerted, FLOWS / FLOWS_PER_ALERT);

    let mut recorded = store.recorded.lock().unwrap();
    assert_eq!(recorded.wrong, Vec::<String>::new());
    assert_eq!(recorded.hits, FLOWS / FLOWS_PER_ALERT * NAMES.len() as u64);
    // Every flow is there, once.
    assert_eq!(recorded.ids.len() as u64, FLOWS);
    recorded.ids.sort_unstable();
    recorded.ids.dedup();
    assert_eq!(recorded.ids.len() as u64, FLOWS);
    // No detector scored a flow whose score was then not taken.
    let scored: u64 = lifecycle.list().iter().map(|info| info.scored).sum();
    assert_eq!(scored, FLOWS * NAMES.len() as u64);
    let by_name = |name: &str| -> u64 {
        let of_name = recorded.scores.iter().filter(|((other, _), _)| other == name);
        of_name.map(|(_, count)| count).sum()
    };
    assert_eq!(NAMES.map(by_name), [FLOWS; 4]);
    // Every generation that scored is one package, and the history has its beginning.
    let history = lifecycle.history(&HistoryQuery {
        limit: 4096,
        ..HistoryQuery::default()
    });
    let begun: BTreeMap<u64, &str> = history
        .iter()
        .filter_map(|entry| Some((entry.generation?, entry.digest.as_str())))
        .collect();
    for (generation, digests) in &recorded.digests {
        let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
        assert_eq!(
            Some(digests.as_slice()),
            begun.get(generation).map(std::slice::from_ref),
            "{generation}"
        );
    }
    // Swaps were felt: far more generations scored than the four of the beginning.
    assert!(
        recorded.digests.len() > 100,
        "{} generations",
        recorded.digests.len()
    );
}
