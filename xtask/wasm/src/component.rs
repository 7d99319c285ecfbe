//! From a core module to a detector component.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{Resolve, WorldId};

/// The interface that every detector exports, without its version.
const DETECTOR_INTERFACE: &str = "netsage:detector/detector@";

/// Encodes the core module at `input` as a component at `output` and says what came out.
pub(crate) fn make(input: &Path, output: &Path) -> Result<String> {
    let module = fs::read(input)
        .with_context(|| format!("cannot read the core module {}; build it first", input.display()))?;
    let component = encode(&module).with_context(|| format!("{} is not a detector", input.display()))?;
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    fs::write(output, &component).with_context(|| format!("cannot write {}", output.display()))?;
    Ok(format!(
        "{}: {} bytes, imports nothing",
        output.display(),
        component.len()
    ))
}

fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let component = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .context("the module carries no component type; build it with the detector SDK")?
        .encode()
        .context("the module does not fit the world it was built for")?;
    match wit_component::decode(&component).context("the component that came out cannot be read")? {
        DecodedWasm::Component(resolve, world) => check_world(&resolve, world)?,
        DecodedWasm::WitPackage(..) => bail!("a WIT package came out instead of a component"),
    }
    Ok(component)
}

/// A detector exports `detector` and imports nothing, so that it is a pure function everywhere.
fn check_world(resolve: &Resolve, world: WorldId) -> Result<()> {
    let world = &resolve.worlds[world];
    let imports: Vec<String> = world
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    if !imports.is_empty() {
        bail!(
            "a detector must import nothing, and this one imports {}",
            imports.join(", ")
        );
    }
    let exports: Vec<String> = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    if !exports.iter().any(|name| name.starts_with(DETECTOR_INTERFACE)) {
        bail!(
            "a detector must export {DETECTOR_INTERFACE}1, and this one exports [{}]",
            exports.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(module: &[u8], expected: &str) {
        let error = encode(module).expect_err("refused");
        let text = format!("{error:#}");
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    }

    #[test]
    fn refuses_what_is_no_detector() {
        check(b"no module at all", "carries no component type");
        check(b"\0asm\x01\0\0", "carries no component type");
        // Without a component type a module becomes a component of the empty world.
        check(b"\0asm\x01\0\0\0", "must export netsage:detector/detector@1");
    }
}
