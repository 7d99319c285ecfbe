//! Makes the bundled packages while the project builds, before there is a `netsage` program that could:
//! `netsage-pack COMPONENT ARTIFACT CARD PACKAGE`. Users have `netsage detector pack`.
#![allow(
    clippy::print_stderr,
    reason = "a command-line program reports on the terminal"
)]

use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

use netsage_runtime::{Runtime, RuntimeConfig};

fn main() -> ExitCode {
    let paths: Vec<_> = env::args_os().skip(1).collect();
    let [component, artifact, card, package] = &paths[..] else {
        eprintln!("usage: netsage-pack COMPONENT ARTIFACT CARD PACKAGE");
        return ExitCode::from(2);
    };
    let outcome = || -> Result<(), Box<dyn Error>> {
        let packed = Runtime::new(RuntimeConfig::default())?.pack(
            &fs::read(component)?,
            &fs::read(artifact)?,
            Some(&fs::read(card)?),
        )?;
        Ok(fs::write(package, packed.bytes())?)
    };
    outcome().map_or_else(
        |error| {
            eprintln!(
                "error: cannot pack {} with {}: {error}",
                component.display(),
                artifact.display()
            );
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
