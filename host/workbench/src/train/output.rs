//! What a training leaves on the disk.

use std::path::{Path, PathBuf};

use netsage_console::Failure;
use netsage_console::detectors::start_runtime;
use netsage_console::say;
use netsage_gateway::catalog::{component, write_whole};
use netsage_gateway::config::Settings;
use netsage_models::Trained;

/// Writes the package, or the model with its card.
pub(super) fn save(out: &Path, trained: &Trained, file: &Settings) -> Result<(), Failure> {
    let json = trained.card.to_json().map_err(std::io::Error::from)?;
    let rows = trained.card.rows;
    if out.extension().is_some_and(|extension| extension == "wasm") {
        let runtime = start_runtime(None, file)?;
        let component = component(trained.detector)?;
        let package = runtime.pack(component, &trained.artifact, Some(json.as_bytes()))?;
        write_whole(out, package.bytes())?;
        say!(
            "trained on {rows} rows; wrote {} ({} bytes); `netsage detector inspect` shows its card",
            out.display(),
            package.bytes().len()
        );
        return Ok(());
    }
    let (card_path, page_path) = (card_path(out), out.with_extension("card.md"));
    let title = out.file_stem().unwrap_or_default().to_string_lossy();
    write_whole(out, &trained.artifact)?;
    write_whole(&card_path, json.as_bytes())?;
    write_whole(&page_path, trained.card.to_markdown(&title).as_bytes())?;
    say!(
        "trained on {rows} rows; wrote {} ({} bytes), {} and {}",
        out.display(),
        trained.artifact.len(),
        card_path.display(),
        page_path.display()
    );
    Ok(())
}

/// Where the card of an artifact lies: `my.artifact` has `my.card.json`.
pub(crate) fn card_path(artifact: &Path) -> PathBuf {
    artifact.with_extension("card.json")
}
