//! The one loop from packets to batches of flows.

use netsage_capture::{Meter, MeterConfig, MeterStats, Mode, Packet};
use netsage_schema::{FlowBatch, Schema};

use crate::SourceError;
use crate::source::{MOST_FLOWS, Pace, Reading, Source, SourceCounters};

/// Where packets come from.
pub trait Packets: Send {
    /// Whether the packets tell the time, or a clock does.
    const MODE: Mode;

    /// Gives some packets to `each`: a few hundred of those that are there, or what comes within 20 ms.
    ///
    /// # Errors
    /// When there can be no more; every packet before has been given.
    fn receive(&mut self, each: impl FnMut(&Packet<'_>)) -> Result<Reading, SourceError>;

    /// The clock, in nanoseconds since the epoch, when no packet before it can come any more. `None` where the
    /// packets tell the time.
    fn time_ns(&self) -> Option<i64> {
        None
    }

    /// Asks for an end.
    fn stop(&mut self);

    /// Bytes of zeros that stood in place of packets and were passed over.
    fn padding(&self) -> u64 {
        0
    }

    /// What was counted on each interface.
    #[cfg(feature = "live")]
    fn interfaces(&self) -> Vec<netsage_capture::live::InterfaceStats> {
        Vec::new()
    }
}

/// Sees each packet before it is metered.
pub type Tap = Box<dyn FnMut(&Packet<'_>) + Send>;

/// Packets and the meter that makes flows of them.
pub struct Metered<P> {
    name: String,
    packets: P,
    meter: Meter,
    tap: Option<Tap>,
    stage: Stage,
    /// Whether the meter had more flows ready than one batch takes.
    has_ready: bool,
    flows: u64,
}

enum Stage {
    Packets,
    /// No packet comes any more, for this reason if there is one; flows are handed over.
    Flows(Option<SourceError>),
    Ended,
}

impl<P: Packets> Metered<P> {
    /// Meters these packets. The mode of `config` is that of the packets.
    pub fn new(name: String, packets: P, config: &MeterConfig) -> Self {
        Self {
            name,
            packets,
            meter: Meter::new(MeterConfig {
                mode: P::MODE,
                ..config.clone()
            }),
            tap: None,
            stage: Stage::Packets,
            has_ready: false,
            flows: 0,
        }
    }

    /// The packets.
    pub fn packets(&self) -> &P {
        &self.packets
    }

    /// What the meter counted.
    pub fn metered(&self) -> &MeterStats {
        self.meter.stats()
    }

    /// Takes in packets and hands over no flow: what ends waits in the meter for the next [`Source::read`].
    pub fn take_in(&mut self) {
        let (meter, tap) = (&mut self.meter, &mut self.tap);
        let received = self.packets.receive(|packet| {
            if let Some(tap) = tap {
                tap(packet);
            }
            meter.packet(packet);
        });
        let end = match received {
            Ok(Reading::GoesOn | Reading::Again) => {
                if let Some(time_ns) = self.packets.time_ns() {
                    meter.advance(time_ns);
                }
                return;
            }
            Ok(Reading::End) => None,
            Err(error) => Some(error),
        };
        meter.finish();
        self.stage = Stage::Flows(end);
    }
}

impl<P: Packets> Source for Metered<P> {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &'static Schema {
        self.meter.config().schema
    }

    fn pace(&self) -> Pace {
        match (P::MODE, &self.stage) {
            (Mode::Live, Stage::Packets) => Pace::GoesOn,
            // What is left at the end can wait.
            _ => Pace::Waits,
        }
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        if !self.has_ready && matches!(self.stage, Stage::Packets) {
            self.take_in();
        }
        let before = batch.len();
        self.has_ready = self.meter.drain_some(MOST_FLOWS, batch);
        let flows = batch.len() - before;
        self.flows += flows as u64;
        if flows > 0 || self.has_ready {
            return Ok(Reading::GoesOn);
        }
        match &mut self.stage {
            Stage::Packets => Ok(Reading::GoesOn),
            Stage::Flows(error) => {
                let error = error.take();
                self.stage = Stage::Ended;
                error.map_or(Ok(Reading::End), Err)
            }
            Stage::Ended => Ok(Reading::End),
        }
    }

    fn stop(&mut self) {
        self.packets.stop();
    }

    fn counters(&self) -> SourceCounters {
        let metered = self.meter.stats();
        #[cfg(feature = "live")]
        let lost = self
            .packets
            .interfaces()
            .iter()
            .map(|interface| interface.kernel_drops + interface.interface_drops)
            .sum();
        #[cfg(not(feature = "live"))]
        let lost = 0;
        SourceCounters {
            records: metered.packets,
            bytes: metered.bytes,
            rejected: metered.not_metered(),
            flows: self.flows,
            lost,
            late: 0,
        }
    }

    fn unused(&self) -> Option<String> {
        let padding = match self.packets.padding() {
            0 => None,
            bytes => Some(format!(
                "{bytes} bytes of zeros in place of packets were passed over"
            )),
        };
        let said: Vec<String> = padding.into_iter().chain(self.meter.stats().unused()).collect();
        (!said.is_empty()).then(|| format!("{}: {}", self.name, said.join("; ")))
    }

    fn tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    fn meter(&self) -> Option<&MeterStats> {
        Some(self.meter.stats())
    }

    #[cfg(feature = "live")]
    fn interfaces(&self) -> Vec<netsage_capture::live::InterfaceStats> {
        self.packets.interfaces()
    }
}
