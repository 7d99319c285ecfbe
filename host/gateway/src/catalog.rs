//! Where detector packages come from: files, and what comes with the program. Loading one on its own, for commands
//! that run without a server; `netsage run` leaves that to [`netsage_lifecycle`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use netsage_lifecycle::{Loaded, NewPackage, Origin};
use netsage_package::{Package, PackageError};
use netsage_runtime::{Detector, Judging, LoadError, Runtime};
use netsage_schema::Schema;

use crate::assets::{self, Bundled};

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Neither a file nor the name of a bundled package.
    #[error("cannot read the detector package {}: {source}; the bundled ones are {}", path.display(), bundled_names())]
    Read {
        /// What was named.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not a package.
    #[error("{origin}: {source}")]
    Package {
        /// File or bundled name.
        origin: String,
        /// What is wrong.
        source: PackageError,
    },
    /// A package that this host does not take.
    #[error("{origin}: {source}")]
    Load {
        /// File or bundled name.
        origin: String,
        /// Why not.
        source: LoadError,
    },
    /// The program was built without a detector.
    #[error("the detector `{detector}` is missing: {}", assets::HOW_TO_BUILD)]
    NoComponent {
        /// Its name.
        detector: String,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn bundled_names() -> String {
    let names: Vec<String> = Bundled::all()
        .iter()
        .map(|bundled| format!("`{}`", bundled.name))
        .collect();
    match &names[..] {
        [] => format!("missing ({})", assets::HOW_TO_BUILD),
        names => names.join(", "),
    }
}

/// Reads the bytes of a package: a file, or the name of a bundled one.
///
/// # Errors
/// When it cannot be read.
pub fn read_bytes(origin: &str) -> Result<Vec<u8>, CatalogError> {
    match Bundled::by_name(origin) {
        Some(bundled) => Ok(bundled.bytes()),
        None => fs::read(origin).map_err(|source| CatalogError::Read {
            path: Path::new(origin).to_path_buf(),
            source,
        }),
    }
}

/// Reads a package: a file, or the name of a bundled one.
///
/// # Errors
/// When it cannot be read or is no package.
pub fn read_package(origin: &str) -> Result<Package, CatalogError> {
    Package::from_bytes(read_bytes(origin)?).map_err(|source| CatalogError::Package {
        origin: origin.to_owned(),
        source,
    })
}

/// The bare component that reads models of a detector.
///
/// # Errors
/// When the program was built without it.
pub fn component(detector: &str) -> Result<&'static [u8], CatalogError> {
    assets::component(detector).ok_or_else(|| CatalogError::NoComponent {
        detector: detector.to_owned(),
    })
}

/// Writes a file, all of it or nothing.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CatalogError> {
    let staging = staging(path);
    fs::write(&staging, bytes)
        .and_then(|()| fs::rename(&staging, path))
        .map_err(|source| CatalogError::Write {
            path: path.to_path_buf(),
            source,
        })
}

/// Checks before long work that [`write_whole`] can write its result there; leaves nothing behind.
///
/// # Errors
/// When the file cannot be written.
pub fn check_writable(path: &Path) -> Result<(), CatalogError> {
    let staging = staging(path);
    let written = match path.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => fs::write(&staging, []).and_then(|()| fs::remove_file(&staging)),
    };
    written.map_err(|source| CatalogError::Write {
        path: path.to_path_buf(),
        source,
    })
}

/// Where a file is written before it takes its name.
fn staging(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// A package that the command line names: a file, with the signature beside the file if there is one, or the name of a
/// bundled package, which is trusted as this program is.
///
/// # Errors
/// When it cannot be read.
pub fn named_package(origin: &str) -> Result<NewPackage, CatalogError> {
    Ok(NewPackage {
        bytes: read_bytes(origin)?,
        signature: fs::read_to_string(format!("{origin}.minisig")).ok(),
        origin: Origin::CommandLine,
        label: origin.to_owned(),
        built_in: Bundled::by_name(origin).is_some(),
    })
}

/// A bundled package as the program brings it along.
pub fn bundled_package(bundled: &Bundled) -> NewPackage {
    NewPackage {
        bytes: bundled.bytes(),
        signature: None,
        origin: Origin::Netsage,
        label: bundled.name.to_owned(),
        built_in: true,
    }
}

/// The schema of the rows that a package scores. `origin` is for messages.
///
/// # Errors
/// When the package does not say so, or names a schema that this program does not know.
pub fn schema_of(
    runtime: &Runtime,
    origin: &str,
    package: &Package,
) -> Result<&'static Schema, CatalogError> {
    runtime.schema_of(package).map_err(|source| CatalogError::Load {
        origin: origin.to_owned(),
        source,
    })
}

/// Loads a package on its own, for rows of `schema`. `origin` is for messages. This compiles code and may take a second.
///
/// # Errors
/// When this host does not take the package.
pub fn load(
    runtime: &Runtime,
    schema: &'static Schema,
    origin: &str,
    package: &Package,
) -> Result<Arc<Loaded>, CatalogError> {
    loaded(origin, runtime.load(package, schema))
}

/// As [`load`], after everything that a package must pass before it meets flows.
///
/// # Errors
/// When this host does not take the package.
pub fn check(
    runtime: &Runtime,
    schema: &'static Schema,
    origin: &str,
    package: &Package,
) -> Result<Arc<Loaded>, CatalogError> {
    loaded(origin, runtime.check(package, schema, Judging::Everything))
}

fn loaded(origin: &str, outcome: Result<Arc<Detector>, LoadError>) -> Result<Arc<Loaded>, CatalogError> {
    let detector = outcome.map_err(|source| CatalogError::Load {
        origin: origin.to_owned(),
        source,
    })?;
    Ok(Arc::new(Loaded::new(detector)))
}
