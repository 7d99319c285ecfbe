//! `docs/detector-costs.md` is counted from the bundled packages.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use netsage_package::{MAX_BLOCK_ROWS, Package};
use netsage_runtime::fuel::{self, CountError, Instructions};
use netsage_schema::UNSW_NB15;

use crate::bundled;
use netsage_testkit::recipe::Recipe;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/detector-costs.md");

fn count(package: &Package) -> Result<Instructions, CountError> {
    let schema = package.known_schema().unwrap().unwrap_or(&UNSW_NB15);
    fuel::count(package, schema)
}

#[test]
fn counting_is_repeatable_and_grows_with_the_work() {
    let idle = count(&Recipe::default().package()).unwrap();
    assert_eq!(count(&Recipe::default().package()).unwrap(), idle);
    let busy = Recipe {
        score: "(loop $again (local.set $row (i32.add (local.get $row) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $row) (i32.const 1000)))) (local.set $row (i32.const 0))",
        ..Recipe::default()
    };
    let busy = count(&busy.package()).unwrap();
    assert!(
        (idle.single + 5000..idle.single + 10_000).contains(&busy.single),
        "{busy:?}, {idle:?}"
    );
    assert!(busy.block < busy.single / 10, "{busy:?}");
}

/// `NETSAGE_BLESS=1 cargo test --release -p netsage-runtime costs` writes the document anew.
#[test]
fn the_document_is_current() {
    let packages = bundled::packages();
    if packages.is_empty() {
        return;
    }
    let mut document = format!(
        "# What a row costs\n\n\
         WebAssembly instructions of the bundled detectors, counted by wasmtime's fuel on rows that are always the same\n\
         ones: equal on every machine, and only different when code or model are. Written after `cargo xtask build` by\n\
         `NETSAGE_BLESS=1 cargo test --release -p netsage-runtime costs`; the same test fails when the document is\n\
         not current. Time, in relation to the native build, is what `cargo xtask bench runtime` prints.\n\n\
         | package | a row alone | a row in a block of {MAX_BLOCK_ROWS} | start and open |\n|---|---:|---:|---:|\n"
    );
    for (path, package) in packages {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Instructions { open, single, block } = count(&package).unwrap();
        writeln!(document, "| {name} | {single} | {block} | {open} |").unwrap();
    }
    if env::var_os("NETSAGE_BLESS").is_some() {
        fs::write(PATH, &document).unwrap();
    }
    assert_eq!(
        fs::read_to_string(Path::new(PATH)).unwrap_or_default(),
        document,
        "docs/detector-costs.md is not current: build, run with NETSAGE_BLESS=1 and look at the difference"
    );
}
