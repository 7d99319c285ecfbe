//! Capture files, and the way from one to batches of flows.

use std::path::{Path, PathBuf};

use netsage_capture::file::CaptureReader;
use netsage_capture::{Meter, MeterStats, Packet};
use netsage_schema::FlowBatch;

use super::{Content, InputError, Opened, Progress};

/// Packets between two looks at what the meter has ready.
const PACKETS_PER_DRAIN: u64 = 256;
/// Records taken at once when all flows end, so that they need not all lie in memory twice.
const RECORDS_AT_THE_END: usize = 4096;

/// An open capture file.
pub struct CaptureFile {
    path: PathBuf,
    reader: CaptureReader<Content>,
    progress: Progress,
}

impl CaptureFile {
    pub(super) fn new(opened: Opened) -> Result<Self, InputError> {
        match CaptureReader::new(opened.content) {
            Ok(reader) => Ok(Self {
                path: opened.path,
                reader,
                progress: opened.progress,
            }),
            Err(source) => Err(InputError::Capture {
                path: opened.path,
                source,
            }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far it has been read.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next packet, `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged; every whole packet before the damage has been given.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, InputError> {
        let path = &self.path;
        self.reader.next_packet().map_err(|source| InputError::Capture {
            path: path.clone(),
            source,
        })
    }
}

/// Meters a whole file, giving each batch of finished flows to `each`, in order. `each` may keep a batch and leave
/// another one of the same schema in its place.
///
/// A damaged file gives the flows of all its whole packets first; the damage is in the second value.
///
/// # Errors
/// What `each` gives; reading ends there.
pub fn meter_file<E>(
    capture: &mut CaptureFile,
    meter: &mut Meter,
    mut each: impl FnMut(&mut FlowBatch) -> Result<(), E>,
) -> Result<(MeterStats, Option<InputError>), E> {
    let mut batch = FlowBatch::new(meter.config().schema);
    let mut packets: u64 = 0;
    let damage = loop {
        match capture.next_packet() {
            Ok(Some(packet)) => meter.packet(&packet),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        packets += 1;
        if packets.is_multiple_of(PACKETS_PER_DRAIN) {
            meter.drain(&mut batch);
            if !batch.is_empty() {
                each(&mut batch)?;
                batch.clear();
            }
        }
    };
    meter.finish();
    loop {
        let has_more = meter.drain_some(RECORDS_AT_THE_END, &mut batch);
        if !batch.is_empty() {
            each(&mut batch)?;
            batch.clear();
        }
        if !has_more {
            break;
        }
    }
    Ok((meter.stats().clone(), damage))
}
