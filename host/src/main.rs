//! The `netsage` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    netsage_host::cli::main()
}
