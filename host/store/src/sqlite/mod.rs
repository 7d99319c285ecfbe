//! The embedded store: one file, one writing connection, one reading connection beside it (WAL).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netsage_alerts::AlertWindow;
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};
use rusqlite::Connection;

use crate::changes::{check_position, page_of_changes};
use crate::record::{check_batch, check_change};
use crate::{BoxFuture, Changes, FlowBatchRecord, Store, StoreError, StoreOptions, StoreOverview};

mod numbers;
mod purge;
mod read;
mod rows;
mod schema;
mod write;

/// How often a store that records looks for what is past its time.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Flows deleted at once: more than a batch brings, so that deleting keeps up with recording.
const FLOW_CHUNK: usize = 4096;

/// Alerts deleted at once; each may have counted many flows.
const ALERT_CHUNK: usize = 64;

/// A store in a file.
pub(crate) struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    options: StoreOptions,
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
}

struct Writer {
    connection: Connection,
    memory: write::Memory,
    next_purge: Instant,
}

/// A panic under the lock rolled its transaction back, so what is behind the lock is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteStore {
    pub(crate) async fn open(path: PathBuf, options: StoreOptions) -> Result<Self, StoreError> {
        let open = move || {
            let connection = schema::open_writer(&path)?;
            let reader = Mutex::new(schema::open_reader(&path)?);
            let writer = Mutex::new(Writer {
                connection,
                memory: write::Memory::default(),
                next_purge: Instant::now(),
            });
            Ok(Self {
                shared: Arc::new(Shared {
                    options,
                    writer,
                    reader,
                }),
            })
        };
        tokio::task::spawn_blocking(open)
            .await
            .map_err(|_| StoreError::ShutDown)?
    }

    /// Runs work on a thread that may block.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || work(&shared))
                .await
                .map_err(|_| StoreError::ShutDown)?
        })
    }
}

impl Shared {
    fn record(&self, batches: &[Arc<FlowBatchRecord>]) -> Result<Vec<Alert>, StoreError> {
        let mut writer = lock(&self.writer);
        let Writer {
            connection, memory, ..
        } = &mut *writer;
        let changed = write::record(connection, memory, batches, self.options.alert_window)?;
        if Instant::now() >= writer.next_purge {
            let deleted = self.purge_some(&mut writer.connection)?;
            // A full chunk means that there may be more: go on at the next batch.
            if !deleted.more {
                writer.next_purge = Instant::now() + PURGE_EVERY;
            }
        }
        Ok(changed)
    }

    fn purge(&self) -> Result<u64, StoreError> {
        let mut flows = 0;
        loop {
            // The lock is let go between chunks, so that recording goes on.
            let deleted = self.purge_some(&mut lock(&self.writer).connection)?;
            flows += deleted.flows as u64;
            if !deleted.more {
                return Ok(flows);
            }
        }
    }

    /// Deletes a chunk of what is past its time.
    fn purge_some(&self, connection: &mut Connection) -> Result<Purged, StoreError> {
        let flows = purge::purge_flows(connection, self.options.flow_retention, FLOW_CHUNK)?;
        let alerts = purge::purge_alerts(connection, self.options.alert_retention, ALERT_CHUNK)?;
        Ok(Purged {
            flows,
            more: flows == FLOW_CHUNK || alerts == ALERT_CHUNK,
        })
    }
}

/// What went in one step of purging.
struct Purged {
    flows: usize,
    /// Whether there may be more to delete.
    more: bool,
}

impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.blocking(|shared| read::health(&lock(&shared.reader)))
    }

    fn alert_window(&self) -> AlertWindow {
        self.shared.options.alert_window
    }

    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        let batches = batches.to_vec();
        self.blocking(move |shared| {
            batches.iter().try_for_each(|batch| check_batch(batch))?;
            shared.record(&batches)
        })
    }

    fn alerts<'a>(&'a self, query: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        let query = query.clone();
        self.blocking(move |shared| read::alerts(&lock(&shared.reader), &query))
    }

    fn alert<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        let id = id.to_owned();
        self.blocking(move |shared| read::alert(&lock(&shared.reader), &id))
    }

    fn change_state<'a>(
        &'a self,
        id: &'a str,
        change: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        let (id, change) = (id.to_owned(), change.clone());
        self.blocking(move |shared| {
            check_change(&change)?;
            write::change_state(&mut lock(&shared.writer).connection, &id, &change)
        })
    }

    fn changes(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Changes, StoreError>> {
        self.blocking(move |shared| read::changes(&mut lock(&shared.reader), after, page_of_changes(limit)))
    }

    fn position<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let name = name.to_owned();
        self.blocking(move |shared| read::position(&lock(&shared.reader), &name))
    }

    fn save_position<'a>(
        &'a self,
        name: &'a str,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (name, position) = (name.to_owned(), position.to_vec());
        self.blocking(move |shared| {
            check_position(&name, &position)?;
            write::save_position(&lock(&shared.writer).connection, &name, &position)
        })
    }

    fn flows<'a>(&'a self, query: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        let query = query.clone();
        self.blocking(move |shared| read::flows(&lock(&shared.reader), &query))
    }

    fn overview(&self, step_ms: i64, max_points: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        self.blocking(move |shared| read::overview(&mut lock(&shared.reader), step_ms, max_points))
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.blocking(Shared::purge)
    }
}
