//! Embeds what `cargo xtask build` made: the dashboard, the bundled detector packages and the bare component.
//!
//! The files lie in the folder that `NETSAGE_DIST` names, otherwise in `<target folder>/netsage-dist`. What is
//! absent is left out; the program builds all the same and says at run time how to get it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=NETSAGE_DIST");
    let dist = dist_folder();
    // Made when absent: Cargo runs a build script at every build while a path it watches is missing.
    for folder in ["web", "packages", "components"] {
        fs::create_dir_all(dist.join(folder))?;
    }
    println!("cargo::rerun-if-changed={}", dist.display());

    let mut code = String::new();
    let mut files = Vec::new();
    collect(&dist.join("web"), "", &mut files)?;
    files.sort();
    writeln!(code, "pub(super) static DASHBOARD: &[(&str, &[u8])] = &[")
        .expect("writing to a string does not fail");
    for (name, path) in &files {
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),")
            .expect("writing to a string does not fail");
    }
    code.push_str("];\n");
    for (constant, file) in [
        ("IFOREST_UNSW_NB15", "packages/iforest-unsw-nb15.wasm"),
        ("IFOREST_GENERATED", "packages/iforest-generated.wasm"),
        ("IFOREST_COMPONENT", "components/iforest.wasm"),
    ] {
        let path = dist.join(file);
        let value = if path.is_file() {
            format!("Some(include_bytes!({path:?}))")
        } else {
            "None".to_owned()
        };
        writeln!(code, "pub(super) static {constant}: Option<&[u8]> = {value};")
            .expect("writing to a string does not fail");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR for a build script"));
    fs::write(out.join("assets.rs"), code)
}

fn dist_folder() -> PathBuf {
    if let Some(dist) = env::var_os("NETSAGE_DIST") {
        return PathBuf::from(dist);
    }
    let manifest = PathBuf::from(
        env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets CARGO_MANIFEST_DIR for a build script"),
    );
    let workspace = manifest.parent().unwrap_or(&manifest);
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    workspace.join(target).join("netsage-dist")
}

/// Every file below `folder`, with its path inside it, `/` between the parts.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}
