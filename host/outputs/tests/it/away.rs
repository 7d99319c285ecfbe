//! A store that can be taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netsage_alerts::AlertWindow;
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};
use netsage_store::{BoxFuture, Changes, FlowBatchRecord, SharedStore, Store, StoreError, StoreOverview};

/// Answers as the store behind it, or, while it is away, as one that nobody reaches.
pub(crate) struct Away {
    inner: SharedStore,
    is_away: AtomicBool,
}

impl Away {
    pub(crate) fn new(inner: SharedStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            is_away: AtomicBool::new(false),
        })
    }

    pub(crate) fn set(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Release);
    }

    fn or_error<'a, T: Send + 'a>(
        &self,
        answer: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        match self.is_away.load(Ordering::Acquire) {
            true => Box::pin(async { Err(StoreError::Busy) }),
            false => answer,
        }
    }
}

impl Store for Away {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.or_error(self.inner.health())
    }

    fn alert_window(&self) -> AlertWindow {
        self.inner.alert_window()
    }

    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        self.or_error(self.inner.record(batches))
    }

    fn alerts<'a>(&'a self, query: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        self.or_error(self.inner.alerts(query))
    }

    fn alert<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        self.or_error(self.inner.alert(id))
    }

    fn change_state<'a>(
        &'a self,
        id: &'a str,
        change: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        self.or_error(self.inner.change_state(id, change))
    }

    fn changes(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Changes, StoreError>> {
        self.or_error(self.inner.changes(after, limit))
    }

    fn position<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        self.or_error(self.inner.position(name))
    }

    fn save_position<'a>(
        &'a self,
        name: &'a str,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or_error(self.inner.save_position(name, position))
    }

    fn flows<'a>(&'a self, query: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        self.or_error(self.inner.flows(query))
    }

    fn overview(&self, step_ms: i64, max_points: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        self.or_error(self.inner.overview(step_ms, max_points))
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.or_error(self.inner.purge())
    }
}
