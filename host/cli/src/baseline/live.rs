//! A baseline from interfaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netsage_capture::live::LiveCapture;
use netsage_capture::{Meter, MeterConfig, Mode};
use netsage_console::{Failure, interrupt};
use netsage_gateway::pipeline::{OpenSource, interface_health};
use netsage_schema::FlowBatch;

use super::arm::{self, Arming};
use super::seen::Seen;
use super::spool::Spool;
use super::{UNDO, enough, package_path, shown, text};
use crate::run::Opened;

/// How long is learned when nothing is said.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// Longest time between two looks at the clock.
const LOOK: Duration = Duration::from_millis(20);
/// Time between two savings.
const BETWEEN_SAVINGS: Duration = Duration::from_secs(5);
/// Time between two lines where there is no terminal for a bar.
const BETWEEN_LINES: Duration = Duration::from_secs(600);

/// A live capture and its meter, on their way from learning to scoring.
struct Wire {
    capture: LiveCapture,
    meter: Meter,
    stop: Arc<AtomicBool>,
}

/// Learns until the baseline is `goal` long, trains, and gives the source on, with the flows that were under way or
/// ended meanwhile in its meter, and the packages.
pub(super) fn learn_and_arm(
    mut opened: Opened,
    config: &MeterConfig,
    goal: Duration,
    arming: &Arming,
    spool: &mut Spool,
) -> Result<(Opened, Vec<String>), Failure> {
    let Some(OpenSource::Live(capture)) = opened.take() else {
        return Err(anyhow!("the source is no interface").into());
    };
    let mut wire = Wire {
        capture,
        meter: Meter::new(MeterConfig {
            mode: Mode::Live,
            ..config.clone()
        }),
        stop: interrupt::flag()?,
    };
    if spool.learned() < goal {
        spool.disarm();
        wire.learn(goal, spool)?;
    }
    let packages = if arming
        .methods
        .iter()
        .all(|training| spool.is_armed(training.method()) && package_path(spool, training).is_file())
    {
        eprintln!(
            "the baseline of {} is complete: armed without learning; --afresh begins again",
            spool.source()
        );
        let paths = arming
            .methods
            .iter()
            .map(|training| package_path(spool, training));
        paths.map(|path| text(&path)).collect::<Result<_, _>>()?
    } else {
        enough(
            spool.flows(),
            "run the same command with a longer --for: it goes on with what it has",
        )?;
        wire.arm(arming, spool)?
    };
    eprintln!("armed; going on as `netsage run`; {UNDO}");
    let source = OpenSource::Metered(Box::new((wire.capture, wire.meter)));
    Ok((opened.with(source), packages))
}

impl Wire {
    /// Takes what has come.
    fn receive(&mut self) -> Result<(), Failure> {
        let meter = &mut self.meter;
        self.capture.receive(LOOK, |packet| meter.packet(packet))?;
        if let Some(time_ns) = self.capture.time_ns() {
            meter.advance(time_ns);
        }
        Ok(())
    }

    fn learn(&mut self, goal: Duration, spool: &mut Spool) -> Result<(), Failure> {
        if spool.flows() > 0 {
            eprintln!(
                "going on with the baseline in {}: {} flows in {}",
                spool.folder().display(),
                spool.flows(),
                shown(spool.learned())
            );
        }
        eprintln!(
            "learning what is normal on {} for {}; Ctrl-C keeps what there is",
            spool.source(),
            shown(goal.saturating_sub(spool.learned()))
        );
        let bar = bar(goal);
        let mut batch = FlowBatch::new(spool.schema());
        let mut seen = Seen::new(spool.schema());
        let begin = Instant::now();
        let before = spool.learned();
        let (mut counted, mut saved, mut told) = (begin, begin, begin);
        while spool.learned() < goal {
            self.receive()?;
            self.meter.drain(&mut batch);
            if !batch.is_empty() {
                seen.add(&batch);
                spool.push(&batch)?;
                batch.clear();
            }
            let now = Instant::now();
            // Whole milliseconds are counted; the rest stays for the next time.
            if now - counted >= LOOK {
                spool.add_time(now - counted);
                counted = now;
            }
            if now - saved >= BETWEEN_SAVINGS {
                saved = now;
                spool.save()?;
                let done = (before + (now - begin)).min(goal);
                bar.set_position(done.as_secs());
                bar.set_message(format!("{} flows, {}", spool.flows(), seen.shown()));
                if bar.is_hidden() && now - told >= BETWEEN_LINES {
                    told = now;
                    let left = shown(goal.saturating_sub(done));
                    eprintln!("{left} left: {} flows, {}", spool.flows(), seen.shown());
                }
            }
            if self.stop.load(Ordering::Acquire) {
                bar.finish_and_clear();
                spool.save()?;
                return Err(anyhow!(
                    "the baseline was interrupted: {} flows in {} are kept; the same command goes on",
                    spool.flows(),
                    shown(spool.learned())
                )
                .into());
            }
        }
        bar.finish_and_clear();
        spool.save()?;
        eprintln!(
            "learned from {} flows in {}: {}",
            spool.flows(),
            shown(spool.learned()),
            seen.shown()
        );
        for interface in self.capture.stats() {
            eprintln!("{}", netsage_console::live::summary(&interface_health(interface)));
        }
        Ok(())
    }

    /// Trains, and goes on metering meanwhile: what ends waits in the meter to be scored.
    fn arm(&mut self, arming: &Arming, spool: &mut Spool) -> Result<Vec<String>, Failure> {
        let packages = thread::scope(|scope| {
            let arming = scope.spawn(|| arm::arm(arming, spool));
            while !arming.is_finished() {
                self.receive()?;
            }
            arming
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let early = self.meter.stats().evicted_flows();
        if early > 0 {
            eprintln!(
                "{early} flows ended early for want of memory while learning and training; give more with --flow-memory"
            );
        }
        Ok(packages)
    }
}

fn bar(goal: Duration) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(goal.as_secs()), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("learning {wide_bar} {eta} left\n{msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
