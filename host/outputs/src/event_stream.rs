//! The alerts of the event stream: one delivery per client, whose cursor the client keeps.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use netsage_messages::{AlertMessage, Message};
use netsage_store::{BoxFuture, Change, SharedStore};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::sending::Rules;
use crate::{Begin, Cursor, Delivery, Failure, News, Output, OutputCounters, Pauses, Undelivered, handle};

/// The name under which the event stream counts.
pub const NAME: &str = "event-stream";

/// Changes on their way to a client that it has not read yet.
const UNREAD: usize = 64;

/// Opens a stream of changes for a client that has seen everything up to a revision; without one the stream begins with
/// the next change. Must be called inside a Tokio runtime; dropping the stream ends the delivery.
pub fn open(store: SharedStore, news: News, counters: Arc<OutputCounters>, after: Option<u64>) -> Client {
    let (sender, changes) = mpsc::channel(UNREAD);
    let delivery = Delivery {
        output: Box::new(ToClient(sender)),
        name: NAME.to_owned(),
        store,
        cursor: Cursor::Receiver(after),
        begin: Begin::AtNext,
        rules: Rules::default(),
        kept: None,
        news,
        // A client that is gone ends its delivery; nothing else is asked of one.
        orders: handle().1,
        counters,
        pauses: Pauses::default(),
    };
    Client {
        changes,
        delivery: tokio::spawn(delivery.run()),
    }
}

/// What one client of the event stream is to read.
#[derive(Debug)]
pub struct Client {
    changes: mpsc::Receiver<Change>,
    delivery: JoinHandle<()>,
}

impl Stream for Client {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        self.changes.poll_recv(context)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.delivery.abort();
    }
}

/// The client's end is a bounded channel: one that reads slowly holds up its own delivery and nothing else.
struct ToClient(mpsc::Sender<Change>);

impl Output for ToClient {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            for (taken, message) in messages.iter().enumerate() {
                // The stream has news of the program from elsewhere.
                let Message::Alert(AlertMessage { alert, revision, .. }) = message else {
                    continue;
                };
                let (alert, revision) = (alert.clone(), *revision);
                if self.0.send(Change { revision, alert }).await.is_err() {
                    return Err(Undelivered {
                        taken,
                        failure: Failure::Gone,
                    });
                }
            }
            Ok(())
        })
    }
}
