//! The control side: moves packages from stage to stage.
//!
//! Every move takes the same way, [`Lifecycle::commit`]: it is planned from the state ([`crate::plan`], pure), written
//! into the journal and brought to the disk, taken over into the state, and published as a line-up. Moves are made one
//! at a time; whoever makes one holds the pen.
//!
//! Three kinds of threads meet here. Callers (the API) make the quick moves themselves and wait for the slow ones.
//! `netsage-warm` does what takes long: checks, compiling (the runtime does that in a child process of low priority),
//! starting instances ([`background`]). `netsage-control` does the periodic work ([`watched_folder`] and [`thread`]):
//! it writes the events of the scoring side into the journal, advances packages by the rollout, looks into the watched
//! folder, and saves the memory of detectors.

mod background;
mod info;
mod lineup;
mod requests;
mod start;
mod steps;
mod thread;
mod thresholds;
mod watched_folder;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use netsage_api_types::Step;
use netsage_package::{ModelCard, Package};
use netsage_runtime::Runtime;
use netsage_schema::Schema;

use crate::checks::Checker;
use crate::config::LifecycleConfig;
use crate::directory::Directory;
use crate::error::LifecycleError;
use crate::generation::{Generation, Loaded};
use crate::journal::Journal;
use crate::lineup::{Roster, ScoringLimits};
use crate::state::{Book, Transaction};
use background::Job;
pub use requests::{NewPackage, Origin};
pub use start::Start;
pub use thresholds::ThresholdQuestion;

/// The life of all packages of one schema.
pub struct Lifecycle {
    config: LifecycleConfig,
    runtime: Arc<Runtime>,
    schema: &'static Schema,
    directory: Directory,
    roster: Arc<Roster>,
    /// Held by the maker of a move from planning to publishing.
    pen: Mutex<Journal>,
    /// Held for moments only, never during reads, writes or compilation.
    desk: Mutex<Desk>,
    /// Something on the desk has changed.
    moved: Condvar,
    listeners: Mutex<Vec<Sender<()>>>,
    jobs: Sender<Job>,
    stop: Sender<()>,
    control: Mutex<Option<JoinHandle<()>>>,
    /// The thread that checks and loads, which ends with this.
    warm: Mutex<Option<JoinHandle<()>>>,
    /// The start is done: automatic rollouts may continue.
    begun: AtomicBool,
}

/// What is known and what is loaded.
#[derive(Default)]
struct Desk {
    book: Book,
    /// By digest.
    held: BTreeMap<String, Held>,
    /// Flows per day by the stored flows, as of the last question; `None` where too few are stored.
    flows_per_day: Option<f64>,
}

/// What this process holds of one package.
#[derive(Default)]
struct Held {
    loaded: Option<Arc<Loaded>>,
    /// Its activation, as shadow (number 0), canary or active one.
    generation: Option<Arc<Generation>>,
    under_way: Option<Step>,
    size: u64,
    card: Option<ModelCard>,
    /// A remark about the package that is not in the history yet.
    remark: Option<String>,
    /// Counters of earlier loads of the package: rows scored, rows failed, instances replaced, explanations failed.
    before: [u64; 4],
}

impl Lifecycle {
    /// Opens the folder, reads the journal, and loads what was warm, shadow, canary and active. Packages whose file is
    /// missing or damaged, or that the trust policy no longer accepts, are quarantined, and the previously active
    /// package becomes active again. Code that is not in the cache is compiled, which takes up to seconds.
    ///
    /// The folder of a schema is its own: a package is checked against the columns of one schema.
    ///
    /// # Errors
    /// When the folder cannot be used or another program uses it, or the journal is of a newer version; never because
    /// something in the folder is damaged.
    pub fn open(
        config: LifecycleConfig,
        runtime: Arc<Runtime>,
        schema: &'static Schema,
    ) -> Result<Arc<Self>, LifecycleError> {
        Self::open_with(config, runtime, schema, &[])
    }

    /// The same. A kept file that is missing or damaged is written again when its package is among the `spare` ones.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(
        config: LifecycleConfig,
        runtime: Arc<Runtime>,
        schema: &'static Schema,
        spare: &[&NewPackage],
    ) -> Result<Arc<Self>, LifecycleError> {
        let (directory, journal, book) = match &config.directory {
            Some(folder) => {
                let folder = folder.join(schema.id);
                let directory = Directory::open(&folder)?;
                let (journal, book) = Journal::open(&folder, directory.set_aside())?;
                (directory, journal, book)
            }
            None => (Directory::memory(), Journal::none(), Book::default()),
        };
        let (jobs, to_do) = unbounded();
        let (stop, stopped) = bounded(1);
        let lifecycle = Arc::new(Self {
            roster: Arc::new(Roster::new(ScoringLimits::of(&config))),
            desk: Mutex::new(Desk {
                book,
                held: BTreeMap::new(),
                flows_per_day: config.flows_per_day,
            }),
            config,
            runtime,
            schema,
            directory,
            pen: Mutex::new(journal),
            moved: Condvar::new(),
            listeners: Mutex::default(),
            jobs,
            stop,
            control: Mutex::default(),
            warm: Mutex::default(),
            begun: AtomicBool::new(false),
        });
        lifecycle.restore(spare)?;
        *lock(&lifecycle.warm) = Some(background::start(&lifecycle, to_do)?);
        let control = thread::start(&lifecycle, stopped)?;
        *lock(&lifecycle.control) = Some(control);
        lifecycle.load_the_others();
        Ok(lifecycle)
    }

    /// What was found damaged since the start, and where it was set aside: a sentence each.
    pub fn set_aside(&self) -> Vec<String> {
        self.directory.set_aside().told()
    }

    /// The roster with the current line-up, for the scoring side.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// The file of a package; `None` when no package has that digest or name, or the file is gone.
    pub fn package(&self, given: &str) -> Option<Package> {
        let digest = self.find(given, None).ok()?;
        if let Some(loaded) = self.loaded(&digest) {
            return Some(loaded.package().clone());
        }
        let bytes = self.directory.package(&digest).ok()??;
        Package::from_bytes(bytes).ok()
    }

    /// A package that is loaded.
    pub fn loaded(&self, given: &str) -> Option<Arc<Loaded>> {
        let digest = self.find(given, None).ok()?;
        self.desk().held.get(&digest)?.loaded.clone()
    }

    /// The generations that score, one per name, in the order of the line-up.
    pub fn active(&self) -> Vec<Arc<Generation>> {
        let lineup = self.roster.lineup();
        lineup
            .slots
            .iter()
            .filter_map(|slot| slot.active.clone())
            .collect()
    }

    /// A channel of changes: one message may stand for all changes since the message before it.
    /// [`shutdown`](Self::shutdown) closes the channel.
    pub fn changed(&self) -> Receiver<()> {
        let (send, receive) = bounded(1);
        lock(&self.listeners).push(send);
        receive
    }

    /// The thread of detectors that has ended though nobody asked it to, which only a panic does.
    pub fn ended_thread(&self) -> Option<&'static str> {
        let has_ended = |thread: &Mutex<Option<JoinHandle<()>>>| {
            lock(thread).as_ref().is_some_and(JoinHandle::is_finished)
        };
        [("control", &self.control), ("warm", &self.warm)]
            .into_iter()
            .find_map(|(name, thread)| has_ended(thread).then_some(name))
    }

    /// Saves the memory of detectors, ends the control thread and closes the channel of changes. A compilation under
    /// way ends with the program.
    pub fn shutdown(&self) {
        let _ = self.stop.try_send(());
        let control = lock(&self.control).take();
        if let Some(control) = control
            && control.join().is_err()
        {
            tracing::error!("the control thread of detectors ended unexpectedly");
        }
        // The thread that compiles keeps this life alive, and whoever waits for changes would wait for that thread.
        lock(&self.listeners).clear();
    }

    /// Writes a transaction into the journal, applies it to the state and publishes the line-up. All changes are made
    /// here.
    fn commit(&self, pen: &mut Journal, transaction: &Transaction) -> Result<(), LifecycleError> {
        if *transaction == Transaction::default() {
            return Ok(());
        }
        pen.append(transaction)?;
        let (released, book) = {
            let mut desk = self.desk();
            desk.book.apply(transaction);
            let released = desk.follow(transaction);
            self.roster
                .publish(desk.lineup(&self.config, &self.roster.lineup()));
            (released, pen.is_full().then(|| desk.book.clone()))
        };
        // Freeing instances takes time.
        drop(released);
        for digest in &transaction.removed {
            self.directory.forget(digest);
        }
        if let Some(book) = book
            && let Err(error) = pen.compact(&book)
        {
            // The long journal is as true as the short one.
            tracing::warn!(%error, "the journal was not written anew");
        }
        self.tell(transaction);
        Ok(())
    }

    fn tell(&self, transaction: &Transaction) {
        for a_move in &transaction.moves {
            let entry = &a_move.entry;
            tracing::info!(
                digest = %entry.digest, name = entry.name.as_deref().unwrap_or("-"), step = ?entry.step,
                to = ?entry.to, by = %entry.by, why = %entry.why, "detector moved"
            );
        }
        for set in &transaction.thresholds {
            let entry = &set.entry;
            tracing::info!(name = %set.name, rule = %set.threshold.rule, by = %entry.by, why = %entry.why, "threshold set");
        }
        self.moved.notify_all();
        lock(&self.listeners)
            .retain(|listener| !matches!(listener.try_send(()), Err(TrySendError::Disconnected(()))));
    }

    fn checker(&self) -> Checker<'_> {
        Checker {
            runtime: &self.runtime,
            schema: self.schema,
            trust: &self.config.trust,
        }
    }

    fn pen(&self) -> MutexGuard<'_, Journal> {
        lock(&self.pen)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Lifecycle")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// No code that holds these locks panics half way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, ms since the epoch.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
