//! Detectors are exchanged, or fail, while a capture is replayed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use netsage_api_types::{FailurePolicy, HistoryQuery, Stage, Step, StepRequest};
use netsage_calibration::Rule;
use netsage_capture::MeterConfig;
use netsage_gateway::Announcer;
use netsage_gateway::pipeline::{Counters, Pipeline, PipelineConfig, PipelineError, StoringConfig};
use netsage_lifecycle::{GuardLimits, Lifecycle, LifecycleConfig, NewPackage};
use netsage_runtime::{Runtime, RuntimeConfig};
use netsage_schema::{AddressKey, UNSW_NB15};
use netsage_sources::{Site, open_capture};
use netsage_store::Store;

use crate::counting::{CountingStore, FLOWS_PER_LARGE, LARGE, PATIENCE, wait_until, write_capture};
use netsage_testkit::recipe::Recipe;

const FLOWS: u64 = 1_000_000;
const SWAPS: u64 = 200;
/// Flows from one swap to the next; some are left after the last one.
const FLOWS_PER_SWAP: u64 = FLOWS / (SWAPS + 10);
const NAMES: [&str; 4] = ["one", "two", "three", "four"];
const VERSIONS: u8 = 3;

pub(crate) fn lifecycle(folder: &Path, on_failure: FailurePolicy) -> Arc<Lifecycle> {
    let runtime = Runtime::new(RuntimeConfig {
        workers: 2,
        cache_dir: Some(folder.join("cache")),
        ..RuntimeConfig::default()
    })
    .unwrap();
    let thresholds = NAMES.map(|name| (name.to_owned(), Rule::Score(LARGE)));
    let config = LifecycleConfig {
        directory: Some(folder.join("detectors")),
        thresholds: thresholds.into(),
        workers: 2,
        on_failure_default: on_failure,
        guard: GuardLimits {
            // Who is slow on a busy machine is not what this is about.
            cost_ratio: 1e6,
            ..GuardLimits::default()
        },
        ..LifecycleConfig::default()
    };
    Lifecycle::open(config, runtime, &UNSW_NB15).unwrap()
}

/// Brings in a detector that scores a flow with its bytes, and gives its digest. Versions differ in their models.
pub(crate) fn warm(lifecycle: &Lifecycle, name: &str, version: u8, score: &'static str) -> String {
    let recipe = Recipe {
        name: name.to_owned(),
        columns: vec!["sbytes".to_owned(), "dur".to_owned()],
        score,
        ..Recipe::default()
    };
    let package = recipe.package_with(&[version], None);
    let new = NewPackage::from_api(package.bytes().to_vec());
    let staged = lifecycle
        .stage(&new, &StepRequest::default(), Stage::Warm)
        .unwrap();
    let digest = staged.detector.digest;
    lifecycle.wait(&digest, Stage::Warm, PATIENCE).unwrap();
    digest
}

/// Replays as many flows into the store, and does `meanwhile`.
fn replay(
    folder: &Path,
    flows: u64,
    lifecycle: &Lifecycle,
    store: &Arc<CountingStore>,
    counters: &Arc<Counters>,
    meanwhile: impl FnOnce(),
) -> Result<(), PipelineError> {
    let capture = folder.join("flows.pcap");
    write_capture(&capture, flows).unwrap();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let config = PipelineConfig {
        site: Site::default(),
        workers: 2,
        queue_blocks: 16,
        schema: &UNSW_NB15,
        address_key: AddressKey::OF_FILES,
        storing: StoringConfig::default(),
        forward: None,
    };
    let (capture, _) = open_capture(&capture).unwrap();
    let source = capture.metered(&MeterConfig::default());
    let pipeline = Pipeline::start(
        &config,
        vec![Box::new(source)],
        lifecycle.roster(),
        Arc::clone(store) as Arc<dyn Store>,
        counters,
        Announcer::default(),
        tokio.handle().clone(),
    )?;
    meanwhile();
    pipeline.join()
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
    let lifecycle = lifecycle(folder.path(), FailurePolicy::Reload);
    for name in NAMES {
        for version in 0..VERSIONS {
            let digest = warm(&lifecycle, name, version, "");
            if version == 0 {
                lifecycle
                    .step(&digest, Step::Promote, &StepRequest::default())
                    .unwrap();
            }
        }
    }
    // Swaps and flows wait for each other, so that swaps fall between flows however fast the machine is.
    let store = Arc::new(CountingStore::new(&NAMES, FLOWS_PER_SWAP));
    let counters = Arc::new(Counters::default());
    let swap_all = || {
        for number in 0..SWAPS {
            wait_until("the next flows", || {
                store.flows.load(Ordering::Acquire) >= number * FLOWS_PER_SWAP
            });
            swap(&lifecycle, number);
            store.allowed.fetch_add(FLOWS_PER_SWAP, Ordering::AcqRel);
        }
        assert!(!counters.finished(), "all swaps fell into the replay");
        store.allowed.store(u64::MAX, Ordering::Release);
    };
    replay(folder.path(), FLOWS, &lifecycle, &store, &counters, swap_all).unwrap();

    let counted = counters.snapshot();
    assert_eq!((counted.flows, counted.flows_scored), (FLOWS, FLOWS));
    assert_eq!((counted.flows_failed, counted.flows_dropped), (0, 0));
    assert_eq!(counted.flows_alerted, FLOWS / FLOWS_PER_LARGE);

    let mut recorded = store.recorded.lock().unwrap();
    // Of every flow one score by each detector, and no hit without the score it stands for.
    assert_eq!(recorded.wrong, Vec::<String>::new());
    assert_eq!(recorded.hits, FLOWS / FLOWS_PER_LARGE * NAMES.len() as u64);
    // Every flow is there, once.
    assert_eq!(recorded.ids.len() as u64, FLOWS);
    recorded.ids.sort_unstable();
    recorded.ids.dedup();
    assert_eq!(recorded.ids.len() as u64, FLOWS);
    // No detector scored a flow whose score was then not taken. A package that is let go of counts what it did until
    // then, so that blocks under way may be missing.
    let scored: u64 = lifecycle.list().iter().map(|info| info.scored).sum();
    assert!(scored <= FLOWS * NAMES.len() as u64, "{scored}");
    let by_name = |name: &str| -> u64 {
        let of_name = recorded.scores.iter().filter(|((other, _), _)| other == name);
        of_name.map(|(_, count)| count).sum()
    };
    assert_eq!(NAMES.map(by_name), [FLOWS; 4]);
    // Every generation that scored is one package, and the history has its beginning.
    let history = lifecycle
        .history(&HistoryQuery {
            limit: Some(4096),
            ..HistoryQuery::default()
        })
        .unwrap()
        .items;
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

/// What a detector does that traps on large flows: those of 148 bytes and more.
const TRAPS_ON_LARGE: &str = "
    (block $fine (loop $look
      (br_if $fine (i32.ge_u (local.get $row) (local.get $rows)))
      (if (f32.gt
            (f32.load (i32.add (local.get $values) (i32.mul (local.get $row) (i32.const 8))))
            (f32.const 100))
        (then unreachable))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $look)))
    (local.set $row (i32.const 0))";

fn replay_failing(on_failure: FailurePolicy) -> (Result<(), PipelineError>, u64, u64) {
    const FEW: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path(), on_failure);
    let digest = warm(&lifecycle, "one", 0, TRAPS_ON_LARGE);
    lifecycle
        .step(&digest, Step::Promote, &StepRequest::default())
        .unwrap();
    let store = Arc::new(CountingStore::new(&[], u64::MAX));
    let counters = Arc::new(Counters::default());
    let ended = replay(folder.path(), FEW, &lifecycle, &store, &counters, || ());
    let counted = counters.snapshot();
    assert_eq!((counted.flows, counted.flows_scored), (FEW, 0));
    (ended, counted.flows_failed, store.flows.load(Ordering::Acquire))
}

#[test]
fn flows_that_fail_are_counted_and_pass() {
    for policy in [FailurePolicy::Open, FailurePolicy::Reload] {
        let (ended, failed, recorded) = replay_failing(policy);
        ended.unwrap();
        assert_eq!((failed, recorded), (3000, 3000), "{policy:?}");
    }
}

#[test]
fn a_closed_detector_that_fails_ends_the_run() {
    let (ended, failed, recorded) = replay_failing(FailurePolicy::Closed);
    let error = ended.unwrap_err().to_string();
    assert_eq!((failed, recorded), (0, 0), "no flow passes");
    for part in ["detector one 1.2.3 failed", "trapped", "`closed`", "--on-failure"] {
        assert!(error.contains(part), "{error}");
    }
}
