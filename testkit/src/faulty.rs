//! A store that fails.

use std::future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netsage_alerts::{AlertLimits, AlertWindow};
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};
use netsage_store::{
    BoxFuture, Changes, FlowBatchRecord, SharedStore, Store, StoreError, StoreOverview, StoreSeries,
    StoreSeriesQuery,
};

use crate::random::Random;

/// What a [`Faulty`] store does that does not do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the store does all that it should.
    None,
    /// Nobody reaches the store: every call fails.
    Away,
    /// Records nothing, and reads.
    Full,
    /// Records by this seed: refuses, refuses though it has recorded, or takes its time. Reads.
    Random(u64),
    /// Never answers who wants to record.
    Hangs,
    /// Says that the disk is full, and then never answers who wants to record.
    FullAndHangs,
    /// Records one block at a time, and is too slow for more.
    Slow,
    /// Records, and says so half a second later.
    Late,
    /// Panics when it is to record.
    Panics,
}

/// Answers as the store behind it, apart from its fault.
pub struct Faulty {
    inner: SharedStore,
    fault: Mutex<Fault>,
    /// Calls of [`Store::record`].
    calls: AtomicU64,
}

impl Faulty {
    /// A store with that fault.
    pub fn new(inner: SharedStore, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fault: Mutex::new(fault),
            calls: AtomicU64::new(0),
        })
    }

    /// Gives the store another fault.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unless_away<'a, T: Send + 'a>(
        &self,
        answer: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        match self.fault() {
            Fault::Away => Box::pin(async { Err(StoreError::Busy) }),
            _ => answer,
        }
    }
}

impl Store for Faulty {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.unless_away(self.inner.health())
    }

    fn alert_window(&self) -> AlertWindow {
        self.inner.alert_window()
    }

    fn alert_limits(&self) -> AlertLimits {
        self.inner.alert_limits()
    }

    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let seed = match self.fault() {
            Fault::None => return self.inner.record(batches),
            Fault::Random(seed) => Random::new(seed.wrapping_add(call)).below(u64::MAX),
            Fault::Away => return Box::pin(async { Err(StoreError::Busy) }),
            Fault::Full => return Box::pin(async { Err(StoreError::Full) }),
            Fault::FullAndHangs if call == 0 => return Box::pin(async { Err(StoreError::Full) }),
            Fault::Hangs | Fault::FullAndHangs => return Box::pin(future::pending()),
            Fault::Slow if batches.len() > 1 => {
                return Box::pin(async { Err(StoreError::NoAnswer { seconds: 10 }) });
            }
            Fault::Slow => return self.inner.record(batches),
            Fault::Late => {
                return Box::pin(async {
                    let recorded = self.inner.record(batches).await;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    recorded
                });
            }
            Fault::Panics => panic!("as the test wants it"),
        };
        Box::pin(async move {
            match seed % 6 {
                0 => Err(StoreError::Full),
                1 => Err(StoreError::Busy),
                2 => {
                    self.inner.record(batches).await?;
                    Err(StoreError::NoAnswer { seconds: 0 })
                }
                3 => {
                    tokio::time::sleep(Duration::from_millis(seed % 20)).await;
                    self.inner.record(batches).await
                }
                _ => self.inner.record(batches).await,
            }
        })
    }

    fn alerts<'a>(&'a self, query: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        self.unless_away(self.inner.alerts(query))
    }

    fn alert<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        self.unless_away(self.inner.alert(id))
    }

    fn change_state<'a>(
        &'a self,
        id: &'a str,
        change: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        self.unless_away(self.inner.change_state(id, change))
    }

    fn changes(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Changes, StoreError>> {
        self.unless_away(self.inner.changes(after, limit))
    }

    fn position<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        self.unless_away(self.inner.position(name))
    }

    fn shared_secret<'a>(
        &'a self,
        name: &'a str,
        fresh: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        self.unless_away(self.inner.shared_secret(name, fresh))
    }

    fn save_position<'a>(
        &'a self,
        name: &'a str,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.unless_away(self.inner.save_position(name, position))
    }

    fn swap_position<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.unless_away(self.inner.swap_position(name, expected, position))
    }

    fn flows<'a>(&'a self, query: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        self.unless_away(self.inner.flows(query))
    }

    fn overview(&self, step_ms: i64, max_points: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        self.unless_away(self.inner.overview(step_ms, max_points))
    }

    fn series<'a>(
        &'a self,
        query: &'a StoreSeriesQuery,
    ) -> BoxFuture<'a, Result<Vec<StoreSeries>, StoreError>> {
        self.unless_away(self.inner.series(query))
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.unless_away(self.inner.purge())
    }
}
