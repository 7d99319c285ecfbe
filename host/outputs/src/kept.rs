//! What an output keeps in the data folder of the program: how far it has come with the program's events, and what it has set
//! aside. How far it has come with alerts lies in the store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netsage_messages::{Event, EventSeverity};

use crate::event_log::write_whole;
use crate::{EventLog, SetAside};

/// The files of one output.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The events of the program.
    pub events: Arc<EventLog>,
    /// Which of them go out: these and worse ones; `None` for none.
    pub least_severity: Option<EventSeverity>,
    /// What was set aside.
    pub set_aside: Arc<SetAside>,
    place: PathBuf,
    /// The number of the last event that is done with.
    done: u64,
}

impl Kept {
    /// Opens the files of the output of this name in a folder, which must be there. An output that is new begins with the
    /// next event.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn open(
        folder: &Path,
        name: &str,
        events: Arc<EventLog>,
        least_severity: Option<EventSeverity>,
    ) -> io::Result<Self> {
        let place = folder.join(format!("{name}.events"));
        let set_aside = Arc::new(SetAside::open(&folder.join(format!("{name}.refused.jsonl")))?);
        let saved = match std::fs::read(&place) {
            Ok(text) => String::from_utf8_lossy(&text).trim().parse().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let newest = events.newest();
        let kept = Self {
            events,
            least_severity,
            set_aside,
            place,
            // A log that begins anew has smaller numbers.
            done: saved.unwrap_or(newest).min(newest),
        };
        write_whole(&kept.place, kept.done.to_string().as_bytes())?;
        Ok(kept)
    }

    /// The next events to send.
    pub(crate) fn events(&self, most: usize) -> Vec<Event> {
        let Some(least) = self.least_severity else {
            return Vec::new();
        };
        self.events.after(self.done, least, most)
    }

    /// Notes that everything up to an event is done with.
    pub(crate) async fn done(&mut self, number: u64) -> io::Result<()> {
        self.done = self.done.max(number);
        let (place, text) = (self.place.clone(), self.done.to_string());
        blocking(move || write_whole(&place, text.as_bytes())).await
    }
}

/// Does what waits for the disk where nobody else waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}
