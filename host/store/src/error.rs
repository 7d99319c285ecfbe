//! What can go wrong with a store, each in one sentence that says what to do.

use std::path::PathBuf;

use crate::reads::LONGEST_READ;

/// Why a store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names an unknown kind of store.
    #[error("no store is called `{scheme}`: give `sqlite:PATH`, a path, or `mongodb://HOST/DATABASE`")]
    UnknownScheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// The URL is of a known kind but cannot be understood.
    #[error(
        "the store's URL is not usable ({reason}): give `sqlite:PATH`, a path, or `mongodb://HOST/DATABASE`"
    )]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// No server answered in time.
    #[error("the MongoDB server at {server} does not answer ({reason}): start it or give another --store")]
    Unreachable {
        /// Host and port; never a password.
        server: String,
        /// What the driver saw.
        reason: String,
    },
    /// The server lacks a feature that the store needs.
    #[error("the MongoDB server at {server} is older than 8.0: use MongoDB 8.0 or later, or another --store")]
    OldServer {
        /// Host and port.
        server: String,
    },
    /// The file cannot be opened or made.
    #[error("cannot open the store {path}: {reason}; check that its folder exists and may be written")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is something else than a database.
    #[error(
        "{path} is not a SQLite database: it is damaged or another kind of file; move it away or name another"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database of another program.
    #[error("{path} is a database of another program: name another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program has written it.
    #[error("{place} has schema version {found}, this program knows up to {known}: use a later netsage")]
    Newer {
        /// File or database.
        place: String,
        /// Version it has.
        found: i64,
        /// Latest version known here.
        known: i64,
    },
    /// A program from before the first release has written it.
    #[error(
        "{place} has schema version {found}, which no release wrote; this program reads {oldest} and later: move it away, or name another with --store"
    )]
    Older {
        /// File or database.
        place: String,
        /// Version it has.
        found: i64,
        /// Earliest version that is read.
        oldest: i64,
    },
    /// Stored data is damaged.
    #[error("the store is damaged ({detail}): restore it from a copy or start a new one")]
    Damaged {
        /// What was found.
        detail: String,
    },
    /// A file that is to be recovered cannot be read.
    #[error("cannot read the damaged store {}: {reason}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A store is to be recovered into a file that is there.
    #[error("{} is there already: name another file to recover into", path.display())]
    TargetExists {
        /// The file.
        path: PathBuf,
    },
    /// A file that is to be recovered has no row of a store.
    #[error("nothing of a store was found in {}: name the damaged store, e.g. netsage.sqlite.damaged", path.display())]
    NothingToRecover {
        /// The file.
        path: PathBuf,
    },
    /// The cursor was not given out by a page of this listing.
    #[error("the cursor is not one that this listing gave out: start again without a cursor")]
    BadCursor,
    /// A flow or hit cannot be stored; nothing of its batch was stored.
    #[error("flow `{flow}` cannot be recorded: {problem}")]
    InvalidRecord {
        /// Id of the flow.
        flow: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A change of state that cannot be made.
    #[error("the state cannot be changed: {problem}")]
    InvalidChange {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Time series that are not given.
    #[error("these time series cannot be read: {problem}")]
    InvalidSeries {
        /// What is wrong with the question, and what to ask instead.
        problem: String,
    },
    /// A position that cannot be saved.
    #[error("the position `{name}` cannot be saved: {problem}")]
    InvalidPosition {
        /// The name given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another process holds the store.
    #[error("the store is busy: another process has been writing to it for seconds; try again")]
    Busy,
    /// The file system of the store has no room.
    #[error("the disk of the store is full: make room")]
    Full,
    /// A store that was reached before does not answer in time.
    #[error("the store has not answered for {seconds} seconds")]
    NoAnswer {
        /// How long it was waited for, seconds.
        seconds: u64,
    },
    /// More is read at the same time than is served.
    #[error("the store is read by more callers than it serves at once: try again in a second")]
    Overloaded,
    /// A read that was given up.
    #[error("reading the store took longer than {seconds} seconds: ask for less, or try again")]
    TooSlow {
        /// The longest time of a read, seconds.
        seconds: u64,
    },
    /// Other writers kept changing the same document.
    #[error("{what} was changed by others at every attempt: try again")]
    Contended {
        /// What they changed, e.g. an alert.
        what: String,
    },
    /// SQLite failed.
    #[error("cannot {action} in the SQLite store: {source}")]
    Sqlite {
        /// What was being done.
        action: &'static str,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
    /// MongoDB failed.
    #[error("cannot {action} in the MongoDB store: {source}")]
    Mongo {
        /// What was being done.
        action: &'static str,
        /// The driver's own words.
        source: Box<mongodb::error::Error>,
    },
    /// The program is shutting down and the store's work was cut short.
    #[error("the store has been shut down")]
    ShutDown,
}

impl StoreError {
    /// Maps a failure of SQLite to the error that says what the caller can do.
    pub(crate) fn sqlite(action: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full,
            // Only a read is ever interrupted.
            Some(ErrorCode::OperationInterrupted) => Self::TooSlow {
                seconds: LONGEST_READ.as_secs(),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                detail: source.to_string(),
            },
            // What no program of this version wrote.
            _ if is_of_content(&source) || is_of_tables(&source) => Self::Damaged {
                detail: source.to_string(),
            },
            _ => Self::Sqlite { action, source },
        }
    }

    /// A change of the state of an alert that another one has taken in.
    pub(crate) const fn merged() -> Self {
        Self::InvalidChange {
            problem: "another alert has taken it in: change the state of that one",
        }
    }

    /// Wraps a failure of the MongoDB driver.
    pub(crate) fn mongo(action: &'static str) -> impl Fn(mongodb::error::Error) -> Self {
        move |source| {
            if is_out_of_time(&source) {
                return Self::TooSlow {
                    seconds: LONGEST_READ.as_secs(),
                };
            }
            Self::Mongo {
                action,
                source: Box::new(source),
            }
        }
    }

    /// What is the matter with the store, for people who may not read the log: no host, no path, no user. It goes on
    /// "the store ...".
    pub fn state_of_store(&self) -> &'static str {
        match self {
            Self::Busy => "is locked by another process",
            Self::Full => "has no room: its disk is full",
            Self::Damaged { .. } | Self::NotADatabase { .. } => "is damaged",
            Self::Overloaded | Self::TooSlow { .. } => "is asked for more than it can answer",
            _ if self.is_of_absent_server() => "does not answer: its server is away",
            _ if self.is_of_minority() => "is not sure of its writes: too few of its servers confirm them",
            _ => "fails; the log says why",
        }
    }

    fn is_of_absent_server(&self) -> bool {
        use mongodb::error::{ErrorKind, RETRYABLE_WRITE_ERROR};
        match self {
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            // A server that steps down or shuts down says so, and another one takes over.
            Self::Mongo { source, .. } => {
                source.contains_label(RETRYABLE_WRITE_ERROR)
                    || matches!(
                        *source.kind,
                        ErrorKind::ServerSelection { .. }
                            | ErrorKind::Io(_)
                            | ErrorKind::ConnectionPoolCleared { .. }
                    )
            }
            _ => false,
        }
    }

    /// Whether a write is on the server that took it and has not reached as many others as it is to.
    fn is_of_minority(&self) -> bool {
        use mongodb::error::{ErrorKind, WriteFailure};
        let Self::Mongo { source, .. } = self else {
            return false;
        };
        match source.kind.as_ref() {
            ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
            ErrorKind::InsertMany(error) => error.write_concern_error.is_some(),
            ErrorKind::BulkWrite(error) => !error.write_concern_errors.is_empty(),
            _ => false,
        }
    }

    /// Whether the same call may succeed later without anybody mending this program.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Full
                | Self::Contended { .. }
                | Self::Overloaded
                | Self::TooSlow { .. }
                | Self::ShutDown
        ) || self.is_of_absent_server()
            || self.is_of_minority()
    }

    /// Whether the same delivery will be refused however often it is repeated, and others will not.
    pub fn is_of_record(&self) -> bool {
        matches!(self, Self::InvalidRecord { .. })
    }
}

/// Whether a value that was read is none of those that are written there.
fn is_of_content(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
    )
}

/// Whether a table or a column is missing, after a bit of its name has changed in the file: statements are constants, and
/// the version of the file has been read.
fn is_of_tables(error: &rusqlite::Error) -> bool {
    let said = error.to_string();
    ["no such column", "no such table"]
        .iter()
        .any(|what| said.starts_with(what))
}

/// Whether a server has given a read up after the time that it was allowed.
pub(crate) fn is_out_of_time(error: &mongodb::error::Error) -> bool {
    /// `MaxTimeMSExpired`.
    const OUT_OF_TIME: i32 = 50;
    matches!(error.kind.as_ref(), mongodb::error::ErrorKind::Command(command) if command.code == OUT_OF_TIME)
}
