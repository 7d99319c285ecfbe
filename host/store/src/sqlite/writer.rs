//! The thread that writes. It has the one writing connection, so that no reader and no other work of the program is in its
//! way.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::Writer;
use crate::{BoxFuture, StoreError};

/// Writes beside recording that may wait at the same time.
const MOST_WAITING: usize = 16;

/// How long the end of a store waits for the write under way. A disk that hangs must not keep the program.
const END_TIME: Duration = Duration::from_secs(3);

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// The thread, which ends with this.
pub(super) struct WriterThread {
    /// `None` once it is to end.
    jobs: Option<Sender<Job>>,
    /// Says nothing and is cut off at the end of the thread. In a lock, since a receiver is for one thread.
    ended: Mutex<Receiver<()>>,
    turns: Semaphore,
}

impl WriterThread {
    pub(super) fn start(mut writer: Writer) -> Result<Self, StoreError> {
        let path = writer.file.path().to_owned();
        let (jobs, to_do) = channel::<Job>();
        let (end, ended) = channel::<()>();
        thread::Builder::new()
            .name("netsage-store".to_owned())
            .spawn(move || {
                loop {
                    match to_do.recv_timeout(writer.rest()) {
                        Ok(job) => job(&mut writer),
                        Err(RecvTimeoutError::Timeout) => writer.idle(),
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
                // Closed before the end is told.
                writer.finish();
                drop(end);
            })
            .map_err(|error| StoreError::CannotOpen {
                path,
                reason: error.to_string(),
            })?;
        Ok(Self {
            jobs: Some(jobs),
            ended: Mutex::new(ended),
            turns: Semaphore::new(MOST_WAITING),
        })
    }

    /// Writes as soon as what was asked for before is done. The pipeline records so, and is never refused.
    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let job = move |writer: &mut Writer| {
            // Nobody waits for it any more.
            if reply.is_closed() {
                return;
            }
            let done = writer.work(work);
            // Whoever asked may have left meanwhile.
            let _ = reply.send(done);
        };
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(Box::new(job)).is_ok());
        Box::pin(async move {
            // The thread ends early only by a panic, which the log has.
            match sent {
                true => answer.await.map_err(|_| StoreError::ShutDown)?,
                false => Err(StoreError::ShutDown),
            }
        })
    }

    /// Writes likewise, unless too much waits already.
    pub(super) fn write_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async {
            let _turn = self.turns.try_acquire().map_err(|_| StoreError::Overloaded)?;
            self.write(work).await
        })
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.jobs = None;
        // When it does not end in time the process ends with it under way, as if it was killed: nothing is half-written.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(END_TIME);
    }
}
