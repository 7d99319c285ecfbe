//! `netsage compile-detector`: the child process that compiles a detector for its parent. Not for people.

use std::io;

use netsage_runtime::{Compiler, RuntimeConfig, compiler};

use crate::Failure;

/// Name of the command.
pub const NAME: &str = "compile-detector";

/// Most address space of the process, bytes: a component that needs more is not compiled.
#[cfg(target_os = "linux")]
const MEMORY: u64 = 4 << 30;

/// Reads a component from standard input and writes its code to standard output.
///
/// # Errors
/// When the system does not limit this process, or the component cannot be compiled.
pub fn run() -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{Resource, setrlimit};
        setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    }
    Ok(compiler::serve(io::stdin().lock(), io::stdout().lock())?)
}

/// The configuration, with this program as the compiler process.
pub fn in_child(config: RuntimeConfig) -> RuntimeConfig {
    RuntimeConfig {
        compiler: Compiler::this_program([NAME.into()]),
        ..config
    }
}
