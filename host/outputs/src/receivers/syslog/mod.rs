//! Lines of syslog (RFC 5424) to a receiver, by UDP, TCP or TLS.
//!
//! Syslog acknowledges nothing. By TCP and TLS a message counts as taken when the system has it and the connection stands;
//! what the other end had not read when a connection breaks is lost without a word. So the last messages are kept, and sent
//! again first thing on the next connection: nothing is lost while no more than these were under way. They are kept in
//! memory, so a program that ends takes them with it; what was under way then is the system's to bring, which does so while
//! the receiver lives. By UDP nothing is promised: a datagram can be lost anywhere, and only a port that nobody listens on is
//! noticed, sometimes.

mod connection;
mod datagrams;
mod options;

use std::collections::VecDeque;

use netsage_messages::syslog::{self, Framing, Sender};
use netsage_messages::{Format, Message, Wording};
use netsage_store::BoxFuture;

use crate::{Failure, Output, Undelivered};
use connection::Connection;
use datagrams::Datagrams;
use options::{Checked, Way};
pub use options::{MESSAGE_BYTES, MOST_RESENT, SyslogError, SyslogOptions};

use super::address::Address;
use super::batch::Batch;
use super::tls::Tls;

/// Sends messages to one receiver of syslog.
pub struct Syslog {
    format: Format,
    wording: Wording,
    sender: Sender,
    max_bytes: usize,
    sending: Sending,
}

enum Sending {
    Datagrams(Datagrams),
    Stream(Stream),
}

impl Syslog {
    /// Checks the settings, and reads the files of TLS. The receiver is looked for with the first message.
    ///
    /// # Errors
    /// Which setting cannot be, and why.
    pub fn new(options: &SyslogOptions, wording: Wording) -> Result<Self, SyslogError> {
        let Checked {
            way,
            address,
            sender,
            max_bytes,
        } = options.check()?;
        let framing = options.framing;
        let stream = |tls| {
            Sending::Stream(Stream {
                address: address.clone(),
                tls,
                framing,
                connection: None,
                last: Last::new(options.resend),
            })
        };
        Ok(Self {
            format: options.format,
            wording,
            sender,
            max_bytes,
            sending: match way {
                Way::Udp => Sending::Datagrams(Datagrams::new(address)),
                Way::Tcp => stream(None),
                Way::Tls(tls) => stream(Some(tls)),
            },
        })
    }

    /// Says good-bye to the receiver, so that it does not take the end for a fault.
    pub async fn close(&mut self) {
        if let Sending::Stream(stream) = &mut self.sending
            && let Some(connection) = stream.connection.take()
        {
            connection.close().await;
        }
    }

    async fn send(&mut self, messages: &[Message]) -> Result<(), Undelivered> {
        let batch = Batch::of(messages, |message| {
            syslog::lines(message, self.format, &self.wording, &self.sender, self.max_bytes)
        });
        let lines = batch.documents();
        let sent = match &mut self.sending {
            Sending::Datagrams(datagrams) => datagrams.send(lines).await,
            // Where that fails, nobody knows how much was taken: all of it comes again.
            Sending::Stream(stream) => stream.send(lines).await.map_err(|failure| (0, failure)),
        };
        match sent {
            Ok(()) => batch.taken(),
            Err((taken, failure)) => batch.failed(taken, failure),
        }
    }
}

impl Output for Syslog {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(self.send(messages))
    }
}

/// A receiver by TCP or TLS.
struct Stream {
    address: Address,
    tls: Option<Box<Tls>>,
    framing: Framing,
    connection: Option<Connection>,
    last: Last,
}

impl Stream {
    async fn send(&mut self, lines: impl Iterator<Item = &String>) -> Result<(), Failure> {
        let frames: Vec<Vec<u8>> = lines.map(|line| syslog::framed(line, self.framing)).collect();
        if frames.is_empty() {
            return Ok(());
        }
        // A connection over which sending fails, or is broken off half-way, is not used again: nobody knows where in a
        // message it is.
        let mut connection = self.open().await?;
        connection.send(&frames.concat()).await?;
        self.last.extend(frames);
        self.connection = Some(connection);
        Ok(())
    }

    /// The connection, or a new one, over which the last messages are sent again.
    async fn open(&mut self) -> Result<Connection, Failure> {
        if let Some(mut connection) = self.connection.take()
            && connection.is_open().await
        {
            return Ok(connection);
        }
        let config = self.tls.as_mut().map(|tls| tls.config());
        let mut connection = Connection::open(&self.address, config).await?;
        let again = self.last.bytes();
        if !again.is_empty() {
            connection.send(&again).await?;
            tracing::info!(receiver = %self.address, messages = self.last.frames.len(), "connected, the last messages were sent again");
        }
        Ok(connection)
    }
}

/// The last messages that a receiver may not have read, as they were sent.
struct Last {
    frames: VecDeque<Vec<u8>>,
    most: usize,
}

impl Last {
    fn new(most: usize) -> Self {
        let frames = VecDeque::new();
        Self { frames, most }
    }

    fn extend(&mut self, frames: Vec<Vec<u8>>) {
        self.frames.extend(frames);
        let beyond = self.frames.len().saturating_sub(self.most);
        self.frames.drain(..beyond);
    }

    fn bytes(&self) -> Vec<u8> {
        self.frames.iter().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_are_kept() {
        let check = |most: usize, rounds: &[&[&str]], expected: &str| {
            let mut last = Last::new(most);
            for round in rounds {
                last.extend(round.iter().map(|frame| frame.as_bytes().to_vec()).collect());
            }
            assert_eq!(String::from_utf8(last.bytes()).unwrap(), expected);
        };
        check(3, &[&["a", "b"], &["c"]], "abc");
        check(3, &[&["a", "b"], &["c", "d"]], "bcd");
        check(1, &[&["a", "b", "c"]], "c");
        check(0, &[&["a"]], "");
    }
}
