//! Who delivers, when several programs share a store, and how far the output has come: one record of the store has both, so that
//! one write renews the lease and moves the cursor.
//!
//! No clock is compared with that of another machine. Each renewal changes the record; a program that sees the same record for
//! the length of the lease, by its own clock, takes the lease over. A holder that could not renew the lease for that long
//! stops sending first, since it measures from before the request that renewed it, and the other from after.

use std::time::{Duration, Instant};

use netsage_store::{SharedStore, StoreError};
use serde::{Deserialize, Serialize};

use crate::Begin;

/// The length of a lease unless a setting has another.
pub const LEASE: Duration = Duration::from_secs(10);

/// What the store has under the name of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Everything up to this revision is done with.
    revision: u64,
    /// The program that delivers.
    holder: String,
    /// Changes with each renewal.
    beat: u64,
}

impl Record {
    /// A record that makes no sense costs repeats, and loses nothing.
    fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    fn written(&self) -> Vec<u8> {
        // Numbers and a string are always written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The cursor of an output, which one program at a time may move.
pub(crate) struct Lease {
    store: SharedStore,
    name: String,
    holder: String,
    length: Duration,
    state: State,
}

enum State {
    /// Another program may deliver: what the record was, and since when it has been so.
    Watching(Option<(Vec<u8>, Instant)>),
    /// This one does: the record, and when the request that wrote it began.
    Holding(Record, Instant),
}

/// The lease is another program's.
#[derive(Debug)]
pub(crate) struct Lost;

impl Lease {
    pub(crate) fn new(store: SharedStore, name: String, holder: String, length: Duration) -> Self {
        Self {
            store,
            name,
            holder,
            length,
            state: State::Watching(None),
        }
    }

    /// How often the lease is to be renewed, and how often another program's is to be looked at.
    pub(crate) fn interval(&self) -> Duration {
        self.length / 4
    }

    /// Whether messages may be sent now: the lease was renewed less than its length ago.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&self.state, State::Holding(_, since) if since.elapsed() < self.length)
    }

    /// Tries to become the one who delivers; gives the revision to begin after, which `begin` says where there is no record yet.
    ///
    /// # Errors
    /// Those of the store; nothing is held then.
    pub(crate) async fn take(&mut self, begin: Begin) -> Result<Option<u64>, StoreError> {
        let asked = Instant::now();
        let found = self.store.position(&self.name).await?;
        let record = found.as_deref().and_then(Record::read);
        if let Some(found) = &found
            && record.as_ref().is_some_and(|record| record.holder != self.holder)
        {
            match &self.state {
                State::Watching(Some((seen, since))) if seen == found => {
                    if since.elapsed() < self.length {
                        return Ok(None);
                    }
                }
                _ => {
                    // From after the answer: the holder may have renewed it until then.
                    self.state = State::Watching(Some((found.clone(), Instant::now())));
                    return Ok(None);
                }
            }
        }
        let revision = match (&record, &found) {
            (Some(record), _) => record.revision,
            (None, Some(_)) => 0,
            (None, None) => begin.revision(&self.store).await?,
        };
        let next = Record {
            revision,
            holder: self.holder.clone(),
            beat: record.map_or(0, |record| record.beat.wrapping_add(1)),
        };
        let is_taken = self
            .store
            .swap_position(&self.name, found.as_deref(), &next.written())
            .await?;
        self.state = match is_taken {
            true => State::Holding(next, asked),
            false => State::Watching(None),
        };
        Ok(is_taken.then_some(revision))
    }

    /// Renews the lease, and moves the cursor to this revision, where one is given.
    ///
    /// # Errors
    /// [`Lost`] inside when another program has taken over; outside, those of the store, after which the lease is held until
    /// its time is over.
    pub(crate) async fn renew(&mut self, revision: Option<u64>) -> Result<Result<(), Lost>, StoreError> {
        let State::Holding(record, _) = &self.state else {
            return Ok(Err(Lost));
        };
        let next = Record {
            revision: revision.unwrap_or(record.revision),
            holder: self.holder.clone(),
            beat: record.beat.wrapping_add(1),
        };
        let (before, after) = (record.written(), next.written());
        let asked = Instant::now();
        let mut is_renewed = self
            .store
            .swap_position(&self.name, Some(&before), &after)
            .await?;
        if !is_renewed {
            // An earlier request may have been done although its answer did not come.
            let found = self.store.position(&self.name).await?;
            let mine = found.as_deref().and_then(Record::read);
            if let (Some(found), Some(mine)) = (&found, mine)
                && mine.holder == self.holder
            {
                is_renewed = self.store.swap_position(&self.name, Some(found), &after).await?;
            }
        }
        if is_renewed {
            self.state = State::Holding(next, asked);
            return Ok(Ok(()));
        }
        self.state = State::Watching(None);
        Ok(Err(Lost))
    }

    /// The revision that the store has for this output, while this program delivers.
    pub(crate) fn revision(&self) -> Option<u64> {
        match &self.state {
            State::Holding(record, _) => Some(record.revision),
            State::Watching(_) => None,
        }
    }
}
