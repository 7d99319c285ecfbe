//! The whole, assembled: store, detectors, API and pipeline, started and stopped together.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use netsage_api_types::StreamEvent;
use netsage_lifecycle::{Lifecycle, LifecycleConfig, LifecycleError, NewPackage, Start};
use netsage_package::Package;
use netsage_runtime::{Runtime, RuntimeError};
use netsage_store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Announcer;
use crate::address_key::{self, KeyError};
use crate::api::{self, Service};
use crate::assets::{self, Bundled};
use crate::catalog::{CatalogError, bundled_package, named_package};
use crate::config::{Resolved, names_nobody_has};
use crate::evidence::Evidence;
use crate::opening::Opened;
use crate::pipeline::{Counters, Pipeline, PipelineConfig, PipelineError, Stopper};
use crate::traffic;

/// How often the store is asked how many flows a day has, as long as a threshold waits for it.
const RATE_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two `counters` events.
const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);
/// How long open connections may take to end.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address of the API is not to be had.
    #[error("cannot listen on {listen}: {source}; {}", advice(source))]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The data folder cannot be made.
    #[error("cannot make the data folder {}: {source}; name another with --data-dir", folder.display())]
    DataFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A package that the settings name cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The key by which detectors are shown addresses cannot be used.
    #[error(transparent)]
    AddressKey(#[from] KeyError),
    /// The runtime of the detectors does not start.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The detectors cannot be restored, or a named one is not taken.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// The pipeline does not start.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A defect of this program.
    #[error(
        "a part of the start ended unexpectedly: {0}; this is a defect of netsage, its log has the message"
    )]
    Panicked(#[from] tokio::task::JoinError),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port; name another address with `--listen`, e.g. --listen 127.0.0.1:8081"
        }
        _ => "name an address of this machine with `--listen`",
    }
}

/// A running gateway: reads its source, scores flows, keeps what is found, serves API and dashboard.
///
/// It runs on the tokio runtime that it is started on, and on threads of its own. A gateway that is dropped without
/// [`shutdown`](Self::shutdown) loses the memory of its detectors since the last save.
pub struct Gateway {
    address: SocketAddr,
    lifecycle: Arc<Lifecycle>,
    counters: Arc<Counters>,
    names_nobody_has: Vec<String>,
    pipeline: Option<Running>,
    tellers: Vec<JoinHandle<()>>,
    stop_server: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

struct Running {
    stopper: Stopper,
    ended: JoinHandle<Result<(), PipelineError>>,
}

impl Gateway {
    /// Starts everything: the API first, so that a port in use costs nothing else, and the pipeline last.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing runs on then.
    pub async fn start(settings: Resolved, opened: Opened) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen {
            listen: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        std::fs::create_dir_all(&settings.data_dir).map_err(|source| StartError::DataFolder {
            folder: settings.data_dir.clone(),
            source,
        })?;
        let address_key = address_key::open(&settings.address_key)?;
        let store = netsage_store::open_with(&settings.store, &settings.store_options).await?;
        // A thing nobody knows yet is no reason not to start.
        let flows_per_day = traffic::flows_per_day(&*store).await.unwrap_or_default();
        let lifecycle = start_detectors(&settings, flows_per_day).await?;
        let events = Announcer::default();
        let counters = Arc::new(Counters::default());
        let evidence = settings
            .keep_packets
            .map(|bytes| Arc::new(Evidence::new(bytes, settings.meter.decapsulate)));
        let service = Service {
            evidence: evidence.clone(),
            lifecycle: Arc::clone(&lifecycle),
            rollout: settings.lifecycle.rollout.until,
            store: Arc::clone(&store),
            counters: Arc::clone(&counters),
            events: events.clone(),
            source: opened.name,
            token: settings.token.clone(),
            listen: address,
            upload_limit: settings.upload_limit,
        };
        let mut sources = opened.sources;
        if let Some(evidence) = evidence {
            for source in &mut sources {
                let evidence = Arc::clone(&evidence);
                source.tap(Box::new(move |packet| evidence.keep(packet)));
            }
        }
        let pipeline = if sources.is_empty() {
            None
        } else {
            let config = PipelineConfig {
                workers: settings.workers,
                queue_blocks: settings.queue_blocks,
                schema: settings.meter.schema,
                address_key,
            };
            let handle = tokio::runtime::Handle::current();
            let pipeline = Pipeline::start(
                &config,
                sources,
                lifecycle.roster(),
                Arc::clone(&store),
                &counters,
                events.clone(),
                handle,
            )?;
            Some(Running {
                stopper: pipeline.stopper(),
                ended: tokio::task::spawn_blocking(move || pipeline.join()),
            })
        };
        let (stop_server, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            axum::serve(listener, api::router(service))
                .with_graceful_shutdown(async {
                    let _ = stopped.await;
                })
                .await
        });
        let tellers = vec![
            tokio::spawn(tell_counters(Arc::clone(&counters), events.clone())),
            tokio::spawn(tell_flows_per_day(Arc::clone(&lifecycle), store)),
            tokio::spawn(tell_changes(lifecycle.changed(), events)),
        ];
        Ok(Self {
            address,
            names_nobody_has: unknown_names(&settings, &lifecycle),
            lifecycle,
            counters,
            pipeline,
            tellers,
            stop_server,
            server,
        })
    }

    /// The address that the API listens on, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A sentence for each setting that names a detector that is not there: most likely it is misspelt.
    pub fn names_nobody_has(&self) -> &[String] {
        &self.names_nobody_has
    }

    /// Asks the source to end. What has been read still goes all the way; [`join`](Self::join) waits for it.
    pub fn stop(&self) {
        if let Some(pipeline) = &self.pipeline {
            pipeline.stopper.stop();
        }
    }

    /// Waits until everything that the source gave is stored; `None` when there is no source, or its end was told
    /// already. API and detectors go on. A call that is cancelled can be made again.
    ///
    /// # Errors
    /// When the source was damaged, or the store failed.
    pub async fn join(&mut self) -> Option<Result<(), PipelineError>> {
        let ended = (&mut self.pipeline.as_mut()?.ended).await;
        self.pipeline = None;
        Some(ended.unwrap_or(Err(PipelineError::Panicked { thread: "pipeline" })))
    }

    /// Ends the rest: detectors, whose learned state is saved, and the API. Ends the source too if it still runs.
    pub async fn shutdown(mut self) {
        self.stop();
        // How the source ended is told by the `join` of whoever waited for the end.
        let _ = self.join().await;
        for teller in &self.tellers {
            teller.abort();
        }
        let lifecycle = Arc::clone(&self.lifecycle);
        // A panic there is in the log; the API is to end all the same.
        let _ = tokio::task::spawn_blocking(move || lifecycle.shutdown()).await;
        // A server that has ended already needs no word.
        let _ = self.stop_server.send(());
        // Event streams never end by themselves.
        let _ = tokio::time::timeout(SHUTDOWN_TIME, self.server).await;
    }
}

/// Restores the detectors of the data folder, and takes those that the settings name.
async fn start_detectors(
    settings: &Resolved,
    flows_per_day: Option<f64>,
) -> Result<Arc<Lifecycle>, StartError> {
    let runtime = settings.runtime.clone();
    let config = LifecycleConfig {
        flows_per_day,
        ..settings.lifecycle.clone()
    };
    let (names, schema) = (settings.detectors.clone(), settings.meter.schema);
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
            Package::from_bytes(bundled.bytes())
                .is_ok_and(|package| package.known_schema() == Ok(Some(schema)))
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
        Ok(lifecycle)
    });
    starting.await?
}

fn unknown_names(settings: &Resolved, lifecycle: &Lifecycle) -> Vec<String> {
    let list = lifecycle.list();
    let known: Vec<&str> = list
        .iter()
        .map(|info| info.detector.name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    names_nobody_has(&settings.lifecycle, &known)
}

/// Sends the counters to the clients of the event stream, when they have changed.
async fn tell_counters(counters: Arc<Counters>, events: Announcer) {
    let mut last = None;
    loop {
        tokio::time::sleep(COUNTERS_INTERVAL).await;
        let now = counters.snapshot();
        if last != Some(now) {
            events.say(StreamEvent::Counters(now));
            last = Some(now);
        }
    }
}

/// Sends word of changed detectors to the clients of the event stream.
async fn tell_changes(changed: crossbeam_channel::Receiver<()>, events: Announcer) {
    let _ = tokio::task::spawn_blocking(move || {
        for () in changed {
            events.say(StreamEvent::Detectors);
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
