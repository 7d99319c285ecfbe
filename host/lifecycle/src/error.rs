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
        /// What was asked for, cut to 64 characters.
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
    /// A cursor that no page of the history gave out.
    #[error("the cursor is not one of the history; take `next` of a page as it is")]
    BadCursor,
    /// What was asked for has no meaning.
    #[error("{what}: {reason}")]
    Request {
        /// Which part of the request.
        what: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The bytes are not a package, or one with a card that is not taken; nothing was kept.
    #[error("{origin}: {source}")]
    Package {
        /// Where they come from.
        origin: String,
        /// What is wrong.
        source: PackageError,
    },
    /// The package is not taken: it is quarantined.
    #[error("{origin}: {source}")]
    Refused {
        /// Where it comes from, or its digest.
        origin: String,
        /// Why not.
        source: CheckFailure,
    },
    /// Its stage, or the others of its name, do not allow it.
    #[error("{digest}: {source}")]
    Impossible {
        /// Of the package, in short.
        digest: String,
        /// Why.
        source: Impossible,
    },
    /// Something else is being done with it.
    #[error("the step `{}` of {digest} is still under way; ask again when it is done", step.name())]
    Busy {
        /// Of the package, in short.
        digest: String,
        /// What is being done.
        step: Step,
    },
    /// It did not get there in time.
    #[error("{digest} is {stage} and not yet {until}; it goes on in the background")]
    NotYet {
        /// Of the package, in short.
        digest: String,
        /// Where it stands.
        stage: &'static str,
        /// What was waited for.
        until: &'static str,
    },
    /// Two packages that shall score have one name.
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
