//! A source that is killed between hand-over and acknowledgement loses nothing and doubles nothing: a followed log, the
//! pipeline and SQLite in a child process that ends itself, and then to its end.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use netsage_api_types::{AlertQuery, FailurePolicy, Step, StepRequest};
use netsage_capture::MeterStats;
use netsage_gateway::Announcer;
use netsage_gateway::pipeline::{Counters, Pipeline, PipelineConfig, PipelineError, StoringConfig};
use netsage_schema::{AddressKey, FlowBatch, Schema, UNSW_NB15};
use netsage_sources::{Pace, Position, Reading, Site, Source, SourceCounters, SourceError};

use crate::swaps::{lifecycle, warm};
use netsage_testkit::toy::ToyLog;

const FLOWS: u64 = 4_000;
/// Every so many lines a flow is above the threshold.
const LINES_PER_ALERT: u64 = 20;
/// What the child reads of its environment: the folder, and when it dies.
const FOLDER: &str = "NETSAGE_TEST_SOURCES_FOLDER";
const DEATH: &str = "NETSAGE_TEST_SOURCES_DEATH";

/// When the child ends itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    /// In the read of this number: flows are handed over and on their way.
    Reading(u64),
    /// When this many flows are stored, before their place is kept.
    Acknowledged(u64),
    Never,
}

impl Death {
    fn as_text(self) -> String {
        match self {
            Self::Reading(number) => format!("read {number}"),
            Self::Acknowledged(flows) => format!("stored {flows}"),
            Self::Never => "never 0".to_owned(),
        }
    }

    fn parse(text: &str) -> Self {
        let (kind, number) = text.split_once(' ').unwrap();
        match kind {
            "read" => Self::Reading(number.parse().unwrap()),
            "stored" => Self::Acknowledged(number.parse().unwrap()),
            _ => Self::Never,
        }
    }
}

/// The toy, which dies.
struct Mortal {
    toy: ToyLog,
    death: Death,
    reads: u64,
}

impl Mortal {
    fn open(folder: &Path, death: Death) -> Self {
        Self {
            toy: ToyLog::open(&folder.join("toy.log")),
            death,
            reads: 0,
        }
    }
}

impl Source for Mortal {
    fn name(&self) -> &str {
        self.toy.name()
    }

    fn schema(&self) -> &'static Schema {
        self.toy.schema()
    }

    fn pace(&self) -> Pace {
        self.toy.pace()
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        self.reads += 1;
        if self.death == Death::Reading(self.reads) {
            std::process::abort();
        }
        self.toy.read(batch)
    }

    fn stop(&mut self) {
        self.toy.stop();
    }

    fn counters(&self) -> SourceCounters {
        self.toy.counters()
    }

    fn stored(&mut self, flows: u64) -> Option<Position> {
        if matches!(self.death, Death::Acknowledged(most) if flows >= most) {
            std::process::abort();
        }
        self.toy.stored(flows)
    }

    fn begin_at(&mut self, place: &Position) -> Result<(), SourceError> {
        self.toy.begin_at(place)
    }

    fn meter(&self) -> Option<&MeterStats> {
        self.toy.meter()
    }
}

/// Runs the log in `folder` through a pipeline into the store there, and gives the flows that the source handed over.
fn run(folder: &Path, death: Death) -> Result<u64, PipelineError> {
    let lifecycle = lifecycle(folder, FailurePolicy::Reload);
    let digest = warm(&lifecycle, "one", 0, "");
    // A package that an earlier run promoted is active already.
    let _ = lifecycle.step(&digest, Step::Promote, &StepRequest::default());
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let store = tokio.block_on(open_store(folder));
    let counters = Arc::new(Counters::default());
    let config = PipelineConfig {
        site: Site::default(),
        workers: 2,
        queue_blocks: 4,
        schema: &UNSW_NB15,
        address_key: AddressKey::OF_FILES,
        storing: StoringConfig::default(),
        forward: None,
    };
    let pipeline = Pipeline::start(
        &config,
        vec![Box::new(Mortal::open(folder, death))],
        lifecycle.roster(),
        store,
        &counters,
        Announcer::default(),
        tokio.handle().clone(),
    )?;
    pipeline.join()?;
    Ok(counters.sources()[0].1.flows)
}

async fn open_store(folder: &Path) -> Arc<dyn netsage_store::Store> {
    let path = folder.join("store.sqlite");
    netsage_store::open(path.to_str().unwrap()).await.unwrap()
}

/// Flows and alerts in the store, and the flows that all alerts count.
fn stored(folder: &Path) -> (u64, u64, u64) {
    const HOUR_MS: i64 = 3_600_000;
    let tokio = tokio::runtime::Runtime::new().unwrap();
    tokio.block_on(async {
        let store = open_store(folder).await;
        let overview = store.overview(HOUR_MS, 100).await.unwrap();
        let query = AlertQuery {
            limit: Some(500),
            ..AlertQuery::default()
        };
        let alerts = store.alerts(&query).await.unwrap().items;
        (
            overview.points.iter().map(|point| point.flows).sum(),
            overview.alerts_total,
            alerts.iter().map(|alert| alert.count).sum(),
        )
    })
}

/// Not a test of its own: what the child of the test below does.
#[test]
fn child_with_a_mortal_source() {
    if let (Ok(folder), Ok(death)) = (std::env::var(FOLDER), std::env::var(DEATH)) {
        run(Path::new(&folder), Death::parse(&death)).unwrap();
    }
}

#[test]
fn a_killed_source_loses_nothing_and_doubles_nothing() {
    for deaths in [
        &[Death::Acknowledged(1)][..],
        &[
            Death::Acknowledged(1_500),
            Death::Reading(3),
            Death::Acknowledged(1_000),
        ],
        &[Death::Reading(2), Death::Reading(20)],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let line = |number: u64| {
            let bytes = if number.is_multiple_of(LINES_PER_ALERT) {
                500
            } else {
                50
            };
            format!("{} {bytes}\n", 1_700_000_000 + number)
        };
        let log: String = (0..FLOWS).map(line).collect();
        std::fs::write(folder.path().join("toy.log"), log).unwrap();
        for death in deaths {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sources::child_with_a_mortal_source", "--nocapture"])
                .env(FOLDER, folder.path())
                .env(DEATH, death.as_text())
                .output()
                .unwrap();
            assert!(!child.status.success(), "the child died: {}", death.as_text());
        }
        let last = run(folder.path(), Death::Never).unwrap();
        assert!(last <= FLOWS);
        // All lines name one target, which has an alert in each of the two hours.
        assert_eq!(stored(folder.path()), (FLOWS, 2, FLOWS / LINES_PER_ALERT));
        // Everything is acknowledged: another run has nothing to read.
        assert_eq!(run(folder.path(), Death::Never).unwrap(), 0);
    }
}

#[test]
fn one_run_reads_several_sources() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path(), FailurePolicy::Reload);
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let store = tokio.block_on(open_store(folder.path()));
    let counters = Arc::new(Counters::default());
    let logs = ["one", "two", "three"].map(|name| folder.path().join(name));
    for (number, path) in logs.iter().enumerate() {
        let first = 1_700_000_000 + 10_000 * number as u64;
        let text: String = (0..1_500).map(|line| format!("{} 50\n", first + line)).collect();
        std::fs::write(path, text).unwrap();
    }
    let sources = logs
        .each_ref()
        .map(|path| Box::new(ToyLog::open(path)) as Box<dyn Source>);
    let config = PipelineConfig {
        site: Site::default(),
        workers: 2,
        queue_blocks: 3,
        schema: &UNSW_NB15,
        address_key: AddressKey::OF_FILES,
        storing: StoringConfig::default(),
        forward: None,
    };
    let pipeline = Pipeline::start(
        &config,
        sources.into(),
        lifecycle.roster(),
        store,
        &counters,
        Announcer::default(),
        tokio.handle().clone(),
    );
    pipeline.unwrap().join().unwrap();
    for ((name, counted), path) in counters.sources().iter().zip(&logs) {
        assert_eq!(*name, path.display().to_string());
        assert_eq!((counted.records, counted.flows), (1_500, 1_500));
    }
    assert_eq!(counters.snapshot().flows, 4_500);
    assert_eq!(stored(folder.path()).0, 4_500);
}
