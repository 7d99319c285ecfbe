//! `cargo xtask build`: detectors, packages, dashboard, program, in this order, because each embeds the one before.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::command::{first_line, quietly};
use crate::files;
use crate::setup::{self, Purpose};
use crate::steps::Steps;
use crate::workspace::Workspace;

/// The code of the dashboard, for cargo.
pub(crate) const BROWSER: [&str; 8] = [
    "--profile",
    "web",
    "--target",
    "wasm32-unknown-unknown",
    "--package",
    "netsage-web",
    "--package",
    "netsage-lab",
];
/// Number of steps that [`all`] shows.
pub(crate) const STEPS: u64 = 6;

#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask build\n  cargo xtask build --gateway\n  \"$(cargo xtask build | tail -n 1)\" --help"
)]
pub(crate) struct BuildArguments {
    /// Keeps file names and line numbers in the program, for profilers and backtraces.
    #[arg(long)]
    debug_info: bool,
    /// Builds a program that captures, scores, serves and learns, without the workbench: smaller, for a gateway. It takes
    /// the place of the whole program.
    #[arg(long)]
    gateway: bool,
}

/// Builds everything and prints the path of the program.
pub(crate) fn run(arguments: &BuildArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let steps = Steps::new(STEPS);
    let program = build(&workspace, &steps, Purpose::Build, arguments)?;
    steps.finish();
    println!("{}", program.display());
    Ok(())
}

/// Sets up and builds everything. Returns the path of the program.
pub(crate) fn all(workspace: &Workspace, steps: &Steps, purpose: Purpose) -> Result<PathBuf> {
    build(workspace, steps, purpose, &BuildArguments::default())
}

fn build(
    workspace: &Workspace,
    steps: &Steps,
    purpose: Purpose,
    arguments: &BuildArguments,
) -> Result<PathBuf> {
    steps.run("Checking this machine", |line| {
        setup::ensure(workspace, purpose, line)
    })?;
    steps.run("Building the tools", |line| tools(workspace, line))?;
    steps.run("Building the detectors", |line| detectors(workspace, line))?;
    steps.run("Packing the bundled models", |line| packages(workspace, line))?;
    steps.run("Building the dashboard", |line| dashboard(workspace, line))?;
    steps.run("Building the program", |line| program(workspace, arguments, line))
}

/// Builds `xtask-wasm`, which [`wasm_tool`] starts.
pub(crate) fn tools(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<()> {
    quietly(
        workspace.cargo(&["build", "--release", "--package", "xtask-wasm"]),
        on_line,
    )
}

/// Runs `xtask-wasm`.
pub(crate) fn wasm_tool(workspace: &Workspace, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Result<()> {
    let mut command = workspace.command(workspace.program("xtask-wasm"));
    for argument in arguments {
        command.arg(argument);
    }
    quietly(command, |_| {})
}

fn detectors(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<()> {
    // Sources first: the flags below depend on the folders that they are unpacked into.
    let host = host_triple()?;
    quietly(
        workspace.cargo(&["fetch", "--target", &host, "--target", "wasm32-unknown-unknown"]),
        &mut *on_line,
    )?;
    let names = detector_names(workspace)?;
    let flags = guest_flags(workspace)?;
    for name in &names {
        // Each by itself: one that uses another as a library must not export it too.
        let package = format!("netsage-{name}");
        let mut command = workspace.cargo(&["build", "--profile", "guest", "--package", &package]);
        command.args(["--target", "wasm32-unknown-unknown"]);
        command.env("CARGO_ENCODED_RUSTFLAGS", &flags);
        // Compiled in pieces, the same source gives another program, with another digest and other costs.
        command.env("CARGO_INCREMENTAL", "0");
        quietly(command, &mut *on_line)?;
    }

    for name in &names {
        let module = workspace.wasm("guest", &format!("netsage_{}.wasm", name.replace('-', "_")));
        let component = component(workspace, name);
        let inputs = [&*module, &*workspace.program("xtask-wasm")];
        make(
            workspace,
            &format!("component-{name}"),
            &inputs,
            &[&component],
            |staging| {
                let made = staging.join("component.wasm");
                wasm_tool(workspace, &[&"component", &module, &made])?;
                files::copy_if_changed(&made, &component)?;
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// The detectors: the folders in `detectors` with a crate that is a component, by name.
fn detector_names(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("detectors");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("cdylib") {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn component(workspace: &Workspace, detector: &str) -> PathBuf {
    workspace.dist.join(format!("components/{detector}.wasm"))
}

/// The bundled models, by name: the artifacts in `models/artifacts`, each with the detector that its card names.
pub(crate) fn bundled(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let folder = workspace.root.join("models/artifacts");
    let mut models = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "artifact") {
            continue;
        }
        let card = path.with_extension("card.json");
        let json = fs::read(&card).with_context(|| format!("cannot read {}", card.display()))?;
        let json: serde_json::Value =
            serde_json::from_slice(&json).with_context(|| format!("{} is no JSON", card.display()))?;
        let detector = json["detector"].as_str().unwrap_or("iforest").to_owned();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        models.push((name, detector));
    }
    models.sort();
    Ok(models)
}

/// Flags of the compiler for detectors, in Cargo's encoding.
///
/// The bytes of a detector are its identity, so they must not depend on where it was built: every path that
/// could get into a message is replaced. Relaxed SIMD stays off because it differs between hosts.
fn guest_flags(workspace: &Workspace) -> Result<OsString> {
    let sysroot =
        first_line("rustc", &["--print", "sysroot"]).context("rustc does not say where its sysroot is")?;
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set; set one of them")?;
    // The compiler takes the last pair that fits, so the general ones come first.
    let mut pairs = vec![
        (PathBuf::from(sysroot), "/rust"),
        (cargo_home.clone(), "/cargo"),
        (workspace.root.clone(), "/netsage"),
    ];
    // The name of this folder tells the registry or the mirror that the sources came from.
    if let Ok(registries) = fs::read_dir(cargo_home.join("registry/src")) {
        let mut folders: Vec<PathBuf> = registries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        pairs.extend(folders.into_iter().map(|folder| (folder, "/crates")));
    }
    let mut flags = OsString::from("-Ctarget-feature=+simd128");
    for (path, name) in pairs {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(name);
    }
    Ok(flags)
}

fn host_triple() -> Result<String> {
    first_line("rustc", &["--print", "host-tuple"]).context("rustc does not say which machine it builds for")
}

fn packages(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<()> {
    let tools = [
        "build",
        "--release",
        "--bin",
        "netsage-pack",
        "--bin",
        "netsage-glue",
    ];
    quietly(workspace.cargo(&tools), on_line)?;
    for detector in detector_names(workspace)? {
        browser_form(workspace, &detector)?;
    }
    let packer = workspace.program("netsage-pack");
    let models = bundled(workspace)?;
    // What is no longer bundled must not stay in the program.
    for entry in fs::read_dir(workspace.dist.join("packages"))
        .into_iter()
        .flatten()
    {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if !models.iter().any(|(model, _)| *model == name) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    for (name, detector) in models {
        let component = component(workspace, &detector);
        let artifact = workspace.root.join(format!("models/artifacts/{name}.artifact"));
        let card = workspace.root.join(format!("models/artifacts/{name}.card.json"));
        let package = workspace.dist.join(format!("packages/{name}.wasm"));
        let inputs = [&*packer, &*component, &*artifact, &*card];
        make(
            workspace,
            &format!("package-{name}"),
            &inputs,
            &[&package],
            |staging| {
                let made = staging.join("package.wasm");
                let mut command = workspace.command(&packer);
                command.args([&component, &artifact, &card, &made]);
                quietly(command, |_| {})?;
                files::copy_if_changed(&made, &package)?;
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Makes what a gateway without the transpiler gives to browsers: the form of a bundled detector.
fn browser_form(workspace: &Workspace, detector: &str) -> Result<()> {
    let (tool, component) = (workspace.program("netsage-glue"), component(workspace, detector));
    let folder = workspace.dist.join("glue").join(detector);
    let script = folder.join("detector.js");
    make(
        workspace,
        &format!("glue-{detector}"),
        &[&tool, &component],
        &[&script],
        |staging| {
            let made = staging.join("made");
            // What an earlier form had and this one has not must not be served with it.
            for folder in [&made, &folder] {
                if folder.exists() {
                    fs::remove_dir_all(folder)
                        .with_context(|| format!("cannot remove {}", folder.display()))?;
                }
                files::make_folder(folder)?;
            }
            let mut command = workspace.command(&tool);
            command.args([&component, &made]);
            quietly(command, |_| {})?;
            for file in files::list(&made)? {
                files::copy_if_changed(&file, &folder.join(file.file_name().unwrap_or_default()))?;
            }
            Ok(())
        },
    )
}

fn dashboard(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<()> {
    let mut command = workspace.cargo(&["build"]);
    command.args(BROWSER);
    quietly(command, on_line)?;
    let web = workspace.dist.join("web");
    for (module, name, folder) in [
        ("netsage-web.wasm", "dashboard", web.clone()),
        ("netsage_lab.wasm", "lab", web.join("lab")),
    ] {
        let module = workspace.wasm("web", module);
        let (script, code) = (format!("{name}.js"), format!("{name}_bg.wasm"));
        let outputs = [folder.join(&script), folder.join(&code)];
        let inputs = [&*module, &*workspace.program("xtask-wasm")];
        make(
            workspace,
            &format!("web-{name}"),
            &inputs,
            &[&outputs[0], &outputs[1]],
            |staging| {
                wasm_tool(workspace, &[&"web", &module, &staging, &"--name", &name])?;
                files::copy_if_changed(&staging.join(&script), &outputs[0])?;
                files::copy_if_changed(&staging.join(&code), &outputs[1])?;
                Ok(())
            },
        )?;
    }
    for (from, to) in [
        (workspace.root.join("web"), web.clone()),
        (workspace.root.join("web/lab"), web.join("lab")),
    ] {
        for file in files::list(&from)? {
            let shipped = file.extension().is_some_and(|extension| {
                ["html", "css", "svg", "js", "ico", "webmanifest"]
                    .iter()
                    .any(|wanted| extension == *wanted)
            });
            if let (true, Some(name)) = (shipped, file.file_name()) {
                files::copy_if_changed(&file, &to.join(name))?;
            }
        }
    }
    Ok(())
}

fn program(
    workspace: &Workspace,
    arguments: &BuildArguments,
    on_line: &mut dyn FnMut(&str),
) -> Result<PathBuf> {
    let mut command = workspace.cargo(&["build", "--release", "--bin", "netsage"]);
    if arguments.gateway {
        command.args([
            "--package",
            "netsage",
            "--no-default-features",
            "--features",
            "gateway",
        ]);
    }
    if arguments.debug_info {
        command.env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
    }
    quietly(command, on_line)?;
    Ok(workspace.program("netsage"))
}

/// Makes files from others unless they are there and were made from the same ones.
fn make(
    workspace: &Workspace,
    name: &str,
    inputs: &[&Path],
    outputs: &[&Path],
    work: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let staging = workspace.target.join("netsage-staging").join(name);
    let stamp_path = staging.join("stamp");
    let stamp = files::stamp(inputs)?;
    let same = fs::read_to_string(&stamp_path).is_ok_and(|present| present == stamp);
    if same && outputs.iter().all(|output| output.is_file()) {
        return Ok(());
    }
    files::make_folder(&staging)?;
    work(&staging)?;
    files::write_if_changed(&stamp_path, stamp.as_bytes())?;
    Ok(())
}
