//! A run of the meter as bytes: two for the settings, then one event after the other.

use netsage_capture::{LinkType, MeterConfig, Mode, Packet};
use netsage_schema::Schema;

/// The link types that are tried. New ones go to the end: their place is what stands in the corpus.
pub const LINKS: [LinkType; 12] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::Loopback,
    LinkType::LinuxCooked,
    LinkType::LinuxCooked2,
    LinkType::Ppp,
    LinkType::PppoeSession,
    LinkType::CiscoHdlc,
    LinkType::Nflog,
    LinkType::Wireless,
    LinkType::Radiotap,
    LinkType::Other(147),
];

/// What a step of time is counted in, nanoseconds: from one to some years.
const UNITS: [i64; 8] = [
    1,
    1_000,
    1_000_000,
    1_000_000_000,
    60 * 1_000_000_000,
    3_600 * 1_000_000_000,
    86_400 * 1_000_000_000,
    10_000 * 86_400 * 1_000_000_000,
];

/// When runs start, nanoseconds since the Unix epoch.
const START_NS: i64 = 1_767_603_600 * 1_000_000_000;

const LIVE: u8 = 1;
const COUNT_LINK_BYTES: u8 = 2;
const DECAPSULATE: u8 = 4;

/// Bits of the first byte of an event.
const IS_DRAIN: u8 = 0x80;
const IS_CLOCK: u8 = 0x40;

/// The settings of a run and what happens in it.
pub(crate) fn read(data: &[u8]) -> Option<(MeterConfig, Events<'_>)> {
    let (&[settings, memory], rest) = data.split_first_chunk()?;
    let config = MeterConfig {
        schema: Schema::ALL[usize::from(settings >> 3) % Schema::ALL.len()],
        // From too little for one flow to more than any run needs.
        flow_memory: 1 << (memory % 24),
        mode: if settings & LIVE == 0 {
            Mode::Replay
        } else {
            Mode::Live
        },
        count_link_bytes: settings & COUNT_LINK_BYTES != 0,
        decapsulate: settings & DECAPSULATE != 0,
        // The same run is the same every time.
        hash_key: Some([1, 2]),
    };
    let events = Events {
        rest,
        time_ns: START_NS,
    };
    Some((config, events))
}

pub(crate) enum Event<'a> {
    Packet(Packet<'a>),
    /// The clock of a live meter.
    Clock(i64),
    Drain,
}

pub(crate) struct Events<'a> {
    rest: &'a [u8],
    time_ns: i64,
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let (&[kind, unit, low, high], rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        let steps = i64::from(i16::from_le_bytes([low, high]));
        let step_ns = steps.saturating_mul(UNITS[usize::from(unit) % UNITS.len()]);
        self.time_ns = self.time_ns.saturating_add(step_ns);
        if kind & IS_DRAIN != 0 {
            return Some(Event::Drain);
        }
        if kind & IS_CLOCK != 0 {
            return Some(Event::Clock(self.time_ns));
        }
        let (&[unseen, low, high], rest) = self.rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        self.rest = rest;
        Some(Event::Packet(Packet {
            link: LINKS[usize::from(kind) % LINKS.len()],
            time_ns: self.time_ns,
            wire_length: wire_length(bytes, unseen),
            bytes,
        }))
    }
}

/// The length on the wire of a packet of which some bytes were not captured, and now and then a wrong one.
pub(crate) fn wire_length(bytes: &[u8], unseen: u8) -> u32 {
    match unseen {
        255 => u32::MAX,
        254 => 0,
        more => u32::try_from(bytes.len()).unwrap_or(u32::MAX) + u32::from(more) * 16,
    }
}

/// The settings of a run, as bytes. `schema` is a place in [`Schema::ALL`].
pub fn write_head(out: &mut Vec<u8>, schema: u8, decapsulate: bool, live: bool) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.extend([
        schema << 3 | flag(decapsulate, DECAPSULATE) | flag(live, LIVE),
        20,
    ]);
}

/// A packet and the time since the one before, as bytes. Times are rounded down to what fits.
pub fn write_packet(out: &mut Vec<u8>, link: LinkType, step_ns: i64, bytes: &[u8]) {
    let place = LINKS.iter().position(|known| *known == link).unwrap_or(0);
    let fitting = UNITS
        .iter()
        .zip(0..)
        .find_map(|(unit, number)| i16::try_from(step_ns / unit).ok().map(|steps| (number, steps)));
    let (unit, steps) = fitting.unwrap_or((0, i16::MAX));
    // There are few link types, and no packet of the corpus is longer than a frame of Ethernet.
    out.extend([u8::try_from(place).unwrap_or(0), unit]);
    out.extend(steps.to_le_bytes());
    out.push(0);
    out.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(&bytes[..bytes.len().min(usize::from(u16::MAX))]);
}
