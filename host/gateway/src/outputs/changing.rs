//! All outputs of a program, of which those that were set through the API can change.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ipnet::IpNet;
use netsage_api_types::{OutputInfo, OutputPlace};
use netsage_lifecycle::SetAside;
use netsage_outputs::opening::{ReceiverSettings, Setting};
use netsage_outputs::receivers::webhook::AddressPolicy;
use netsage_outputs::{
    Cursor, Delivery, EventLog, Kept, News, Output, OutputCounters, Pauses, Tables, handle,
};
use netsage_store::SharedStore;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{FOLDER, OutputError, RunningOutput, damaged, kept};
use crate::config::{ConfigError, OutputSettings};
use crate::private_files;

/// The file with the tables that were set through the API, in the folder of the outputs.
const SET: &str = "set.toml";
/// The folder there in which files lie that such tables may name.
const SECRETS: &str = "secrets";
/// How long the end of a replay waits for outputs that have not failed yet.
const SETTLING_TIME: Duration = Duration::from_secs(10);
/// Most outputs that may be set through the API.
const MOST_SET: usize = 32;

/// What outputs are made with.
pub struct Surroundings {
    /// What receivers need to know.
    pub setting: Setting,
    /// The data folder.
    pub data_dir: PathBuf,
    /// Networks that webhooks which are set through the API may reach.
    pub webhook_networks: Vec<IpNet>,
    /// The store with the alerts.
    pub store: SharedStore,
    /// What happens to the program.
    pub happened: Arc<EventLog>,
    /// What tells that there is something to send.
    pub news: News,
}

/// The outputs of a program: those of its settings file, and those that were set through the API.
pub struct Outputs {
    surroundings: Surroundings,
    folder: PathBuf,
    /// Who holds leases.
    holder: String,
    running: RwLock<Vec<Arc<RunningOutput>>>,
    /// The tables that were set. Whoever holds them changes outputs alone.
    set: Mutex<Tables>,
}

/// Why an output is not set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSet {
    /// There is none of this name.
    #[error("there is no output `{0}`; `netsage output list` names those there are")]
    Unknown(String),
    /// The settings file has it.
    #[error(
        "`[output.{0}]` stands in the settings file of the program: change it there, and start the program again"
    )]
    InFile(String),
    /// It is of a kind that may reach what the program can and the caller cannot.
    #[error("an output to a {0} stands in the settings file alone; a webhook can be set through the API")]
    Kind(&'static str),
    /// The table cannot be used.
    #[error(transparent)]
    Table(#[from] ConfigError),
    /// The receiver cannot be set up.
    #[error("{0}")]
    Receiver(String),
    /// There are enough.
    #[error(
        "there are {MOST_SET} outputs that were set through the API; remove one, or set this one in the settings file"
    )]
    TooMany,
    /// What it keeps cannot be written.
    #[error(transparent)]
    Kept(#[from] OutputError),
}

impl Outputs {
    /// Starts all outputs. Must be called inside a Tokio runtime. One that was set through the API and cannot be set up any
    /// more is left out, and the log says why.
    ///
    /// # Errors
    /// When a receiver of the settings file cannot be set up, or the data folder cannot be read or written.
    pub fn start(
        file: &[OutputSettings],
        surroundings: Surroundings,
        set_aside: &SetAside,
    ) -> Result<Self, OutputError> {
        let folder = surroundings.data_dir.join(FOLDER);
        let secrets = folder.join(SECRETS);
        private_files::make_folder(&secrets).map_err(kept(&secrets))?;
        let path = folder.join(SET);
        let tables = match Tables::open(path.clone()) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let kept_at = set_aside.take(&path).map_err(kept(&path))?;
                let so = "set the outputs anew that were set through the API";
                set_aside.tell(damaged(&path, kept_at.as_deref(), so));
                Tables::open(path.clone())
            }
            opened => opened,
        };
        let tables = tables.map_err(kept(&path))?;
        let set_before = tables.all().clone();
        let outputs = Self {
            holder: surroundings.happened.program().to_owned(),
            surroundings,
            folder,
            running: RwLock::default(),
            set: Mutex::const_new(tables),
        };
        for settings in file {
            let opened = settings.receiver.open(&outputs.surroundings.setting);
            let receiver = opened.map_err(|source| OutputError::Receiver {
                name: settings.name.clone(),
                source,
            })?;
            let output = outputs.start_one(settings, receiver, OutputPlace::File)?;
            outputs.running_mut().push(output);
        }
        for (name, table) in set_before {
            let started = outputs.opened(&name, table).and_then(|(settings, receiver)| {
                let output = outputs.start_one(&settings, receiver, OutputPlace::Api)?;
                outputs.running_mut().push(output);
                Ok(())
            });
            if let Err(error) = started {
                tracing::error!(output = name, %error, "output that was set through the API not started");
            }
        }
        Ok(outputs)
    }

    /// All that run.
    pub(crate) fn all(&self) -> Vec<Arc<RunningOutput>> {
        self.running().clone()
    }

    /// Waits until everything that the store has is sent, held back on purpose, or cannot be sent now; some seconds at most. A
    /// sentence for each output that has something left, which goes out at the next start.
    pub(crate) async fn settled(&self) -> Vec<String> {
        let until = Instant::now() + SETTLING_TIME;
        let mut sentences = Vec::new();
        for output in self.all() {
            let settled = timeout_at(until, output.handle.settled()).await;
            let waiting = match settled.unwrap_or_else(|_| Err(output.handle.status().waiting)) {
                Ok(()) => continue,
                Err(waiting) => waiting,
            };
            // Events of the program may be all that is left.
            sentences.push(format!(
                "output `{}` has not sent everything, {waiting} alerts wait; the next start sends them",
                output.name
            ));
        }
        sentences
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn named(&self, name: &str) -> Result<Arc<RunningOutput>, NotSet> {
        let running = self.running();
        let found = running.iter().find(|output| output.name == name);
        found.cloned().ok_or_else(|| unknown(name))
    }

    /// Sets an output by its table, in place of the one of this name if there is one: that one's messages which wait go out
    /// by the new table. The table outlasts the program.
    ///
    /// # Errors
    /// Why not; everything is as before then.
    pub(crate) async fn set(&self, name: &str, table: toml::Table) -> Result<OutputInfo, NotSet> {
        let mut set = self.set.lock().await;
        let before = self.changeable(name)?;
        if before.is_none() && set.all().len() >= MOST_SET {
            return Err(NotSet::TooMany);
        }
        let (settings, receiver) = self.opened(name, table.clone())?;
        self.keep(&mut set, name, Some(table))?;
        if let Some(before) = before {
            self.end(&before).await;
        }
        let output = self.start_one(&settings, receiver, OutputPlace::Api)?;
        let info = output.info();
        self.running_mut().push(output);
        Ok(info)
    }

    /// Removes an output that was set through the API. One of this name that is set later goes on where this one has ended.
    ///
    /// # Errors
    /// Why not; everything is as before then.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), NotSet> {
        let mut set = self.set.lock().await;
        let before = self.changeable(name)?;
        // One that could not be started has a table all the same.
        if before.is_none() && !set.all().contains_key(name) {
            return Err(unknown(name));
        }
        self.keep(&mut set, name, None)?;
        if let Some(before) = before {
            self.end(&before).await;
        }
        Ok(())
    }

    /// The output of this name, if there is one, which must not stand in the settings file.
    fn changeable(&self, name: &str) -> Result<Option<Arc<RunningOutput>>, NotSet> {
        match self.named(name) {
            Ok(output) if output.set_in == OutputPlace::File => Err(NotSet::InFile(output.name.clone())),
            Ok(output) => Ok(Some(output)),
            Err(_) => Ok(None),
        }
    }

    fn keep(&self, set: &mut Tables, name: &str, table: Option<toml::Table>) -> Result<(), OutputError> {
        set.set(name, table).map_err(kept(&self.folder.join(SET)))
    }

    async fn end(&self, output: &Arc<RunningOutput>) {
        self.running_mut().retain(|running| !Arc::ptr_eq(running, output));
        output.end().await;
    }

    /// What a table from the API says, and its receiver, which reaches no more than the caller may have it reach.
    fn opened(&self, name: &str, table: toml::Table) -> Result<(OutputSettings, Box<dyn Output>), NotSet> {
        let settings = OutputSettings::of_table(name, table)?;
        if !matches!(settings.receiver, ReceiverSettings::Webhook(_)) {
            return Err(NotSet::Kind(settings.receiver.kind()));
        }
        let setting = Setting {
            reach: AddressPolicy::Checked {
                allow: self.surroundings.webhook_networks.clone(),
                files: Some(self.folder.join(SECRETS)),
            },
            ..self.surroundings.setting.clone()
        };
        let receiver = settings.receiver.open(&setting);
        let receiver = receiver.map_err(|error| NotSet::Receiver(error.to_string()))?;
        Ok((settings, receiver))
    }

    fn start_one(
        &self,
        settings: &OutputSettings,
        output: Box<dyn Output>,
        set_in: OutputPlace,
    ) -> Result<Arc<RunningOutput>, OutputError> {
        let OutputSettings {
            name,
            common,
            receiver,
        } = settings;
        let Surroundings {
            store,
            happened,
            news,
            ..
        } = &self.surroundings;
        let kept_files = Kept::open(&self.folder, name, Arc::clone(happened), common.events)
            .map_err(kept(&self.folder))?;
        let set_aside = Arc::clone(&kept_files.set_aside);
        let (handle, orders) = handle();
        let counters = Arc::<OutputCounters>::default();
        let delivery = Delivery {
            output,
            name: name.clone(),
            store: Arc::clone(store),
            cursor: Cursor::Leased {
                name: format!("output:{name}"),
                holder: self.holder.clone(),
                length: common.lease,
            },
            begin: common.begin,
            rules: common.rules.clone(),
            kept: Some(kept_files),
            news: news.clone(),
            orders,
            counters: Arc::clone(&counters),
            pauses: Pauses::default(),
        };
        Ok(Arc::new(RunningOutput {
            name: name.clone(),
            kind: receiver.kind(),
            set_in,
            handle,
            counters,
            set_aside,
            delivery: tokio::spawn(delivery.run()),
        }))
    }

    fn running(&self) -> RwLockReadGuard<'_, Vec<Arc<RunningOutput>>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn running_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<RunningOutput>>> {
        self.running.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(name: &str) -> NotSet {
    NotSet::Unknown(name.chars().take(64).collect())
}
