//! Makes the browser form of a bundled detector while the project builds, so that a gateway needs no transpiler:
//! `netsage-glue COMPONENT FOLDER`.
#![allow(
    clippy::print_stderr,
    reason = "a command-line program reports on the terminal"
)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use netsage_package::Package;

fn main() -> ExitCode {
    let paths: Vec<_> = env::args_os().skip(1).collect();
    let [component, folder] = &paths[..] else {
        eprintln!("usage: netsage-glue COMPONENT FOLDER");
        return ExitCode::from(2);
    };
    let outcome = || -> Result<(), Box<dyn Error>> {
        // The form depends on the code alone.
        let package = netsage_package::pack(&fs::read(component)?, &[], None, None)?;
        let module = netsage_browser_glue::transpile(&Package::from_bytes(package)?)?;
        for file in module.files {
            fs::write(Path::new(folder).join(file.name), file.bytes)?;
        }
        Ok(())
    };
    outcome().map_or_else(
        |error| {
            eprintln!(
                "error: cannot make the browser form of {}: {error}",
                component.display()
            );
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
