//! Settings with every default filled in and every value checked.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;

use netsage_capture::MeterConfig;
use netsage_lifecycle::LifecycleConfig;
use netsage_runtime::RuntimeConfig;

use super::{ByteSize, ConfigError, LiveSource, Settings, home_folder, within};

/// Where packets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A capture file, replayed as fast as it can be scored.
    Replay(PathBuf),
    /// Interfaces.
    Live(LiveSource),
    /// Nothing: only serve what the store has.
    None,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Where packets come from.
    pub source: Source,
    /// The user to go on as once the source is open.
    pub user: Option<String>,
    /// URL of the store.
    pub store: String,
    /// The folder for the store and the cache.
    pub data_dir: PathBuf,
    /// Packages to score with: files or names of bundled ones; empty for what was active, or the default.
    pub detectors: Vec<String>,
    /// How they live.
    pub lifecycle: LifecycleConfig,
    /// What each of them may use.
    pub runtime: RuntimeConfig,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Token of state-changing calls.
    pub token: Option<String>,
    /// Largest upload, bytes.
    pub upload_limit: usize,
    /// Bytes for packets that are kept as evidence.
    pub keep_packets: Option<usize>,
    /// Threads that score, at least 1.
    pub workers: usize,
    /// Blocks under way, at least 2.
    pub queue_blocks: usize,
    /// How packets are metered.
    pub meter: MeterConfig,
    /// Whether the program ends with its replay.
    pub exit_when_done: bool,
}

impl Resolved {
    /// Fills in the defaults and checks the values.
    ///
    /// # Errors
    /// When a value cannot be, or the address needs a token that is not there.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let meter = settings.meter()?;
        let source = match (settings.pcap.clone(), settings.live()?) {
            (Some(file), _) => Source::Replay(file),
            (None, Some(live)) => Source::Live(live),
            (None, None) => Source::None,
        };
        let data_dir = settings.data_dir.clone().map_or_else(default_data_dir, Ok)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers = within("workers", settings.workers, processors.min(256), 1..=256)?;
        let runtime = settings.runtime(Some(&data_dir), workers)?;
        let lifecycle = settings.lifecycle(&data_dir, runtime.workers)?;
        let store = settings
            .store
            .unwrap_or_else(|| format!("sqlite:{}", data_dir.join("netsage.sqlite").display()));
        let listen = settings
            .listen
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 8080).into());
        let token = checked_token(settings.token)?;
        if !listen.ip().is_loopback() && token.is_none() {
            return Err(ConfigError::TokenNeeded { listen });
        }
        Ok(Self {
            source,
            user: settings.user,
            store,
            data_dir,
            detectors: settings.detector.unwrap_or_default(),
            lifecycle,
            runtime,
            listen,
            token,
            upload_limit: within(
                "upload-limit",
                settings.upload_limit.map(|mib| mib as usize),
                64,
                1..=1024,
            )? << 20,
            keep_packets: checked_evidence(settings.keep_packets)?,
            workers,
            queue_blocks: within("queue-blocks", settings.queue_blocks, 64, 2..=65_536)?,
            meter,
            exit_when_done: settings.exit_when_done.unwrap_or(false),
        })
    }
}

/// `$XDG_DATA_HOME/netsage`, by the XDG rules `~/.local/share/netsage` when that is not set.
///
/// # Errors
/// When there is no home folder either.
pub fn default_data_dir() -> Result<PathBuf, ConfigError> {
    let base = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        // The XDG rules: a relative path in this variable is to be ignored.
        .filter(|path| path.is_absolute())
        .or_else(|| home_folder().map(|home| home.join(".local/share")));
    Ok(base.ok_or(ConfigError::NoDataFolder)?.join("netsage"))
}

/// The folder in which compiled detectors are kept.
pub(super) fn cache_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("compiled")
}

fn checked_token(token: Option<String>) -> Result<Option<String>, ConfigError> {
    let Some(token) = token else { return Ok(None) };
    let printable = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < 8 || !printable {
        return Err(ConfigError::Value {
            setting: "token",
            reason: "a token has at least 8 printable ASCII characters and no spaces; make one with `openssl rand -hex 16`"
                .to_owned(),
        });
    }
    Ok(Some(token))
}

/// Below this a busy wire would overwrite a flow before it ends.
const LEAST_EVIDENCE: ByteSize = ByteSize(1 << 20);

fn checked_evidence(size: Option<ByteSize>) -> Result<Option<usize>, ConfigError> {
    match size {
        Some(size) if size < LEAST_EVIDENCE => Err(ConfigError::Value {
            setting: "keep-packets",
            reason: format!("{size} is too little; give it at least {LEAST_EVIDENCE}"),
        }),
        size => Ok(size.map(|size| size.0)),
    }
}
