//! The connections that read, a few at most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rusqlite::Connection;

use super::damage::StoreFile;
use super::schema;
use crate::reads::{LONGEST_READ, Reads};
use crate::{BoxFuture, StoreError};

/// Steps of SQLite's machine between two looks at whether a read is still wanted: some tens of microseconds.
const STEPS_PER_LOOK: i32 = 1000;

/// Reads in threads that may block, each on a connection of its own.
pub(super) struct Readers {
    reads: Reads,
    idle: Arc<Idle>,
}

/// Connections that nobody reads on, each with the number of its file.
struct Idle {
    file: Arc<StoreFile>,
    connections: Mutex<Vec<(u64, Connection)>>,
}

impl Readers {
    /// Opens the first connection; the others are opened when they are needed.
    pub(super) fn open(file: Arc<StoreFile>) -> Result<Self, StoreError> {
        let first = (file.number(), schema::open_reader(file.path())?);
        Ok(Self {
            reads: Reads::new(),
            idle: Arc::new(Idle {
                file,
                connections: Mutex::new(vec![first]),
            }),
        })
    }

    /// Reads once it is this read's turn. Ends early when the future is dropped, or it takes too long.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async {
            let turn = self.reads.admit().await?;
            let idle = Arc::clone(&self.idle);
            let unwanted = Arc::new(AtomicBool::new(false));
            let _wish = Wish(Arc::clone(&unwanted));
            let reading = tokio::task::spawn_blocking(move || {
                let until = Instant::now() + LONGEST_READ;
                let gives_up = move || unwanted.load(Ordering::Relaxed) || Instant::now() >= until;
                let answer = idle.read(gives_up, work);
                // The turn lasts as long as the thread works, whether or not somebody waits for the answer.
                drop(turn);
                answer
            });
            reading.await.map_err(|_| StoreError::ShutDown)?
        })
    }
}

/// Somebody waits for an answer.
struct Wish(Arc<AtomicBool>);

impl Drop for Wish {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Connection)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        gives_up: impl FnMut() -> bool + Send + 'static,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (number, mut connection) = self.take()?;
        connection
            .progress_handler(STEPS_PER_LOOK, Some(gives_up))
            .map_err(StoreError::sqlite("bound a read"))?;
        let answer = work(&mut connection);
        if let Err(error) = &answer {
            self.file.heed(error, number);
        }
        self.lock().push((number, connection));
        answer
    }

    /// A connection to the file in use. Those to a file that was set aside are closed.
    fn take(&self) -> Result<(u64, Connection), StoreError> {
        let number = self.file.number();
        let mut idle = self.lock();
        idle.retain(|(of, _)| *of == number);
        if let Some(connection) = idle.pop() {
            return Ok(connection);
        }
        drop(idle);
        Ok((number, schema::open_reader(self.file.path())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reads::MOST_READS;

    /// A read that would go on for ever.
    fn endless(connection: &mut Connection) -> Result<i64, StoreError> {
        connection
            .query_row(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT count(*) FROM numbers",
                [],
                |row| row.get(0),
            )
            .map_err(StoreError::sqlite("count without end"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_ends_with_its_client() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a.db");
        let (file, _writer) = StoreFile::open(path).expect("made");
        let readers = Arc::new(Readers::open(file).expect("opens"));
        let clients: Vec<_> = (0..MOST_READS)
            .map(|_| {
                let readers = Arc::clone(&readers);
                tokio::spawn(async move { readers.read(endless).await })
            })
            .collect();
        // Every turn is taken, by reads that nobody will wait for.
        while Arc::strong_count(&readers.idle) <= MOST_READS {
            tokio::task::yield_now().await;
        }
        for client in clients {
            client.abort();
        }
        // Were they still working, this would be refused.
        let answer = readers.read(|_| Ok(7)).await;
        assert!(matches!(answer, Ok(7)), "{answer:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_that_takes_too_long_is_given_up() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a.db");
        let (file, _writer) = StoreFile::open(path).expect("made");
        let idle = Idle {
            file,
            connections: Mutex::default(),
        };
        let until = Instant::now();
        let answer = idle.read(move || Instant::now() >= until, endless);
        assert!(matches!(answer, Err(StoreError::TooSlow { .. })), "{answer:?}");
    }
}
