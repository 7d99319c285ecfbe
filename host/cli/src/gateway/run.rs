//! `netsage run`: a gateway, until its source has ended or somebody asks it to end.

use std::time::Duration;

use anyhow::anyhow;
use netsage_console::compile_detector::in_child;
use netsage_console::interrupt::interrupted;
use netsage_console::{Failure, progress};
use netsage_gateway::config::{Resolved, Settings};
use netsage_gateway::gateway::Gateway;
use netsage_gateway::opening::{Opened, open_source};
use netsage_gateway::pipeline::{Counters, PipelineError, gap_summary, interface_summary};

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
    settings.runtime = in_child(settings.runtime);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run_and_serve(settings, opened));
    // What still runs is an idle connection or a finished upload.
    runtime.shutdown_timeout(SHUTDOWN_TIME);
    result
}

async fn run_and_serve(settings: Resolved, opened: Opened) -> Result<(), Failure> {
    let mut keep_serving = !settings.exit_when_done;
    let progress = opened.progress.clone();
    let mut gateway = Gateway::start(settings, opened).await?;
    for sentence in gateway.names_nobody_has() {
        eprintln!("netsage: {sentence}");
    }
    eprintln!("serving on http://{}", gateway.address());
    let bar = progress.map(|progress| (progress::reading(&progress, "replaying"), progress));
    let mut interrupted = std::pin::pin!(interrupted());
    let ended = loop {
        tokio::select! {
            ended = gateway.join() => break ended,
            () = &mut interrupted => {
                keep_serving = false;
                gateway.stop();
                break gateway.join().await;
            }
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
    let outcome = ended.map_or(Ok(()), |ended| report(ended, gateway.counters(), keep_serving));
    if keep_serving {
        interrupted.await;
    }
    gateway.shutdown().await;
    outcome
}

/// Says how the source ended.
fn report(
    finished: Result<(), PipelineError>,
    counters: &Counters,
    keep_serving: bool,
) -> Result<(), Failure> {
    let counted = counters.snapshot();
    eprintln!(
        "{} packets ({} not metered), {} flows: {} scored, {} failed, {} dropped, {} above a threshold",
        counted.packets,
        counted.packets_not_metered,
        counted.flows,
        counted.flows_scored,
        counted.flows_failed,
        counted.flows_dropped,
        counted.flows_alerted
    );
    for stats in counters.interfaces() {
        eprintln!("{}", interface_summary(&stats));
    }
    if let Some(gaps) = gap_summary(counted.tcp_gaps, counted.tcp_gap_bytes) {
        eprintln!("{gaps}");
    }
    match finished {
        Ok(()) => {
            if keep_serving {
                eprintln!("the source has ended; serving on until Ctrl-C");
            }
            Ok(())
        }
        Err(error) if keep_serving => {
            eprintln!("netsage: {error}");
            eprintln!("serving on until Ctrl-C");
            Err(anyhow!("the source ended with an error, as said above").into())
        }
        Err(error) => Err(error.into()),
    }
}
