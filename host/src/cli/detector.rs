//! `netsage detector`: packages, made, checked, listed and activated.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use netsage_api_types::{Activated, DetectorInfo, ModelCard};
use netsage_schema::Schema;

use super::Failure;
use super::client::{Client, ClientArgs};
use super::detectors::start_runtime;
use super::output::stdout;
use super::train::{card_path, write};
use crate::assets::{self, Bundled};
use crate::catalog::{load, read_package, schema_of};
use crate::config::Settings;

/// What to do with packages.
#[derive(Debug, clap::Subcommand)]
pub(super) enum DetectorCommand {
    /// Make a package of a component, its trained model and its model card
    Pack(PackArgs),
    /// Say what a package is and whether this host would take it
    Check(CheckArgs),
    /// List the packages of a running program, or the bundled ones
    List(ListArgs),
    /// Make a running program score with a package
    Activate(ActivateArgs),
}

/// Makes a package.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage detector pack --artifact my.artifact --out my.wasm\n  netsage detector pack --component my-detector.wasm --artifact my.model --card my.card.json --out my.wasm"
)]
pub(super) struct PackArgs {
    /// Component [default: the bundled isolation forest]
    #[arg(long, value_name = "COMPONENT")]
    component: Option<PathBuf>,
    /// Trained model
    #[arg(long, value_name = "ARTIFACT")]
    artifact: PathBuf,
    /// Model card, JSON [default: the artifact's name with .card.json, if it is there]
    #[arg(long, value_name = "CARD")]
    card: Option<PathBuf>,
    /// File for the package
    #[arg(long, value_name = "PKG")]
    out: PathBuf,
}

/// Checks a package.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  netsage detector check my.wasm")]
pub(super) struct CheckArgs {
    /// Package, a file or the name of a bundled one
    package: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists packages.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  netsage detector list\n  netsage detector list --bundled")]
pub(super) struct ListArgs {
    /// Those that come with this program, without asking a running one
    #[arg(long)]
    bundled: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Activates a package.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  netsage detector activate my.wasm --url http://127.0.0.1:8080")]
pub(super) struct ActivateArgs {
    /// Package, a file or the name of a bundled one, or the digest of one that the program has
    package: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn run(command: DetectorCommand, file: &Settings) -> Result<(), Failure> {
    match command {
        DetectorCommand::Pack(args) => pack(&args, file),
        DetectorCommand::Check(args) => check(&args, file),
        DetectorCommand::List(args) => list(&args, file),
        DetectorCommand::Activate(args) => activate(&args, file),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))
}

fn pack(args: &PackArgs, file: &Settings) -> Result<(), Failure> {
    let component = match &args.component {
        Some(path) => read(path)?,
        None => assets::iforest_component()
            .ok_or_else(|| {
                anyhow!(
                    "the bundled isolation forest is missing: {}; or give `--component`",
                    assets::HOW_TO_BUILD
                )
            })?
            .to_vec(),
    };
    let artifact = read(&args.artifact)?;
    let card_file = args
        .card
        .clone()
        .or_else(|| Some(card_path(&args.artifact)).filter(|path| path.is_file()));
    let card = card_file.as_deref().map(read).transpose()?;
    if let (Some(path), Some(card)) = (&card_file, &card) {
        serde_json::from_slice::<ModelCard>(card)
            .map_err(|error| anyhow!("{}: this is not a model card: {error}", path.display()))?;
    } else {
        eprintln!(
            "without a model card the package has no threshold, so it raises no alert unless `run` gets one"
        );
    }
    let packed = start_runtime(None, file)?.pack(&component, &artifact, card.as_deref(), &Schema::ALL)?;
    write(&args.out, packed.bytes())?;
    eprintln!("wrote {} ({} bytes)", args.out.display(), packed.bytes().len());
    let mut out = stdout();
    writeln!(out, "{}", packed.digest())?;
    Ok(out.flush()?)
}

fn check(args: &CheckArgs, file: &Settings) -> Result<(), Failure> {
    let package = read_package(&args.package)?;
    let runtime = start_runtime(None, file)?;
    let loaded = load(&runtime, schema_of(&package), &args.package, &package)?;
    let info = loaded.info();
    let mut out = stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &info).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "{} {}: {}",
            info.detector.name, info.detector.version, info.summary
        )?;
        writeln!(out, "  digest     {}", info.detector.digest)?;
        writeln!(out, "  code       {}", loaded.package().code_digest())?;
        writeln!(out, "  licence    {}", info.licence)?;
        writeln!(
            out,
            "  size       {} bytes, of which the model has {}",
            info.size,
            loaded.package().artifact().len()
        )?;
        writeln!(out, "  explains   {}", if info.explains { "yes" } else { "no" })?;
        writeln!(out, "  learns     {}", if info.learns { "yes" } else { "no" })?;
        writeln!(out, "  columns    {}", info.columns.join(" "))?;
        match &info.card {
            Some(card) => {
                writeln!(
                    out,
                    "  trained    {} on {} rows of {}",
                    card.date, card.rows, card.data
                )?;
                writeln!(out, "  threshold  {} ({})", card.threshold, card.threshold_rule)?;
                for (name, figure) in &card.figures {
                    writeln!(out, "  {name:<10} {figure:.4}")?;
                }
            }
            None => writeln!(out, "  no model card, and so no threshold")?,
        }
        writeln!(out, "this host takes it")?;
    }
    Ok(out.flush()?)
}

fn list(args: &ListArgs, file: &Settings) -> Result<(), Failure> {
    let packages = if args.bundled {
        let runtime = start_runtime(None, file)?;
        let mut packages = Vec::new();
        for bundled in Bundled::ALL {
            let package = read_package(bundled.name())?;
            packages.push(load(&runtime, schema_of(&package), bundled.name(), &package)?.info());
        }
        packages
    } else {
        Client::new(&args.client, file).get::<Vec<DetectorInfo>>("/detectors")?
    };
    let mut out = stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &packages).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        for info in &packages {
            let status = match info.stage {
                netsage_api_types::Stage::Active => "active",
                _ => "available",
            };
            let data = info.card.as_ref().map_or("-", |card| card.data.as_str());
            writeln!(
                out,
                "{}  {status:<9}  {} {}  {data}",
                info.detector.digest, info.detector.name, info.detector.version
            )?;
        }
    }
    Ok(out.flush()?)
}

fn activate(args: &ActivateArgs, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.client, file);
    let is_digest = args.package.len() == 64 && args.package.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest = if is_digest {
        args.package.to_ascii_lowercase()
    } else {
        let package = read_package(&args.package)?;
        let info: DetectorInfo = client.post("/detectors", "application/wasm", package.bytes())?;
        info.detector.digest
    };
    let activated: Activated =
        client.post(&format!("/detectors/{digest}/activate"), "application/json", b"")?;
    let mut out = stdout();
    writeln!(out, "{}", activated.active.digest)?;
    out.flush()?;
    match activated.replaced {
        Some(replaced) => eprintln!(
            "{} now scores in place of {}",
            activated.active.name, replaced.digest
        ),
        None => eprintln!("{} now scores", activated.active.name),
    }
    Ok(())
}
