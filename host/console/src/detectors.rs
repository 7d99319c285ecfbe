//! Loading detectors for the commands that run without a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use netsage_gateway::catalog::{load, read_package};
use netsage_gateway::config::{Settings, default_data_dir};
use netsage_lifecycle::Loaded;
use netsage_runtime::Runtime;
use netsage_schema::Schema;

use crate::Failure;
use crate::compile_detector::in_child;

/// Which detectors a command uses.
#[derive(Debug, clap::Args)]
pub struct DetectorArgs {
    /// Detector package, a file or the name of a bundled one; may be repeated [default: the bundled ones for
    /// this kind of file]
    #[arg(long, value_name = "PKG")]
    pub detector: Vec<String>,
    /// Folder for the cache of compiled detectors [default: $XDG_DATA_HOME/netsage]
    #[arg(long, value_name = "DIR", env = "NETSAGE_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl DetectorArgs {
    /// Loads the detectors for rows of `schema`, or those of `defaults` when none is named.
    ///
    /// # Errors
    /// When a package cannot be read, or this host does not take it.
    pub fn load(
        &self,
        defaults: &[&str],
        schema: &'static Schema,
        file: &Settings,
    ) -> Result<Vec<Arc<Loaded>>, Failure> {
        let runtime = self.runtime(file)?;
        self.load_into(&runtime, defaults, schema)
    }

    /// As [`load`](Self::load), into a runtime that the caller goes on using.
    ///
    /// # Errors
    /// As for `load`.
    pub fn load_into(
        &self,
        runtime: &Runtime,
        defaults: &[&str],
        schema: &'static Schema,
    ) -> Result<Vec<Arc<Loaded>>, Failure> {
        let names: Vec<&str> = if self.detector.is_empty() {
            defaults.to_vec()
        } else {
            self.detector.iter().map(String::as_str).collect()
        };
        names
            .into_iter()
            .map(|name| Ok(load(runtime, schema, name, &read_package(name)?)?))
            .collect()
    }

    /// A runtime whose cache of compiled code lies in the data folder that was named.
    ///
    /// # Errors
    /// When a limit is out of its range, or the runtime does not start.
    pub fn runtime(&self, file: &Settings) -> Result<Arc<Runtime>, Failure> {
        start_runtime(self.data_dir.clone(), file)
    }
}

/// Starts a runtime whose cache of compiled code lies in the data folder.
///
/// # Errors
/// When a limit is out of its range, or the runtime does not start.
pub fn start_runtime(data_dir: Option<PathBuf>, file: &Settings) -> Result<Arc<Runtime>, Failure> {
    // Without a home folder there is no cache, and all else works.
    let data_dir = data_dir
        .or_else(|| file.data_dir.clone())
        .or_else(|| default_data_dir().ok());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let config = file.runtime(data_dir.as_deref(), processors)?;
    Ok(Runtime::new(in_child(config))?)
}

/// A column name per detector: its name, with the start of its digest where two have one name.
pub fn column_names(detectors: &[Arc<Loaded>]) -> Vec<String> {
    let name_of = |loaded: &Loaded| loaded.reference.name.clone();
    detectors
        .iter()
        .map(|loaded| {
            let name = name_of(loaded);
            let alone = detectors.iter().filter(|other| name_of(other) == name).count() == 1;
            if alone {
                name
            } else {
                format!("{name}-{}", loaded.reference.digest.get(..8).unwrap_or_default())
            }
        })
        .collect()
}
