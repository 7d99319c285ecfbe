//! The wasmtime engine and the thread that makes its clock tick.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel, Store, StoreLimits, StoreLimitsBuilder};

use crate::error::RuntimeError;
use crate::runtime::RuntimeConfig;

/// Stack of a detector, bytes. Deep recursion ends in a trap long before it meets the stack of the host.
const STACK_BYTES: usize = 512 << 10;
/// What one call may hand to the host, bytes: lists and strings are checked after they were copied, so the
/// copy itself needs a bound. A guest can otherwise return a million strings that share one megabyte.
const MAX_RETURN_BYTES: usize = 4 << 20;

/// An engine whose epoch advances for as long as anybody holds it.
///
/// Detectors hold it too: a deadline must not stop working because the [`crate::Runtime`] was dropped first.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    limits: Limits,
    tick: Duration,
    // Dropping the sender ends the thread.
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
struct Limits {
    memory_bytes: usize,
}

impl Sandbox {
    pub(crate) fn new(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let engine =
            Engine::new(&engine_config()).map_err(|error| RuntimeError::Engine(format!("{error:#}")))?;
        let tick = config.tick.max(Duration::from_millis(1));
        let (stop, stopped) = mpsc::channel::<()>();
        let clock = engine.clone();
        // A thread of its own: on a busy pool the one task that must not be late would be.
        let ticker = std::thread::Builder::new()
            .name("netsage-epoch".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                    clock.increment_epoch();
                }
            })
            .map_err(RuntimeError::Ticker)?;
        let limits = Limits {
            memory_bytes: config.memory_limit,
        };
        Ok(Self {
            engine,
            limits,
            tick,
            stop: Some(stop),
            ticker: Some(ticker),
        })
    }

    /// A store with every limit in place and `budget` to instantiate in.
    pub(crate) fn store(&self, budget: Duration) -> Store<StoreLimits> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.limits.memory_bytes)
            .table_elements(100_000)
            .instances(16)
            .tables(16)
            .memories(4)
            // A guest that cannot grow its memory ends in some trap anyway; this one says why.
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(&self.engine, limits);
        store.limiter(|limits| limits);
        store.set_hostcall_fuel(MAX_RETURN_BYTES);
        store.epoch_deadline_trap();
        store.set_epoch_deadline(self.ticks(budget));
        store
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

fn engine_config() -> Config {
    // Memory is allocated on demand: instances live as long as their detector, so a pool of memory slots would
    // save its 0.2 ms only where an instance is replaced, and would reserve every slot at its largest.
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
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
