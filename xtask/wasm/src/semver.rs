//! Whether the detector contract is still what was released.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use wit_component::semver_check;
use wit_parser::{PackageId, Resolve, UnresolvedPackageGroup};

/// Compares the contract in the file `current` with the one in `released`.
pub(crate) fn check(released: &Path, current: &Path) -> Result<String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read the contract {}", path.display()))
    };
    compare(&read(released)?, &read(current)?).with_context(|| {
        format!(
            "{} is not compatible with the released {}",
            current.display(),
            released.display()
        )
    })?;
    Ok(format!(
        "{} is compatible with the released {}",
        current.display(),
        released.display()
    ))
}

/// Detectors built for the released contract must run in hosts built for the current one. While the
/// version is the same the reverse must hold too, since nobody can tell the two apart by their name.
fn compare(released: &str, current: &str) -> Result<()> {
    let mut resolve = Resolve::default();
    let mut released = parse("the released contract", released)?;
    // Two packages of one name and version cannot lie in one `Resolve`; the comparison itself ignores versions.
    let released_version = released.main.name.version.take();
    let released = push(&mut resolve, released)?;
    let current = push(&mut resolve, parse("the current contract", current)?)?;
    let same_version = resolve.packages[current].name.version == released_version;

    for (name, &released_world) in &resolve.packages[released].worlds {
        let current_world = *resolve.packages[current]
            .worlds
            .get(name)
            .with_context(|| format!("the contract has no world {name}"))?;
        semver_check(resolve.clone(), released_world, current_world).with_context(|| {
            format!("a detector built for the released world {name} does not fit the current one")
        })?;
        if same_version {
            semver_check(resolve.clone(), current_world, released_world)
                .with_context(|| format!("the world {name} grew; raise the version of the package"))?;
        }
    }
    if same_version && resolve.packages[current].worlds.len() > resolve.packages[released].worlds.len() {
        bail!("the contract has another world; raise the version of the package");
    }
    Ok(())
}

fn parse(name: &str, text: &str) -> Result<UnresolvedPackageGroup> {
    UnresolvedPackageGroup::parse(name, text)
        .map_err(|(sources, error)| anyhow!("{}", error.render(&sources)))
}

fn push(resolve: &mut Resolve, contract: UnresolvedPackageGroup) -> Result<PackageId> {
    resolve.push_group(contract).map_err(|error| anyhow!("{error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASED: &str = "package netsage:detector@1.0.0;
        interface detector { record block { rows: u32 } score: func(block: block) -> list<f32>; }
        world netsage-detector { export detector; }";

    #[track_caller]
    fn check(change: (&str, &str), expected: Result<(), &str>) {
        assert!(RELEASED.contains(change.0), "{} is not in the contract", change.0);
        let outcome = compare(RELEASED, &RELEASED.replace(change.0, change.1));
        match (outcome, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => {
                let text = format!("{error:#}");
                assert!(text.contains(part), "{text:?} does not say {part:?}");
            }
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn finds_what_breaks_detectors() {
        check(("u32", "u32"), Ok(()));
        check(
            ("interface detector {", "/// Words.\n interface detector {"),
            Ok(()),
        );
        check(("rows: u32", "rows: u64"), Err("does not fit"));
        check(("rows: u32", "rows: u32, more: u32"), Err("does not fit"));
        check(("list<f32>", "list<f64>"), Err("does not fit"));
        check(("score: func", "grade: func"), Err("does not fit"));
        check(("world netsage-detector", "world other"), Err("no world"));
        check(
            (
                "world netsage-detector",
                "world more { export detector; } world netsage-detector",
            ),
            Err("another world"),
        );
        check(("record", "recrod"), Err("expected"));
    }

    #[test]
    fn the_contract_in_the_repository_is_the_released_one() {
        let released = include_str!("../../../wit/released/detector-1.0.0.wit");
        let current = include_str!("../../../wit/detector.wit");
        compare(released, current).expect("compatible");
    }
}
