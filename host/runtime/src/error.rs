//! What can go wrong, each in one sentence that says what to do.

use std::path::PathBuf;
use std::time::Duration;

use netsage_package::{GoldenMismatch, PackageError};

use crate::check::CheckError;

/// Why the runtime cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// wasmtime refuses the configuration on this machine.
    #[error("the WebAssembly engine cannot start on this machine: {0}")]
    Engine(String),
    /// The thread that enforces deadlines cannot start.
    #[error("the thread that enforces the deadlines of detectors cannot start: {0}")]
    Ticker(#[source] std::io::Error),
    /// The cache directory cannot be used.
    #[error("the cache for compiled detectors in {} cannot be used: {source}; give another directory or none", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Why a detector fails its golden vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    /// The golden rows have other columns, or a score differs.
    #[error(transparent)]
    Mismatch(#[from] GoldenMismatch),
    /// The detector does not score the golden rows at all.
    #[error("the golden rows cannot be scored or explained: {0}")]
    Failed(#[from] ScoreError),
}

/// Why a package cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The parts do not make a package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The package that they make cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The detector does not score the rows of the golden vectors.
    #[error("the golden vectors cannot be made: {0}")]
    Score(#[from] ScoreError),
}

/// How a call into a detector failed: a broken limit, a broken promise, or an error of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestFailure {
    /// The guest trapped: `unreachable`, a bad memory access, ...
    #[error("it trapped in `{call}`: {reason}")]
    Trap {
        /// The function of the contract.
        call: &'static str,
        /// What wasmtime says.
        reason: String,
    },
    /// The guest asked for more than an instance may have.
    #[error("it met a limit in `{call}`: {what}; use less, or raise {setting}")]
    Limit {
        /// The function of the contract.
        call: &'static str,
        /// What sets the limit: a setting of the program, or else a field of [`crate::RuntimeConfig`].
        setting: &'static str,
        /// What it asked for.
        what: String,
    },
    /// The call exceeded its deadline.
    #[error("it was interrupted in `{call}` after {budget:?}, the time it has for this call")]
    Overrun {
        /// The function of the contract.
        call: &'static str,
        /// The time it had.
        budget: Duration,
    },
    /// The guest answered with an error of the contract.
    #[error("it answered `{call}` with {kind}: {text}")]
    Refused {
        /// The function of the contract.
        call: &'static str,
        /// `bad-artifact`, `bad-state`, `bad-input` or `internal`.
        kind: &'static str,
        /// The message of the guest, cut and without control characters.
        text: String,
    },
    /// The guest returned a score that is not finite.
    #[error("it broke the contract in `{call}`: the score of row {row} is {value}")]
    NotFinite {
        /// The function of the contract.
        call: &'static str,
        /// The row, from 0 within its block.
        row: usize,
        /// `NaN`, `inf` or `-inf`.
        value: String,
    },
    /// The guest returned another number of scores than there were rows.
    #[error("it broke the contract in `{call}`: {scores} scores for {rows} rows")]
    WrongCount {
        /// The function of the contract.
        call: &'static str,
        /// Scores returned.
        scores: usize,
        /// Rows given.
        rows: usize,
    },
    /// The guest returned something else that the contract forbids.
    #[error("it broke the contract in `{call}`: {what}")]
    BadReturn {
        /// The function of the contract.
        call: &'static str,
        /// What was wrong.
        what: String,
    },
}

impl GuestFailure {
    /// Whether the instance can no longer be trusted. An error of the contract is an answer like any other.
    pub(crate) fn costs_instance(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// Why a package cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The card or the golden vectors, before anything runs.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The code, before it is compiled.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The code is not valid WebAssembly for this host.
    #[error("the code of the package is not valid: {0}; build it again for wasm32-unknown-unknown")]
    Invalid(String),
    /// Compiling took too long.
    #[error(
        "the code of the package was not compiled within {budget:?}, the time there is for it; build it with less or \
         simpler code, or raise the limit"
    )]
    CompileTime {
        /// The time there was.
        budget: Duration,
    },
    /// The process that compiles failed.
    #[error(
        "the process that compiles detectors failed: {0}; see that memory is free, and that the user of this program may execute its file"
    )]
    Compiler(String),
    /// The exported functions do not have the types of the contract.
    #[error("the component is built for another world: {0}; build it against wit/detector.wit")]
    OtherWorld(String),
    /// The component was built for the contract as it was before its release.
    #[error(
        "the component was built for `netsage:detector@1.0.0` as it was before its release, when sessions had `columns`; \
         build it again against wit/detector.wit and pack it again"
    )]
    BeforeRelease,
    /// The component failed when it was started.
    #[error("the detector cannot be loaded: {0}")]
    Guest(#[from] GuestFailure),
    /// The detector asks for a column that does not exist.
    #[error(
        "the detector wants the column {column:?}, which schema {schema} does not have{}", match .nearest {
            Some(name) => format!("; did you mean {name:?}?"),
            None => "; it was built for another schema".to_owned(),
        }
    )]
    UnknownColumn {
        /// The name it gave, cut to 64 characters.
        column: String,
        /// The schema, e.g. `unsw-nb15@1`: the one that has most of the detector's columns.
        schema: String,
        /// The column that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The detector fails its golden vectors.
    #[error(transparent)]
    Golden(#[from] GoldenError),
}

/// Why rows could not be scored or explained. No row of the call was scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The detector failed.
    #[error("detector {detector}: {failure}")]
    Guest {
        /// Its name and version.
        detector: String,
        /// How the detector failed.
        failure: GuestFailure,
    },
    /// The rows are of another schema than the detector was loaded for.
    #[error("the rows are of schema {rows}, the detector was loaded for {detector}")]
    OtherSchema {
        /// Schema of the rows.
        rows: &'static str,
        /// Schema of the detector.
        detector: &'static str,
    },
    /// A row is not there.
    #[error("rows {start} to {end} were asked for, of {rows}")]
    OutOfRange {
        /// First row.
        start: usize,
        /// One past the last.
        end: usize,
        /// How many there are.
        rows: usize,
    },
    /// The context covers fewer rows than there are.
    #[error("where and when flows were is told for {contexts} of {rows} rows")]
    NoContext {
        /// Rows that there are.
        rows: usize,
        /// Rows with context.
        contexts: usize,
    },
    /// A value is not a number.
    #[error("row {row}: the value of {column} is not a number")]
    NotANumber {
        /// The row.
        row: usize,
        /// The column.
        column: &'static str,
    },
}
