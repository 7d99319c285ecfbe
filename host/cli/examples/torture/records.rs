//! What a store really has, looked at past the program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use netsage_store::{SharedStore, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::runtime::Runtime;

/// How long another writer is waited for.
const BUSY: Duration = Duration::from_secs(2);
/// A step of the time axis, ms: flows of any clock are in few of them.
const STEP_MS: i64 = 10_000_000_000;

/// What a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) flows: u64,
    /// The place that the store keeps for the log.
    pub(crate) place: u64,
}

/// Where the program stores.
pub(crate) struct Store {
    kind: Kind,
    /// The name of the place that is kept for the log.
    place: String,
}

enum Kind {
    File(PathBuf),
    Server(Runtime, SharedStore),
}

impl Store {
    /// A file that the program makes.
    pub(crate) fn file(database: PathBuf, log: Option<&Path>) -> Self {
        Self::new(Kind::File(database), log)
    }

    /// A database on a server that answers.
    pub(crate) fn server(url: &str, log: &Path) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let store = runtime.block_on(netsage_store::open(url));
        let store = store.map_err(|error| error.to_string())?;
        Ok(Self::new(Kind::Server(runtime, store), Some(log)))
    }

    fn new(kind: Kind, log: Option<&Path>) -> Self {
        let place = log.map(|log| format!("source:{}", log.display()));
        Self {
            kind,
            place: place.unwrap_or_default(),
        }
    }

    /// Looks what is there; `None` when a server takes too long to say so. Every flow is counted when it is `thorough`,
    /// which takes a second for some million.
    pub(crate) fn look(&self, thorough: bool) -> Result<Option<Records>, String> {
        match &self.kind {
            Kind::File(database) => {
                let counted = self.count(database, thorough);
                counted.map_err(|error| error.to_string())?.map(Some)
            }
            Kind::Server(runtime, store) => {
                let asked = runtime.block_on(async {
                    // First, so that what is acknowledged then is stored now.
                    let place = store.position(&self.place).await?;
                    Ok((place, store.overview(STEP_MS, 1_000).await?))
                });
                let (place, overview) = match asked {
                    Err(StoreError::NoAnswer { .. } | StoreError::TooSlow { .. }) => return Ok(None),
                    asked => asked.map_err(|error| error.to_string())?,
                };
                Ok(Some(Records {
                    flows: overview.points.iter().map(|point| point.flows).sum(),
                    place: place.map_or(0, |place| read_place(&place)),
                }))
            }
        }
    }

    fn count(&self, database: &Path, thorough: bool) -> rusqlite::Result<Result<Records, String>> {
        let mut connection = Connection::open(database)?;
        connection.busy_timeout(BUSY)?;
        // Everything of one moment.
        let snapshot = connection.transaction()?;
        let count = |sql: &str| snapshot.query_row(sql, [], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()));
        let flows = count("SELECT coalesce(sum(flows), 0) FROM timeline")?;
        if thorough {
            let counted = count("SELECT count(*) FROM flows")?;
            if flows != counted {
                let said = format!("the store has {counted} flows, and {flows} on the time axis");
                return Ok(Err(said));
            }
        }
        let sql = "SELECT position FROM positions WHERE name = ?1";
        let place: Option<Vec<u8>> = snapshot
            .query_row(sql, [&self.place], |row| row.get(0))
            .optional()?;
        Ok(Ok(Records {
            flows,
            place: place.map_or(0, |place| read_place(&place)),
        }))
    }

    /// Locks the database as another process would.
    pub(crate) fn lock(&self) -> Result<Connection, String> {
        let Kind::File(database) = &self.kind else {
            return Err("the store is no file".to_owned());
        };
        let lock = || -> rusqlite::Result<Connection> {
            let other = Connection::open(database)?;
            other.busy_timeout(BUSY)?;
            other.execute_batch("BEGIN IMMEDIATE")?;
            Ok(other)
        };
        lock().map_err(|error| error.to_string())
    }
}

/// The offset in a log that the store keeps as bytes.
fn read_place(place: &[u8]) -> u64 {
    u64::from_le_bytes(place.try_into().unwrap())
}
