//! Embeds what `cargo xtask build` made: the dashboard, the bundled detector packages, the bare components and their forms
//! for the browser.
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
    for folder in ["web", "packages", "components", "glue"] {
        fs::create_dir_all(dist.join(folder))?;
    }
    println!("cargo::rerun-if-changed={}", dist.display());

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR for a build script"));
    let mut code = String::new();
    table(
        &mut code,
        "DASHBOARD: &[(&str, &[u8])]",
        &files(&dist.join("web"))?,
        |name, path| format!("({name:?}, include_bytes!({path:?}))"),
    );
    let components = stems(files(&dist.join("components"))?);
    table(
        &mut code,
        "COMPONENTS: &[(&str, &[u8])]",
        &components,
        |name, path| format!("({name:?}, include_bytes!({path:?}))"),
    );
    table(
        &mut code,
        "GLUE: &[(&str, &[u8])]",
        &files(&dist.join("glue"))?,
        |name, path| format!("({name:?}, include_bytes!({path:?}))"),
    );
    // Packages begin with their component, which several of them share; only what follows is embedded for each.
    let mut packages = Vec::new();
    for (name, path) in stems(files(&dist.join("packages"))?) {
        let package = fs::read(&path)?;
        for (_, component) in &components {
            if let Some(sections) = package.strip_prefix(&*fs::read(component)?) {
                let tail = out.join(format!("{name}.sections"));
                fs::write(&tail, sections)?;
                packages.push((name, (component.clone(), tail)));
                break;
            }
        }
    }
    table(
        &mut code,
        "PACKAGES: &[super::Bundled]",
        &packages,
        |name, (component, sections)| {
            format!(
                "super::Bundled {{ name: {name:?}, component: include_bytes!({component:?}), sections: include_bytes!({sections:?}) }}"
            )
        },
    );
    fs::write(out.join("assets.rs"), code)
}

/// Appends a table with a row for each entry.
fn table<T>(code: &mut String, name: &str, entries: &[(String, T)], row: impl Fn(&str, &T) -> String) {
    write!(code, "pub(super) static {name} = &[").expect("writing to a string does not fail");
    for (name, entry) in entries {
        write!(code, "\n    {},", row(name, entry)).expect("writing to a string does not fail");
    }
    code.push_str("];\n");
}

/// The names without `.wasm`; what does not end so is left out.
fn stems(files: Vec<(String, PathBuf)>) -> Vec<(String, PathBuf)> {
    files
        .into_iter()
        .filter_map(|(name, path)| Some((name.strip_suffix(".wasm")?.to_owned(), path)))
        .collect()
}

/// Every file below `folder`, by its path inside it.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort();
    Ok(files)
}

fn dist_folder() -> PathBuf {
    if let Some(dist) = env::var_os("NETSAGE_DIST") {
        return PathBuf::from(dist);
    }
    let manifest = PathBuf::from(
        env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets CARGO_MANIFEST_DIR for a build script"),
    );
    let workspace = manifest.join("../..");
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
