//! The connections that read, a few at most.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rusqlite::Connection;

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

/// Connections that nobody reads on.
struct Idle {
    path: PathBuf,
    connections: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens the first connection; the others are opened when they are needed.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let first = schema::open_reader(&path)?;
        Ok(Self {
            reads: Reads::new(),
            idle: Arc::new(Idle {
                path,
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
    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        gives_up: impl FnMut() -> bool + Send + 'static,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        connection
            .progress_handler(STEPS_PER_LOOK, Some(gives_up))
            .map_err(StoreError::sqlite("bound a read"))?;
        let answer = work(&mut connection);
        self.lock().push(connection);
        answer
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
        drop(schema::open_writer(&path).expect("made"));
        let readers = Arc::new(Readers::open(path).expect("opens"));
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
        drop(schema::open_writer(&path).expect("made"));
        let idle = Idle {
            path: path.clone(),
            connections: Mutex::default(),
        };
        let until = Instant::now();
        let answer = idle.read(move || Instant::now() >= until, endless);
        assert!(matches!(answer, Err(StoreError::TooSlow { .. })), "{answer:?}");
    }
}
