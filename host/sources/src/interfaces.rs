//! Interfaces: packets as they come.

use std::time::{Duration, Instant};

use netsage_capture::live::{InterfaceStats, LiveCapture, LiveError};
use netsage_capture::{MeterConfig, Mode, Packet};

use crate::metered::{Metered, Packets};
use crate::{Reading, SourceError};

/// Longest time between two looks at clock and meter.
const LOOK: Duration = Duration::from_millis(20);

/// Interfaces that are being read.
pub struct Interfaces {
    name: String,
    capture: LiveCapture,
    last_look: Instant,
    stops: bool,
}

impl Interfaces {
    /// Reads a capture that has been started.
    pub fn new(name: String, capture: LiveCapture) -> Self {
        Self {
            name,
            capture,
            last_look: Instant::now(),
            stops: false,
        }
    }

    /// The interfaces as a source of flows.
    pub fn metered(self, config: &MeterConfig) -> Metered<Self> {
        Metered::new(self.name.clone(), self, config)
    }
}

impl Packets for Interfaces {
    const MODE: Mode = Mode::Live;

    fn receive(&mut self, mut each: impl FnMut(&Packet<'_>)) -> Result<Reading, SourceError> {
        loop {
            match self.capture.receive(LOOK, &mut each) {
                Ok(_) => {}
                Err(LiveError::Ended) if self.stops => return Ok(Reading::End),
                Err(error) => return Err(error.into()),
            }
            if self.last_look.elapsed() >= LOOK {
                self.last_look = Instant::now();
                return Ok(Reading::GoesOn);
            }
        }
    }

    fn time_ns(&self) -> Option<i64> {
        self.capture.time_ns()
    }

    /// What was on the wire before is still received; then the interfaces end.
    fn stop(&mut self) {
        self.stops = true;
        self.capture.stop();
    }

    fn interfaces(&self) -> Vec<InterfaceStats> {
        self.capture.stats()
    }
}
