//! Compares the rows of the flow meter with those of Argus 3.0.8, the program whose rows UNSW-NB15 is made of.
//!
//! Argus is the oracle: [`argus::records`] runs it on a capture, [`ours::records`] meters the same packets,
//! and [`Comparison`] pairs the records by who talked when and compares every cell. [`cases`] builds captures
//! for what real ones rarely show. [`Agreement`] compares the rows of `flow-v1`, which no other program makes, with those
//! of `unsw-nb15` in what both must say. `cargo xtask parity FILE...` prints the result for any capture.
//!
//! This crate is for checking only: it must never be a dependency of anything that is shipped.
//!
//! Start with [`Comparison`].

mod agreement;
pub mod argus;
pub mod cases;
mod compare;
mod defect;
pub mod ours;
mod record;
mod report;

use std::path::PathBuf;

pub use agreement::Agreement;
pub use compare::{ColumnTally, Comparison, Difference};
pub use defect::Defect;
pub use record::{COLUMNS, Cell, Column, Kind, Record};
pub use report::Report;

/// Why a capture could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParityError {
    /// The oracle is not there.
    #[error(
        "argus-server and argus-client are not installed; on Debian run `apt-get install argus-server argus-client`"
    )]
    NoArgus,
    /// The oracle does not read this kind of capture.
    #[error("{}: argus cannot read it: {reason}", path.display())]
    Unreadable {
        /// The capture.
        path: PathBuf,
        /// What Argus says.
        reason: String,
    },
    /// A program could not be run.
    #[error("cannot run {program}: {source}")]
    Run {
        /// Its name.
        program: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of the oracle is not understood.
    #[error("{}: record {line} of ra is not understood: {reason}", path.display())]
    Line {
        /// The capture.
        path: PathBuf,
        /// Number of the record, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The capture cannot be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The capture.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The capture is damaged.
    #[error("{}: {source}", path.display())]
    Damaged {
        /// The capture.
        path: PathBuf,
        /// What is wrong and at which packet.
        source: netsage_capture::file::FileError,
    },
}
