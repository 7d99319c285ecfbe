//! What a package must pass before it may be made warm.
//!
//! Cheap checks come first: the bytes have the digest; the trust policy accepts them; they are a package within the
//! limits; its card is one for the schema that runs; the component implements the world, imports nothing and has plain
//! names; it compiles, opens its artifact and asks for the columns that the card names; its golden vectors give the
//! expected scores. The golden vectors of a bundled package were judged in full when the package was packed; here only
//! their bits on this machine are judged.

use netsage_package::{Package, PackageError};
use netsage_runtime::{Judging, LoadError, LoadOptions, Runtime};
use netsage_schema::Schema;

use crate::config::TrustPolicy;
use crate::generation::Loaded;
use crate::trust::{self, Signed, TrustError};

/// Why a package is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckFailure {
    /// The file is gone or changed.
    #[error("the file that was kept of this package is missing or damaged; stage it again")]
    Lost,
    /// The trust policy refuses the package.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The structure of the file is bad.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Card, code, artifact, columns or golden vectors are bad.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An earlier failure, as the history tells it.
    #[error("{0}")]
    Earlier(String),
}

/// What the checks need to know.
pub(crate) struct Checker<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) schema: &'static Schema,
    pub(crate) trust: &'a TrustPolicy,
}

/// A package as it was kept.
pub(crate) struct Kept<'a> {
    pub(crate) digest: &'a str,
    /// `None` when the file is missing or has another digest.
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) signature: Option<String>,
    /// The package is bundled: trusted like the program, and judged when it was packed.
    pub(crate) built_in: bool,
}

/// A package that is loaded.
pub(crate) struct Ready {
    pub(crate) loaded: Loaded,
    /// Why the detector refused the saved memory that it was given.
    pub(crate) refused_state: Option<String>,
}

impl Checker<'_> {
    /// Does all checks.
    pub(crate) fn check(&self, kept: Kept<'_>) -> Result<Loaded, CheckFailure> {
        let judging = if kept.built_in {
            Judging::Bits
        } else {
            Judging::Everything
        };
        let (package, signed) = self.package(kept)?;
        let detector = self.runtime.check(&package, self.schema, judging)?;
        Ok(Loaded::new(detector).signed_by(signed))
    }

    /// Loads a package that was checked before. Trust is checked again, since the policy may have changed.
    pub(crate) fn load(
        &self,
        kept: Kept<'_>,
        state: Option<&[u8]>,
        instances: usize,
    ) -> Result<Ready, CheckFailure> {
        let (package, signed) = self.package(kept)?;
        let load = |state| {
            let options = LoadOptions { state, instances };
            let detector = self.runtime.load_with(&package, self.schema, options)?;
            Ok::<_, CheckFailure>(Loaded::new(detector).signed_by(signed.clone()))
        };
        let mut refused_state = None;
        if state.is_some() {
            match load(state) {
                Err(CheckFailure::Load(LoadError::Guest(failure))) => {
                    refused_state = Some(failure.to_string());
                }
                other => {
                    return other.map(|loaded| Ready {
                        loaded,
                        refused_state: None,
                    });
                }
            }
        }
        // When it fails without the state too, the state was not the reason.
        let loaded = load(None)?;
        Ok(Ready {
            loaded,
            refused_state,
        })
    }

    fn package(&self, kept: Kept<'_>) -> Result<(Package, Option<Signed>), CheckFailure> {
        let bytes = kept.bytes.ok_or(CheckFailure::Lost)?;
        let signed = if kept.built_in {
            None
        } else {
            trust::check(self.trust, kept.digest, &bytes, kept.signature.as_deref())?
        };
        Ok((Package::from_bytes(bytes)?, signed))
    }
}
