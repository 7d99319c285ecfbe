//! What becomes of flows while their store fails at random, and what ends a pipeline.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use netsage_api_types::PipelineCounters;
use netsage_gateway::Announcer;
use netsage_gateway::pipeline::{Counters, Pipeline, PipelineConfig, PipelineError, StoringConfig};
use netsage_lifecycle::Roster;
use netsage_outputs::Pauses;
use netsage_schema::{AddressKey, CommunityId, FlowBatch, Identity, Schema, UNSW_NB15};
use netsage_sources::{Pace, Position, Reading, Site, Source, SourceCounters, SourceError};
use netsage_store::{SharedStore, StoreError};
use netsage_testkit::faulty::{Fault, Faulty};
use proptest::prelude::*;

/// How a source ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Through,
    /// When it is asked to.
    Asked,
    Panics,
    /// With an error, after it has handed over everything and could wait.
    Fails,
}

/// Gives flows, each number once, and every so often one that it has given before.
struct Numbers {
    pace: Pace,
    end: End,
    flows: u64,
    given: u64,
    /// A flow in so many is a repeat.
    repeat_every: u64,
    stops: bool,
    acknowledged: Arc<Mutex<Vec<u64>>>,
}

impl Numbers {
    fn new(pace: Pace, flows: u64) -> Self {
        Self {
            pace,
            end: End::Through,
            flows,
            given: 0,
            repeat_every: 5,
            stops: false,
            acknowledged: Arc::default(),
        }
    }

    /// Which flow stands at a place.
    fn number(&self, place: u64) -> u64 {
        if place % self.repeat_every == self.repeat_every - 1 {
            place / 2
        } else {
            place
        }
    }

    /// Flows that differ.
    fn distinct(&self) -> u64 {
        let numbers = (0..self.flows).map(|place| self.number(place));
        numbers.collect::<std::collections::BTreeSet<_>>().len() as u64
    }
}

impl Source for Numbers {
    fn name(&self) -> &str {
        "numbers"
    }

    fn schema(&self) -> &'static Schema {
        &UNSW_NB15
    }

    fn pace(&self) -> Pace {
        match (self.end, self.given == self.flows) {
            (End::Fails, true) => Pace::Waits,
            _ => self.pace,
        }
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        let last = (self.given + 100).min(self.flows);
        if self.given == self.flows && self.end == End::Fails {
            let name = "numbers".to_owned();
            return Err(SourceError::Unknown { name });
        }
        if self.stops || (self.given == self.flows && self.end == End::Through) {
            return Ok(Reading::End);
        }
        assert!(
            self.given < self.flows || self.end != End::Panics,
            "as the test wants it"
        );
        if self.given == self.flows || self.pace == Pace::GoesOn {
            thread::sleep(Duration::from_millis(1));
        }
        for place in self.given..last {
            let number = self.number(place);
            let second = 1_700_000_000 + i64::try_from(number).unwrap();
            let identity = Identity {
                start_ns: second * 1_000_000_000,
                end_ns: second * 1_000_000_000,
                source: Ipv4Addr::from_bits(0x0a00_0000 | u32::try_from(number).unwrap()).into(),
                source_port: 40_000,
                destination: Ipv4Addr::new(192, 0, 2, 1).into(),
                destination_port: 9_999,
                protocol: 17,
            };
            let mut row = [0.0; UNSW_NB15.width()];
            row[const { UNSW_NB15.position("spkts") }] = 1.0;
            batch.push(&row, identity, CommunityId::of(&identity));
        }
        self.given = last;
        Ok(Reading::GoesOn)
    }

    fn stop(&mut self) {
        self.stops = true;
    }

    fn counters(&self) -> SourceCounters {
        SourceCounters {
            flows: self.given,
            ..SourceCounters::default()
        }
    }

    fn stored(&mut self, flows: u64) -> Option<Position> {
        self.acknowledged.lock().unwrap().push(flows);
        None
    }
}

/// A pipeline over a store in a file.
struct Bench {
    tokio: tokio::runtime::Runtime,
    store: SharedStore,
    counters: Arc<Counters>,
    _folder: tempfile::TempDir,
}

fn quick(queue_flows: usize, patience: Option<Duration>) -> StoringConfig {
    StoringConfig {
        queue_flows,
        patience,
        end_patience: Duration::from_millis(50),
        pauses: Pauses::new(Duration::from_millis(1), Duration::from_millis(4)),
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokio = tokio::runtime::Runtime::new().unwrap();
        let path = folder.path().join("store").display().to_string();
        let store = tokio.block_on(netsage_store::open(&path)).unwrap();
        Self {
            tokio,
            store,
            counters: Arc::default(),
            _folder: folder,
        }
    }

    fn start(&self, fault: Fault, sources: Vec<Box<dyn Source>>, storing: StoringConfig) -> Pipeline {
        let config = PipelineConfig {
            site: Site::default(),
            workers: 2,
            queue_blocks: 4,
            schema: &UNSW_NB15,
            address_key: AddressKey::OF_FILES,
            storing,
            forward: None,
        };
        Pipeline::start(
            &config,
            sources,
            &Arc::new(Roster::default()),
            Faulty::new(Arc::clone(&self.store), fault),
            &self.counters,
            Announcer::default(),
            self.tokio.handle().clone(),
        )
        .unwrap()
    }

    /// Waits for the end of a pipeline, and checks every snapshot until then.
    fn join(&self, pipeline: Pipeline) -> Result<(), PipelineError> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut last = PipelineCounters::default();
                while !is_over.load(Ordering::Acquire) {
                    let now = self.counters.snapshot();
                    check_sum(&now);
                    assert!(
                        now.flows >= last.flows
                            && now.flows_scored >= last.flows_scored
                            && now.flows_dropped >= last.flows_dropped
                    );
                    last = now;
                    thread::yield_now();
                }
            });
            let ended = pipeline.join();
            is_over.store(true, Ordering::Release);
            watching.join().unwrap();
            ended
        })
    }

    fn flows_in_store(&self) -> u64 {
        const HOUR_MS: i64 = 3_600_000;
        let overview = self.tokio.block_on(self.store.overview(HOUR_MS, 2_000)).unwrap();
        overview.points.iter().map(|point| point.flows).sum()
    }
}

/// Each flow is in exactly one number.
fn check_sum(counters: &PipelineCounters) {
    let PipelineCounters {
        flows,
        flows_scored,
        flows_failed,
        flows_dropped,
        flows_dropped_by,
        flows_waiting,
        ..
    } = *counters;
    assert_eq!(
        flows,
        flows_scored + flows_failed + flows_dropped + flows_waiting,
        "{counters:?}"
    );
    let by_reason: u64 = flows_dropped_by.named().iter().map(|(_, flows)| flows).sum();
    assert_eq!(flows_dropped, by_reason, "{counters:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_replay_stores_everything_once_however_its_store_fails(seed: u64, flows in 1_u64..3_000) {
        let bench = Bench::new();
        let source = Numbers::new(Pace::Waits, flows);
        let (distinct, acknowledged) = (source.distinct(), Arc::clone(&source.acknowledged));
        let pipeline = bench.start(Fault::Random(seed), vec![Box::new(source)], quick(1_024, None));
        bench.join(pipeline).unwrap();
        let counters = bench.counters.snapshot();
        prop_assert_eq!((counters.flows, counters.flows_scored), (flows, flows));
        prop_assert_eq!((counters.flows_dropped, counters.flows_waiting), (0, 0));
        prop_assert_eq!(bench.flows_in_store(), distinct);
        let acknowledged = acknowledged.lock().unwrap();
        prop_assert!(acknowledged.is_sorted(), "{:?}", acknowledged);
        prop_assert_eq!(acknowledged.last(), Some(&flows));
    }

    #[test]
    fn live_what_is_not_dropped_is_stored_however_the_store_fails(
        seed: u64,
        flows in 1_u64..3_000,
        queue in 100_usize..2_000,
    ) {
        let bench = Bench::new();
        let mut source = Numbers::new(Pace::GoesOn, flows);
        source.repeat_every = u64::MAX;
        let acknowledged = Arc::clone(&source.acknowledged);
        let pipeline = bench.start(Fault::Random(seed), vec![Box::new(source)], quick(queue, None));
        bench.join(pipeline).unwrap();
        let counters = bench.counters.snapshot();
        prop_assert_eq!((counters.flows, counters.flows_waiting), (flows, 0));
        prop_assert_eq!(counters.flows_scored + counters.flows_dropped, flows);
        prop_assert_eq!(bench.flows_in_store(), counters.flows_scored);
        let acknowledged = acknowledged.lock().unwrap();
        prop_assert!(acknowledged.is_sorted(), "{:?}", acknowledged);
    }
}

#[test]
fn a_store_that_is_too_slow_for_many_blocks_gets_one_at_a_time() {
    let bench = Bench::new();
    let source = Numbers::new(Pace::Waits, 20_000);
    let distinct = source.distinct();
    let pipeline = bench.start(Fault::Slow, vec![Box::new(source)], quick(1_024, None));
    bench.join(pipeline).unwrap();
    assert!(bench.counters.details().store_retries > 0);
    assert_eq!(bench.flows_in_store(), distinct);
}

#[test]
fn live_flows_wait_in_bounded_memory_and_are_then_dropped_with_their_reason() {
    let bench = Bench::new();
    let mut source = Numbers::new(Pace::GoesOn, 5_000);
    source.end = End::Asked;
    let pipeline = bench.start(Fault::Full, vec![Box::new(source)], quick(2_000, None));
    let stopper = pipeline.stopper();
    thread::scope(|scope| {
        let joined = scope.spawn(|| bench.join(pipeline));
        let most_waiting = loop {
            let counters = bench.counters.snapshot();
            if counters.flows == 5_000
                && counters.flows_dropped_by.store + counters.flows_dropped_by.scoring >= 3_000
            {
                break counters.flows_waiting;
            }
            thread::yield_now();
        };
        assert!((900..=2_000).contains(&most_waiting), "{most_waiting}");
        let storing = bench.counters.storing();
        assert_eq!(storing.refused.unwrap().1, StoreError::Full.state_of_store());
        stopper.stop();
        // It is away for good, and does not keep who wants to end.
        let error = joined.join().unwrap().unwrap_err();
        assert!(matches!(error, PipelineError::Store { .. }), "{error}");
    });
    let counters = bench.counters.snapshot();
    assert_eq!((counters.flows_scored, counters.flows_waiting), (0, 0));
    assert_eq!(counters.flows_dropped_by.ending, 0);
}

#[test]
fn the_answer_to_what_is_under_way_at_the_end_is_waited_for() {
    let bench = Bench::new();
    let mut source = Numbers::new(Pace::GoesOn, 5_000);
    (source.end, source.repeat_every) = (End::Asked, u64::MAX);
    let pipeline = bench.start(Fault::Late, vec![Box::new(source)], quick(10_000, None));
    while bench.counters.snapshot().flows < 5_000 {
        thread::yield_now();
    }
    pipeline.stopper().stop();
    // What came behind it may be stored too, or be dropped.
    let _ = bench.join(pipeline);
    let counters = bench.counters.snapshot();
    assert!(counters.flows_scored > 0, "{counters:?}");
    assert_eq!(bench.flows_in_store(), counters.flows_scored);
}

#[test]
fn a_part_that_ends_for_good_ends_the_pipeline_with_its_reason() {
    let check = |fault, ends: &[End], patience: Option<Duration>, says: &str| {
        let bench = Bench::new();
        let sources = ends.iter().map(|&end| {
            let pace = if end == End::Fails {
                Pace::GoesOn
            } else {
                Pace::Waits
            };
            let mut source = Numbers::new(pace, 20_000);
            source.end = end;
            Box::new(source) as Box<dyn Source>
        });
        let pipeline = bench.start(fault, sources.collect(), quick(1_024, patience));
        let error = bench.join(pipeline).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        let counters = bench.counters.snapshot();
        assert_eq!(counters.flows_waiting, 0, "{counters:?}");
        assert_eq!(counters.flows_scored + counters.flows_dropped, counters.flows);
    };
    let soon = Some(Duration::from_millis(100));
    check(
        Fault::Full,
        &[End::Through],
        soon,
        "the disk of the store is full",
    );
    check(Fault::Hangs, &[End::Asked], soon, "has not answered");
    check(
        Fault::FullAndHangs,
        &[End::Through],
        soon,
        "the disk of the store is full",
    );
    check(Fault::Panics, &[End::Asked], None, "recorder thread");
    check(
        Fault::Random(1),
        &[End::Fails],
        None,
        "; what came before is stored",
    );
    // The other source would go on for ever.
    check(
        Fault::Random(1),
        &[End::Panics, End::Asked],
        None,
        "reader thread",
    );
}
