//! `netsage baseline`: learns what is normal here, then arms and goes on as `netsage run`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netsage_console::compile_detector::in_child;
use netsage_console::say;
use netsage_console::training::TrainingProgress;
use netsage_console::{Failure, interrupt, progress};
use netsage_gateway::baseline::{Arming, Observer, Spool, arm, folder, learn_from_capture, shown};
use netsage_gateway::config::{Resolved, Settings, Source, Time};
use netsage_models::{Flows, Trained, Training};
use netsage_schema::{FLOW_V1, RECORD_V1};
use netsage_sources::Progress;

/// Methods that are trained by default: one judges what flows are like, the other when they come.
const DEFAULT_METHODS: [&str; 2] = ["iforest", "rhythm"];
/// False alerts a day that a threshold allows by default; repeats are grouped, so people see fewer.
const ALERTS_PER_DAY: f64 = 5.0;
/// How long interfaces are learned from by default.
#[cfg(feature = "live")]
const DAY: Duration = Duration::from_secs(86_400);
/// Time between two lines where there is no terminal for a bar.
const BETWEEN_LINES: Duration = Duration::from_secs(600);
/// How to return to the former detectors.
const UNDO: &str = "the former detectors are kept: `netsage detector rollback NAME` makes the previous one of that name active again, `netsage detector list` shows all of them";

/// Learns what is normal on this network, then arms: trains detectors on the traffic it has seen and goes on as
/// `netsage run` with them.
///
/// What is seen in the meantime is taken for ordinary, so begin when the network is quiet and healthy. The baseline
/// lies in the data folder; when it is interrupted the same command goes on with it, and when it is complete the same
/// command starts armed. From a file of packets or records it writes the packages and says how to use them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  netsage baseline --interface eth0 --for 24h\n  netsage baseline --interface eth0 --for 7d --detector iforest,half-space-trees --user netsage\n  netsage baseline --pcap monday.pcap --for 8h\n  netsage baseline --records conn.log.gz\n\nEvery setting of `netsage run` can be given too; it holds once the detectors are armed."
)]
pub(crate) struct BaselineArgs {
    /// How long to learn; of a file, its beginning [default: 24h, and all of a file]
    #[arg(long = "for", value_name = "TIME", help_heading = "Baseline")]
    time: Option<Time>,
    /// Begin again; the former baseline of this source is kept beside the new one until the next time
    #[arg(long, help_heading = "Baseline")]
    afresh: bool,
    /// Alerts a day on ordinary flows that each threshold allows. Less than ten minutes of learning do not tell how
    /// many flows a day has; the threshold is then the 0.999 quantile of held-out scores
    #[arg(
        long,
        value_name = "N",
        default_value_t = ALERTS_PER_DAY,
        value_parser = parse_alerts,
        conflicts_with = "threshold_quantile",
        help_heading = "Baseline"
    )]
    alerts_per_day: f64,
    /// Take this quantile of held-out ordinary scores for the threshold instead
    #[arg(long, value_name = "QUANTILE", help_heading = "Baseline")]
    threshold_quantile: Option<f64>,
    /// Seed of every random choice of the training
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Baseline")]
    seed: u64,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

pub(super) fn run(mut args: BaselineArgs, file: Settings) -> Result<(), Failure> {
    let methods = methods(args.settings.detector.take())?;
    let mut settings = args.settings.or(file);
    // What the file names would score beside the new ones, maybe rows of another schema.
    settings.detector = None;
    let (schema, traffic) = match settings.records {
        Some(_) => (RECORD_V1.id, "--records FILE"),
        None => (FLOW_V1.id, "--interface IF"),
    };
    settings.schema.get_or_insert_with(|| schema.to_owned());
    let resolved = Resolved::new(settings)?;
    // Before the learning, which takes hours or days.
    for method in &methods {
        method.check(resolved.meter.schema).map_err(|error| {
            Failure::Usage(format!(
                "--detector {} cannot learn from rows of schema {}: {error}; leave it out, or name another schema",
                method.method(),
                resolved.meter.schema.id
            ))
        })?;
    }
    let arming = Arming {
        methods,
        threshold_quantile: args.threshold_quantile,
        alerts_per_day: args.alerts_per_day,
        seed: args.seed,
        alert_window: resolved.store_options.alert_window,
        alert_limits: resolved.store_options.alert_limits,
        runtime: in_child(resolved.runtime.clone()),
    };
    match &resolved.source {
        Source::None => Err(Failure::Usage(
            "name what to learn from: --interface IF, --pcap FILE, or --records FILE".to_owned(),
        )),
        Source::Records(named) if named.len() > 1 => Err(Failure::Usage(
            "give one file of records to learn from; `cat` joins logs".to_owned(),
        )),
        Source::Replay(_) | Source::Records(_) => {
            let path = match &resolved.source {
                Source::Replay(path) => path.as_path(),
                Source::Records(named) => Path::new(named.first().map_or("-", String::as_str)),
                _ => Path::new("-"),
            };
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            let folder = folder(&resolved.data_dir, &name);
            let mut spool = Spool::anew(&folder, resolved.meter.schema, &name)?;
            let mut terminal = Terminal::new()?;
            let most = args.time.map(|time| time.0);
            let (meter, records) = (&resolved.meter, &resolved.records);
            learn_from_capture(path, meter, records, most, &mut spool, &mut terminal)?;
            let packages = arm(&arming, &mut spool, &mut terminal)?;
            tell_usage(&packages, traffic, resolved.meter.schema.id);
            Ok(())
        }
        #[cfg(feature = "kafka")]
        Source::Kafka(_) => Err(Failure::Usage(
            "a baseline is not learned from a topic; learn from a capture with --pcap, or from --records"
                .to_owned(),
        )),
        #[cfg(target_os = "linux")]
        Source::Netflow(_) => Err(Failure::Usage(
            "a baseline is not learned from exporters; learn from a capture with --pcap, or from --records"
                .to_owned(),
        )),
        #[cfg(feature = "live")]
        Source::Interfaces(source) => {
            use netsage_gateway::baseline::learn_and_arm;
            use netsage_gateway::opening::{Opened, open_interfaces};
            use netsage_lifecycle::TrustPolicy;

            if !matches!(resolved.lifecycle.trust, TrustPolicy::Any) {
                return Err(Failure::Usage(
                    "`--trust` refuses unsigned packages, and a baseline makes its packages unsigned; learn from a capture with --pcap, sign the packages, and give them to `netsage run`"
                        .to_owned(),
                ));
            }
            let name = source.names.join(",");
            let source_name = source.names.join(", ");
            let goal = args.time.map_or(DAY, |time| time.0);
            let user = resolved.user.as_deref();
            let interfaces = open_interfaces(source, user, netsage_console::capturing)?;
            let folder = folder(&resolved.data_dir, &name);
            let mut spool = if args.afresh {
                Spool::anew(&folder, resolved.meter.schema, &name)?
            } else {
                Spool::resume(&folder, resolved.meter.schema, &name)?
            };
            let mut terminal = Terminal::new()?;
            let (source, packages) = learn_and_arm(
                interfaces,
                &resolved.meter,
                goal,
                &arming,
                &mut spool,
                &mut terminal,
            )?;
            let opened = Opened {
                sources: vec![Box::new(source)],
                name: source_name,
                progress: None,
                inbox: None,
                senders: Default::default(),
            };
            drop(spool);
            say!("armed; going on as `netsage run`; {UNDO}");
            let mut resolved = resolved;
            resolved.detectors = packages;
            super::run::serve(resolved, opened)
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
                    "`{name}` is no method that this program trains; it trains {}",
                    Training::METHODS.join(", ")
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

fn tell_usage(packages: &[String], traffic: &str, schema: &str) {
    let named: Vec<String> = packages
        .iter()
        .map(|package| format!("--detector {package}"))
        .collect();
    say!(
        "arm them with: netsage run {traffic} --schema {schema} {}\n{UNDO}",
        named.join(" ")
    );
}

/// Shows a baseline on standard error, with a bar where that is a terminal; Ctrl-C interrupts it.
struct Terminal {
    interrupted: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    training: Option<TrainingProgress>,
    last_line: Instant,
}

impl Terminal {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupted: interrupt::flag()?,
            bar: None,
            training: None,
            last_line: Instant::now(),
        })
    }

    fn remove_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Terminal {
    fn tell(&mut self, sentence: &str) {
        self.remove_bar();
        say!("{sentence}");
    }

    fn learned(&mut self, learned: Duration, goal: Duration, seen: &str) {
        let bar = self.bar.get_or_insert_with(|| learning_bar(goal));
        bar.set_position(learned.as_secs());
        bar.set_message(seen.to_owned());
        if bar.is_hidden() && self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            say!("{} left: {seen}", shown(goal.saturating_sub(learned)));
        }
    }

    fn read(&mut self, progress: &Progress) {
        let bar = self
            .bar
            .get_or_insert_with(|| progress::reading(progress, "learning"));
        bar.set_position(progress.read());
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    fn train(&mut self, training: &Training, flows: Flows<'_>, path: &Path) -> anyhow::Result<Trained> {
        self.remove_bar();
        let progress = TrainingProgress::start(path, training, flows.rows)?;
        Ok(training.run(flows, self.training.insert(progress))?)
    }

    fn packed(&mut self) {
        if let Some(progress) = self.training.take() {
            progress.finish();
        }
    }
}

fn learning_bar(goal: Duration) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(goal.as_secs()), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("learning {wide_bar} {eta} left\n{msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
