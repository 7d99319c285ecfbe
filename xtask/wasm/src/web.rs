//! From a wasm32 build to files that a browser loads.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

/// Writes `NAME.js` and `NAME_bg.wasm` into `output`, as an ES module that works in pages and workers.
pub(crate) fn make(input: &Path, output: &Path, name: &str) -> Result<String> {
    if !input.is_file() {
        bail!(
            "there is no module {}; build it for wasm32-unknown-unknown first",
            input.display()
        );
    }
    std::fs::create_dir_all(output)
        .with_context(|| format!("cannot make the folder {}", output.display()))?;
    Bindgen::new()
        .input_path(input)
        .web(true)
        .context("cannot choose the target for browsers")?
        .typescript(false)
        .out_name(name)
        .demangle(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(output)
        .with_context(|| format!("cannot make browser bindings for {}", input.display()))?;
    let module = output.join(format!("{name}_bg.wasm"));
    let size = std::fs::metadata(&module)
        .with_context(|| format!("{} was not written", module.display()))?
        .len();
    Ok(format!("{}: {size} bytes", module.display()))
}
