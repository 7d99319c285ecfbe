//! `netsage detector list` and `history`.

use std::io::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use netsage_api_types::{DetectorInfo, HistoryEntry, Page};
use netsage_console::Failure;
use netsage_console::detectors::start_runtime;
use netsage_console::output::{for_people, print_json, table};
use netsage_console::say;
use netsage_gateway::assets::Bundled;
use netsage_gateway::catalog::{load, read_package, schema_of};
use netsage_gateway::config::Settings;

use super::short;
use crate::client::{Client, ClientArgs, query};

/// The arguments of `netsage detector list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  netsage detector list\n  netsage detector list --bundled")]
pub(crate) struct ListArgs {
    /// List the packages bundled with this program, without asking a running one
    #[arg(long)]
    bundled: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// The arguments of `netsage detector history`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage detector history\n  netsage detector history iforest --limit 5\n  netsage detector history 0123abcd --json"
)]
pub(crate) struct HistoryArgs {
    /// Only the history of this package: its digest, the first 8 or more digits of it, or the name of the detector
    package: Option<String>,
    /// Most entries, newest first, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Continue an earlier page, with the cursor that it printed
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn list(args: &ListArgs, file: &Settings) -> Result<(), Failure> {
    let packages = if args.bundled {
        let runtime = start_runtime(None, file)?;
        let mut packages = Vec::new();
        for bundled in Bundled::all() {
            let package = read_package(bundled.name)?;
            packages.push(
                load(
                    &runtime,
                    schema_of(&runtime, bundled.name, &package)?,
                    bundled.name,
                    &package,
                )?
                .info(),
            );
        }
        packages
    } else {
        Client::new(&args.client, file)?.get::<Vec<DetectorInfo>>("/detectors")?
    };
    let mut out = for_people();
    if args.json {
        print_json(&mut out, &packages)?;
    } else {
        let header = [
            "STAGE", "NAME", "VERSION", "DIGEST", "GEN", "SHARE", "SCORED", "FAILED", "NS/ROW", "SINCE",
        ];
        let rows: Vec<_> = packages.iter().map(row).collect();
        table(&mut out, header, &[4, 5, 6, 7, 8], &rows)?;
    }
    Ok(out.flush()?)
}

fn row(info: &DetectorInfo) -> [String; 10] {
    let dash = || "-".to_owned();
    let stage = info.stage.name();
    [
        info.under_way
            .map_or_else(|| stage.to_owned(), |step| format!("{stage} ({})", step.name())),
        info.detector.name.clone(),
        info.detector.version.clone(),
        short(&info.detector.digest).to_owned(),
        Some(info.detector.generation)
            .filter(|generation| *generation > 0)
            .map_or_else(dash, |generation| generation.to_string()),
        info.share
            .map_or_else(dash, |share| format!("{} %", share * 100.0)),
        info.scored.to_string(),
        info.failed.to_string(),
        info.nanoseconds_per_row
            .map_or_else(dash, |nanoseconds| format!("{nanoseconds:.0}")),
        if info.since > 0 {
            moment(info.since)
        } else {
            dash()
        },
    ]
}

pub(super) fn history(args: &HistoryArgs, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.client, file)?;
    let package = args.package.as_deref();
    let is_digest = package
        .is_some_and(|package| package.len() >= 8 && package.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let limit = args.limit.to_string();
    let parameters = query(&[
        ("digest", package.filter(|_| is_digest)),
        ("name", package.filter(|_| !is_digest)),
        ("limit", Some(&limit)),
        ("cursor", args.cursor.as_deref()),
    ]);
    let page: Page<HistoryEntry> = client.get(&format!("/detectors/history{parameters}"))?;
    let mut out = for_people();
    if args.json {
        print_json(&mut out, &page)?;
        return Ok(out.flush()?);
    }
    let header = [
        "NO", "WHEN", "BY", "STEP", "NAME", "DIGEST", "STAGE", "GEN", "WHY",
    ];
    let rows: Vec<_> = page.items.iter().map(entry).collect();
    table(&mut out, header, &[0, 7], &rows)?;
    out.flush()?;
    if let Some(next) = page.next {
        say!("there is more: go on with --cursor {next}");
    }
    Ok(())
}

fn entry(entry: &HistoryEntry) -> [String; 9] {
    let stage = match entry.from {
        Some(from) if from != entry.to => format!("{} -> {}", from.name(), entry.to.name()),
        _ => entry.to.name().to_owned(),
    };
    [
        entry.number.to_string(),
        moment(entry.at),
        entry.by.clone(),
        entry.step.name().to_owned(),
        entry.name.clone().unwrap_or_else(|| "-".to_owned()),
        short(&entry.digest).to_owned(),
        stage,
        entry
            .generation
            .map_or_else(|| "-".to_owned(), |generation| generation.to_string()),
        entry.why.clone(),
    ]
}

/// Day and time of day, local, of ms since the epoch.
fn moment(at: i64) -> String {
    Timestamp::from_millisecond(at).map_or_else(
        |_| at.to_string(),
        |time| {
            time.to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}
