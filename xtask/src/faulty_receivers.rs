//! Receivers that take nothing, for outputs whose cost is measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};

/// What a receiver does with whoever connects.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nobody listens.
    Closed,
    /// Takes connections and never says a word.
    Mute,
    /// Hangs up at once.
    HangsUp,
    /// Answers each request of HTTP with an error of its own.
    Answers500,
}

/// Connections that a mute receiver keeps open at most.
const MOST_KEPT: usize = 64;

impl Fault {
    /// Starts it on a port of its own, until this process ends.
    fn start(self) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on this machine")?;
        let address = listener.local_addr()?;
        if !matches!(self, Self::Closed) {
            thread::spawn(move || {
                let mut kept = Vec::new();
                for connection in listener.incoming().flatten() {
                    match self {
                        Self::Answers500 => drop(thread::spawn(move || answer_500(connection))),
                        Self::Mute if kept.len() < MOST_KEPT => kept.push(connection),
                        _ => drop(connection),
                    }
                }
            });
        }
        Ok(address)
    }
}

/// Says 500 whenever something comes.
fn answer_500(mut connection: TcpStream) {
    let mut bytes = [0; 16 << 10];
    // Whoever is measured may have gone.
    while connection.read(&mut bytes).is_ok_and(|read| read > 0) {
        let answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
        if connection.write_all(answer).is_err() {
            return;
        }
    }
}

/// Writes a settings file with an output of every kind, from the first alert on. None of their receivers takes anything, the file
/// excepted.
pub(crate) fn write_settings(path: &Path) -> Result<()> {
    let tables = [
        (
            "refused",
            "webhook",
            format!("url = \"http://{}/\"", Fault::Answers500.start()?),
        ),
        (
            "mute",
            "webhook",
            format!("url = \"http://{}/\"", Fault::Mute.start()?),
        ),
        // A file has no fault but a full disk, and takes the most of all when it takes everything.
        (
            "file",
            "file",
            format!("path = {:?}", path.with_extension("jsonl")),
        ),
        (
            "mail",
            "mail",
            format!(
                "server = \"{}\"\ntls = \"none\"\nfrom = \"netsage@example.com\"\nto = [\"duty@example.com\"]",
                Fault::Closed.start()?
            ),
        ),
        (
            "syslog",
            "syslog",
            format!("address = \"tcp://{}\"", Fault::HangsUp.start()?),
        ),
        (
            "mqtt",
            "mqtt",
            format!("address = \"mqtt://{}\"", Fault::Closed.start()?),
        ),
        (
            "kafka",
            "kafka",
            format!("brokers = \"{}\"\ntopic = \"alerts\"", Fault::Closed.start()?),
        ),
    ];
    let text: String = tables
        .map(|(name, kind, more)| format!("[output.{name}]\ntype = \"{kind}\"\nbegin = \"first\"\n{more}\n"))
        .concat();
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
