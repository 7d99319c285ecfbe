//! Captures that come through a pipe or a connection.
//!
//! Whoever sends may be silent for as long as it likes, and a read in the system cannot be called off. So a thread reads, and the
//! source has what came within 20 ms and can end when it is asked to. The thread starts with the first read, since it would
//! keep the privileges that the program had when it was started; a thread that hangs in a read is left to the end of the process.

use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use netsage_capture::file::{CaptureReader, FileError};
use netsage_capture::{LinkType, MeterConfig, Mode, Packet};

use crate::metered::{Metered, Packets};
use crate::{Reading, SourceError};

/// How long one read waits for packets.
const WAIT: Duration = Duration::from_millis(20);
/// Bytes of packets that wait for the source; while there are more, the sender waits.
const MOST_WAITING: usize = 256 << 10;

/// A capture that a thread reads.
pub struct Piped<R> {
    name: String,
    /// Until the thread has it.
    reader: Option<CaptureReader<R>>,
    shared: Arc<Shared>,
    taken: Block,
    stops: bool,
}

/// Packets, one behind the other.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    packets: Vec<Placed>,
}

struct Placed {
    link: LinkType,
    time_ns: i64,
    wire_length: u32,
    bytes: Range<usize>,
}

impl Block {
    fn push(&mut self, packet: &Packet<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packet.bytes);
        self.packets.push(Placed {
            link: packet.link,
            time_ns: packet.time_ns,
            wire_length: packet.wire_length,
            bytes: start..self.bytes.len(),
        });
    }
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    block: Block,
    /// Bytes of zeros in place of packets so far.
    padding: u64,
    /// Why no more packets come, once none do.
    end: Option<Result<(), FileError>>,
    /// Nobody takes packets any more.
    is_over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does.
    fn read(&self, mut reader: CaptureReader<impl Read>) {
        loop {
            let packet = reader.next_packet();
            let mut waiting = self.lock();
            let end = match packet {
                Ok(Some(packet)) => {
                    waiting.block.push(&packet);
                    None
                }
                Ok(None) => Some(Ok(())),
                Err(damage) => Some(Err(damage)),
            };
            let has_ended = end.is_some();
            waiting.end = end;
            waiting.padding = reader.padding();
            self.changed.notify_all();
            while waiting.block.bytes.len() >= MOST_WAITING && !waiting.is_over {
                waiting = (self.changed.wait(waiting)).unwrap_or_else(PoisonError::into_inner);
            }
            if has_ended || waiting.is_over {
                return;
            }
        }
    }
}

impl<R: Read + Send + 'static> Piped<R> {
    pub(crate) fn new(name: String, reader: CaptureReader<R>) -> Self {
        Self {
            name,
            reader: Some(reader),
            shared: Arc::default(),
            taken: Block::default(),
            stops: false,
        }
    }

    /// The capture as a source of flows.
    pub fn metered(self, config: &MeterConfig) -> Metered<Self> {
        Metered::new(self.name.clone(), self, config)
    }

    fn start(&mut self) -> Result<(), SourceError> {
        let Some(reader) = self.reader.take() else {
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("netsage-pipe".to_owned())
            .spawn(move || shared.read(reader));
        match started {
            Ok(_) => Ok(()),
            Err(source) => Err(SourceError::Read {
                name: self.name.clone(),
                source,
            }),
        }
    }
}

impl<R: Read + Send + 'static> Packets for Piped<R> {
    const MODE: Mode = Mode::Replay;

    fn receive(&mut self, mut each: impl FnMut(&Packet<'_>)) -> Result<Reading, SourceError> {
        if self.stops {
            return Ok(Reading::End);
        }
        self.start()?;
        {
            let mut waiting = self.shared.lock();
            if waiting.block.packets.is_empty() && waiting.end.is_none() {
                (waiting, _) =
                    (self.shared.changed.wait_timeout(waiting, WAIT)).unwrap_or_else(PoisonError::into_inner);
            }
            if waiting.block.packets.is_empty() {
                return match waiting.end.take() {
                    None => Ok(Reading::GoesOn),
                    Some(Ok(())) => Ok(Reading::End),
                    Some(Err(source)) => Err(SourceError::Capture {
                        name: self.name.clone(),
                        source,
                    }),
                };
            }
            std::mem::swap(&mut waiting.block, &mut self.taken);
        }
        self.shared.changed.notify_all();
        for packet in self.taken.packets.drain(..) {
            each(&Packet {
                link: packet.link,
                time_ns: packet.time_ns,
                wire_length: packet.wire_length,
                // The range was taken when these bytes were appended.
                bytes: self.taken.bytes.get(packet.bytes).unwrap_or_default(),
            });
        }
        self.taken.bytes.clear();
        Ok(Reading::GoesOn)
    }

    fn stop(&mut self) {
        self.stops = true;
    }

    fn padding(&self) -> u64 {
        self.shared.lock().padding
    }
}

impl<R> Drop for Piped<R> {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
    }
}
