//! A store that looks at every flow, and a capture for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netsage_alerts::{AlertLimits, AlertWindow, Id};
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};
use netsage_store::{
    BoxFuture, Changes, FlowBatchRecord, Store, StoreError, StoreOverview, StoreSeries, StoreSeriesQuery,
};

/// Far longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Every so many flows of a capture one is large.
pub(crate) const FLOWS_PER_LARGE: u64 = 100;
/// Bytes of a flow, of which all but the large ones have fewer.
pub(crate) const LARGE: f32 = 100.0;

/// Waits until something has happened.
pub(crate) fn wait_until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What was recorded, in short.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) ids: Vec<Id>,
    /// Scores by who gave them: name and generation.
    pub(crate) scores: BTreeMap<(String, u64), u64>,
    /// Digests that each generation called itself.
    pub(crate) digests: BTreeMap<u64, BTreeSet<String>>,
    pub(crate) hits: u64,
    /// What must not be, in words.
    pub(crate) wrong: Vec<String>,
}

/// Keeps what it is told in memory, and looks at every flow. Takes no more flows than it is allowed to.
pub(crate) struct CountingStore {
    /// Names of the detectors, each of which must have scored every flow.
    names: BTreeSet<&'static str>,
    pub(crate) recorded: Mutex<Recorded>,
    /// Flows recorded.
    pub(crate) flows: AtomicU64,
    /// Flows after which it waits.
    pub(crate) allowed: AtomicU64,
}

impl CountingStore {
    pub(crate) fn new(names: &[&'static str], allowed: u64) -> Self {
        Self {
            names: names.iter().copied().collect(),
            recorded: Mutex::default(),
            flows: AtomicU64::new(0),
            allowed: AtomicU64::new(allowed),
        }
    }

    fn take(&self, batch: &FlowBatchRecord) {
        let recorded = &mut *self.recorded.lock().unwrap();
        let detectors = batch.scores.detectors();
        let mut by = vec![0_u64; detectors.len()];
        for (row, flow) in batch.flows.iter().enumerate() {
            recorded.ids.push(flow.id);
            let scores: Vec<(u16, f32)> = batch.scores.row(row).collect();
            let names: BTreeSet<&str> = scores
                .iter()
                .map(|(number, _)| detectors[usize::from(*number)].name.as_str())
                .collect();
            if names != self.names || scores.len() != names.len() {
                recorded
                    .wrong
                    .push(format!("flow {row} has scores by {scores:?} of {detectors:?}"));
            }
            for (number, _) in scores {
                by[usize::from(number)] += 1;
            }
        }
        for (detector, count) in detectors.iter().zip(by).filter(|(_, count)| *count > 0) {
            let who = (detector.name.clone(), detector.generation);
            *recorded.scores.entry(who).or_default() += count;
            let digests = recorded.digests.entry(detector.generation).or_default();
            digests.insert(detector.digest.clone());
        }
        for hit in &batch.hits {
            recorded.hits += 1;
            let mut of_flow = batch.scores.row(hit.flow as usize);
            let is_of_flow = of_flow.any(|scored| scored == (hit.detector, hit.score));
            if !is_of_flow || hit.score <= LARGE {
                recorded.wrong.push(format!("{hit:?} of {detectors:?}"));
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

    fn alert_window(&self) -> AlertWindow {
        AlertWindow::of_ms(60_000)
    }

    fn alert_limits(&self) -> AlertLimits {
        AlertLimits::default()
    }

    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        for batch in batches {
            self.take(batch);
            let flows = batch.flows.len() as u64;
            let recorded = self.flows.fetch_add(flows, Ordering::AcqRel) + flows;
            wait_until("leave to go on", || {
                recorded <= self.allowed.load(Ordering::Acquire)
            });
        }
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

    fn changes(&self, _: u64, _: u32) -> BoxFuture<'_, Result<Changes, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn position<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn save_position<'a>(&'a self, _: &'a str, _: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn swap_position<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a [u8]>,
        _: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn flows<'a>(&'a self, _: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn overview(&self, _: i64, _: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn series<'a>(&'a self, _: &'a StoreSeriesQuery) -> BoxFuture<'a, Result<Vec<StoreSeries>, StoreError>> {
        unreachable!("the pipeline only records")
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        unreachable!("the pipeline only records")
    }
}

/// A capture of as many flows as packets: each is a datagram between two ends that no other one has.
pub(crate) fn write_capture(path: &Path, flows: u64) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    // Microseconds, little-endian, Ethernet.
    file.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0])?;
    let mut packet = Vec::new();
    for flow in 0..flows {
        let payload: u16 = if flow % FLOWS_PER_LARGE == 0 { 120 } else { 8 };
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
