//! `netsage detector pack`: a package of a component, its trained model and its card.

mod network;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use netsage_console::Failure;
use netsage_console::detectors::start_runtime;
use netsage_console::output::stdout;
use netsage_console::say;
use netsage_gateway::assets;
use netsage_gateway::catalog::{check_writable, write_whole};
use netsage_gateway::config::Settings;
use netsage_package::ModelCard;
use netsage_sources::{Kind, recognise};

use crate::train::card_path;
use network::NetworkArgs;

/// Makes a package.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  netsage detector pack --artifact my.artifact --out my.wasm\n  netsage detector pack --onnx my.onnx --columns dur:log,sbytes:log,'proto=tcp|udp' --scaler scaler.json --calibrate normal.csv.gz --out my.wasm\n  netsage detector pack --onnx forest.onnx --columns dur,sbytes,dbytes --output scores --negated-score --out my.wasm\n  netsage detector pack --component my-detector.wasm --artifact my.model --card my.card.json --out my.wasm"
)]
pub struct PackArgs {
    /// Component [default: the bundled one that the card names, or else the isolation forest]
    #[arg(long, value_name = "COMPONENT")]
    component: Option<PathBuf>,
    /// Trained model
    #[arg(long, value_name = "ARTIFACT", required_unless_present = "onnx")]
    artifact: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Model card, JSON [default: the artifact's name with .card.json, if it is there]
    #[arg(long, value_name = "CARD")]
    card: Option<PathBuf>,
    /// File for the package
    #[arg(long, value_name = "PKG")]
    out: PathBuf,
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
    // A pointer, a page or an archive in place of the file says more than what a parser would make of it.
    match recognise(&bytes[..bytes.len().min(512)]) {
        Kind::Other { what, advice } if !bytes.starts_with(b"\0asm") => {
            Err(anyhow!("{}: {what}; {advice}", path.display()))
        }
        _ => Ok(bytes),
    }
}

/// Writes the package, and prints its digest.
///
/// # Errors
/// When a file cannot be read or written, or the parts make no package that this host takes.
pub fn run(args: &PackArgs, file: &Settings) -> Result<(), Failure> {
    check_writable(&args.out)?;
    let made = args.network.make(file)?;
    let is_network = made.is_some();
    let (artifact, made_card) = match (made, &args.artifact) {
        (Some(made), _) => (made.artifact, Some(made.card)),
        (None, Some(path)) => (read(path)?, None),
        // The command line asks for one of the two.
        (None, None) => return Err(Failure::Usage("give `--artifact` or `--onnx`".to_owned())),
    };
    let beside = |path: &PathBuf| Some(card_path(path)).filter(|path| path.is_file());
    let card_file = args
        .card
        .clone()
        .or_else(|| args.artifact.as_ref().and_then(beside));
    let card = match &card_file {
        Some(path) => Some(read(path)?),
        None => made_card,
    };
    let mut detector = is_network.then(|| "onnx".to_owned());
    let mut threshold = None;
    if let Some(card) = &card {
        let checked = ModelCard::from_json(card).and_then(|card| {
            card.check(card.known_schema()?)?;
            Ok(card)
        });
        let card = checked.map_err(|error| {
            let path = card_file.as_deref().unwrap_or(Path::new("the card"));
            anyhow!("{}: {error}", path.display())
        })?;
        detector = card.detector.or(detector);
        threshold = card.threshold;
    }
    if threshold.is_none() {
        say!(
            "the package has no threshold, so it raises no alert unless `run` gets one{}",
            if is_network {
                "; `--calibrate FILE` measures one"
            } else {
                ""
            }
        );
    }
    let component = match &args.component {
        Some(path) => read(path)?,
        None => {
            let detector = detector.as_deref().unwrap_or("iforest");
            let bytes = assets::component(detector).ok_or_else(|| {
                anyhow!(
                    "the bundled detector `{detector}` is missing: {}; or give `--component`",
                    assets::HOW_TO_BUILD
                )
            })?;
            bytes.to_vec()
        }
    };
    let packed = start_runtime(None, file)?
        .pack(&component, &artifact, card.as_deref())
        .map_err(|error| match &args.component {
            Some(path) => anyhow!("{}: {error}", path.display()),
            None => anyhow!(error),
        })?;
    write_whole(&args.out, packed.bytes())?;
    say!("wrote {} ({} bytes)", args.out.display(), packed.bytes().len());
    let mut out = stdout();
    writeln!(out, "{}", packed.digest())?;
    Ok(out.flush()?)
}
