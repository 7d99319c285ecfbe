//! The isolation forest that the program brings along, when it has been built.

use std::path::{Path, PathBuf};

use netsage_browser_glue as browser;
use netsage_package::{MAX_BLOCK_ROWS, Package};
use netsage_runtime::check;

use crate::{load, rows};

/// Where `cargo xtask build` put what it built.
fn dist() -> Option<PathBuf> {
    let built = || {
        Some(
            Path::new(env!("CARGO_TARGET_TMPDIR"))
                .parent()?
                .join("netsage-dist"),
        )
    };
    std::env::var_os("NETSAGE_DIST").map(PathBuf::from).or_else(built)
}

/// The packages that the program brings along, by name; none (and a word on it) where they were not built.
pub(crate) fn packages() -> Vec<(PathBuf, Package)> {
    let folder = dist().unwrap_or_default().join("packages");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    if paths.is_empty() {
        eprintln!("skipped: {} is not built (cargo xtask build)", folder.display());
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let package = Package::from_bytes(std::fs::read(&path).unwrap()).unwrap();
            (path, package)
        })
        .collect()
}

/// The component and its model, or `None` (and a word on it) where they were not built.
fn forest() -> Option<Package> {
    let component = dist()?.join("components/iforest.wasm");
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/artifacts");
    let (Ok(code), Ok(artifact)) = (
        std::fs::read(&component),
        std::fs::read(models.join("iforest-unsw-nb15.artifact")),
    ) else {
        eprintln!(
            "skipped: {} is not built (cargo xtask build)",
            component.display()
        );
        return None;
    };
    let card = std::fs::read(models.join("iforest-unsw-nb15.card.json")).ok();
    Some(
        Package::from_bytes(netsage_package::pack(&code, &artifact, card.as_deref(), None).unwrap()).unwrap(),
    )
}

#[test]
fn the_isolation_forest_scores_and_explains() {
    let Some(package) = forest() else { return };
    let detector = load(&package).unwrap();
    assert_eq!(detector.description().name, "iforest");
    let rows = rows(3 * MAX_BLOCK_ROWS + 1);
    let (mut whole, mut single) = (Vec::new(), Vec::new());
    detector.score(&rows, None, 0..rows.len(), &mut whole).unwrap();
    assert_eq!(whole.len(), rows.len());
    for row in (0..rows.len()).step_by(500) {
        single.clear();
        detector.score(&rows, None, row..row + 1, &mut single).unwrap();
        assert_eq!(
            single[0].to_bits(),
            whole[row].to_bits(),
            "a score does not depend on the block"
        );
    }
    let contributions = detector.explain(&rows, None, 5, 4).unwrap();
    assert!((1..=4).contains(&contributions.len()), "{contributions:?}");
    assert!(contributions.is_sorted_by(|left, right| left.weight >= right.weight));
    assert!(browser::transpile(&package).is_ok());
}

#[test]
fn the_isolation_forest_is_small_and_imports_nothing() {
    let Some(package) = forest() else { return };
    let code = package.code();
    assert!(code.len() <= 500_000, "{} bytes", code.len());
    check::check(&package).expect("a detector that imports nothing");
}
