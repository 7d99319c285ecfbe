//! `netsage baseline`: learns what is normal here, then arms.
//!
//! [`spool`] keeps the flows of the baseline on the disk, so that an interrupted one goes on; [`live`] fills it from
//! interfaces and [`capture`] from a file; [`arm`] trains on it and says what the new detectors would have raised.

mod arm;
mod capture;
#[cfg(feature = "live")]
mod live;
mod seen;
mod spool;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use netsage_console::Failure;
use netsage_gateway::config::{Resolved, Settings, Source, Time};
use netsage_lifecycle::TrustPolicy;
use netsage_models::Training;
use netsage_schema::FLOW_V1;
use netsage_store::StoreOptions;

use crate::run;
use arm::Arming;
use spool::Spool;

/// What is trained when nothing is named: one that looks at what flows are, and one that looks at when they come.
const DEFAULT_METHODS: [&str; 2] = ["iforest", "rhythm"];
/// False alerts that nobody minds; repeats are grouped, so people see fewer.
const ALERTS_PER_DAY: f64 = 5.0;
/// How to undo it.
const UNDO: &str = "the former detectors stay: `netsage detector rollback NAME` makes that of the same name active again, `netsage detector list` shows the others";
/// Fewer flows say nothing about what is normal.
const FEWEST_FLOWS: u64 = 200;

/// Learns what is normal on this network, then arms: trains detectors on the traffic it has seen and goes on as
/// `netsage run` with them.
///
/// What is seen in the meantime is taken for ordinary, so begin when the network is quiet and healthy. The baseline
/// lies in the data folder; when it is interrupted the same command goes on with it, and when it is complete the same
/// command starts armed. From a capture file it writes the packages and says how to use them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  netsage baseline --interface eth0 --for 24h\n  netsage baseline --interface eth0 --for 7d --detector iforest,half-space-trees --user netsage\n  netsage baseline --pcap monday.pcap --for 8h\n\nEvery setting of `netsage run` can be given too; it holds once the detectors are armed."
)]
pub(super) struct BaselineArgs {
    /// How long to learn; of a capture file, its beginning [default: 24h, and all of a capture file]
    #[arg(long = "for", value_name = "TIME", help_heading = "Baseline")]
    time: Option<Time>,
    /// Begin again; the former baseline of this source is kept beside the new one until the next time
    #[arg(long, help_heading = "Baseline")]
    afresh: bool,
    /// Ordinary flows a day that each detector may alert; a baseline of less than ten minutes does not tell how many a
    /// day has, and takes the 0.999 quantile of held-out scores
    #[arg(
        long,
        value_name = "N",
        default_value_t = ALERTS_PER_DAY,
        value_parser = parse_alerts,
        conflicts_with = "threshold_quantile",
        help_heading = "Baseline"
    )]
    alerts_per_day: f64,
    /// Quantile of held-out ordinary scores that becomes the threshold instead
    #[arg(long, value_name = "QUANTILE", help_heading = "Baseline")]
    threshold_quantile: Option<f64>,
    /// Seed of every random choice of the training
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Baseline")]
    seed: u64,
    #[command(flatten)]
    pub(super) settings: Settings,
}

pub(super) fn run(mut args: BaselineArgs, file: Settings) -> Result<(), Failure> {
    let methods = methods(args.settings.detector.take())?;
    let mut settings = args.settings.or(file.clone());
    // What the file names would score beside the new ones, maybe rows of another schema.
    settings.detector = None;
    settings.schema.get_or_insert_with(|| FLOW_V1.id.to_owned());
    let resolved = Resolved::new(settings)?;
    let arming = Arming {
        methods,
        threshold_quantile: args.threshold_quantile,
        alerts_per_day: args.alerts_per_day,
        seed: args.seed,
        alert_window: StoreOptions::default().alert_window,
        file,
    };
    let folder = |source: &str| resolved.data_dir.join("baseline").join(in_a_file_name(source));
    match &resolved.source {
        Source::None => Err(Failure::Usage(
            "name what to learn from: --interface IF, or --pcap FILE".to_owned(),
        )),
        Source::Replay(path) => {
            let name = netsage_workbench::train::file_name(path);
            let mut spool = Spool::anew(&folder(&name), resolved.meter.schema, &name)?;
            capture::learn(path, &resolved.meter, args.time.map(|time| time.0), &mut spool)?;
            let packages = arm::arm(&arming, &mut spool)?;
            tell_usage(&packages, resolved.meter.schema.id);
            Ok(())
        }
        #[cfg(not(feature = "live"))]
        Source::Live(_) => Err(netsage_console::without_live_capture()),
        #[cfg(feature = "live")]
        Source::Live(source) => {
            if !matches!(resolved.lifecycle.trust, TrustPolicy::Any) {
                return Err(Failure::Usage(
                    "`--trust` takes no package that nobody signed, and a baseline's are made here; learn from a capture with --pcap, sign the packages, and give them to `netsage run`"
                        .to_owned(),
                ));
            }
            let name = source.interfaces.join(",");
            let goal = args.time.map_or(live::DAY, |time| time.0);
            let opened = run::open_source(&resolved)?;
            let folder = folder(&name);
            let mut spool = if args.afresh {
                Spool::anew(&folder, resolved.meter.schema, &name)?
            } else {
                Spool::resume(&folder, resolved.meter.schema, &name)?
            };
            let (opened, packages) = live::learn_and_arm(opened, &resolved.meter, goal, &arming, &mut spool)?;
            drop(spool);
            let mut resolved = resolved;
            resolved.detectors = packages;
            run::serve(resolved, opened)
        }
    }
}

/// The trainings that are named.
fn methods(named: Option<Vec<String>>) -> Result<Vec<Training>, Failure> {
    let mut names = named.unwrap_or_else(|| DEFAULT_METHODS.map(str::to_owned).to_vec());
    names.dedup();
    names
        .iter()
        .map(|name| {
            let mut training = Training::by_method(name).ok_or_else(|| {
                Failure::Usage(format!(
                    "`{name}` is no method of training; `netsage train --help` lists those that there are"
                ))
            })?;
            // On a network of one's own, what repeats is ordinary because it repeats.
            if let Training::Iforest(options) = &mut training {
                options.remove_duplicates = false;
            }
            Ok(training)
        })
        .collect()
}

fn parse_alerts(text: &str) -> Result<f64, String> {
    let alerts = text.parse().ok().filter(|alerts| (1e-6..=1e9).contains(alerts));
    alerts.ok_or_else(|| "give alerts per day, 0.000001 to 1,000,000,000".to_owned())
}

/// Whether so many flows are enough.
fn enough(flows: u64, advice: &str) -> Result<(), Failure> {
    if flows >= FEWEST_FLOWS {
        return Ok(());
    }
    Err(anyhow!("the baseline has {flows} flows, and at least {FEWEST_FLOWS} are needed; {advice}").into())
}

/// A name with what a file name cannot have, or should not, replaced.
fn in_a_file_name(name: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = name
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '_' })
        .collect();
    // Neither `.` nor `..` nor a hidden file.
    format!("of-{name}")
}

fn tell_usage(packages: &[String], schema: &str) {
    let named: Vec<String> = packages
        .iter()
        .map(|package| format!("--detector {package}"))
        .collect();
    eprintln!(
        "arm them with: netsage run --interface IF --schema {schema} {}\n{UNDO}",
        named.join(" ")
    );
}

/// A time for people, in its two largest units.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A path as settings name it.
fn text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::Usage(format!(
            "the data folder {} is not UTF-8; name another with --data-dir",
            path.display()
        ))
    })
}

/// Where the package of a method lies.
fn package_path(spool: &Spool, training: &Training) -> PathBuf {
    spool.folder().join(format!("{}.wasm", training.method()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(shown(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn names_of_sources_stay_in_their_folder() {
        for (name, expected) in [
            ("eth0", "of-eth0"),
            ("..", "of-.."),
            ("../a b", "of-.._a_b"),
            ("eth0,eth1", "of-eth0_eth1"),
        ] {
            assert_eq!(in_a_file_name(name), expected);
        }
    }
}
