//! What the pipeline counts. No packet and no flow leaves it without being in one of these numbers.
//!
//! Flows are counted under one lock, the [`Ledger`], so that every answer adds up: a flow is scored, failed, dropped for a
//! reason, or it waits. What waits is what is in none of the other numbers, and so cannot be forgotten.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netsage_api_types::{FlowsDropped, InterfaceHealth, PipelineCounters, Severity};
use netsage_sources::{PartitionControl, PartitionStatus, Source, SourceCounters, StreamStatus};
use netsage_store::FlowBatchRecord;

/// Why flows end early: for want of room, by what they were, and by a timeout that was shortened before it came to that.
const ENDED_EARLY: [&str; 4] = ["half_open", "idle", "active", "short_timeout"];

/// Where flows are.
#[derive(Debug, Clone, Copy, Default)]
struct Flows {
    read: u64,
    scored: u64,
    failed: u64,
    dropped: FlowsDropped,
    alerted: u64,
}

impl Flows {
    fn dropped(&self) -> u64 {
        self.dropped.named().iter().map(|(_, flows)| flows).sum()
    }

    fn waiting(&self) -> u64 {
        let settled = self.scored + self.failed + self.dropped();
        debug_assert!(
            settled <= self.read,
            "a flow is read before it is settled: {self:?}"
        );
        self.read.saturating_sub(settled)
    }
}

/// Why a flow is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropReason {
    /// As [`FlowsDropped::scoring`].
    Scoring,
    /// As [`FlowsDropped::store`].
    Store,
    /// As [`FlowsDropped::ending`].
    Ending,
}

/// Where flows are, changed and read as a whole.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Flows>);

impl Ledger {
    /// Counts flows that a source has finished.
    fn read(&self, flows: u64) {
        lock(&self.0).read += flows;
    }

    /// Counts flows that are stored.
    pub(super) fn stored(&self, scored: u64, failed: u64, alerted: u64) {
        let flows = &mut *lock(&self.0);
        flows.scored += scored;
        flows.failed += failed;
        flows.alerted += alerted;
    }

    pub(super) fn dropped(&self, count: u64, reason: DropReason) {
        lock(&self.0).add_dropped(count, reason);
    }

    /// Drops whatever waits: nobody works on it any more.
    pub(super) fn drop_waiting(&self, reason: DropReason) {
        let flows = &mut *lock(&self.0);
        flows.add_dropped(flows.waiting(), reason);
    }
}

impl Flows {
    fn add_dropped(&mut self, count: u64, reason: DropReason) {
        *match reason {
            DropReason::Scoring => &mut self.dropped.scoring,
            DropReason::Store => &mut self.dropped.store,
            DropReason::Ending => &mut self.dropped.ending,
        } += count;
    }
}

/// How it goes with storing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Storing {
    /// Since when the store has taken nothing though it was asked to, and what is the matter with it.
    pub refused: Option<(Instant, &'static str)>,
    /// Since when a delivery is under way.
    pub under_way: Option<Instant>,
}

/// The counters of a run; each has one writer, and any thread may read.
#[derive(Debug, Default)]
pub struct Counters {
    sources: Mutex<Vec<Arc<SourceState>>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) storing: Mutex<Storing>,
    /// Since when the spool has taken nothing though it was asked to, and what the system says.
    pub(super) spool_refused: Mutex<Option<(Instant, String)>>,
    pub(super) blocks_under_way: AtomicU64,
    /// Blocks between the readers and the workers.
    pub(super) blocks_to_score: AtomicU64,
    /// Blocks that wait in the sink for an earlier one.
    pub(super) blocks_out_of_order: AtomicU64,
    /// Time that readers waited for an empty block, nanoseconds.
    pub(super) reader_waited_ns: AtomicU64,
    pub(super) store_retries: AtomicU64,
    /// Flows read again for detectors that remember hosts.
    pub(super) flows_reread: AtomicU64,
    /// Hits of stored flows by the name of the detector, each by severity.
    hits: Mutex<BTreeMap<String, HitCounts>>,
    finished: AtomicBool,
}

/// Hits by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HitCounts([u64; 4]);

impl HitCounts {
    /// Each severity with its hits.
    pub fn map<T>(self, of: impl FnMut((&'static str, u64)) -> T) -> [T; 4] {
        const NAMES: [&str; 4] = ["low", "medium", "high", "critical"];
        std::array::from_fn(|severity| (NAMES[severity], self.0[severity])).map(of)
    }

    fn add(&mut self, severity: Severity) {
        self.0[match severity {
            Severity::Low => 0,
            Severity::Medium => 1,
            Severity::High => 2,
            Severity::Critical => 3,
        }] += 1;
    }
}

/// The counters of one source, and the number of its flows in the store.
#[derive(Debug, Default)]
pub struct SourceState {
    name: String,
    ledger: Arc<Ledger>,
    packets: AtomicU64,
    bytes: AtomicU64,
    packets_not_metered: AtomicU64,
    flows: AtomicU64,
    active_flows: AtomicU64,
    /// As [`Details::ended_early`].
    ended_early: [AtomicU64; 4],
    tcp_gaps: AtomicU64,
    tcp_gap_bytes: AtomicU64,
    counted: Mutex<SourceCounters>,
    not_metered: Mutex<BTreeMap<&'static str, u64>>,
    interfaces: Mutex<Vec<InterfaceHealth>>,
    partitions: Mutex<Vec<PartitionStatus>>,
    partition_control: Option<Arc<dyn PartitionControl>>,
    /// What keeps the source from reading.
    trouble: Mutex<Option<String>>,
    exporters: Mutex<Vec<StreamStatus>>,
    /// What of the source was not used, once it has ended.
    unused: Mutex<Option<String>>,
    /// Flows of the source that are in the store or dropped, counted from its first.
    stored: AtomicU64,
    /// The same as the source was told last.
    told: AtomicU64,
}

/// Figures beside [`PipelineCounters`], for the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Packets not metered, by reason.
    pub not_metered: BTreeMap<&'static str, u64>,
    /// Flows in the meter's table now.
    pub active_flows: u64,
    /// Flows ended early because memory for them was short, by what they were.
    pub ended_early: [(&'static str, u64); 4],
    /// Blocks between the meter and the store now.
    pub blocks_under_way: u64,
    /// Of these, blocks that wait for a scoring thread.
    pub blocks_to_score: u64,
    /// Of these, blocks that are scored and wait for an earlier one.
    pub blocks_out_of_order: u64,
    /// Time that readers waited because every block was under way.
    pub reader_waited: Duration,
    /// Deliveries to the store that had to be repeated.
    pub store_retries: u64,
    /// Flows read again for detectors that remember hosts; they are not among the flows.
    pub flows_reread: u64,
}

impl Counters {
    /// The counters as the API shows them, of all sources together. Those of flows are of one moment.
    pub fn snapshot(&self) -> PipelineCounters {
        let flows = *lock(&self.ledger.0);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sources = lock(&self.sources);
        let sum = |counter: fn(&SourceState) -> &AtomicU64| {
            sources.iter().map(|source| read(counter(source))).sum()
        };
        let dropped = |counter: fn(&InterfaceHealth) -> u64| {
            let drops = |source: &Arc<SourceState>| lock(&source.interfaces).iter().map(counter).sum::<u64>();
            sources.iter().map(drops).sum()
        };
        PipelineCounters {
            packets: sum(|source| &source.packets),
            bytes: sum(|source| &source.bytes),
            packets_not_metered: sum(|source| &source.packets_not_metered),
            flows: flows.read,
            flows_scored: flows.scored,
            flows_failed: flows.failed,
            flows_dropped: flows.dropped(),
            flows_dropped_by: flows.dropped,
            flows_waiting: flows.waiting(),
            flows_alerted: flows.alerted,
            kernel_drops: dropped(|interface| interface.kernel_drops),
            interface_drops: dropped(|interface| interface.interface_drops),
            tcp_gaps: sum(|source| &source.tcp_gaps),
            tcp_gap_bytes: sum(|source| &source.tcp_gap_bytes),
        }
    }

    /// The figures that only the metrics show.
    pub fn details(&self) -> Details {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sources = lock(&self.sources);
        let mut not_metered = BTreeMap::new();
        for source in sources.iter() {
            for (&reason, count) in &*lock(&source.not_metered) {
                *not_metered.entry(reason).or_default() += count;
            }
        }
        let ended_early = |kind: usize| sources.iter().map(|source| read(&source.ended_early[kind])).sum();
        Details {
            not_metered,
            active_flows: sources.iter().map(|source| read(&source.active_flows)).sum(),
            ended_early: std::array::from_fn(|kind| (ENDED_EARLY[kind], ended_early(kind))),
            blocks_under_way: read(&self.blocks_under_way),
            blocks_to_score: read(&self.blocks_to_score),
            blocks_out_of_order: read(&self.blocks_out_of_order),
            reader_waited: Duration::from_nanos(read(&self.reader_waited_ns)),
            store_retries: read(&self.store_retries),
            flows_reread: read(&self.flows_reread),
        }
    }

    /// Counts the hits of a record that is stored.
    pub(super) fn count_hits(&self, record: &FlowBatchRecord) {
        let mut hits = lock(&self.hits);
        for hit in &record.hits {
            let Some(detector) = record.scores.detectors().get(usize::from(hit.detector)) else {
                continue;
            };
            match hits.get_mut(&detector.name) {
                Some(counts) => counts.add(hit.severity),
                None => hits.entry(detector.name.clone()).or_default().add(hit.severity),
            }
        }
    }

    /// Hits of stored flows by the name of the detector.
    pub fn hits(&self) -> BTreeMap<String, HitCounts> {
        lock(&self.hits).clone()
    }

    /// How it goes with storing.
    pub fn storing(&self) -> Storing {
        *lock(&self.storing)
    }

    /// Since when the spool of a gateway that forwards has taken nothing, and what the system says.
    pub fn spool_refused(&self) -> Option<(Instant, String)> {
        lock(&self.spool_refused).clone()
    }

    /// What was counted on each interface.
    pub fn interfaces(&self) -> Vec<InterfaceHealth> {
        let sources = lock(&self.sources);
        let of_source = |source: &Arc<SourceState>| lock(&source.interfaces).clone();
        sources.iter().flat_map(of_source).collect()
    }

    /// Each source with partitions by its name, with those that this program has.
    pub fn partitions(&self) -> Vec<(String, Vec<PartitionStatus>)> {
        let sources = lock(&self.sources);
        let of_source = |source: &Arc<SourceState>| (source.name.clone(), lock(&source.partitions).clone());
        sources.iter().map(of_source).collect()
    }

    /// What may be asked of each source that has partitions.
    pub fn partition_controls(&self) -> Vec<Arc<dyn PartitionControl>> {
        let sources = lock(&self.sources);
        let of_source = |source: &Arc<SourceState>| source.partition_control.clone();
        sources.iter().filter_map(of_source).collect()
    }

    /// Each source that cannot read now by its name, with the reason.
    pub fn troubles(&self) -> Vec<(String, String)> {
        let sources = lock(&self.sources);
        let of_source =
            |source: &Arc<SourceState>| Some((source.name.clone(), lock(&source.trouble).clone()?));
        sources.iter().filter_map(of_source).collect()
    }

    /// Each source by its name, with the exporters of NetFlow and IPFIX that it knows.
    pub fn exporters(&self) -> Vec<(String, Vec<StreamStatus>)> {
        let sources = lock(&self.sources);
        let of_source = |source: &Arc<SourceState>| (source.name.clone(), lock(&source.exporters).clone());
        sources.iter().map(of_source).collect()
    }

    /// Each source by its name, with what it counts, at most a quarter of a second ago.
    pub fn sources(&self) -> Vec<(String, SourceCounters)> {
        let sources = lock(&self.sources);
        let of_source = |source: &Arc<SourceState>| (source.name.clone(), *lock(&source.counted));
        sources.iter().map(of_source).collect()
    }

    /// What of each source was not used and why, one line each; of sources that have ended.
    pub fn unused(&self) -> Vec<String> {
        let sources = lock(&self.sources);
        let of_source = |source: &Arc<SourceState>| lock(&source.unused).clone();
        sources.iter().filter_map(of_source).collect()
    }

    /// Adds a source.
    pub(super) fn add_source(&self, source: &dyn Source) -> Arc<SourceState> {
        let state = Arc::new(SourceState {
            name: source.name().to_owned(),
            partition_control: source.partition_control(),
            ledger: Arc::clone(&self.ledger),
            ..SourceState::default()
        });
        lock(&self.sources).push(Arc::clone(&state));
        state
    }

    /// Whether the sources are through and everything from them is stored.
    pub fn finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    pub(super) fn set_finished(&self) {
        self.finished.store(true, Ordering::Release);
    }
}

impl SourceState {
    /// Notes that the first `flows` flows of the source are in the store or dropped.
    pub(super) fn set_stored(&self, flows: u64) {
        self.stored.store(flows, Ordering::Release);
    }

    /// How many flows are in the store or dropped, when there are more than the last time that this was asked.
    pub(super) fn news(&self) -> Option<u64> {
        let stored = self.stored.load(Ordering::Acquire);
        (self.told.swap(stored, Ordering::Relaxed) != stored).then_some(stored)
    }

    /// Takes over what changes with every few packets.
    pub(super) fn take_meter(&self, source: &dyn Source) {
        let flows = source
            .meter()
            .map_or_else(|| source.counters().flows, |stats| stats.flows);
        let before = self.flows.swap(flows, Ordering::Relaxed);
        if flows > before {
            self.ledger.read(flows - before);
        }
        let Some(stats) = source.meter() else { return };
        self.packets.store(stats.packets, Ordering::Relaxed);
        self.bytes.store(stats.bytes, Ordering::Relaxed);
        self.packets_not_metered
            .store(stats.not_metered(), Ordering::Relaxed);
        self.active_flows.store(stats.active_flows, Ordering::Relaxed);
        let ended_early = [
            stats.evicted_half_open,
            stats.evicted_idle,
            stats.evicted_active,
            stats.shortened_flows,
        ];
        for (counter, count) in self.ended_early.iter().zip(ended_early) {
            counter.store(count, Ordering::Relaxed);
        }
        self.tcp_gaps.store(stats.tcp_gaps, Ordering::Relaxed);
        self.tcp_gap_bytes.store(stats.tcp_gap_bytes, Ordering::Relaxed);
        let mut reasons = lock(&self.not_metered);
        for (reason, count) in stats.not_metered_reasons() {
            reasons.insert(reason, count);
        }
    }

    /// Takes over, once the source has ended, what of it was not used.
    pub(super) fn take_unused(&self, source: &dyn Source) {
        *lock(&self.unused) = source.unused();
    }

    /// Takes over what costs more to read.
    pub(super) fn take_counters(&self, source: &dyn Source) {
        *lock(&self.counted) = source.counters();
        *lock(&self.partitions) = source.partitions();
        *lock(&self.trouble) = source.trouble();
        *lock(&self.exporters) = source.exporters();
        #[cfg(feature = "live")]
        {
            *lock(&self.interfaces) = source.interfaces().into_iter().map(interface_health).collect();
        }
    }
}

/// Plain values are whole whoever panicked with them in hand.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counters of an interface as the API shows them.
#[cfg(feature = "live")]
pub fn interface_health(stats: netsage_capture::live::InterfaceStats) -> InterfaceHealth {
    InterfaceHealth {
        up: stats.up(),
        down_because: stats.down_because().map(str::to_owned),
        name: stats.interface,
        unseen: stats.unseen,
        received: stats.received,
        kernel_drops: stats.kernel_drops,
        interface_drops: stats.interface_drops,
        failures: stats.failures,
    }
}

/// What was counted on an interface, in a line for people.
pub fn interface_summary(stats: &InterfaceHealth) -> String {
    let failures = match stats.failures {
        0 => String::new(),
        1 => ", went away once".to_owned(),
        failures => format!(", went away {failures} times"),
    };
    format!(
        "{}: {} packets, {} dropped by the kernel, {} dropped by the interface{failures}",
        stats.name, stats.received, stats.kernel_drops, stats.interface_drops
    )
}

/// What TCP tells about packets that were never seen, in a sentence; `None` when there is nothing to tell.
pub fn gap_summary(gaps: u64, bytes: u64) -> Option<String> {
    (gaps > 0).then(|| {
        format!("TCP acknowledged {bytes} bytes in {gaps} gaps that were never seen: packets were lost before or in the capture")
    })
}
