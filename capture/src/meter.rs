//! The meter: packets in, finished flow records out.

use netsage_schema::{FLOW_V1, FlowBatch};

use crate::config::MeterConfig;
use crate::engine::Engine;
use crate::features::flow_v1::FlowV1;
use crate::features::unsw_nb15::UnswNb15;
use crate::packet::Packet;
use crate::stats::{MeterMemory, MeterStats};
use crate::timeline::{Held, Timeline};

/// Turns packets into flow records with features.
pub struct Meter {
    timeline: Timeline,
    engine: AnyEngine,
}

/// The engine is compiled for each schema, so that a flow holds the sums of the chosen one only.
enum AnyEngine {
    UnswNb15(Box<Engine<UnswNb15>>),
    FlowV1(Box<Engine<FlowV1>>),
}

/// The same for either engine.
macro_rules! with_engine {
    ($meter:expr, $engine:ident => $do:expr) => {
        match &$meter.engine {
            AnyEngine::UnswNb15($engine) => $do,
            AnyEngine::FlowV1($engine) => $do,
        }
    };
    (mut $meter:expr, $engine:ident => $do:expr) => {
        match &mut $meter.engine {
            AnyEngine::UnswNb15($engine) => $do,
            AnyEngine::FlowV1($engine) => $do,
        }
    };
}

impl Meter {
    /// A meter without flows.
    pub fn new(config: MeterConfig) -> Self {
        let engine = if config.schema.id == FLOW_V1.id {
            AnyEngine::FlowV1(Box::new(Engine::new(config)))
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
    /// Packets need not be in order: a packet that is late by at most a minute counts for its flow at its own time. A
    /// packet that is later still, or more than an hour ahead of all others, is held back until the next packet shows
    /// whether its time can be believed. When it cannot, the packet is metered at the latest time that can, and counted
    /// in [`MeterStats::false_times`]; when time has really begun anew, all flows are ended.
    ///
    /// A packet of which not one byte was captured is counted and moves no clock.
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

    /// Tells the time, in nanoseconds since the Unix epoch, and ends what has been idle for too long.
    /// A live meter needs it about every 100 ms; in a replay the packets tell the time.
    pub fn advance(&mut self, now_ns: i64) {
        let settled = self.timeline.settle(now_ns);
        self.meter_held(settled);
        self.timeline.set(now_ns);
        with_engine!(mut self, engine => engine.advance(now_ns));
    }

    /// Ends every flow. The meter can be used on.
    pub fn finish(&mut self) {
        let held = self.timeline.release();
        self.meter_held(held);
        self.timeline.restart();
        with_engine!(mut self, engine => engine.finish());
    }

    /// Appends the records that are ready to `batch`, which is of the meter's schema.
    ///
    /// Records take the memory of flows until they are drained; drain every few hundred packets.
    pub fn drain(&mut self, batch: &mut FlowBatch) {
        self.drain_some(usize::MAX, batch);
    }

    /// As [`Self::drain`], but about `most` records; says whether more are ready. At the end of a capture there are
    /// as many as flows, so that taking them at once needs as much memory again.
    pub fn drain_some(&mut self, most: usize, batch: &mut FlowBatch) -> bool {
        with_engine!(mut self, engine => engine.drain(most, batch))
    }

    /// What [`MeterConfig::flow_memory`] is used for at the moment.
    pub fn memory(&self) -> MeterMemory {
        with_engine!(self, engine => engine.memory())
    }

    /// What was counted so far.
    pub fn stats(&self) -> &MeterStats {
        with_engine!(self, engine => &engine.stats)
    }

    /// How the meter works.
    pub fn config(&self) -> &MeterConfig {
        with_engine!(self, engine => &engine.config)
    }
}
