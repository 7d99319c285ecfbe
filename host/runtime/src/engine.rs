//! The wasmtime engine, the limits of what runs in it, and the thread that makes its clock tick.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel, ResourceLimiter, Store};

use crate::error::RuntimeError;
use crate::runtime::RuntimeConfig;

/// Fuel of an instance whose instructions are counted: more than it can use.
pub(crate) const MUCH_FUEL: u64 = u64::MAX / 2;

/// An engine whose epoch advances until the last handle is dropped.
///
/// Detectors hold it too: a deadline must not stop working because the [`crate::Runtime`] was dropped first.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    limits: Limits,
    tick: Duration,
    /// Whether instructions are counted in place of time.
    counts: bool,
    // Dropping the sender ends the thread.
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
struct Limits {
    memory_bytes: usize,
    table_elements: usize,
    core_instances: usize,
    memories: usize,
    tables: usize,
    /// Most bytes that one call may return: lists and strings are checked after the copy, so the copy itself needs a
    /// bound. A guest can otherwise return a million strings that share one megabyte.
    return_bytes: usize,
}

impl Sandbox {
    pub(crate) fn new(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let mut sandbox = Self::with_engine(config, &engine_config(config.stack_limit))?;
        let (stop, stopped) = mpsc::channel::<()>();
        let (tick, clock) = (sandbox.tick, sandbox.engine.clone());
        // A thread of its own: on a busy pool the one task that must not be late would be.
        let ticker = std::thread::Builder::new()
            .name("netsage-epoch".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                    clock.increment_epoch();
                }
            })
            .map_err(RuntimeError::Ticker)?;
        sandbox.stop = Some(stop);
        sandbox.ticker = Some(ticker);
        Ok(sandbox)
    }

    /// A sandbox that counts instructions in place of time.
    pub(crate) fn counting(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let mut engine = engine_config(config.stack_limit);
        engine.epoch_interruption(false).consume_fuel(true);
        let mut sandbox = Self::with_engine(config, &engine)?;
        sandbox.counts = true;
        Ok(sandbox)
    }

    fn with_engine(config: &RuntimeConfig, engine: &Config) -> Result<Self, RuntimeError> {
        Ok(Self {
            engine: Engine::new(engine).map_err(|error| RuntimeError::Engine(format!("{error:#}")))?,
            limits: Limits {
                memory_bytes: config.memory_limit,
                table_elements: config.table_limit,
                core_instances: config.core_instance_limit,
                memories: config.memory_count_limit,
                tables: config.table_count_limit,
                return_bytes: config.return_limit,
            },
            tick: config.tick.max(Duration::from_millis(1)),
            counts: false,
            stop: None,
            ticker: None,
        })
    }

    /// A store with every limit in place and `budget` to instantiate in.
    pub(crate) fn store(&self, budget: Duration) -> wasmtime::Result<Store<Usage>> {
        let usage = Usage {
            limits: self.limits,
            memory_bytes: 0,
            table_elements: 0,
        };
        let mut store = Store::new(&self.engine, usage);
        store.limiter(|usage| usage);
        store.set_hostcall_fuel(self.limits.return_bytes);
        if self.counts {
            store.set_fuel(MUCH_FUEL)?;
        } else {
            store.epoch_deadline_trap();
            store.set_epoch_deadline(self.ticks(budget));
        }
        Ok(store)
    }

    /// How many ticks cover `budget`; one more, because the current tick has partly passed.
    pub(crate) fn ticks(&self, budget: Duration) -> u64 {
        let ticks = budget.as_nanos().div_ceil(self.tick.as_nanos()) + 1;
        u64::try_from(ticks).unwrap_or(u64::MAX / 2)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(ticker) = self.ticker.take() {
            // The thread runs nothing that panics; there is nobody left to tell if it did.
            let _ = ticker.join();
        }
    }
}

/// Resources that an instance has taken, and its limits. All memories together and all tables together have one limit
/// each. A request beyond a limit ends the call with a message; WebAssembly itself would only report that an allocation
/// failed.
pub(crate) struct Usage {
    limits: Limits,
    memory_bytes: usize,
    table_elements: usize,
}

/// An instance asked for more than it may have.
#[derive(Debug, thiserror::Error)]
#[error("it wanted to grow to {wanted} {what}; {limit} are allowed")]
pub(crate) struct LimitReached {
    wanted: usize,
    what: &'static str,
    limit: usize,
    /// The setting or field that sets the limit.
    pub(crate) setting: &'static str,
}

/// Adds the growth from `current` to `desired` to `total`, unless that exceeds the limit.
fn grow(
    total: &mut usize,
    current: usize,
    desired: usize,
    limit: (usize, &'static str, &'static str),
) -> wasmtime::Result<bool> {
    let (limit, what, setting) = limit;
    let wanted = total.saturating_add(desired.saturating_sub(current));
    if wanted > limit {
        return Err(LimitReached {
            wanted,
            what,
            limit,
            setting,
        }
        .into());
    }
    *total = wanted;
    Ok(true)
}

impl ResourceLimiter for Usage {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = (self.limits.memory_bytes, "bytes of memory", "detector-memory");
        grow(&mut self.memory_bytes, current, desired, limit)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = (
            self.limits.table_elements,
            "elements of tables",
            "RuntimeConfig::table_limit",
        );
        grow(&mut self.table_elements, current, desired, limit)
    }

    fn instances(&self) -> usize {
        self.limits.core_instances
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }
}

/// Must be equal in the process that compiles and in the process that runs; otherwise compiled code is refused.
pub(crate) fn engine_config(stack_limit: usize) -> Config {
    // Memory is allocated on demand: instances live as long as their detector, so a pool of memory slots would
    // save its 0.2 ms only where an instance is replaced, and would reserve every slot at its largest.
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Deep recursion ends in a trap long before it meets the stack of the host.
        .max_wasm_stack(stack_limit)
        .cranelift_opt_level(OptLevel::Speed)
        // Deterministic instructions only: the same component gives the same bits in a browser. One form of
        // NaN costs nothing that can be measured on the forest.
        .cranelift_nan_canonicalization(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        // Nothing that the browser side could not run as well.
        .wasm_memory64(false)
        // Traps are told by their kind; maps from machine code to wasm offsets only make the cache larger.
        .generate_address_map(false);
    config
}
