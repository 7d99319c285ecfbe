//! What a detector's rows cost in instructions: the same number on every machine.
//!
//! Time depends on the processor and on who else uses it; the number of WebAssembly instructions does not. Instructions
//! are counted in a separate engine, because counting makes code two to three times as slow.

use netsage_package::{MAX_BLOCK_ROWS, Package, golden};
use netsage_schema::Schema;
use wasmtime::component::Linker;

use crate::check;
use crate::code::compiler::Compiler;
use crate::columns::Projection;
use crate::engine::Sandbox;
use crate::error::{GuestFailure, LoadError, RuntimeError, ScoreError};
use crate::exports::Code;
use crate::instance::Started;
use crate::runtime::RuntimeConfig;

/// Instructions of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instructions {
    /// To start an instance and open the artifact.
    pub open: u64,
    /// For a row that comes alone, the mean of [`MAX_BLOCK_ROWS`] of them.
    pub single: u64,
    /// For a row in a block of [`MAX_BLOCK_ROWS`].
    pub block: u64,
}

/// Why instructions cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The engine does not start.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The package cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The detector fails.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl From<GuestFailure> for CountError {
    fn from(failure: GuestFailure) -> Self {
        Self::Load(failure.into())
    }
}

/// Counts the instructions of a package on generated rows, which are always the same ones. There is no deadline: with a
/// detector that never returns, this function does not return either.
///
/// # Errors
/// See [`CountError`].
pub fn count(package: &Package, schema: &'static Schema) -> Result<Instructions, CountError> {
    let config = RuntimeConfig::default();
    let sandbox = Sandbox::counting(&config)?;
    let budgets = config.budgets();
    let code = package.code();
    check::check_code(&code, &config.code).map_err(LoadError::from)?;
    let (component, _) = Compiler::InProcess.compile(&sandbox.engine, code, config.compile_budget, false)?;
    let code = Linker::new(&sandbox.engine)
        .instantiate_pre(&component)
        .map_err(|error| LoadError::OtherWorld(format!("{error:#}")))?;
    let code = Code::new(code)?;
    let started = Started::new(&sandbox, &code, &budgets)?;
    let mut instance = started.open(&sandbox, &budgets, package.artifact(), schema)?;
    let open = instance.instructions();
    let projection = Projection::new(instance.inputs(&sandbox, &budgets)?, schema)?;
    // Among so many hosts that hardly one comes twice.
    let rows = golden::generate(
        &projection.names(),
        projection.context,
        schema,
        MAX_BLOCK_ROWS,
        1 << 24,
    );
    let mut instructions_of = |count: usize| -> Result<u64, GuestFailure> {
        let before = instance.instructions();
        for first in (0..MAX_BLOCK_ROWS).step_by(count) {
            instance.block.set(&rows, first..first + count);
            instance.score(&sandbox, &budgets, &mut Vec::new())?;
        }
        Ok((instance.instructions() - before) / MAX_BLOCK_ROWS as u64)
    };
    let single = instructions_of(1)?;
    let block = instructions_of(MAX_BLOCK_ROWS)?;
    Ok(Instructions { open, single, block })
}
