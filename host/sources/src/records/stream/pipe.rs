//! Records from standard input, a FIFO, or the connections of a Unix socket.
//!
//! Threads read, since any of these may keep a reader waiting; a bounded number of chunks is under way between them and the
//! source, so that whoever writes waits when the pipeline does. The threads start with the first read, because they would
//! keep the privileges that the program had when they were started. No place leads back to what was read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use netsage_records::formats::{Format, Items};

use super::intake::Intake;
use super::{Place, Taken, Told, Transport};
use crate::file::standard_input;
use crate::packing::Packing;
#[cfg(unix)]
use crate::socket;
use crate::{RecordOptions, SourceError};

/// Bytes read at once.
const CHUNK: usize = 1 << 16;
/// Chunks under way.
const CHUNKS: usize = 8;
/// Connections of a socket at a time.
#[cfg(unix)]
const MOST_CONNECTIONS: usize = 64;

/// Where the bytes come from.
enum Origin {
    StandardInput,
    Fifo(PathBuf),
    #[cfg(unix)]
    Socket(std::os::unix::net::UnixListener),
}

/// What a thread sends: the number of a connection, and some of its bytes, none at its end.
type Chunk = (u64, io::Result<Vec<u8>>);

/// A pipe as an input of records.
pub struct Pipe {
    name: String,
    options: RecordOptions,
    /// What the threads will read.
    origin: Option<Origin>,
    chunks: Option<Receiver<Chunk>>,
    /// Whether a connection that is no records, or breaks, ends the input.
    is_lone: bool,
    connections: BTreeMap<u64, Connection>,
    /// What was counted of connections that have ended.
    told: Told,
}

/// A run of bytes; `None` once it turned out to be no records.
struct Connection(Option<Intake>);

impl Pipe {
    /// Standard input.
    pub fn standard_input(options: &RecordOptions) -> Self {
        Self::new("standard input", Origin::StandardInput, options)
    }

    /// A FIFO, which ends when all that write have closed it.
    pub fn fifo(path: &Path, options: &RecordOptions) -> Self {
        let name = path.display().to_string();
        Self::new(&name, Origin::Fifo(path.to_path_buf()), options)
    }

    /// A Unix socket, made at that path, to which meters connect. One that an earlier run has left is replaced.
    ///
    /// # Errors
    /// When the socket cannot be made, or something else lies there.
    #[cfg(unix)]
    pub fn socket(path: &Path, options: &RecordOptions) -> Result<Self, SourceError> {
        let name = format!("{}{}", socket::PREFIX, path.display());
        let listener = match socket::listen(path) {
            Ok(listener) => listener,
            Err(source) => return Err(SourceError::Open { name, source }),
        };
        let pipe = Self::new(&name, Origin::Socket(listener), options);
        Ok(Self {
            is_lone: false,
            ..pipe
        })
    }

    fn new(name: &str, origin: Origin, options: &RecordOptions) -> Self {
        Self {
            name: name.to_owned(),
            options: options.clone(),
            origin: Some(origin),
            chunks: None,
            is_lone: true,
            connections: BTreeMap::new(),
            told: Told::default(),
        }
    }

    fn start(&mut self, origin: Origin) -> io::Result<Receiver<Chunk>> {
        let (sender, chunks) = sync_channel(CHUNKS);
        let thread = thread::Builder::new().name("netsage-pipe".to_owned());
        thread.spawn(move || match origin {
            Origin::StandardInput => send(0, standard_input(), &sender),
            // Waits until somebody writes.
            Origin::Fifo(path) => match File::open(path) {
                Ok(fifo) => send(0, fifo, &sender),
                Err(error) => {
                    let _ = sender.send((0, Err(error)));
                }
            },
            #[cfg(unix)]
            Origin::Socket(listener) => serve(&listener, &sender),
        })?;
        Ok(chunks)
    }

    fn failed(&self, source: io::Error) -> SourceError {
        SourceError::Read {
            name: self.name.clone(),
            source,
        }
    }

    /// Takes in a chunk, and says what its connection brings.
    fn follow(
        &mut self,
        number: u64,
        chunk: io::Result<Vec<u8>>,
        items: &mut Items,
    ) -> Result<Option<Format>, SourceError> {
        let (bytes, damage) = match chunk {
            Ok(bytes) => (bytes, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        self.told.bytes += bytes.len() as u64;
        let connection = (self.connections.entry(number))
            .or_insert_with(|| Connection(Some(Intake::new(&self.name, &self.options))));
        let is_last = bytes.is_empty() && damage.is_none();
        if let Some(intake) = &mut connection.0
            && let Err(refused) = intake.take(&bytes, is_last, items)
        {
            if self.is_lone {
                return Err(refused);
            }
            tracing::warn!(input = self.name, reason = %refused, "connection brings no records, its bytes are dropped");
            connection.0 = None;
            self.told.unrecognised += 1;
        }
        let format = connection.0.as_ref().and_then(Intake::format);
        if (is_last || damage.is_some())
            && let Some(Connection(Some(intake))) = self.connections.remove(&number)
            && let Some(counts) = intake.counts()
        {
            self.told.items.add(counts);
        }
        match damage {
            Some(source) if self.is_lone => Err(self.failed(source)),
            Some(error) => {
                tracing::warn!(input = self.name, %error, "connection broke");
                Ok(format)
            }
            None => Ok(format),
        }
    }
}

impl Transport for Pipe {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(&mut self, items: &mut Items) -> Result<Taken, SourceError> {
        if let Some(origin) = self.origin.take() {
            let chunks = self.start(origin).map_err(|source| self.failed(source))?;
            self.chunks = Some(chunks);
        }
        let Some(chunks) = &self.chunks else {
            return Ok(Taken::End);
        };
        let (number, chunk) = match chunks.try_recv() {
            Ok(chunk) => chunk,
            Err(TryRecvError::Empty) => return Ok(Taken::Nothing),
            Err(TryRecvError::Disconnected) => return Ok(Taken::End),
        };
        Ok(Taken::Piece {
            behind: Place::default(),
            format: self.follow(number, chunk, items)?,
        })
    }

    fn stop(&mut self) {
        self.chunks = None;
    }

    fn can_go_back(&self) -> bool {
        false
    }

    fn told(&self) -> Told {
        let mut told = self.told.clone();
        let intakes = self.connections.values().filter_map(|found| found.0.as_ref());
        for counts in intakes.filter_map(Intake::counts) {
            told.items.add(counts);
        }
        told
    }
}

/// Sends bytes, unpacked, until they end or nobody takes them.
fn send(number: u64, bytes: impl Read + Send, sender: &SyncSender<Chunk>) {
    let mut bytes = match unpacked(bytes) {
        Ok(bytes) => bytes,
        Err(error) => {
            let _ = sender.send((number, Err(error)));
            return;
        }
    };
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match bytes.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read,
        };
        let has_ended = !matches!(read, Ok(1..));
        let chunk = read.map(|length| {
            chunk.truncate(length);
            chunk
        });
        if sender.send((number, chunk)).is_err() || has_ended {
            return;
        }
    }
}

/// The bytes, unpacked where the first of them say so. No more is waited for than tells this.
fn unpacked<'a>(mut bytes: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut head = Vec::with_capacity(4);
    (&mut bytes).take(1).read_to_end(&mut head)?;
    if matches!(head.first(), Some(0x04 | 0x1f | 0x28 | 0x50..=0x5f)) {
        (&mut bytes).take(3).read_to_end(&mut head)?;
    }
    let packing = Packing::of(&head);
    let whole = Cursor::new(head).chain(bytes);
    Ok(match packing {
        Some(packing) => packing.unpack(whole),
        None => Box::new(whole),
    })
}

/// Reads each connection in a thread of its own.
#[cfg(unix)]
fn serve(listener: &std::os::unix::net::UnixListener, sender: &SyncSender<Chunk>) {
    use std::sync::Arc;

    let open = Arc::new(());
    let mut number = 0;
    for connection in listener.incoming() {
        let Ok(connection) = connection else {
            // Descriptors may be short; the next look is better.
            thread::sleep(super::WAIT);
            continue;
        };
        if Arc::strong_count(&open) > MOST_CONNECTIONS {
            tracing::warn!("connection refused, {MOST_CONNECTIONS} are open");
            continue;
        }
        number += 1;
        let (sender, held) = (sender.clone(), Arc::clone(&open));
        let thread = thread::Builder::new().name("netsage-pipe".to_owned());
        let started = thread.spawn(move || {
            send(number, connection, &sender);
            drop(held);
        });
        if let Err(error) = started {
            tracing::warn!(%error, "connection refused");
        }
    }
}
