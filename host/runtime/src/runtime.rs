//! From packages to running detectors.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netsage_package::file::MAX_ARTIFACT_BYTES;
use netsage_package::{Package, SCHEMA_PROPERTY};
use netsage_schema::Schema;
use wasmtime::component::{Component, Linker};

use crate::check::{self, CheckError, CodeLimits};
use crate::code::cache::Cache;
use crate::code::compiler::Compiler;
use crate::detector::{Detector, Judging};
use crate::engine::Sandbox;
use crate::error::{LoadError, PackError, RuntimeError};
use crate::exports::Code;
use crate::instance::{Budgets, Started};

/// Limits and folders. The defaults suit a gateway.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Where compiled code is kept; `None` compiles at every start. The directory is made private (0700)
    /// and belongs to this program alone.
    pub cache_dir: Option<PathBuf>,
    /// Most instances of a detector without state: as many as threads score at once.
    pub workers: usize,
    /// Most memory of one instance, bytes, all its linear memories together.
    pub memory_limit: usize,
    /// Most elements in the tables of one instance, all together.
    pub table_limit: usize,
    /// Stack of one instance, bytes.
    pub stack_limit: usize,
    /// Most core instances that a component is made of.
    pub core_instance_limit: usize,
    /// Most linear memories of one instance.
    pub memory_count_limit: usize,
    /// Most tables of one instance.
    pub table_count_limit: usize,
    /// Largest answer of a call, bytes; a saved state has a separate limit of 16 MiB.
    pub return_limit: usize,
    /// Largest artifact, bytes; none is larger than [`MAX_ARTIFACT_BYTES`].
    pub artifact_limit: usize,
    /// Most code that is compiled.
    pub code: CodeLimits,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Wall-clock time to compile a component. It holds only where a child process compiles.
    pub compile_budget: Duration,
    /// Time to start an instance and open its artifact.
    pub open_budget: Duration,
    /// Wall-clock time for any other call, plus `row_budget` for each row. The time is generous: the deadline ends
    /// calls that hang and does not judge slow ones.
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
            table_limit: 100_000,
            stack_limit: 512 << 10,
            core_instance_limit: 64,
            memory_count_limit: 16,
            table_count_limit: 64,
            return_limit: 4 << 20,
            artifact_limit: MAX_ARTIFACT_BYTES,
            code: CodeLimits::default(),
            compiler: Compiler::default(),
            compile_budget: Duration::from_secs(120),
            open_budget: Duration::from_secs(10),
            call_budget: Duration::from_secs(1),
            row_budget: Duration::from_millis(1),
            tick: Duration::from_millis(10),
        }
    }
}

impl RuntimeConfig {
    pub(crate) fn budgets(&self) -> Budgets {
        Budgets {
            open: self.open_budget,
            call: self.call_budget,
            row: self.row_budget,
        }
    }
}

/// How a package is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Memory that [`Detector::save`] gave earlier. A detector without a memory does not get it; a detector that cannot
    /// use it refuses `restore` with `bad-state`.
    pub state: Option<&'a [u8]>,
    /// Instances to start while loading, at least one and no more than [`RuntimeConfig::workers`].
    pub instances: usize,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            state: None,
            instances: 1,
        }
    }
}

/// The engine that runs detectors.
pub struct Runtime {
    pub(crate) sandbox: Arc<Sandbox>,
    cache: Option<Cache>,
    pub(crate) config: RuntimeConfig,
    gives_way: AtomicBool,
}

impl Runtime {
    /// Starts the engine and its one thread. The thread ends when the runtime and the last of its detectors are
    /// dropped.
    ///
    /// # Errors
    /// When wasmtime does not run here, the thread cannot start, or the cache directory cannot be used.
    pub fn new(config: RuntimeConfig) -> Result<Arc<Self>, RuntimeError> {
        let sandbox = Sandbox::new(&config)?;
        let cache = config
            .cache_dir
            .as_deref()
            .map(|directory| Cache::open(directory, &sandbox.engine))
            .transpose()?;
        Ok(Arc::new(Self {
            sandbox: Arc::new(sandbox),
            cache,
            config,
            gives_way: AtomicBool::new(false),
        }))
    }

    /// From now on child processes compile at the lowest priority, since flows are scored. Before that, at a start,
    /// nothing is scored that they could slow down, and on a busy machine the start would wait for them without end.
    pub fn give_way(&self) {
        self.gives_way.store(true, Ordering::Relaxed);
    }

    /// Checks a package, compiles its code or takes it from the cache, opens its artifact, and looks up the columns of
    /// the detector in `schema`. Takes milliseconds from the cache and up to seconds without.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, package: &Package, schema: &'static Schema) -> Result<Arc<Detector>, LoadError> {
        self.load_with(package, schema, LoadOptions::default())
    }

    /// As [`Runtime::load`], with a saved memory and a number of instances.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_with(
        &self,
        package: &Package,
        schema: &'static Schema,
        options: LoadOptions<'_>,
    ) -> Result<Arc<Detector>, LoadError> {
        let (found, limit) = (package.artifact().len(), self.config.artifact_limit);
        if found > limit {
            let what = "bytes of artifact";
            return Err(CheckError::TooLarge { what, found, limit }.into());
        }
        let card = package.check(schema)?;
        let detector = Detector::start(self, self.code(package)?, package, card, schema, options.state)?;
        detector.warm(options.instances)?;
        Ok(Arc::new(detector))
    }

    /// Loads a package and judges its golden vectors, if any, as thoroughly as `judging` asks: the checks that a
    /// package must pass before it scores flows.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn check(
        &self,
        package: &Package,
        schema: &'static Schema,
        judging: Judging,
    ) -> Result<Arc<Detector>, LoadError> {
        let detector = self.load(package, schema)?;
        if let Some(golden) = package.golden()? {
            detector.check_golden(&golden, judging)?;
        }
        Ok(detector)
    }

    /// The schema of the rows that a package scores: the schema of its card, or without a card the schema that its
    /// detector names. The detector is started to ask for it.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn schema_of(&self, package: &Package) -> Result<&'static Schema, LoadError> {
        if let Some(schema) = package.known_schema()? {
            return Ok(schema);
        }
        let (code, budgets) = (self.code(package)?, self.config.budgets());
        let description =
            Started::new(&self.sandbox, &code, &budgets)?.describe(&self.sandbox, &budgets, &code)?;
        Ok(package.schema(description.property(SCHEMA_PROPERTY))?)
    }

    /// Makes a package with golden vectors for its own schema ([`schema_of`](Self::schema_of)), and checks it.
    ///
    /// # Errors
    /// When the parts do not make a package, or the runtime refuses the package.
    pub fn pack(&self, component: &[u8], artifact: &[u8], card: Option<&[u8]>) -> Result<Package, PackError> {
        let bare = Package::from_bytes(netsage_package::pack(component, artifact, card, None)?)?;
        let detector = self.load(&bare, self.schema_of(&bare)?)?;
        let golden = detector.make_golden()?;
        detector
            .check_golden(&golden, Judging::Everything)
            .map_err(LoadError::from)?;
        let bytes = netsage_package::pack(component, artifact, card, Some(&golden))?;
        Ok(Package::from_bytes(bytes)?)
    }

    /// The compiled code of a package, with its exports looked up.
    fn code(&self, package: &Package) -> Result<Code, LoadError> {
        let component = self.component(package)?;
        // A linker with nothing in it: whatever slipped through the check finds no import here.
        let code = Linker::new(&self.sandbox.engine)
            .instantiate_pre(&component)
            .map_err(|error| LoadError::OtherWorld(format!("{error:#}")))?;
        Code::new(code)
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
        check::check_code(&code, &self.config.code)?;
        let RuntimeConfig {
            compiler,
            compile_budget,
            ..
        } = &self.config;
        let (component, compiled) = compiler.compile(
            engine,
            code,
            *compile_budget,
            self.gives_way.load(Ordering::Relaxed),
        )?;
        if let Some(cache) = &self.cache {
            cache.store(package.code_digest(), &compiled);
        }
        Ok(component)
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Runtime")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
