//! What an output is.

use netsage_store::{BoxFuture, Change};

/// Hands alerts to one receiver, e.g. a topic, an address, or a client of the event stream.
///
/// The cursor, the repeats, the pauses and the counting are the business of [`Delivery`](crate::Delivery); an output
/// knows its receiver and nothing else.
pub trait Output: Send {
    /// Hands changes over, in their order, and waits until the receiver has taken them.
    ///
    /// `Ok` acknowledges all of them: they are not handed over again. A future that is dropped before it is ready
    /// acknowledges nothing, and the same changes come again. The receiver must know a repeat by the id of the alert
    /// and the revision.
    ///
    /// # Errors
    /// [`Undelivered`] says how many were taken all the same, and what is to become of the rest.
    fn deliver<'a>(&'a mut self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), Undelivered>>;
}

/// Why changes were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Undelivered {
    /// How many of the changes, from the first on, the receiver has taken. They are acknowledged.
    pub taken: usize,
    /// Why the change after these was not taken.
    pub failure: Failure,
}

/// What stands in the way of a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The receiver takes nothing now: the rest is handed over again after a pause.
    #[error("the receiver is not available: {0}")]
    Unavailable(String),
    /// The receiver will never take this change, e.g. because it is too large: it is left out and counted.
    #[error("the receiver refuses an alert: {0}")]
    Refused(String),
    /// The receiver is gone for good: the delivery ends.
    #[error("the receiver is gone")]
    Gone,
}
