//! Captures: packets from bytes.

use std::io::Read;

use netsage_capture::file::CaptureReader;
use netsage_capture::{MeterConfig, Mode, Packet};

use crate::metered::{Metered, Packets};
#[cfg(not(target_family = "wasm"))]
use crate::piped::Piped;
use crate::{Reading, SourceError};

/// Packets between two looks at what the meter has ready.
const PACKETS_PER_LOOK: usize = 256;

/// A capture (pcap, pcapng), from any bytes.
pub struct Capture<R> {
    name: String,
    reader: CaptureReader<R>,
    stops: bool,
}

impl<R: Read + Send> Capture<R> {
    /// Reads the header of unpacked bytes.
    ///
    /// # Errors
    /// When they are no capture.
    pub fn new(name: &str, bytes: R) -> Result<Self, SourceError> {
        match CaptureReader::new(bytes) {
            Ok(reader) => Ok(Self {
                name: name.to_owned(),
                reader,
                stops: false,
            }),
            Err(source) => Err(SourceError::Capture {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// The capture as a source of flows.
    pub fn metered(self, config: &MeterConfig) -> Metered<Self> {
        Metered::new(self.name.clone(), self, config)
    }

    /// The capture for a gateway, where its bytes come from somebody who may be silent.
    #[cfg(not(target_family = "wasm"))]
    pub fn piped(self) -> Piped<R>
    where
        R: 'static,
    {
        Piped::new(self.name, self.reader)
    }
}

impl<R: Read + Send> Packets for Capture<R> {
    const MODE: Mode = Mode::Replay;

    /// When the capture is damaged, every whole packet before the damage has been given.
    fn receive(&mut self, mut each: impl FnMut(&Packet<'_>)) -> Result<Reading, SourceError> {
        if self.stops {
            return Ok(Reading::End);
        }
        for _ in 0..PACKETS_PER_LOOK {
            // Each arm by itself: mapping the error would copy every packet into a result of another layout.
            match self.reader.next_packet() {
                Ok(Some(packet)) => each(&packet),
                Ok(None) => return Ok(Reading::End),
                Err(source) => {
                    let name = self.name.clone();
                    return Err(SourceError::Capture { name, source });
                }
            }
        }
        Ok(Reading::GoesOn)
    }

    fn stop(&mut self) {
        self.stops = true;
    }

    fn padding(&self) -> u64 {
        self.reader.padding()
    }
}
