//! What hot swaps cost the scoring of flows, and how soon a bad version is rolled back, as one JSON object on standard
//! output.
//!
//! `cargo run --release --example bench_swaps -- PACKAGE.wasm`; `cargo xtask bench runtime` runs it on a bundled forest.
//! The package is active four times, under four names. While threads score blocks of 1,024 flows without a pause, each
//! of 200 swaps loads the package from the cache, warms its instances and publishes a line-up: a promotion, a canary,
//! the promotion of that canary, a rollback.

#![allow(clippy::print_stdout, clippy::print_stderr)]
#![allow(
    unsafe_code,
    reason = "an allocator that counts is the only way to see that scoring allocates nothing, and its trait is unsafe"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netsage_api_types::{DetectorRef, FailurePolicy};
use netsage_lifecycle::lineup::{Canary, Slot};
use netsage_lifecycle::{Generation, Lineup, LineupEvent, Loaded, Roster, Scorer, Verdicts};
use netsage_package::Package;
use netsage_runtime::{LoadOptions, Runtime, RuntimeConfig};
use netsage_schema::UNSW_NB15;

use netsage_testkit::guests::{self, Flows};

type Failure = Box<dyn std::error::Error>;

const SWAPS: usize = 200;
const SLOTS: usize = 4;
const BLOCK: usize = 1024;
/// Flows per second while a bad version is looked for, in blocks of 20 ms.
const FLOWS_PER_SECOND: usize = 2000;

/// The allocator of the system, with a count.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed to the allocator of the system as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: bench_swaps PACKAGE.wasm");
        return ExitCode::from(2);
    };
    match std::fs::read(path).map_err(Failure::from).and_then(measure) {
        Ok(figures) => {
            println!("{figures:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench_swaps: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(bytes: Vec<u8>) -> Result<serde_json::Value, Failure> {
    let folder = tempfile::tempdir()?;
    let stand = Stand {
        runtime: Runtime::new(RuntimeConfig {
            cache_dir: Some(folder.path().join("cache")),
            ..RuntimeConfig::default()
        })?,
        package: Package::from_bytes(bytes)?,
        // One core is left to those who bring packets and swap detectors.
        threads: std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1)),
    };
    let swaps = stand.swaps()?;
    let rollback = [
        ("traps_on_one_percent_of_flows", guests::TRAPS_ON_ONE_PERCENT),
        ("scores_shifted", guests::SHIFTED),
        ("too_slow", guests::SLOW),
    ];
    let rollback: serde_json::Map<_, _> = rollback
        .into_iter()
        .map(|(name, score)| (name.to_owned(), rolled_back(score)))
        .collect();
    Ok(serde_json::json!({
        "swaps": swaps,
        "allocations_per_block_of_1024_flows": stand.allocations()?,
        "rollback_at_2000_flows_per_second": rollback,
    }))
}

/// What swaps are done with.
struct Stand {
    runtime: Arc<Runtime>,
    package: Package,
    threads: usize,
}

impl Stand {
    /// The package, loaded anew, with an instance ready for each thread.
    fn generation(&self, number: u64, slot: usize) -> Result<Arc<Generation>, Failure> {
        let options = LoadOptions {
            state: None,
            instances: self.threads,
        };
        let detector = self.runtime.load_with(&self.package, &UNSW_NB15, options)?;
        let card = detector.card().cloned();
        let reference = DetectorRef {
            name: name(slot),
            version: detector.description().version.clone(),
            digest: self.package.digest().to_string(),
            generation: 0,
        };
        let loaded = Loaded::with_card(detector, reference, card);
        loaded.set_threshold(f32::MAX);
        Ok(Arc::new(Generation::new(number, Arc::new(loaded))))
    }

    fn first_slots(&self) -> Result<Vec<Slot>, Failure> {
        let slot = |slot| {
            Ok(Slot {
                active: Some(self.generation(slot as u64 + 1, slot)?),
                ..Slot::new(name(slot), FailurePolicy::Reload)
            })
        };
        (0..SLOTS).map(slot).collect()
    }

    fn swaps(&self) -> Result<serde_json::Value, Failure> {
        let roster = Arc::new(Roster::default());
        let mut slots = self.first_slots()?;
        let publish = |slots: &[Slot]| {
            let slots = slots.to_vec();
            let began = Instant::now();
            roster.publish(Lineup { slots, fused: None });
            began.elapsed()
        };
        publish(&slots);
        let (_, without_swaps) = self.while_scoring(&roster, || {
            std::thread::sleep(Duration::from_secs(5));
            Ok(())
        })?;
        let mut times = Vec::with_capacity(SWAPS);
        let mut previous: Vec<Option<Arc<Generation>>> = vec![None; SLOTS];
        let began = Instant::now();
        let (scored, longest) = self.while_scoring(&roster, || {
            for swap in 0..SWAPS {
                let place = swap % SLOTS;
                let next = self.generation((SLOTS + 1 + swap) as u64, place)?;
                let slot = &mut slots[place];
                match (swap / SLOTS) % 4 {
                    0 => previous[place] = slot.active.replace(next),
                    1 => slot.canary = Some(Canary::new(next, 0.2, slot.active.as_ref())),
                    2 => {
                        let canary = slot.canary.take().map(|canary| canary.generation);
                        previous[place] = std::mem::replace(&mut slot.active, canary);
                    }
                    _ => slot.active = previous[place].take(),
                }
                times.push(publish(&slots));
                roster.sweep();
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        })?;
        let took = began.elapsed();
        times.sort_unstable();
        Ok(serde_json::json!({
            "swaps": SWAPS,
            "detectors": SLOTS,
            "scoring_threads": self.threads,
            "flows_scored_by_each": scored,
            "seconds": (took.as_secs_f64() * 100.0).round() / 100.0,
            "longest_gap_in_scoring_ms": milliseconds(longest),
            "longest_gap_in_5_s_without_swaps_ms": milliseconds(without_swaps),
            "swap_median_ms": milliseconds(times[SWAPS / 2]),
            "swap_longest_ms": milliseconds(times[SWAPS - 1]),
        }))
    }

    /// Scores on all threads while `work` is done; says how many flows were scored, and the longest gap.
    fn while_scoring(
        &self,
        roster: &Arc<Roster>,
        work: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(u64, Duration), Failure> {
        let done = AtomicBool::new(false);
        let scored = AtomicU64::new(0);
        let gaps = std::thread::scope(|scope| {
            let score = || score_until(roster, &done, &scored);
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(score)).collect();
            let worked = work();
            done.store(true, Ordering::Release);
            let gaps: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            worked.map(|()| gaps)
        })?;
        let mut longest = Duration::ZERO;
        for gap in gaps {
            longest = longest.max(gap.map_err(|_| "a scoring thread panicked")?);
        }
        Ok((scored.into_inner(), longest))
    }

    /// Allocations of one scoring thread per block, once its memory has grown to its size.
    fn allocations(&self) -> Result<f64, Failure> {
        const BLOCKS: u64 = 100;
        let roster = Arc::new(Roster::default());
        let slots = self.first_slots()?;
        roster.publish(Lineup { slots, fused: None });
        let mut scorer = Scorer::new(Arc::clone(&roster));
        let mut verdicts = Verdicts::new();
        let flows = Flows::spread(BLOCK, 1);
        let mut before = 0;
        for block in 0..BLOCKS + 10 {
            if block == 10 {
                before = ALLOCATIONS.load(Ordering::Relaxed);
            }
            scorer.score(&roster.lineup(), flows.to_score(), &mut verdicts)?;
        }
        Ok((ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / BLOCKS as f64)
    }
}

fn name(slot: usize) -> String {
    format!("iforest-{slot}")
}

/// Scores one block after the other, and says the longest gap.
fn score_until(roster: &Arc<Roster>, done: &AtomicBool, scored: &AtomicU64) -> Duration {
    let flows = Flows::spread(BLOCK, 1);
    let mut scorer = Scorer::new(Arc::clone(roster));
    let mut verdicts = Verdicts::new();
    while !done.load(Ordering::Acquire) {
        let lineup = roster.lineup();
        if let Err(stopped) = scorer.score(&lineup, flows.to_score(), &mut verdicts) {
            eprintln!("bench_swaps: {stopped}");
        }
        verdicts.clear();
        scored.fetch_add(BLOCK as u64, Ordering::Relaxed);
    }
    scorer.take_longest_gap()
}

/// How long a canary that does `score` first stays, and why it goes.
fn rolled_back(score: &'static str) -> serde_json::Value {
    const BLOCK_TIME: Duration = Duration::from_millis(20);
    const ROWS: usize = FLOWS_PER_SECOND / 50;
    const LONGEST: Duration = Duration::from_secs(10);
    let (active, candidate) = (guests::guest(1, "guest", ""), guests::guest(2, "guest", score));
    let roster = Arc::new(Roster::default());
    let publish = |canary| {
        roster.publish(Lineup {
            fused: None,
            slots: vec![Slot {
                active: Some(Arc::clone(&active)),
                canary,
                ..Slot::new("guest", FailurePolicy::Reload)
            }],
        });
    };
    publish(None);
    let mut scorer = Scorer::new(Arc::clone(&roster));
    let mut verdicts = Verdicts::new();
    let mut began = Instant::now();
    let events = roster.events();
    for block in 0_u32.. {
        // The active one has scored for a while before the canary comes.
        if block == 10 {
            publish(Some(Canary::new(Arc::clone(&candidate), 0.1, Some(&active))));
            began = Instant::now();
        }
        let flows = Flows::spread(ROWS, u64::from(block));
        let scored = scorer.score(&roster.lineup(), flows.to_score(), &mut verdicts);
        if let Ok(LineupEvent::RollBack { reason, .. }) = events.try_recv() {
            return serde_json::json!({
                "ms": milliseconds(began.elapsed()),
                "reason": reason.to_string(),
            });
        }
        if scored.is_err() || began.elapsed() > LONGEST {
            break;
        }
        std::thread::sleep(BLOCK_TIME);
    }
    serde_json::json!({ "ms": null, "reason": "it was not rolled back" })
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1000.0
}
