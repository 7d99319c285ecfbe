//! From the store to an output, at least once.

use std::sync::Arc;
use std::time::Duration;

use netsage_messages::{AlertMessage, Message, Reason};
use netsage_store::{Change, Changes, SharedStore, StoreError};
use tokio::time::sleep;

use crate::counters::Share;
use crate::{Failure, News, Output, OutputCounters, Pauses};

/// Changes handed over at once.
const PAGE: u32 = 100;

/// How long to gather changes once there are some, so that an alert that grows quickly is not sent for each flow.
const GATHERING: Duration = Duration::from_millis(100);

/// Where it is kept how far an output has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// In the store, under this name. It is saved after each page that the receiver has taken.
    Saved(String),
    /// With the receiver: it has taken everything up to this revision, or has taken nothing yet.
    Receiver(Option<u64>),
}

/// Where to begin when there is no cursor yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the first alert in the store.
    AtFirst,
    /// With the next change: what is stored already is not sent.
    AtNext,
}

/// Feeds one receiver through an output.
pub struct Delivery {
    /// The output.
    pub output: Box<dyn Output>,
    /// Its name, in the log.
    pub name: String,
    /// Where alerts come from.
    pub store: SharedStore,
    /// Where it is kept how far the output has come.
    pub cursor: Cursor,
    /// Where to begin without a cursor.
    pub begin: Begin,
    /// What wakes the output.
    pub news: News,
    /// What it counts.
    pub counters: Arc<OutputCounters>,
    /// Pauses after a failure of the receiver or the store.
    pub pauses: Pauses,
}

impl Delivery {
    /// Delivers until the receiver is gone. Dropping the future ends it at any time; what was not acknowledged until
    /// then comes again at the next start.
    pub async fn run(mut self) {
        let mut share = Share::of(Arc::clone(&self.counters));
        let mut listener = self.news.listen();
        let mut after = self.first(&mut share).await;
        self.pauses.reset();
        loop {
            let page = match self.store.changes(after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    self.pause_for_store(&error, &share).await;
                    continue;
                }
            };
            let Changes { items, newest } = page;
            let items: Vec<Message> = items.into_iter().map(message).collect();
            if items.is_empty() {
                if newest < after {
                    tracing::warn!(
                        output = self.name,
                        after,
                        newest,
                        "the store has no such revision, going on with its newest"
                    );
                }
                // Whatever had these revisions has changed since or is deleted.
                after = newest;
                share.lags(0);
                self.pauses.reset();
                listener.wait().await;
                sleep(GATHERING).await;
                continue;
            }
            share.lags(newest.saturating_sub(after));
            let Ok(acknowledged) = self.hand_over(&items, &share).await else {
                return;
            };
            if let Some(revision) = acknowledged {
                after = revision;
                self.save(after, &share).await;
                share.lags(newest.saturating_sub(after));
            }
            if items.len() < PAGE as usize {
                sleep(GATHERING).await;
            }
        }
    }

    /// Hands a page over; returns the last revision that is done with, if any is. Makes a pause when the receiver takes
    /// no more.
    async fn hand_over(&mut self, messages: &[Message], share: &Share) -> Result<Option<u64>, Gone> {
        let Err(undelivered) = self.output.deliver(messages).await else {
            share.delivered(messages.len());
            self.pauses.reset();
            return Ok(messages.last().map(Message::revision));
        };
        let taken = undelivered.taken.min(messages.len());
        share.delivered(taken);
        let mut done = taken;
        match &undelivered.failure {
            Failure::Gone => return Err(Gone),
            Failure::Refused(reason) => {
                if let Some(refused) = messages.get(taken) {
                    let message = refused.id();
                    tracing::error!(output = self.name, message, %reason, "message left out");
                    share.refused();
                    done += 1;
                }
                self.pauses.reset();
            }
            failure @ (Failure::Unavailable { .. } | Failure::SenderRefused(_)) => {
                if taken > 0 {
                    self.pauses.reset();
                }
                share.failed();
                let pause = self.pauses.take();
                tracing::warn!(output = self.name, reason = %failure, retry_in_ms = pause.as_millis() as u64, "messages not delivered");
                sleep(pause).await;
            }
        }
        Ok(messages[..done].last().map(Message::revision))
    }

    /// The revision after which to begin.
    async fn first(&mut self, share: &mut Share) -> u64 {
        loop {
            match self.try_first().await {
                Ok(revision) => return revision,
                Err(error) => self.pause_for_store(&error, share).await,
            }
        }
    }

    async fn try_first(&mut self) -> Result<u64, StoreError> {
        let known = match &self.cursor {
            Cursor::Receiver(revision) => *revision,
            Cursor::Saved(name) => {
                let position = self.store.position(name).await?;
                // A position that makes no sense costs repeats, and loses nothing.
                position.map(|position| read_position(&position).unwrap_or(0))
            }
        };
        if let Some(revision) = known {
            return Ok(revision);
        }
        let revision = match self.begin {
            Begin::AtFirst => 0,
            Begin::AtNext => self.store.changes(u64::MAX, 1).await?.newest,
        };
        // Saved at once: what changes before the first page is delivered must not be taken for old at the next start.
        if let Cursor::Saved(name) = &self.cursor {
            self.store.save_position(name, &write_position(revision)).await?;
        }
        Ok(revision)
    }

    /// Saves the cursor. When that fails the receiver gets repeats after a restart, and the next page saves it again.
    async fn save(&mut self, after: u64, share: &Share) {
        let Cursor::Saved(name) = &self.cursor else { return };
        if let Err(error) = self.store.save_position(name, &write_position(after)).await {
            share.store_failed();
            tracing::warn!(output = self.name, %error, "cursor not saved");
        }
    }

    async fn pause_for_store(&mut self, error: &StoreError, share: &Share) {
        share.store_failed();
        let pause = self.pauses.take();
        tracing::warn!(output = self.name, %error, retry_in_ms = pause.as_millis() as u64, "store not read, nothing is sent");
        sleep(pause).await;
    }
}

fn message(change: Change) -> Message {
    Message::Alert(AlertMessage {
        alert: change.alert,
        revision: change.revision,
        reason: Reason::Grown,
    })
}

/// The receiver is gone for good.
struct Gone;

fn write_position(revision: u64) -> Vec<u8> {
    revision.to_string().into_bytes()
}

fn read_position(position: &[u8]) -> Option<u64> {
    std::str::from_utf8(position).ok()?.parse().ok()
}
