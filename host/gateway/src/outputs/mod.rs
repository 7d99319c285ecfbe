//! The outputs of a gateway: made of its settings, started, and seen by API and metrics.

mod changing;
mod events;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use netsage_api_types::{OutputInfo, OutputPlace};
use netsage_lifecycle::SetAside as DamagedFiles;
use netsage_messages::Wording;
use netsage_outputs::opening::{OpenError, Setting};
use netsage_outputs::receivers::webhook::AddressPolicy;
use netsage_outputs::{Busy, EventLog, News, OutputCounters, OutputHandle, SetAside};
use tokio::task::JoinHandle;

pub(crate) use self::changing::NotSet;
pub use self::changing::{Outputs, Surroundings};
pub(crate) use self::events::{tell_problem, tell_steps};
use crate::config::Resolved;
use crate::private_files;

/// The folder of the outputs in the data folder.
const FOLDER: &str = "outputs";
/// The file of the program's events in it.
const EVENTS: &str = "events.jsonl";
/// The file with the id of the program, in the data folder.
const PROGRAM: &str = "program-id";

/// Why outputs do not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// What they keep cannot be read or written.
    #[error("cannot keep what outputs have done in {}: {source}; make it writable, or name another data folder with --data-dir", path.display())]
    Kept {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The receiver of one cannot be set up.
    #[error("output `{name}`: {source}")]
    Receiver {
        /// The name of the output.
        name: String,
        /// Why.
        source: OpenError,
    },
}

/// An output at work.
#[derive(Debug)]
pub(crate) struct RunningOutput {
    /// Its name.
    pub(crate) name: String,
    kind: &'static str,
    set_in: OutputPlace,
    pub(crate) handle: OutputHandle,
    pub(crate) counters: Arc<OutputCounters>,
    pub(crate) set_aside: Arc<SetAside>,
    delivery: JoinHandle<()>,
}

impl RunningOutput {
    /// What it is, and how it fares.
    pub(crate) fn info(&self) -> OutputInfo {
        let status = self.handle.status();
        let counts = self.counters.snapshot();
        OutputInfo {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            set_in: self.set_in,
            is_leading: status.is_leading,
            paused: status.paused,
            failure: match self.delivery.is_finished() {
                true => Some("it has ended unexpectedly; the log of the program says why".to_owned()),
                false => status.failure,
            },
            last_taken: status.last_taken_ms,
            waiting: status.waiting as u64,
            delivered: counts.delivered,
            filtered: counts.filtered,
            failures: counts.receiver_failures + counts.sender_failures,
            lag: counts.lag,
            behind_ms: counts.behind.as_millis() as u64,
            refused: self.set_aside.count() as u64,
        }
    }

    /// Has a test message sent, and says what became of it.
    ///
    /// # Errors
    /// [`Busy`] when the output takes no orders.
    pub(crate) async fn test(&self) -> Result<Result<(), String>, Busy> {
        let number = Timestamp::now().as_millisecond().unsigned_abs();
        self.handle.test(number).await
    }

    /// Ends it, and waits until its files are closed.
    async fn end(&self) {
        self.delivery.abort();
        while !self.delivery.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for RunningOutput {
    fn drop(&mut self) {
        self.delivery.abort();
    }
}

/// What receivers need to know of the gateway.
pub(crate) fn setting(settings: &Resolved, address: SocketAddr) -> Setting {
    Setting {
        wording: Wording {
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
            sensor: settings.records.site.sensor.to_string(),
            dashboard: Some(format!("http://{address}")),
        },
        // Whoever may write the settings file may reach any address.
        reach: AddressPolicy::Any,
    }
}

/// Opens the log of what happens to the program.
///
/// # Errors
/// When the data folder cannot be read or written.
pub(crate) fn open_events(
    data_dir: &Path,
    set_aside: &DamagedFiles,
    news: News,
) -> Result<Arc<EventLog>, OutputError> {
    let folder = data_dir.join(FOLDER);
    private_files::make_folder(&folder).map_err(kept(&folder))?;
    let program = program_id(data_dir, set_aside)?;
    let path = folder.join(EVENTS);
    let events = EventLog::open(&path, &program, news).map_err(kept(&path))?;
    Ok(Arc::new(events))
}

/// The id of the program: 32 hexadecimal digits, made once for the data folder. A damaged one is set aside.
fn program_id(data_dir: &Path, set_aside: &DamagedFiles) -> Result<String, OutputError> {
    let path = data_dir.join(PROGRAM);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let id = text.trim();
            if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Ok(id.to_owned());
            }
            let kept_at = set_aside.take(&path).map_err(kept(&path))?;
            set_aside.tell(damaged(
                &path,
                kept_at.as_deref(),
                "the program has a new id, and outputs of this program wait once for the lease of the old one",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(kept(&path)(error)),
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(io::Error::other)
        .map_err(kept(&path))?;
    let id = bytes.map(|byte| format!("{byte:02x}")).concat();
    std::fs::write(&path, format!("{id}\n")).map_err(kept(&path))?;
    Ok(id)
}

/// What was wrong with a file, where the file is now, and what follows.
fn damaged(path: &Path, kept_at: Option<&Path>, so: &str) -> String {
    let place = kept_at.map_or_else(String::new, |place| {
        format!(" and is kept in {}", place.display())
    });
    format!("{} was damaged{place}; {so}", path.display())
}

fn kept(path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_owned();
    move |source| OutputError::Kept { path, source }
}
