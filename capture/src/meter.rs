//! The meter: packets in, finished flow records out.

use netsage_schema::{FLOW_V1, FlowBatch, RECORD_V1};

use crate::config::MeterConfig;
use crate::engine::Engine;
use crate::features::flow_v1::FlowV1;
use crate::features::record_v1::RecordV1;
use crate::features::unsw_nb15::UnswNb15;
use crate::packet::Packet;
use crate::stats::{MeterMemory, MeterStats};
use crate::timeline::{Held, Timeline};

/// A flow meter: takes packets, and gives finished records of flows as rows of features.
pub struct Meter {
    timeline: Timeline,
    engine: AnyEngine,
}

/// The engine is compiled for each schema, so that a flow holds the sums of the chosen one only.
enum AnyEngine {
    UnswNb15(Box<Engine<UnswNb15>>),
    FlowV1(Box<Engine<FlowV1>>),
    RecordV1(Box<Engine<RecordV1>>),
}

/// The same for each engine.
macro_rules! with_engine {
    ($meter:expr, $engine:ident => $do:expr) => {
        match &$meter.engine {
            AnyEngine::UnswNb15($engine) => $do,
            AnyEngine::FlowV1($engine) => $do,
            AnyEngine::RecordV1($engine) => $do,
        }
    };
    (mut $meter:expr, $engine:ident => $do:expr) => {
        match &mut $meter.engine {
            AnyEngine::UnswNb15($engine) => $do,
            AnyEngine::FlowV1($engine) => $do,
            AnyEngine::RecordV1($engine) => $do,
        }
    };
}

impl Meter {
    /// Makes a meter with an empty flow table.
    pub fn new(config: MeterConfig) -> Self {
        let engine = if config.schema.id == FLOW_V1.id {
            AnyEngine::FlowV1(Box::new(Engine::new(config)))
        } else if config.schema.id == RECORD_V1.id {
            AnyEngine::RecordV1(Box::new(Engine::new(config)))
        } else {
            AnyEngine::UnswNb15(Box::new(Engine::new(config)))
        };
        Self {
            timeline: Timeline::default(),
            engine,
        }
    }

    /// Meters one packet.
    ///
    /// Packets need not be in order. A packet that is late by at most a minute counts for its flow at the packet's own
    /// time. A packet that is later still, or more than an hour ahead of all others, is held back until the next packet
    /// shows whether the time of the held one can be believed. A false time is replaced by the latest time that can be
    /// believed, and the packet is counted in [`MeterStats::false_times`]. Where time has really begun anew, all flows end.
    ///
    /// A packet of which not one byte was captured is counted and does not move the clock.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        if packet.bytes.is_empty() {
            with_engine!(mut self, engine => engine.empty_packet(packet));
        } else if self.timeline.follows(packet.time_ns) {
            with_engine!(mut self, engine => engine.packet(packet));
        } else {
            self.packet_out_of_step(packet);
        }
    }

    #[cold]
    fn packet_out_of_step(&mut self, packet: &Packet<'_>) {
        let settled = self.timeline.settle(packet.time_ns);
        self.meter_held(settled);
        if self.timeline.follows(packet.time_ns) {
            with_engine!(mut self, engine => engine.packet(packet));
        } else {
            self.timeline.hold(packet);
        }
    }

    /// Meters a packet that was held back.
    fn meter_held(&mut self, held: Option<Held>) {
        let Some(held) = held else { return };
        with_engine!(mut self, engine => {
            engine.stats.false_times += u64::from(held.had_false_time);
            engine.packet(&held.packet());
        });
        self.timeline.reuse(held);
    }

    /// Sets the meter's clock to `now_ns`, in nanoseconds since the Unix epoch, and ends flows that have been idle for too
    /// long. A live meter needs this call about every 100 ms; in a replay the packets set the clock.
    pub fn advance(&mut self, now_ns: i64) {
        let settled = self.timeline.settle(now_ns);
        self.meter_held(settled);
        self.timeline.set(now_ns);
        with_engine!(mut self, engine => engine.advance(now_ns));
    }

    /// Ends every flow, so that every record can be drained. The meter takes further packets afterwards.
    pub fn finish(&mut self) {
        let held = self.timeline.release();
        self.meter_held(held);
        self.timeline.restart();
        with_engine!(mut self, engine => engine.finish());
    }

    /// Appends the records that are ready to `batch`, whose schema must be that of the meter.
    ///
    /// Finished records occupy memory of the flow table until they are drained: drain every few hundred packets.
    pub fn drain(&mut self, batch: &mut FlowBatch) {
        self.drain_some(usize::MAX, batch);
    }

    /// Like [`Self::drain`], but appends about `most` records; returns whether more are ready. At the end of a capture as
    /// many records are ready as there were flows in the table: draining all at once needs as much memory as the table.
    pub fn drain_some(&mut self, most: usize, batch: &mut FlowBatch) -> bool {
        with_engine!(mut self, engine => engine.drain(most, batch))
    }

    /// Returns how the bytes of [`MeterConfig::flow_memory`] are used at this moment.
    pub fn memory(&self) -> MeterMemory {
        with_engine!(self, engine => engine.memory())
    }

    /// Returns the counters since the meter was made.
    pub fn stats(&self) -> &MeterStats {
        with_engine!(self, engine => &engine.stats)
    }

    /// Returns the configuration of the meter.
    pub fn config(&self) -> &MeterConfig {
        with_engine!(self, engine => &engine.config)
    }
}
