//! The embedded store: one file, a thread with the one connection that writes, and a few that read beside it (WAL).

use std::path::PathBuf;
use std::sync::Arc;
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
mod readers;
mod rows;
mod schema;
mod write;
mod writer;

use readers::Readers;
use writer::WriterThread;

/// How often a store that records looks for what is past its time.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Flows deleted at once: more than a batch brings, so that deleting keeps up with recording.
const FLOW_CHUNK: usize = 4096;

/// Alerts deleted at once; each may have counted many flows.
const ALERT_CHUNK: usize = 64;

/// A store in a file.
pub(crate) struct SqliteStore {
    options: StoreOptions,
    // Before the writer: the last connection to be closed brings the log into the database, and must be able to write.
    readers: Readers,
    writer: WriterThread,
}

/// What the writing thread has.
struct Writer {
    options: StoreOptions,
    connection: Connection,
    memory: write::Memory,
    next_purge: Instant,
}

impl SqliteStore {
    pub(crate) async fn open(path: PathBuf, options: StoreOptions) -> Result<Self, StoreError> {
        let open = move || {
            let writer = Writer {
                options,
                connection: schema::open_writer(&path)?,
                memory: write::Memory::default(),
                next_purge: Instant::now(),
            };
            let writer = WriterThread::start(writer, &path)?;
            Ok(Self {
                options,
                readers: Readers::open(path)?,
                writer,
            })
        };
        tokio::task::spawn_blocking(open)
            .await
            .map_err(|_| StoreError::ShutDown)?
    }
}

impl Writer {
    fn record(&mut self, batches: &[Arc<FlowBatchRecord>]) -> Result<Vec<Alert>, StoreError> {
        let changed = write::record(
            &mut self.connection,
            &mut self.memory,
            batches,
            self.options.alert_window,
        )?;
        if Instant::now() >= self.next_purge {
            let deleted = self.purge_some()?;
            // A full chunk means that there may be more: go on at the next batch.
            if !deleted.more {
                self.next_purge = Instant::now() + PURGE_EVERY;
            }
        }
        Ok(changed)
    }

    /// Deletes a chunk of what is past its time.
    fn purge_some(&mut self) -> Result<Purged, StoreError> {
        let flows = purge::purge_flows(&mut self.connection, self.options.flow_retention, FLOW_CHUNK)?;
        let alerts = purge::purge_alerts(&mut self.connection, self.options.alert_retention, ALERT_CHUNK)?;
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
        self.readers.read(|connection| read::health(connection))
    }

    fn alert_window(&self) -> AlertWindow {
        self.options.alert_window
    }

    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        let batches = batches.to_vec();
        self.writer.write(move |writer| {
            batches.iter().try_for_each(|batch| check_batch(batch))?;
            writer.record(&batches)
        })
    }

    fn alerts<'a>(&'a self, query: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        let (query, rows) = (query.clone(), self.options.listing_rows);
        self.readers
            .read(move |connection| read::alerts(connection, &query, rows))
    }

    fn alert<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        let id = id.to_owned();
        self.readers.read(move |connection| read::alert(connection, &id))
    }

    fn change_state<'a>(
        &'a self,
        id: &'a str,
        change: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        let (id, change) = (id.to_owned(), change.clone());
        self.writer.write_in_turn(move |writer| {
            check_change(&change)?;
            write::change_state(&mut writer.connection, &id, &change)
        })
    }

    fn changes(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Changes, StoreError>> {
        self.readers
            .read(move |connection| read::changes(connection, after, page_of_changes(limit)))
    }

    fn position<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let name = name.to_owned();
        self.readers
            .read(move |connection| read::position(connection, &name))
    }

    fn save_position<'a>(
        &'a self,
        name: &'a str,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (name, position) = (name.to_owned(), position.to_vec());
        self.writer.write_in_turn(move |writer| {
            check_position(&name, &position)?;
            write::save_position(&writer.connection, &name, &position)
        })
    }

    fn flows<'a>(&'a self, query: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        let (query, rows) = (query.clone(), self.options.listing_rows);
        self.readers
            .read(move |connection| read::flows(connection, &query, rows))
    }

    fn overview(&self, step_ms: i64, max_points: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        self.readers
            .read(move |connection| read::overview(connection, step_ms, max_points))
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async {
            let mut flows = 0;
            loop {
                // One chunk at a time, so that recording goes on in between.
                let deleted = self.writer.write_in_turn(Writer::purge_some).await?;
                flows += deleted.flows as u64;
                if !deleted.more {
                    return Ok(flows);
                }
            }
        })
    }
}
