//! A baseline from interfaces.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use netsage_capture::MeterConfig;
use netsage_schema::FlowBatch;
use netsage_sources::{Interfaces, Metered, Source as _};

use super::arm::{self, Arming};
use super::seen::Seen;
use super::spool::Spool;
use super::{Observer, enough, package_path, shown, text};
use crate::pipeline::{interface_health, interface_summary};

/// Longest time between two looks at the clock.
const LOOK: Duration = Duration::from_millis(20);
/// Time between two savings.
const BETWEEN_SAVINGS: Duration = Duration::from_secs(5);

/// Learns until the baseline is `goal` long, trains, and hands on the interfaces, with the flows that were under way or
/// ended meanwhile in their meter, and the paths of the packages. A baseline that is long enough and armed is taken as
/// it is.
///
/// # Errors
/// When an interface fails, the learning is interrupted, there are too few flows, or arming fails.
pub fn learn_and_arm(
    interfaces: Interfaces,
    config: &MeterConfig,
    goal: Duration,
    arming: &Arming,
    spool: &mut Spool,
    observer: &mut dyn Observer,
) -> anyhow::Result<(Metered<Interfaces>, Vec<String>)> {
    let mut source = interfaces.metered(config);
    for sentence in spool.told() {
        observer.tell(&sentence);
    }
    if spool.learned() < goal {
        spool.disarm();
        learn(&mut source, goal, spool, observer)?;
    }
    let packages = if arming
        .methods
        .iter()
        .all(|training| spool.is_armed(training.method(), &package_path(spool, training)))
    {
        observer.tell(&format!(
            "the baseline of {} is complete: armed without learning; --afresh begins again",
            spool.source()
        ));
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
        train(&mut source, arming, spool, observer)?
    };
    Ok((source, packages))
}

fn learn(
    source: &mut Metered<Interfaces>,
    goal: Duration,
    spool: &mut Spool,
    observer: &mut dyn Observer,
) -> anyhow::Result<()> {
    if spool.flows() > 0 {
        observer.tell(&format!(
            "going on with the baseline in {}: {} flows in {}",
            spool.folder().display(),
            spool.flows(),
            shown(spool.learned())
        ));
    }
    observer.tell(&format!(
        "learning what is normal on {} for {}; Ctrl-C keeps what there is",
        spool.source(),
        shown(goal.saturating_sub(spool.learned()))
    ));
    let mut batch = FlowBatch::new(spool.schema());
    let mut seen = Seen::new(spool.schema());
    let begin = Instant::now();
    let before = spool.learned();
    let (mut counted, mut saved) = (begin, begin);
    while spool.learned() < goal {
        source.read(&mut batch)?;
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
            observer.learned(done, goal, &format!("{} flows, {}", spool.flows(), seen.shown()));
        }
        if observer.interrupted() {
            spool.save()?;
            return Err(anyhow!(
                "the baseline was interrupted: {} flows in {} are kept; the same command goes on",
                spool.flows(),
                shown(spool.learned())
            ));
        }
    }
    spool.save()?;
    observer.tell(&format!(
        "learned from {} flows in {}: {}",
        spool.flows(),
        shown(spool.learned()),
        seen.shown()
    ));
    for interface in source.interfaces() {
        observer.tell(&interface_summary(&interface_health(interface)));
    }
    Ok(())
}

/// Trains, and goes on metering meanwhile: what ends waits in the meter to be scored.
fn train(
    source: &mut Metered<Interfaces>,
    arming: &Arming,
    spool: &mut Spool,
    observer: &mut dyn Observer,
) -> anyhow::Result<Vec<String>> {
    let packages = thread::scope(|scope| {
        let arming = scope.spawn(|| arm::arm(arming, spool, &mut *observer));
        while !arming.is_finished() {
            source.take_in();
        }
        arming
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let early = source.metered().evicted_flows();
    if early > 0 {
        observer.tell(&format!(
            "{early} flows ended early for want of memory while learning and training; give more with --flow-memory"
        ));
    }
    Ok(packages)
}
