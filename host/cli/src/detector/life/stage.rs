//! `netsage detector stage` and `activate`: a package is brought to a running program and followed on its way.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use netsage_api_types::{DetectorInfo, HistoryEntry, Page, Stage, Step};
use netsage_console::Failure;
use netsage_console::output::printable;
use netsage_console::say;
use netsage_gateway::catalog::read_bytes;
use netsage_gateway::config::Settings;

use super::step::{How, PlaceArgs, ReasonArgs, standing, take, tell};
use crate::client::{Client, encoded, query};

/// Time between two questions to the program about the stage of the package.
const POLL: Duration = Duration::from_millis(150);
/// Compiling and starting take a few seconds at most, whatever the package.
const PATIENCE: Duration = Duration::from_secs(120);

/// How far staging goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Until {
    /// Keep its bytes, and nothing more
    Staged,
    /// Check it
    Checked,
    /// Make it ready; the settings of the running program decide about further stages
    Warm,
}

/// The arguments of `netsage detector stage`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage detector stage my.wasm\n  netsage detector stage my.wasm --signature my.wasm.minisig --why 'trained on this week'"
)]
pub(crate) struct StageArgs {
    /// Package, a file or the name of a bundled one
    package: String,
    /// Stage to bring the package to
    #[arg(long, value_name = "STAGE", default_value = "warm")]
    until: Until,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// The arguments of `netsage detector activate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  netsage detector activate my.wasm --url http://127.0.0.1:8080")]
pub(crate) struct ActivateArgs {
    /// Package: a file, the name of a bundled one, or at least 8 digits of the digest of one that the program has
    package: String,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// Where the signature is.
#[derive(Debug, clap::Args)]
struct SignatureArgs {
    /// Signature made by minisign [default: PACKAGE.minisig if it is there]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

impl SignatureArgs {
    fn read(&self, package: &str) -> anyhow::Result<Option<String>> {
        let beside = PathBuf::from(format!("{package}.minisig"));
        let path = match &self.signature {
            Some(path) => path,
            None if beside.is_file() => &beside,
            None => return Ok(None),
        };
        fs::read_to_string(path)
            .map(Some)
            .map_err(|error| anyhow!("cannot read the signature {}: {error}", path.display()))
    }
}

/// Brings a package and follows it to the stage that was asked for.
pub(super) fn stage(args: &StageArgs, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.reason.client, file)?;
    let signature = args.signature.read(&args.package)?;
    let until = match args.until {
        Until::Staged => Stage::Staged,
        Until::Checked => Stage::Checked,
        Until::Warm => Stage::Warm,
    };
    let info = bring(&client, &args.package, signature.as_deref(), until, &args.reason)?;
    tell(&info, args.reason.json)
}

/// Stages, where the program has not the package yet, and promotes.
pub(super) fn activate(args: &PlaceArgs<ActivateArgs>, file: &Settings) -> Result<(), Failure> {
    let how = How {
        share: None,
        downgrade: args.downgrade,
    };
    let args = &args.step;
    let client = Client::new(&args.reason.client, file)?;
    let is_digest = (8..=64).contains(&args.package.len())
        && args.package.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !Path::new(&args.package).exists();
    let info = if is_digest {
        client.get(&format!("/detectors/{}", encoded(&args.package)))?
    } else {
        let signature = args.signature.read(&args.package)?;
        bring(
            &client,
            &args.package,
            signature.as_deref(),
            Stage::Warm,
            &args.reason,
        )?
    };
    let info = if info.stage == Stage::Active {
        info
    } else {
        take(&client, &info.detector.digest, Step::Promote, &args.reason, how)?
    };
    tell(&info, args.reason.json)
}

/// Stages a package and waits until it has come as far as `until`, telling each stage on the way.
fn bring(
    client: &Client,
    package: &str,
    signature: Option<&str>,
    until: Stage,
    reason: &ReasonArgs,
) -> anyhow::Result<DetectorInfo> {
    // Whether it is a package at all is for the program to say, as for any upload.
    let package = read_bytes(package)?;
    let by = reason.by();
    let parameters = query(&[
        ("until", (until != Stage::Warm).then(|| until.name())),
        ("by", by.as_deref()),
        ("why", reason.why.as_deref()),
        ("signature", signature),
    ]);
    let begun = last_entry(client)?;
    let info: DetectorInfo = client.post(&format!("/detectors{parameters}"), "application/wasm", &package)?;
    follow(client, &info.detector.digest, until, begun)
}

/// Number of the newest entry of the history.
fn last_entry(client: &Client) -> anyhow::Result<u64> {
    let page: Page<HistoryEntry> = client.get("/detectors/history?limit=1")?;
    Ok(page.items.first().map_or(0, |entry| entry.number))
}

fn follow(client: &Client, digest: &str, until: Stage, mut told: u64) -> anyhow::Result<DetectorInfo> {
    let start = Instant::now();
    loop {
        // The history after the state: then it is at least as new, and no stage on the way stays untold.
        let info: DetectorInfo = client.get(&format!("/detectors/{digest}"))?;
        let page: Page<HistoryEntry> = client.get(&format!("/detectors/history?digest={digest}&limit=20"))?;
        for entry in page.items.iter().rev().filter(|entry| entry.number > told) {
            say!("{}: {}", entry.to.name(), printable(&entry.why));
        }
        told = page.items.first().map_or(told, |entry| told.max(entry.number));
        if info.stage == Stage::Quarantined {
            bail!("{}", standing(&info));
        }
        if info.stage >= until {
            return Ok(info);
        }
        if start.elapsed() > PATIENCE {
            bail!(
                "the package is {} after {} s and not {}; `netsage detector history {}` says what happened",
                info.stage.name(),
                PATIENCE.as_secs(),
                until.name(),
                super::short(digest)
            );
        }
        thread::sleep(POLL);
    }
}
