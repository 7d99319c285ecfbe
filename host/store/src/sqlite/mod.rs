//! The embedded store: one file, a thread with the one connection that writes, and a few that read beside it (WAL).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_alerts::{AlertLimits, AlertWindow};
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};
use rusqlite::Connection;

use crate::changes::{check_position, page_of_changes};
use crate::record::{check_batch, check_change};
use crate::{
    BoxFuture, Changes, FlowBatchRecord, Store, StoreError, StoreOptions, StoreOverview, StoreSeries,
    StoreSeriesQuery,
};

mod alerts;
mod damage;
mod numbers;
mod purge;
mod read;
mod readers;
mod recover;
mod room;
mod rows;
mod schema;
mod series;
mod write;
mod writer;

use damage::StoreFile;
use readers::Readers;
pub use recover::{Recovered, recover};
use writer::WriterThread;

/// How often a store looks for what is past its time.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// How often an idle store looks whether its file was found damaged.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Flows deleted at once: more than a batch brings, so that deleting keeps up with recording.
const FLOW_CHUNK: usize = 4096;

/// Alerts deleted at once; each may have counted many flows.
const ALERT_CHUNK: usize = 64;

/// A store in a file.
pub(crate) struct SqliteStore {
    options: StoreOptions,
    file: Arc<StoreFile>,
    // Before the writer: the last connection to be closed brings the log into the database, and must be able to write.
    readers: Readers,
    writer: WriterThread,
}

/// What the writing thread has.
struct Writer {
    options: StoreOptions,
    file: Arc<StoreFile>,
    connection: Connection,
    memory: write::Memory,
    next_purge: Instant,
}

impl SqliteStore {
    pub(crate) async fn open(path: PathBuf, options: StoreOptions) -> Result<Self, StoreError> {
        let open = move || {
            let (file, connection) = StoreFile::open(path)?;
            room::limit_log(&connection, options.size_limit)?;
            let writer = Writer {
                options,
                file: Arc::clone(&file),
                connection,
                memory: write::Memory::default(),
                next_purge: Instant::now(),
            };
            Ok(Self {
                options,
                readers: Readers::open(Arc::clone(&file))?,
                writer: WriterThread::start(writer)?,
                file,
            })
        };
        tokio::task::spawn_blocking(open)
            .await
            .map_err(|_| StoreError::ShutDown)?
    }
}

impl Writer {
    /// Does a piece of work, in a new file where the one before was found damaged.
    fn work<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.file.is_damaged() {
            self.begin_anew()?;
        }
        let done = work(self);
        if let Err(error) = &done {
            self.file.heed(error, self.file.number());
        }
        done
    }

    fn begin_anew(&mut self) -> Result<(), StoreError> {
        // Its log is part of what is set aside, and must not be brought into a damaged file. Where this cannot be said,
        // closing does so, which is no loss.
        let _ = schema::keep_log_at_close(&self.connection, true);
        self.connection = self.file.begin_anew()?;
        room::limit_log(&self.connection, self.options.size_limit)?;
        self.memory = write::Memory::default();
        Ok(())
    }

    fn record(&mut self, batches: &[Arc<FlowBatchRecord>]) -> Result<Vec<Alert>, StoreError> {
        let changed = write::record(
            &mut self.connection,
            &mut self.memory,
            batches,
            write::Rules {
                window: self.options.alert_window,
                limits: self.options.alert_limits,
                kept: self.options.kept_flows,
            },
        )?;
        self.make_room();
        self.purge_when_due();
        Ok(changed)
    }

    /// Whether something could be recorded now.
    fn probe(&mut self) -> Result<(), StoreError> {
        schema::probe(&mut self.connection)?;
        match damage::has_room(self.file.path()) {
            true => Ok(()),
            false => Err(StoreError::Full),
        }
    }

    /// What there is to do when nothing is asked for.
    fn idle(&mut self) {
        let done = self.work(|writer| {
            writer.purge_when_due();
            Ok(())
        });
        if let Err(error) = done {
            tracing::warn!(%error, "damaged store stays in use");
        }
    }

    /// Keeps the limit of size. What was recorded is recorded, whether or not that succeeds.
    fn make_room(&mut self) {
        if let Err(error) = room::make_room(&mut self.connection, self.options.size_limit) {
            self.file.heed(&error, self.file.number());
            tracing::warn!(%error, "the store has grown beyond its limit of size");
        }
    }

    /// Deletes a chunk of what is past its time, every minute, and until there is no more.
    fn purge_when_due(&mut self) {
        if Instant::now() < self.next_purge {
            return;
        }
        let purged = self.purge_some();
        if !matches!(&purged, Ok(Purged { more: true, .. })) {
            self.next_purge = Instant::now() + PURGE_EVERY;
        }
        if let Err(error) = purged {
            self.file.heed(&error, self.file.number());
            tracing::warn!(%error, "what is past its time stays in the store for now");
        }
    }

    /// Deletes a chunk of what is past its time.
    fn purge_some(&mut self) -> Result<Purged, StoreError> {
        let flows = purge::purge_flows(&mut self.connection, self.options.flow_retention, FLOW_CHUNK)?;
        let alerts = purge::purge_alerts(&mut self.connection, self.options.alert_retention, ALERT_CHUNK)?;
        Ok(Purged {
            flows,
            more: flows == FLOW_CHUNK || alerts,
        })
    }

    /// How long until there is something to do without being asked.
    fn rest(&self) -> Duration {
        self.next_purge
            .saturating_duration_since(Instant::now())
            .min(LONGEST_REST)
    }

    fn finish(self) {
        if !bring_in_log(&self.connection) {
            tracing::warn!(
                path = %self.file.path().display(),
                "others read the store, so that its log stays beside it; whoever copies it must copy both"
            );
        }
    }
}

/// Brings the log into the database, so that whoever copies the database alone has everything. `false` when others that
/// read the database are in the way.
fn bring_in_log(connection: &Connection) -> bool {
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    matches!(is_busy, Ok(false))
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
        Box::pin(async {
            self.readers.read(|connection| read::health(connection)).await?;
            self.writer.write_in_turn(|writer| writer.probe()).await
        })
    }

    fn set_aside(&self) -> Vec<String> {
        self.file.told()
    }

    fn alert_window(&self) -> AlertWindow {
        self.options.alert_window
    }

    fn alert_limits(&self) -> AlertLimits {
        self.options.alert_limits
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

    fn swap_position<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let (name, position) = (name.to_owned(), position.to_vec());
        let expected = expected.map(<[u8]>::to_vec);
        self.writer.write_in_turn(move |writer| {
            check_position(&name, &position)?;
            write::swap_position(&writer.connection, &name, expected.as_deref(), &position)
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

    fn series<'a>(
        &'a self,
        query: &'a StoreSeriesQuery,
    ) -> BoxFuture<'a, Result<Vec<StoreSeries>, StoreError>> {
        let query = query.clone();
        self.readers
            .read(move |connection| series::series(connection, &query))
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
