//! The bounds of reading: how much is read at once, for how long, and how far a listing looks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::StoreError;

/// Reads at the same time.
pub(crate) const MOST_READS: usize = 4;

/// Reads that may wait for these.
const MOST_WAITING: usize = 64;

/// Longest time of a read, and longest time that one waits to begin.
pub(crate) const LONGEST_READ: Duration = Duration::from_secs(5);

/// Longest time that a listing looks for entries of one page.
pub(crate) const LONGEST_LISTING: Duration = Duration::from_millis(100);

/// Rows of a listing between two looks at the clock.
const ROWS_PER_LOOK: u32 = 1024;

/// Admits reads.
pub(crate) struct Reads {
    running: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Reads {
    pub(crate) fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(MOST_READS)),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }

    /// Waits for the turn of a read, which lasts until what is returned is dropped.
    pub(crate) async fn admit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| StoreError::Overloaded)?;
        let turn = Arc::clone(&self.running).acquire_owned();
        match tokio::time::timeout(LONGEST_READ, turn).await {
            Ok(permit) => permit.map_err(|_| StoreError::ShutDown),
            Err(_) => Err(StoreError::Overloaded),
        }
    }
}

/// How much further one page of a listing may look.
#[derive(Debug)]
pub(crate) struct Look {
    rows_left: u32,
    until: Instant,
}

impl Look {
    /// A look at so many rows at most.
    pub(crate) fn begin(rows: u32) -> Self {
        Self {
            rows_left: rows,
            until: Instant::now() + LONGEST_LISTING,
        }
    }

    /// Counts a row that was looked at; says whether another one may be.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.rows_left = self.rows_left.saturating_sub(1);
        let looks_at_clock = self.rows_left.is_multiple_of(ROWS_PER_LOOK);
        self.rows_left > 0 && !(looks_at_clock && Instant::now() >= self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_beyond_the_bound_are_refused_at_once() {
        let reads = Arc::new(Reads::new());
        let mut running = Vec::new();
        for _ in 0..MOST_READS {
            running.push(reads.admit().await.unwrap());
        }
        let mut waiting = Vec::new();
        for _ in 0..MOST_WAITING {
            let reads = Arc::clone(&reads);
            waiting.push(tokio::spawn(async move { reads.admit().await.map(drop) }));
        }
        while reads.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(reads.admit().await, Err(StoreError::Overloaded)));
        // A client that leaves makes room for another one.
        waiting.pop().unwrap().abort();
        while reads.waiting.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        drop(running);
        for waited in waiting {
            waited.await.unwrap().unwrap();
        }
        drop(reads.admit().await.unwrap());
    }

    #[test]
    fn a_look_ends_after_its_rows() {
        let mut look = Look::begin(3);
        assert_eq!(
            [look.goes_on(), look.goes_on(), look.goes_on()],
            [true, true, false]
        );
    }
}
