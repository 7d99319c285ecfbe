//! Announces what happens to the clients of the event stream.

use netsage_api_types::StreamEvent;
use netsage_outputs::News;
use tokio::sync::broadcast;

/// Events kept for a client that reads slowly.
const BUFFER: usize = 1024;

/// Where news are said and heard; cheap to clone, and never in the way of who says something.
///
/// Counters and news of detectors are broadcast and gone. Of alerts it only says that some have changed: each output
/// reads the changes from the store, from its own cursor.
#[derive(Debug, Clone)]
pub struct Announcer {
    events: broadcast::Sender<StreamEvent>,
    news: News,
}

impl Default for Announcer {
    fn default() -> Self {
        Self {
            events: broadcast::channel(BUFFER).0,
            news: News::default(),
        }
    }
}

impl Announcer {
    /// Broadcasts counters or news of detectors.
    pub fn say(&self, event: StreamEvent) {
        // No receiver is no error: no client is connected.
        let _ = self.events.send(event);
    }

    /// Says that alerts in the store have changed.
    pub fn alerts_changed(&self) {
        self.news.ring();
    }

    /// What is broadcast from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<StreamEvent> {
        self.events.subscribe()
    }

    /// The bell that wakes outputs.
    pub fn news(&self) -> &News {
        &self.news
    }
}
