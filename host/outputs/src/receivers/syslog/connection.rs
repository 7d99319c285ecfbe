//! A connection to a receiver of syslog, and what it knows of the other end.
//!
//! A receiver says nothing, and the first write to one that has closed succeeds: the bytes are lost. So a task reads all the
//! time, to learn of the end of the connection as soon as the system does. The task also takes what TLS itself sends
//! (session tickets): a socket that is closed with unread bytes resets the connection, and the receiver loses what it has not
//! read.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Failure;
use crate::receivers::address::Address;
use crate::receivers::stream::{self, PATIENCE, Stream};

/// How long a receiver has to refuse this client's certificate before messages are sent.
const REFUSAL: Duration = Duration::from_millis(250);
/// How long the reading task has to notice an end that the system knows of.
const LOOK: Duration = Duration::from_millis(2);

/// An open connection.
pub(super) struct Connection {
    writer: WriteHalf<Box<dyn Stream>>,
    end: watch::Receiver<Option<Failure>>,
    reading: JoinHandle<()>,
}

impl Connection {
    /// Connects, with TLS where there is a configuration of it.
    pub(super) async fn open(address: &Address, tls: Option<Arc<ClientConfig>>) -> Result<Self, Failure> {
        let is_tls = tls.is_some();
        let mut connection = Self::over(stream::connect(address, tls).await?);
        // By TLS 1.3 a client learns last that its certificate is refused, when it could have sent messages already.
        if is_tls && let Ok(end) = timeout(REFUSAL, ended(&mut connection.end)).await {
            return Err(end);
        }
        Ok(connection)
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (ended, end) = watch::channel(None);
        Self {
            writer,
            end,
            reading: tokio::spawn(async move {
                ended.send_replace(Some(read_to_end(reader).await));
            }),
        }
    }

    /// Whether the other end is there, as far as the system knows.
    pub(super) async fn is_open(&mut self) -> bool {
        // A moment, so that the reading task sees what the system knows.
        timeout(LOOK, ended(&mut self.end)).await.is_err()
    }

    /// Hands bytes to the system. After a failure nobody knows how many of them were.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Self { writer, end, .. } = self;
        tokio::select! {
            biased;
            end = ended(end) => Err(end),
            written = stream::write(writer, bytes) => written.map_err(|error| stream::failure(&error)),
        }?;
        // What the other end said meanwhile: a refused certificate comes after the first messages.
        if !self.is_open().await {
            return Err(ended(&mut self.end).await);
        }
        Ok(())
    }

    /// Tells the other end that nothing more comes.
    pub(super) async fn close(mut self) {
        // A receiver that does not take even that is gone.
        let _ = timeout(PATIENCE, self.writer.shutdown()).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Waits for the end of the connection; says how it ended.
async fn ended(end: &mut watch::Receiver<Option<Failure>>) -> Failure {
    let end = end.wait_for(Option::is_some).await;
    let failure = end.ok().and_then(|failure| failure.clone());
    // Without a word ends only a task of a runtime that ends.
    failure.unwrap_or_else(|| Failure::unavailable("the program ends"))
}

async fn read_to_end(mut reader: ReadHalf<Box<dyn Stream>>) -> Failure {
    let mut buffer = vec![0; 1024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return Failure::unavailable("it has closed the connection"),
            // A receiver of syslog has nothing to say.
            Ok(_) => {}
            Err(error) => return stream::failure(&error),
        }
    }
}
