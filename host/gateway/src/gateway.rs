//! The whole, assembled: store, detectors, API and pipeline, started and stopped together.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use netsage_api_types::StreamEvent;
use netsage_forward::Forwarder;
use netsage_forward::spool::SpoolError;
use netsage_lifecycle::{Lifecycle, LifecycleConfig, LifecycleError, NewPackage, SetAside, Start};
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
use crate::condition::{Condition, Watch};
use crate::config::{Resolved, Source, names_nobody_has};
use crate::descriptors;
use crate::evidence::Evidence;
use crate::forwarding;
use crate::no_store::NoStore;
use crate::opening::Opened;
use crate::outputs::{self, OutputError, Outputs};
use crate::pipeline::{Counters, Pipeline, PipelineConfig, PipelineError, Stopper};
use crate::private_files;
use crate::server::{self, Refusals};
use crate::traffic;

/// How often the store is asked how many flows a day has, as long as a threshold waits for it.
const RATE_INTERVAL: Duration = Duration::from_secs(60);
/// The name of the task that tells how many flows a day has.
const RATES: &str = "rates";
/// Time between two `counters` events.
const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);
/// How long open connections may take to end.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);
/// How long detectors may take to save what they have learned.
const SAVE_TIME: Duration = Duration::from_secs(5);
/// How long a pipeline that is to end may do nothing: a source may hang in the system for ever.
const HANGING_TIME: Duration = Duration::from_secs(5);
/// Time between two looks at whether all parts are alive.
const LOOK: Duration = Duration::from_millis(500);

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
    /// The spool of forwarded flows cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The pipeline does not start.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// An output does not start.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A defect of this program.
    #[error(
        "a part of the start ended unexpectedly: {0}; this is a defect of netsage, its log has the message"
    )]
    Panicked(#[from] tokio::task::JoinError),
}

/// A part of a gateway that has ended for good. Whoever runs the gateway is to end the program, so that it can be started
/// again: what is dead must not look alive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartEnded {
    /// The pipeline.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The server of API and dashboard.
    #[error("the server of API and dashboard has ended: {reason}")]
    Server {
        /// Why.
        reason: String,
    },
    /// A thread or task.
    #[error("the part `{part}` ended unexpectedly; this is a defect of netsage, its log has the message")]
    Panicked {
        /// Which one.
        part: &'static str,
    },
    /// The pipeline did not end when it was asked to.
    #[error("the source does not end: it hangs in the system; what was stored before is whole")]
    Hanging,
}

impl PartEnded {
    /// Whether only the source of a replay was damaged. Everything else is whole then, and can go on serving.
    pub fn is_of_replay(&self) -> bool {
        matches!(self, Self::Pipeline(PipelineError::Source(_)))
    }
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
    outputs: Arc<Outputs>,
    /// Empties the spool of a gateway that forwards.
    forwarder: Option<Arc<Forwarder>>,
    /// Tasks that tell something, by what they tell.
    tellers: Vec<(&'static str, JoinHandle<()>)>,
    stop_server: oneshot::Sender<()>,
    /// `None` once its end was told.
    server: Option<JoinHandle<()>>,
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
        private_files::make_folder(&settings.data_dir).map_err(|source| StartError::DataFolder {
            folder: settings.data_dir.clone(),
            source,
        })?;
        let set_aside = SetAside::new(&settings.data_dir);
        let store = open_store(&settings).await?;
        let address_key = match &settings.address_key {
            Some(file) => address_key::open(file, None)?,
            None => {
                let file = settings.data_dir.join(address_key::FILE);
                address_key::of_store(&*store, &file, &set_aside).await?
            }
        };
        // A thing nobody knows yet is no reason not to start.
        let flows_per_day = traffic::flows_per_day(&*store).await.unwrap_or_default();
        let lifecycle = start_detectors(&settings, flows_per_day).await?;
        let forwarding = forwarding::open_spool(&settings)?;
        let events = Announcer::default();
        let happened = outputs::open_events(&settings.data_dir, &set_aside, events.news().clone())?;
        let counters = Arc::new(Counters::default());
        let condition = Arc::new(Condition::default());
        let evidence = settings
            .keep_packets
            .map(|bytes| Arc::new(Evidence::new(bytes, settings.meter.decapsulate)));
        let surroundings = outputs::Surroundings {
            setting: outputs::setting(&settings, address),
            data_dir: settings.data_dir.clone(),
            webhook_networks: settings.webhook_networks.clone(),
            store: Arc::clone(&store),
            happened: Arc::clone(&happened),
            news: events.news().clone(),
        };
        let outputs = Arc::new(Outputs::start(&settings.outputs, surroundings, &set_aside)?);
        let refusals = Arc::new(Refusals::default());
        let forwarder = forwarding::start(&settings, forwarding.as_ref()).map_err(StartError::Thread)?;
        let service = Service {
            forwarder: forwarder.clone(),
            senders: opened.senders,
            evidence: evidence.clone(),
            lifecycle: Arc::clone(&lifecycle),
            rollout: settings.lifecycle.rollout.until,
            store: Arc::clone(&store),
            counters: Arc::clone(&counters),
            condition: Arc::clone(&condition),
            events: events.clone(),
            source: opened.name,
            inbox: opened.inbox,
            records: settings.records.clone(),
            token: settings.token.clone(),
            listen: address,
            allowed_hosts: settings.allowed_hosts.clone(),
            outputs: Arc::clone(&outputs),
            refusals: Arc::clone(&refusals),
            access_log: settings.access_log,
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
                site: settings.records.site.clone(),
                workers: settings.workers,
                queue_blocks: settings.queue_blocks,
                schema: settings.meter.schema,
                address_key,
                storing: settings.storing,
                forward: forwarding,
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
        let limits = server::Limits {
            connections: descriptors::connections(settings.limits.connections),
            ..settings.limits.clone()
        };
        let stop = async {
            let _ = stopped.await;
        };
        let server = tokio::spawn(server::serve(
            listener,
            api::router(service),
            limits,
            refusals,
            stop,
        ));
        let watch = Watch {
            condition,
            set_aside: set_aside.told(),
            lifecycle: Arc::clone(&lifecycle),
            counters: Arc::clone(&counters),
            store: Arc::clone(&store),
            forwarder: forwarder.clone(),
            scores: settings.scores,
            is_filtered: is_filtered(&settings.source),
            events: Arc::clone(&happened),
        };
        let tellers = vec![
            ("health", tokio::spawn(watch.run())),
            (
                "counters",
                tokio::spawn(tell_counters(Arc::clone(&counters), events.clone())),
            ),
            (
                "detectors",
                tokio::spawn(tell_changes(lifecycle.changed(), events)),
            ),
            (
                "steps",
                tokio::spawn(outputs::tell_steps(Arc::clone(&lifecycle), Arc::clone(&happened))),
            ),
            // Ends by itself.
            (
                RATES,
                tokio::spawn(tell_flows_per_day(Arc::clone(&lifecycle), store)),
            ),
        ];
        Ok(Self {
            address,
            names_nobody_has: unknown_names(&settings, &lifecycle),
            lifecycle,
            counters,
            pipeline,
            outputs,
            forwarder,
            tellers,
            stop_server,
            server: Some(server),
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

    /// Asks the source to end. What has been read still goes all the way; [`end`](Self::end) waits for it.
    pub fn stop(&self) {
        if let Some(pipeline) = &self.pipeline {
            pipeline.stopper.stop();
        }
    }

    /// Waits until the source has ended and everything that it gave is stored, or until another part has ended for good,
    /// which is an error. The end of the source is told once; then, and without a source, only the other parts are
    /// waited for. A call that is cancelled can be made again.
    ///
    /// # Errors
    /// When the source was damaged, or a part has ended.
    pub async fn ended(&mut self) -> Result<(), PartEnded> {
        loop {
            if let Some(part) = self.ended_part() {
                return Err(PartEnded::Panicked { part });
            }
            let source = async {
                match &mut self.pipeline {
                    Some(pipeline) => (&mut pipeline.ended).await,
                    None => std::future::pending().await,
                }
            };
            let server = async {
                match &mut self.server {
                    Some(server) => server.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ended = source => {
                    self.pipeline = None;
                    let panicked = Err(PipelineError::Panicked { thread: "pipeline" });
                    return Ok(ended.unwrap_or(panicked)?);
                }
                ended = server => {
                    self.server = None;
                    let reason = match ended {
                        Ok(()) => "nobody asked it to".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    return Err(PartEnded::Server { reason });
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// A part that only a panic ends.
    fn ended_part(&self) -> Option<&'static str> {
        let task = self
            .tellers
            .iter()
            .find(|(part, task)| *part != RATES && task.is_finished());
        task.map(|(part, _)| *part)
            .or_else(|| self.lifecycle.ended_thread())
    }

    /// Asks the source to end, and waits until what it gave is stored, for as long as something happens.
    ///
    /// # Errors
    /// As for [`ended`](Self::ended); also when the source hangs.
    pub async fn end(&mut self) -> Result<(), PartEnded> {
        self.stop();
        let mut seen = self.counters.snapshot();
        while self.pipeline.is_some() {
            match tokio::time::timeout(HANGING_TIME, self.ended()).await {
                Ok(ended) => return ended,
                Err(_) => {
                    let now = self.counters.snapshot();
                    if now == seen {
                        self.pipeline = None;
                        return Err(PartEnded::Hanging);
                    }
                    seen = now;
                }
            }
        }
        Ok(())
    }

    /// Waits until the outputs have sent what the store has, as far as their receivers take it now. A sentence for each output
    /// that has something left, which goes out at the next start.
    pub async fn outputs_settled(&self) -> Vec<String> {
        self.outputs.settled().await
    }

    /// Ends the rest: detectors, whose learned state is saved, and the API. Ends the source too if it still runs. Takes
    /// some seconds at most.
    pub async fn shutdown(mut self) {
        // How the source ended is told by the `ended` or `end` of whoever waited for it.
        let _ = self.end().await;
        if let Some(forwarder) = self.forwarder.take() {
            // What it does not send now is sent by the next run.
            let _ = tokio::task::spawn_blocking(move || forwarder.end()).await;
        }
        for (_, teller) in &self.tellers {
            teller.abort();
        }
        let lifecycle = Arc::clone(&self.lifecycle);
        let saving = tokio::task::spawn_blocking(move || lifecycle.shutdown());
        // A panic there is in the log; the API is to end all the same.
        if tokio::time::timeout(SAVE_TIME, saving).await.is_err() {
            tracing::error!(
                "what detectors have learned since the last saving is lost: the data folder does not answer"
            );
        }
        // A server that has ended already needs no word.
        let _ = self.stop_server.send(());
        if let Some(server) = self.server {
            // Event streams never end by themselves.
            let _ = tokio::time::timeout(SHUTDOWN_TIME, server).await;
        }
    }
}

/// Opens the store, or one that keeps nothing where flows are only forwarded.
async fn open_store(settings: &Resolved) -> Result<Arc<dyn Store>, StartError> {
    if !settings.scores {
        return Ok(Arc::new(NoStore::open(&settings.data_dir)));
    }
    if let Some(file) = netsage_store::file_of(&settings.store) {
        // What hinders this hinders the store, which says it better.
        let _ = private_files::make_store(file);
    }
    Ok(netsage_store::open_with(&settings.store, &settings.store_options).await?)
}

/// Whether a filter leaves packets of the interfaces out.
fn is_filtered(source: &Source) -> bool {
    match source {
        #[cfg(feature = "live")]
        Source::Interfaces(settings) => settings.bpf.is_some(),
        _ => false,
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
    let scores = settings.scores;
    // A run that ends with its input hardly has a use for others.
    let checks_available = !settings.exit_when_done;
    let starting = tokio::task::spawn_blocking(move || {
        if !scores {
            return Ok(Lifecycle::open(config, Runtime::new(runtime)?, schema)?);
        }
        let named: Vec<NewPackage> = names
            .iter()
            .map(|name| named_package(name))
            .collect::<Result<_, _>>()?;
        let default_names = assets::defaults(schema);
        let defaults: Vec<NewPackage> = default_names
            .iter()
            .filter_map(|name| Bundled::by_name(name).map(bundled_package))
            .collect();
        let is_of_schema = |bundled: &NewPackage| {
            Package::from_bytes(&*bundled.bytes)
                .is_ok_and(|package| package.known_schema() == Ok(Some(schema)))
        };
        let available: Vec<NewPackage> = Bundled::all()
            .iter()
            .map(bundled_package)
            .filter(is_of_schema)
            .collect();
        let spare: Vec<&NewPackage> = named.iter().chain(&defaults).chain(&available).collect();
        let lifecycle = Lifecycle::open_with(config, Runtime::new(runtime)?, schema, &spare)?;
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
            checks_available,
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
