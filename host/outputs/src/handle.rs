//! What the rest of the program sees of an output, and asks of it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// Orders that wait for an output that is busy.
const ORDERS: usize = 16;

/// How an output fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputStatus {
    /// Whether this program delivers: with several programs on one store only one does.
    pub is_leading: bool,
    /// Why the output is paused: the receiver refuses this sender. It is tried again now and then, and when asked to.
    pub paused: Option<String>,
    /// What stands in the way since the last message was taken.
    pub failure: Option<String>,
    /// When a message was taken last, ms since the epoch.
    pub last_taken_ms: Option<i64>,
    /// Alerts that wait for their turn.
    pub waiting: usize,
}

/// What can be asked of an output.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send a test now, and say what became of it.
    Test(u64, oneshot::Sender<Result<(), String>>),
    /// Say when nothing is left to send, or that the receiver, the store or a rule stands in the way; then how many alerts wait.
    Settle(oneshot::Sender<Result<(), usize>>),
    /// Try again at once.
    Resume,
    /// Send what was set aside under these ids once more; all of it where none is named.
    Repeat(Vec<String>),
    /// Open what is kept open anew.
    Reopen(oneshot::Sender<Result<(), String>>),
}

/// An output as the rest of the program has it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OutputHandle {
    status: Arc<Mutex<OutputStatus>>,
    orders: mpsc::Sender<Order>,
}

/// The other end, which belongs to the [`Delivery`](crate::Delivery).
#[derive(Debug)]
pub struct Orders {
    pub(crate) status: Arc<Mutex<OutputStatus>>,
    pub(crate) orders: mpsc::Receiver<Order>,
}

/// Both ends.
pub fn handle() -> (OutputHandle, Orders) {
    let (sender, orders) = mpsc::channel(ORDERS);
    let status = Arc::<Mutex<OutputStatus>>::default();
    let handle = OutputHandle {
        status: Arc::clone(&status),
        orders: sender,
    };
    (handle, Orders { status, orders })
}

/// The output does not take orders: it has ended, or is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output is busy or has ended; try again")]
pub struct Busy;

impl OutputHandle {
    /// How the output fares.
    pub fn status(&self) -> OutputStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has a test sent now, whatever waits or is paused, and says what became of it; the sentence says what the receiver or
    /// the way to it answered.
    ///
    /// # Errors
    /// [`Busy`] when the output takes no orders.
    pub async fn test(&self, number: u64) -> Result<Result<(), String>, Busy> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Test(number, answer))?;
        answered.await.map_err(|_| Busy)
    }

    /// Waits until everything that the store has is sent, growth of the last minute too, or is held back by a rate, a schedule or
    /// quiet hours, or cannot be sent now.
    ///
    /// # Errors
    /// How many alerts wait; they, and the program's events, go out later.
    pub async fn settled(&self) -> Result<(), usize> {
        // While it is busy with a receiver that has failed before, it answers nobody.
        let status = self.status();
        if status.paused.is_some() || status.failure.is_some() {
            return Err(status.waiting);
        }
        let (answer, answered) = oneshot::channel();
        // An output that has ended, or is asked for too much at once, is waited for by nobody.
        if self.order(Order::Settle(answer)).is_err() {
            return Ok(());
        }
        answered.await.unwrap_or(Ok(()))
    }

    /// Has what it keeps open (a file) opened anew.
    ///
    /// # Errors
    /// [`Busy`] when the output takes no orders.
    pub async fn reopen(&self) -> Result<Result<(), String>, Busy> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Reopen(answer))?;
        answered.await.map_err(|_| Busy)
    }

    /// Has an output that is paused or pauses try again at once.
    ///
    /// # Errors
    /// [`Busy`] when the output takes no orders.
    pub fn resume(&self) -> Result<(), Busy> {
        self.order(Order::Resume)
    }

    /// Has messages that were set aside sent again: those of these ids, or all.
    ///
    /// # Errors
    /// [`Busy`] when the output takes no orders.
    pub fn repeat(&self, ids: Vec<String>) -> Result<(), Busy> {
        self.order(Order::Repeat(ids))
    }

    fn order(&self, order: Order) -> Result<(), Busy> {
        self.orders.try_send(order).map_err(|_| Busy)
    }
}
