//! From packages to running detectors.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use netsage_schema::Schema;
use wasmtime::component::{Component, Linker};

use crate::cache::Cache;
use crate::check;
use crate::detector::Detector;
use crate::engine::Sandbox;
use crate::error::{LoadError, RuntimeError};
use crate::instance::Budgets;
use crate::package::Package;

/// Limits and places. The defaults suit a gateway.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Where compiled code is kept; `None` compiles at every start. The directory is made private (0700)
    /// and belongs to this program alone.
    pub cache_dir: Option<PathBuf>,
    /// Most instances of a detector without state: as many as threads score at once.
    pub workers: usize,
    /// Most memory of one instance, bytes.
    pub memory_limit: usize,
    /// Time to start an instance and open its artifact.
    pub open_budget: Duration,
    /// Time for any other call, on top of which comes `row_budget` for each row. By the clock on the wall,
    /// so it is generous: it ends what hangs, it does not judge what is slow.
    pub call_budget: Duration,
    /// See `call_budget`.
    pub row_budget: Duration,
    /// How exact deadlines are.
    pub tick: Duration,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            memory_limit: 256 << 20,
            open_budget: Duration::from_secs(10),
            call_budget: Duration::from_secs(1),
            row_budget: Duration::from_millis(1),
            tick: Duration::from_millis(10),
        }
    }
}

/// The engine that runs detectors.
pub struct Runtime {
    sandbox: Arc<Sandbox>,
    cache: Option<Cache>,
    budgets: Budgets,
    workers: usize,
}

impl Runtime {
    /// Starts the engine and its one thread. The thread ends when the runtime and the last detector that was
    /// loaded by it are gone.
    ///
    /// # Errors
    /// When wasmtime does not run here, the thread cannot start, or the cache directory cannot be used.
    pub fn new(config: RuntimeConfig) -> Result<Arc<Self>, RuntimeError> {
        let sandbox = Sandbox::new(&config)?;
        let RuntimeConfig {
            cache_dir,
            workers,
            open_budget,
            call_budget,
            row_budget,
            ..
        } = config;
        let cache = cache_dir
            .map(|directory| Cache::open(&directory, &sandbox.engine))
            .transpose()?;
        let budgets = Budgets {
            open: open_budget,
            call: call_budget,
            row: row_budget,
        };
        Ok(Arc::new(Self {
            sandbox: Arc::new(sandbox),
            cache,
            budgets,
            workers,
        }))
    }

    /// Checks a package, compiles its code or takes it from the cache, opens its artifact, and looks up the
    /// columns it wants in `schema`. Takes milliseconds from the cache and up to seconds without.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, package: &Package, schema: &'static Schema) -> Result<Arc<Detector>, LoadError> {
        let component = self.component(package)?;
        // A linker with nothing in it: whatever slipped through the check finds no import here.
        let code = Linker::new(&self.sandbox.engine)
            .instantiate_pre(&component)
            .map_err(|error| LoadError::OtherWorld(format!("{error:#}")))?;
        let sandbox = Arc::clone(&self.sandbox);
        Detector::start(sandbox, code, package, schema, self.budgets, self.workers).map(Arc::new)
    }

    fn component(&self, package: &Package) -> Result<Component, LoadError> {
        let engine = &self.sandbox.engine;
        if let Some(component) = self
            .cache
            .as_ref()
            .and_then(|cache| cache.load(engine, package.code_digest()))
        {
            // It was checked before it was compiled.
            return Ok(component);
        }
        let code = package.code();
        check::check_component(&code)?;
        let component = Component::from_binary(engine, &code)
            .map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        if let Some(cache) = &self.cache {
            cache.store(package.code_digest(), &component);
        }
        Ok(component)
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Runtime")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
