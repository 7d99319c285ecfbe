//! What an output is.

use std::time::Duration;

use netsage_messages::Message;
use netsage_store::BoxFuture;

/// Hands messages to one receiver, e.g. a topic, an address, or a client of the event stream.
///
/// The cursor, the repeats, the pauses, what is sent at all, and the counting are the business of
/// [`Delivery`](crate::Delivery); an output knows its receiver and nothing else.
pub trait Output: Send {
    /// Hands messages over, in their order, and waits until the receiver has taken them.
    ///
    /// `Ok` acknowledges all of them: they are not handed over again. A future that is dropped before it is ready
    /// acknowledges nothing, and the same messages come again. The receiver must know a repeat by the id of the message and
    /// its revision.
    ///
    /// # Errors
    /// [`Undelivered`] says how many were taken all the same, and what is to become of the rest.
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>>;

    /// Opens anew what is kept open, as a file that was moved away; most outputs keep nothing open that this concerns.
    ///
    /// # Errors
    /// A sentence that says why it cannot be opened.
    fn reopen(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Why messages were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Undelivered {
    /// How many of the messages, from the first on, the receiver has taken. They are acknowledged.
    pub taken: usize,
    /// Why the message after these was not taken.
    pub failure: Failure,
}

/// What stands in the way of a message. Reasons are sentences for people; no reason holds a secret, so of an address it shows
/// no more than scheme and host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The receiver takes nothing now: the rest is handed over again after a pause.
    #[error("the receiver is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// How long the receiver asks to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// The receiver will never take this message, e.g. because it is too large: it is set aside and counted.
    #[error("the receiver refuses a message: {0}")]
    Refused(String),
    /// The receiver takes nothing of this sender, e.g. because a key is wrong: the output is paused, and keeps its cursor.
    #[error("the receiver refuses this sender: {0}")]
    SenderRefused(String),
    /// The receiver is gone for good: the delivery ends.
    #[error("the receiver is gone")]
    Gone,
}

impl Failure {
    /// A receiver that takes nothing now and does not say for how long.
    #[expect(clippy::needless_pass_by_value, reason = "this is given to `map_err`")]
    pub fn unavailable(reason: impl ToString) -> Self {
        Self::Unavailable {
            reason: reason.to_string(),
            retry_after: None,
        }
    }
}
