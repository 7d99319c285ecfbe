//! Why something cannot be done with a package.

use netsage_api_types::Step;
use netsage_package::PackageError;

use crate::checks::CheckFailure;
use crate::directory::DirectoryError;
use crate::journal::JournalError;
use crate::plan::Impossible;

/// Why something cannot be done with a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// There is no such package.
    #[error("there is no detector package `{given}`; the list of detectors has their digests and names")]
    NotFound {
        /// The name or digest in the request, cut to 64 characters.
        given: String,
    },
    /// More than one package is meant.
    #[error("`{given}` may be any of {}; give more digits of the digest", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        given: String,
        /// Digests, each with its stage.
        candidates: Vec<String>,
    },
    /// The cursor was not given out by a page of the history.
    #[error("the cursor is not one of the history; take `next` of a page as it is")]
    BadCursor,
    /// The request is invalid.
    #[error("{what}: {reason}")]
    Request {
        /// Which part of the request.
        what: &'static str,
        /// What is wrong, and what to send instead.
        reason: String,
    },
    /// The bytes are not a package, or the card is refused; nothing was stored.
    #[error("{origin}: {source}")]
    Package {
        /// Where they come from.
        origin: String,
        /// What is wrong.
        source: PackageError,
    },
    /// The package is refused and quarantined.
    #[error("{origin}: {source}")]
    Refused {
        /// Where it comes from, or its digest.
        origin: String,
        /// Why not.
        source: CheckFailure,
    },
    /// The stage of the package, or other packages of its name, do not allow the step.
    #[error("{digest}: {source}")]
    Impossible {
        /// Of the package, in short.
        digest: String,
        /// Why.
        source: Impossible,
    },
    /// Another step of the package is under way.
    #[error("the step `{}` of {digest} is still under way; ask again when it is done", step.name())]
    Busy {
        /// Of the package, in short.
        digest: String,
        /// What is being done.
        step: Step,
    },
    /// The package did not reach the stage in time.
    #[error("{digest} is {stage} and not yet {until}; it goes on in the background")]
    NotYet {
        /// Of the package, in short.
        digest: String,
        /// Where it stands.
        stage: &'static str,
        /// What was waited for.
        until: &'static str,
    },
    /// Two packages that are to score have the same name.
    #[error(
        "{origin}: a detector called `{name}` was named before it; only one of a name can score, so leave one out"
    )]
    SameName {
        /// The second one.
        origin: String,
        /// What both call themselves.
        name: String,
    },
    /// There is no room.
    #[error(
        "{most} packages are held already and all are in use; retire or quarantine one, or raise `most-packages`"
    )]
    Full {
        /// How many may be held.
        most: usize,
    },
    /// A threshold that cannot be set.
    #[error("{name}: {source}")]
    Threshold {
        /// Name of the detector, or `fused`.
        name: String,
        /// Why not.
        source: netsage_calibration::RuleError,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A thread could not be started.
    #[error("cannot start a thread for the life of detectors: {0}")]
    Thread(#[source] std::io::Error),
    /// The program is ending.
    #[error("the program is ending; ask again when it runs")]
    Ending,
}
