//! `netsage run`: the pipeline, the store, the API and the dashboard.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use netsage_api_types::LiveEvent;
use netsage_console::compile_detector::in_child;
use netsage_console::interrupt::interrupted;
use netsage_console::{Failure, progress};
use netsage_gateway::api::{self, Service};
use netsage_gateway::assets::{self, Bundled};
use netsage_gateway::catalog::{bundled_package, named_package, schema_of};
use netsage_gateway::config::{Resolved, Settings, Source, names_nobody_has};
use netsage_gateway::evidence::Evidence;
use netsage_gateway::pipeline::{Counters, OpenSource, Pipeline, PipelineConfig, PipelineError};
use netsage_gateway::privileges::{become_user, give_up_capabilities};
use netsage_gateway::traffic;
use netsage_lifecycle::{Lifecycle, LifecycleConfig, NewPackage, Start};
use netsage_package::Package;
use netsage_runtime::Runtime;
use netsage_sources::{Progress, open_capture};
use netsage_store::Store;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot};

/// How often the store is asked how many flows a day has, as long as a threshold waits for it.
const RATE_INTERVAL: Duration = Duration::from_secs(60);
/// Live updates kept for a client that reads slowly.
const EVENT_BUFFER: usize = 1024;
/// How long open connections may take to end.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);

/// Scores traffic as it comes, keeps what is found, serves API and dashboard.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage run --pcap capture.pcap\n  netsage run --interface eth0 --user netsage --store mongodb://localhost/netsage\n\nAfter a replay the program serves on until Ctrl-C; with --exit-when-done it ends."
)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) settings: Settings,
}

pub(super) fn run(settings: Settings) -> Result<(), Failure> {
    let resolved = Resolved::new(settings)?;
    // Before there is any other thread: capabilities belong to threads, and these shall have none.
    let opened = open_source(&resolved)?;
    serve(resolved, opened)
}

/// Scores what comes from an opened source, and serves, until it is told to end.
pub(super) fn serve(resolved: Resolved, opened: Opened) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run_and_serve(resolved, opened));
    // What still runs is an idle connection or a finished upload.
    runtime.shutdown_timeout(SHUTDOWN_TIME);
    result
}

async fn run_and_serve(resolved: Resolved, opened: Opened) -> Result<(), Failure> {
    let listener = bind(resolved.listen).await?;
    let listen = listener.local_addr()?;
    std::fs::create_dir_all(&resolved.data_dir).map_err(|error| {
        anyhow!(
            "cannot make the data folder {}: {error}; name another with --data-dir",
            resolved.data_dir.display()
        )
    })?;
    let store = netsage_store::open_with(&resolved.store, &resolved.store_options).await?;
    // A thing nobody knows yet is no reason not to start.
    let flows_per_day = traffic::flows_per_day(&*store).await.unwrap_or_default();
    let lifecycle = start_detectors(&resolved, flows_per_day).await?;
    warn_of_unknown_names(&resolved, &lifecycle);
    let (events, _) = broadcast::channel::<LiveEvent>(EVENT_BUFFER);
    let counters = Arc::new(Counters::default());

    let evidence = resolved
        .keep_packets
        .map(|bytes| Arc::new(Evidence::new(bytes, resolved.meter.decapsulate)));
    let service = Service {
        evidence: evidence.clone(),
        lifecycle: Arc::clone(&lifecycle),
        rollout: resolved.lifecycle.rollout.until,
        store: Arc::clone(&store),
        counters: Arc::clone(&counters),
        events: events.clone(),
        source: opened.name,
        token: resolved.token.clone(),
        listen,
        upload_limit: resolved.upload_limit,
    };
    let (stop_server, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        axum::serve(listener, api::router(service))
            .with_graceful_shutdown(async {
                let _ = stopped.await;
            })
            .await
    });
    eprintln!("serving on http://{listen}");
    let ticker = tokio::spawn(tell_counters(Arc::clone(&counters), events.clone()));
    let rates = tokio::spawn(tell_flows_per_day(Arc::clone(&lifecycle), Arc::clone(&store)));
    let teller = tokio::spawn(tell_changes(lifecycle.changed(), events.clone()));

    let mut interrupted = std::pin::pin!(interrupted());
    let mut outcome = Ok(());
    let mut keep_serving = !resolved.exit_when_done;
    if let Some(source) = opened.source {
        let config = PipelineConfig {
            workers: resolved.workers,
            queue_blocks: resolved.queue_blocks,
            meter: resolved.meter.clone(),
            evidence,
        };
        let handle = tokio::runtime::Handle::current();
        let pipeline = Pipeline::start(
            config,
            source,
            lifecycle.roster(),
            store,
            &counters,
            events,
            handle,
        )?;
        let stop = pipeline.stopper();
        let mut ended = tokio::task::spawn_blocking(move || pipeline.join());
        let bar = opened
            .progress
            .as_ref()
            .map(|progress| progress::reading(progress, "replaying"));
        let finished = loop {
            tokio::select! {
                result = &mut ended => break result?,
                () = &mut interrupted => {
                    keep_serving = false;
                    stop.stop();
                    break (&mut ended).await?;
                }
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    if let (Some(bar), Some(progress)) = (&bar, &opened.progress) {
                        bar.set_position(progress.read());
                    }
                }
            }
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        outcome = report(finished, &counters, keep_serving);
    }
    if keep_serving {
        interrupted.await;
    }
    ticker.abort();
    rates.abort();
    teller.abort();
    let ending = Arc::clone(&lifecycle);
    tokio::task::spawn_blocking(move || ending.shutdown()).await?;
    let _ = stop_server.send(());
    // Streams of live updates never end by themselves.
    let _ = tokio::time::timeout(SHUTDOWN_TIME, server).await;
    outcome
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program has this port; name another address with `--listen`, e.g. --listen 127.0.0.1:8081"
            }
            _ => "name an address of this machine with `--listen`",
        };
        Failure::Failed(anyhow!("cannot listen on {listen}: {error}; {advice}"))
    })
}

/// Restores the detectors of the data folder, and takes those that the settings name.
async fn start_detectors(resolved: &Resolved, flows_per_day: Option<f64>) -> Result<Arc<Lifecycle>, Failure> {
    let runtime = in_child(resolved.runtime.clone());
    let config = LifecycleConfig {
        flows_per_day,
        ..resolved.lifecycle.clone()
    };
    let (names, schema) = (resolved.detectors.clone(), resolved.meter.schema);
    let starting = tokio::task::spawn_blocking(move || {
        let named: Vec<NewPackage> = names
            .iter()
            .map(|name| named_package(name))
            .collect::<Result<_, _>>()?;
        let default_names = assets::defaults(schema);
        let defaults: Vec<NewPackage> = default_names
            .iter()
            .filter_map(|name| Bundled::by_name(name).map(bundled_package))
            .collect();
        let is_of_schema = |bundled: &&Bundled| {
            Package::from_bytes(bundled.bytes()).is_ok_and(|package| schema_of(&package) == schema)
        };
        let available = Bundled::all()
            .iter()
            .filter(is_of_schema)
            .map(bundled_package)
            .collect();
        let lifecycle = Lifecycle::open(config, Runtime::new(runtime)?, schema)?;
        if named.is_empty() && defaults.is_empty() && lifecycle.active().is_empty() {
            // Names what there is, or how to get it.
            default_names
                .iter()
                .try_for_each(|name| named_package(name).map(drop))?;
        }
        lifecycle.begin(Start {
            named,
            defaults,
            available,
        })?;
        Ok::<_, Failure>(lifecycle)
    });
    starting.await?
}

/// A setting for a name that nobody has does nothing, which its author should know.
fn warn_of_unknown_names(resolved: &Resolved, lifecycle: &Lifecycle) {
    let list = lifecycle.list();
    let known: Vec<&str> = list
        .iter()
        .map(|info| info.detector.name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    for sentence in names_nobody_has(&resolved.lifecycle, &known) {
        eprintln!("netsage: {sentence}");
    }
}

/// Tells who watches that detectors have changed.
async fn tell_changes(changed: crossbeam_channel::Receiver<()>, events: broadcast::Sender<LiveEvent>) {
    let _ = tokio::task::spawn_blocking(move || {
        for () in changed {
            let _ = events.send(LiveEvent::Detectors);
        }
    })
    .await;
}

/// Tells thresholds by alerts per day how many flows a day has, as soon as there is enough traffic to say so.
async fn tell_flows_per_day(lifecycle: Arc<Lifecycle>, store: Arc<dyn Store>) {
    while lifecycle.wants_flows_per_day() {
        tokio::time::sleep(RATE_INTERVAL).await;
        match traffic::flows_per_day(&*store).await {
            Ok(Some(flows)) => {
                let lifecycle = Arc::clone(&lifecycle);
                // It waits for whoever moves a package just now.
                let told = tokio::task::spawn_blocking(move || lifecycle.know_flows_per_day(flows)).await;
                if let Err(error) = told {
                    tracing::warn!(%error, "thresholds by alerts a day do not know how many flows a day has");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the store does not say how many flows a day has"),
        }
    }
}

/// A source that is open, when there is one.
pub(super) struct Opened {
    source: Option<OpenSource>,
    name: String,
    progress: Option<Progress>,
}

impl Opened {
    /// Takes the source out, to use it before the run does.
    #[cfg(feature = "live")]
    pub(super) fn take(&mut self) -> Option<OpenSource> {
        self.source.take()
    }

    /// With this source in place of its own.
    #[cfg(feature = "live")]
    pub(super) fn with(self, source: OpenSource) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }
}

/// Opens the source, and gives up privileges once that is done.
pub(super) fn open_source(resolved: &Resolved) -> Result<Opened, Failure> {
    let user = resolved.user.as_deref();
    let opened = match &resolved.source {
        #[cfg(feature = "live")]
        Source::Live(source) => {
            let capture = netsage_console::live::start(source, user)?;
            return Ok(Opened {
                source: Some(OpenSource::Live(capture)),
                name: source.interfaces.join(", "),
                progress: None,
            });
        }
        #[cfg(not(feature = "live"))]
        Source::Live(_) => return Err(netsage_console::without_live_capture()),
        Source::None => Opened {
            source: None,
            name: "none".to_owned(),
            progress: None,
        },
        Source::Replay(file) => {
            let capture = open_capture(file)?;
            let name = file
                .file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy()
                .into_owned();
            let progress = capture.progress();
            Opened {
                source: Some(OpenSource::Replay(capture)),
                name,
                progress: Some(progress),
            }
        }
    };
    if let Some(user) = user {
        become_user(user)?;
    }
    give_up_capabilities()?;
    Ok(opened)
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
    #[cfg(feature = "live")]
    {
        for stats in counters.interfaces() {
            eprintln!("{}", netsage_console::live::summary(&stats));
        }
        if let Some(gaps) = netsage_console::live::gaps(counted.tcp_gaps, counted.tcp_gap_bytes) {
            eprintln!("{gaps}");
        }
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

async fn tell_counters(counters: Arc<Counters>, events: broadcast::Sender<LiveEvent>) {
    let mut last = None;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = counters.snapshot();
        if last != Some(now) {
            // No receiver is no error: nobody is watching.
            let _ = events.send(LiveEvent::Counters(now));
            last = Some(now);
        }
    }
}
