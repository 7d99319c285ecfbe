//! `netsage run`: a gateway, until its source has ended or somebody asks it to end.

use std::time::Duration;

use anyhow::anyhow;
use netsage_console::compile_detector::in_child;
use netsage_console::interrupt::interrupted;
use netsage_console::{Failure, progress, say};
use netsage_gateway::config::{Resolved, Settings};
use netsage_gateway::descriptors;
use netsage_gateway::gateway::{Gateway, PartEnded};
use netsage_gateway::opening::{Opened, open_source};
use netsage_gateway::pipeline::{Counters, gap_summary, interface_summary};

/// How long connections may stay open after the end.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);
/// Time between two movements of the progress bar.
const BAR_INTERVAL: Duration = Duration::from_millis(200);

/// Scores traffic as it comes, keeps what is found, serves API and dashboard.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage run --pcap capture.pcap\n  netsage run --interface eth0 --user netsage --store mongodb://localhost/netsage\n\nAfter a replay the program serves on until Ctrl-C; with --exit-when-done it ends."
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) settings: Settings,
}

pub(super) fn run(settings: Settings) -> Result<(), Failure> {
    let resolved = Resolved::new(settings)?;
    // Before any other thread starts: capabilities are per thread, and the other threads must have none.
    let opened = open_source(&resolved, netsage_console::capturing)?;
    serve(resolved, opened)
}

/// Scores the flows of an opened source and serves, until a signal ends the program.
pub(super) fn serve(mut settings: Resolved, opened: Opened) -> Result<(), Failure> {
    if let Ok(Some((before, after))) = descriptors::raise() {
        say!("descriptor limit raised from {before} to {after}");
    }
    settings.runtime = in_child(settings.runtime);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run_and_serve(settings, opened));
    // What still runs is an idle connection or a finished upload.
    runtime.shutdown_timeout(SHUTDOWN_TIME);
    result
}

async fn run_and_serve(settings: Resolved, opened: Opened) -> Result<(), Failure> {
    let serves_on = !settings.exit_when_done;
    let progress = opened.progress.clone();
    let is_replay = progress.is_some();
    let mut interrupted = std::pin::pin!(interrupted());
    let mut gateway = tokio::select! {
        started = Gateway::start(settings, opened) => started?,
        () = &mut interrupted => return Err(anyhow!("interrupted before the start was through").into()),
    };
    for sentence in gateway.names_nobody_has() {
        say!("netsage: {sentence}");
    }
    say!("serving on http://{}", gateway.address());
    let bar = progress.map(|progress| (progress::reading(&progress, "replaying"), progress));
    let (ended, is_asked) = loop {
        tokio::select! {
            ended = gateway.ended() => break (ended, false),
            () = &mut interrupted => break (end(&mut gateway).await, true),
            () = tokio::time::sleep(BAR_INTERVAL) => {
                if let Some((bar, progress)) = &bar {
                    bar.set_position(progress.read());
                }
            }
        }
    };
    if let Some((bar, _)) = bar {
        bar.finish_and_clear();
    }
    let is_whole = ended.as_ref().err().is_none_or(PartEnded::is_of_replay);
    if !is_whole {
        // Why is known already. What the other parts still have is stored, if it can be.
        let _ = gateway.end().await;
    }
    report(gateway.counters());
    let serves_on = serves_on && !is_asked && is_whole;
    let mut outcome = if is_replay && !is_asked {
        judged(ended, gateway.counters())
    } else {
        ended.map_err(Failure::from)
    };
    if serves_on {
        match outcome {
            Ok(()) => say!("the source has ended; serving on until Ctrl-C"),
            Err(failure) => {
                failure.exit_code();
                say!("serving on until Ctrl-C");
                outcome = Err(anyhow!("the source ended with an error, as said above").into());
            }
        }
        tokio::select! {
            ended = gateway.ended() => outcome = ended.map_err(Failure::from),
            () = &mut interrupted => {}
        }
    } else if !is_asked && is_whole {
        // A receiver that is slow must not hold up who does not want to wait.
        tokio::select! {
            waiting = gateway.outputs_settled() => waiting.iter().for_each(|sentence| say!("netsage: {sentence}")),
            () = &mut interrupted => {}
        }
    }
    gateway.shutdown().await;
    outcome
}

/// Ends the pipeline. Whoever asks a second time does not wait.
async fn end(gateway: &mut Gateway) -> Result<(), PartEnded> {
    tokio::select! {
        ended = gateway.end() => ended,
        () = interrupted() => Ok(()),
    }
}

/// What the end of a replay means: a file that is damaged, or not all of which could be used, is a failure only when no
/// flow came of it.
fn judged(ended: Result<(), PartEnded>, counters: &Counters) -> Result<(), Failure> {
    let is_empty = counters.snapshot().flows == 0;
    match ended {
        Err(damage) if damage.is_of_replay() && !is_empty => {
            say!("netsage: {damage}");
            Ok(())
        }
        Ok(()) if is_empty && !counters.unused().is_empty() => {
            Err(anyhow!("nothing of the source could be used, as said above").into())
        }
        ended => Ok(ended?),
    }
}

/// Says what was counted.
fn report(counters: &Counters) {
    let counted = counters.snapshot();
    // Of records and tables there are none.
    let packets = match (counted.packets, counted.packets_not_metered) {
        (0, 0) => String::new(),
        (packets, not_metered) => format!("{packets} packets ({not_metered} not metered), "),
    };
    say!(
        "{packets}{} flows: {} scored, {} failed, {} dropped, {} above a threshold",
        counted.flows,
        counted.flows_scored,
        counted.flows_failed,
        counted.flows_dropped,
        counted.flows_alerted
    );
    for sentence in counters.unused() {
        say!("netsage: {sentence}");
    }
    for stats in counters.interfaces() {
        say!("{}", interface_summary(&stats));
    }
    if let Some(gaps) = gap_summary(counted.tcp_gaps, counted.tcp_gap_bytes) {
        say!("{gaps}");
    }
}
