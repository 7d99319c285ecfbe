//! Bodies of calls: bounded in time each and in memory together; and the rest of a body that nobody wanted.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::Refusal;
use super::connections::Slot;

/// How long any body may take.
const GRACE: Duration = Duration::from_secs(20);
/// And how many bytes of it must have come for each further second.
const LEAST_RATE: f64 = 65_536.0;
/// What a piece of a body takes beside its bytes.
const PIECE_BYTES: usize = 64;
/// Most that is read of what a refused caller still sends; nothing of it is kept.
const DRAINED_BYTES: u64 = 256 << 20;
/// Longest that it is read.
const DRAINED_FOR: Duration = Duration::from_secs(5);

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefused {
    /// It came too slowly.
    #[error(
        "the body did not come in time; send it without pauses, and at {} KiB/s or more once it has taken {} s",
        LEAST_RATE as u32 >> 10,
        GRACE.as_secs()
    )]
    TooSlow,
    /// There are too many others.
    #[error(
        "the bodies of other calls take all the memory that there is for them; send this one again later"
    )]
    NoMemory,
}

impl BodyRefused {
    /// As it is counted.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::TooSlow => Refusal::SlowBody,
            Self::NoMemory => Refusal::Bodies,
        }
    }
}

/// A body as it comes in, shared by whoever reads it and by [`Rest`].
struct Shared {
    incoming: Incoming,
    slot: Arc<Slot>,
    memory: Arc<Semaphore>,
    /// Memory for what was read, held until the call is answered.
    held: Option<OwnedSemaphorePermit>,
    begun: Instant,
    silence: Duration,
    received: u64,
    timer: Pin<Box<Sleep>>,
    ended: bool,
    refused: Option<BodyRefused>,
}

impl Shared {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) else {
            ready!(self.timer.as_mut().poll(context));
            return Poll::Ready(Some(Err(self.refuse(BodyRefused::TooSlow))));
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref))
            && let Some(data) = data
        {
            self.received += data.len() as u64;
            let deadline = self.deadline();
            self.timer.as_mut().reset(deadline);
        }
        if !matches!(frame, Some(Ok(_))) || self.incoming.is_end_stream() {
            self.ended = true;
            self.slot.call_is_complete();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
    }

    /// By when the next piece must be here.
    fn deadline(&self) -> Instant {
        let allowed = GRACE + Duration::from_secs_f64(self.received as f64 / LEAST_RATE);
        (Instant::now() + self.silence).min(self.begun + allowed)
    }

    fn hold(&mut self, bytes: usize) -> Result<(), axum::Error> {
        let wanted = u32::try_from(bytes + PIECE_BYTES).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.memory).try_acquire_many_owned(wanted) else {
            return Err(self.refuse(BodyRefused::NoMemory));
        };
        match &mut self.held {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    fn refuse(&mut self, refused: BodyRefused) -> axum::Error {
        self.refused = Some(refused);
        axum::Error::new(refused)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a call, for whoever answers the call.
pub(super) struct IncomingBody(Arc<Mutex<Shared>>);

impl IncomingBody {
    /// The body, and what is left of it later.
    pub(super) fn new(
        incoming: Incoming,
        memory: &Arc<Semaphore>,
        silence: Duration,
        slot: &Arc<Slot>,
    ) -> (Self, Rest) {
        let begun = Instant::now();
        let ended = incoming.is_end_stream();
        if ended {
            slot.call_is_complete();
        }
        let shared = Arc::new(Mutex::new(Shared {
            incoming,
            slot: Arc::clone(slot),
            memory: Arc::clone(memory),
            held: None,
            begun,
            silence,
            received: 0,
            timer: Box::pin(tokio::time::sleep(silence)),
            ended,
            refused: None,
        }));
        (Self(Arc::clone(&shared)), Rest(shared))
    }
}

impl HttpBody for IncomingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut shared = lock(&self.0);
        let frame = ready!(shared.poll(context));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            if let Err(error) = shared.hold(bytes) {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).ended
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).incoming.size_hint()
    }
}

/// What the answering of a call leaves of its body. Memory for what was read is held as long as this lives.
pub(super) struct Rest(Arc<Mutex<Shared>>);

impl Rest {
    /// Why the body was not read to its end, if that was our doing.
    pub(super) fn refused(&self) -> Option<BodyRefused> {
        lock(&self.0).refused
    }

    /// Whether nothing of it has been asked for.
    pub(super) fn is_untouched(&self) -> bool {
        let shared = lock(&self.0);
        shared.received == 0 && !shared.ended
    }

    /// Reads the rest and keeps nothing of it: a connection that closes while its client writes takes the answer with
    /// it, and "broken pipe" tells nobody that a token was wrong or a file too large. Whether all was read.
    ///
    /// Ends after [`DRAINED_BYTES`] or [`DRAINED_FOR`].
    pub(super) async fn drain(self) -> bool {
        {
            let mut shared = lock(&self.0);
            if shared.ended {
                return true;
            }
            if shared.refused == Some(BodyRefused::TooSlow) {
                return false;
            }
            shared.held = None;
        }
        let start = lock(&self.0).received;
        let mut time = pin!(tokio::time::sleep(DRAINED_FOR));
        std::future::poll_fn(|context| {
            if time.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            let mut shared = lock(&self.0);
            loop {
                match ready!(shared.poll(context)) {
                    None => return Poll::Ready(true),
                    Some(Err(_)) => return Poll::Ready(false),
                    Some(Ok(_)) if shared.received - start > DRAINED_BYTES => return Poll::Ready(false),
                    Some(Ok(_)) => {}
                }
            }
        })
        .await
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Rest")
    }
}

/// The body of an answer; when it has been sent, the connection waits for its client again.
pub(super) struct Answer {
    body: Body,
    slot: Arc<Slot>,
}

impl Answer {
    pub(super) fn new(body: Body, slot: Arc<Slot>) -> Self {
        Self { body, slot }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.slot.answer_is_complete();
    }
}
