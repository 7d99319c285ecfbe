//! NetFlow v5, v9 and IPFIX: from datagrams to records.
//!
//! A [`Collector`] is given datagrams with the address they came from and the time they came at, and gives records with
//! their [`Exporter`]. It does no I/O and asks no clock, so that a test, a fuzzer and a socket drive it alike.
//!
//! ```text
//! datagram ─► order ─► sets ─► templates ─► values ─► sampling ─► pairs ─► records
//!            (sequence)        (template,    (values)  (samplers)  (pairing)
//!                               element)
//! ```
//!
//! A *stream* is what one exporter, by address and port, sends of one observation domain in one version: the sequence of
//! its datagrams, its templates, and when it started. Sampling rates are kept without the port, since options may come from
//! another one.
//!
//! Senders can be forged, so all that is kept is bounded: streams, templates of each, bytes of all of them together, and
//! records that wait for their other direction. What finds no room is refused by its reason and counted, and what is known
//! of a stream that is heard stays; only streams that are silent, or never gave a record, leave for new ones.

mod counts;
mod element;
mod pairing;
mod reasons;
mod samplers;
mod sequence;
mod stream;
mod template;
mod values;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use crate::{Exporter, Record};
use element::Element;
use pairing::{Paired, Pairing, settled};
use samplers::Samplers;
use sequence::{Load, Standing};
use stream::{Early, Stream};
use template::{Definition, Template};
use values::{Skip, Values};
use wire::{Bytes, Header, Set, Sets, V5_RECORD};

pub use counts::Counts;
pub use reasons::{PassedOver, Refusal};
pub use wire::Version;

/// A stream that has been silent for so long may leave for a new one: templates come every 10 to 30 minutes.
const SILENT_US: i64 = 3_600_000_000;

/// A datagram as it came.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Where it came from.
    pub exporter: SocketAddr,
    /// When it came, microseconds since the Unix epoch; never falls.
    pub arrival_us: i64,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// How datagrams are read, and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a record of one direction waits for the other one, microseconds; 0: every record is a flow.
    pub pairing_us: u64,
    /// How long a datagram waits for those that are missing before it, microseconds.
    pub reordering_us: u64,
    /// Most streams that are known at once.
    pub streams: usize,
    /// Most templates of one stream.
    pub templates: usize,
    /// Most bytes of streams, templates, samplers and all that waits for a template or its turn.
    pub memory: usize,
    /// Most records that wait for their other direction.
    pub unpaired: usize,
    /// Whether elements 23 and 24 are bytes and packets of the other direction, as some exporters mean them; else they
    /// repeat 1 and 2.
    pub out_is_reverse: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pairing_us: 10_000_000,
            reordering_us: 1_000_000,
            streams: 1_024,
            templates: 1_024,
            memory: 32 << 20,
            unpaired: 1 << 16,
            out_is_reverse: false,
        }
    }
}

/// What is known of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStatus {
    /// Address and port of the exporter.
    pub exporter: SocketAddr,
    /// The version of the protocol.
    pub version: Version,
    /// Observation domain, source id, or type and number of the engine.
    pub domain: u32,
    /// Records that were read.
    pub records: u64,
    /// What is missing, in the unit of the version.
    pub lost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    exporter: SocketAddr,
    version: Version,
    domain: u32,
}

/// Makes records of datagrams.
#[derive(Debug)]
pub struct Collector {
    options: Options,
    streams: HashMap<Key, Stream>,
    samplers: Samplers,
    pairing: Pairing,
    counts: Counts,
    /// Bytes of all streams.
    memory: usize,
    /// Datagrams of all streams that wait for their turn.
    ahead: usize,
}

impl Collector {
    /// Knows no exporter yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            streams: HashMap::new(),
            samplers: Samplers::default(),
            pairing: Pairing::default(),
            counts: Counts::default(),
            memory: 0,
            ahead: 0,
        }
    }

    /// Takes a datagram in. `each` gets the records whose time has come.
    pub fn take(&mut self, datagram: &Datagram<'_>, mut each: impl FnMut(Record, Exporter)) {
        self.counts.datagrams += 1;
        self.counts.bytes += datagram.bytes.len() as u64;
        let (header, body, _) = match Header::read(datagram.bytes) {
            Ok(read) => read,
            Err(refusal) => return self.counts.refused.add(refusal, 1),
        };
        let key = Key {
            exporter: datagram.exporter,
            version: header.version,
            domain: header.domain,
        };
        let now_us = datagram.arrival_us;
        if !self.has_stream(key, now_us) {
            return self.counts.refused.add(Refusal::ManyExporters, 1);
        }
        let room = self.room();
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        stream.last_us = now_us;
        let until_us = now_us.saturating_add(microseconds(self.options.reordering_us));
        if let Standing::Ahead(_) = stream.standing(&header, body)
            && until_us > now_us
        {
            let before = stream.memory;
            let waits = stream.put_ahead(header.sequence, datagram.bytes, until_us, room);
            self.memory = self.memory - before + stream.memory;
            if waits {
                self.ahead += 1;
                return;
            }
            self.let_go(key, i64::MAX, now_us, &mut each);
        }
        self.read(key, datagram.bytes, now_us, &mut each);
        self.let_go(key, now_us, now_us, &mut each);
        self.pairing.advance(now_us, &mut each);
    }

    /// Moves the clock on: what has waited long enough leaves.
    pub fn advance(&mut self, now_us: i64, mut each: impl FnMut(Record, Exporter)) {
        if self.ahead > 0 {
            self.let_all_go(now_us, now_us, &mut each);
        }
        self.pairing.advance(now_us, &mut each);
    }

    /// Lets everything leave that waits: nothing more comes.
    pub fn finish(&mut self, now_us: i64, mut each: impl FnMut(Record, Exporter)) {
        self.let_all_go(i64::MAX, now_us, &mut each);
        for stream in self.streams.values_mut() {
            let before = stream.memory;
            let dropped = stream.waiting_sets();
            drop(stream.release(|_| true));
            self.memory = self.memory - before + stream.memory;
            if dropped > 0 {
                self.counts.refused.add(Refusal::NoTemplate, dropped);
            }
        }
        while self.pairing.leave_first(&mut each) {}
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Records that wait for their other direction.
    pub fn unpaired(&self) -> usize {
        self.pairing.len()
    }

    /// What is known of each stream.
    pub fn streams(&self) -> impl Iterator<Item = StreamStatus> {
        self.streams.iter().map(|(key, stream)| StreamStatus {
            exporter: key.exporter,
            version: key.version,
            domain: key.domain,
            records: stream.records,
            lost: stream.lost,
        })
    }

    /// Bytes held: no more than [`Options::memory`] and, for each record of [`Options::unpaired`], about 700.
    pub fn memory(&self) -> usize {
        self.memory + self.samplers.memory() + self.pairing.len() * Pairing::BYTES
    }

    /// Bytes that are left for streams and samplers.
    fn room(&self) -> usize {
        let held = self.memory + self.samplers.memory();
        self.options.memory.saturating_sub(held)
    }

    /// Whether the stream is known, or becomes known.
    fn has_stream(&mut self, key: Key, now_us: i64) -> bool {
        if self.streams.contains_key(&key) {
            return true;
        }
        if self.streams.len() >= self.options.streams || self.room() < stream::BYTES {
            let leaves =
                |stream: &Stream| stream.records == 0 || stream.last_us < now_us.saturating_sub(SILENT_US);
            let leaving = (self.streams.iter())
                .filter(|(_, stream)| leaves(stream))
                .min_by_key(|(_, stream)| (stream.records > 0, stream.last_us))
                .map(|(key, _)| *key);
            let Some(leaving) = leaving else { return false };
            self.forget(leaving);
        }
        if self.room() < stream::BYTES {
            return false;
        }
        self.memory += stream::BYTES;
        self.streams.insert(key, Stream::new());
        true
    }

    fn forget(&mut self, key: Key) {
        let Some(stream) = self.streams.remove(&key) else {
            return;
        };
        self.memory -= stream.memory;
        self.ahead -= stream.waiting_datagrams();
        let dropped = stream.waiting_sets();
        if dropped > 0 {
            self.counts.refused.add(Refusal::NoTemplate, dropped);
        }
        let is_same = |other: &Key| other.exporter.ip() == key.exporter.ip() && other.domain == key.domain;
        if !self.streams.keys().any(is_same) {
            self.samplers.forget(key.exporter.ip(), key.domain);
        }
    }

    /// Reads the datagrams of all streams whose turn has come, or that have waited until `until_us`.
    fn let_all_go(&mut self, until_us: i64, now_us: i64, each: &mut impl FnMut(Record, Exporter)) {
        let waits = |(key, stream): (&Key, &Stream)| (stream.waiting_datagrams() > 0).then_some(*key);
        let keys: Vec<Key> = self.streams.iter().filter_map(waits).collect();
        for key in keys {
            self.let_go(key, until_us, now_us, each);
        }
    }

    fn let_go(&mut self, key: Key, until_us: i64, now_us: i64, each: &mut impl FnMut(Record, Exporter)) {
        while let Some(stream) = self.streams.get_mut(&key) {
            let before = stream.memory;
            let Some(datagram) = stream.next_ahead(until_us) else {
                return;
            };
            self.memory = self.memory - before + stream.memory;
            self.ahead -= 1;
            self.read(key, &datagram, now_us, each);
        }
    }

    /// Reads a datagram whose turn has come.
    fn read(&mut self, key: Key, datagram: &[u8], now_us: i64, each: &mut impl FnMut(Record, Exporter)) {
        let Ok((header, body, is_cut)) = Header::read(datagram) else {
            return;
        };
        let samplers = self.samplers.memory();
        let room = self.room() + samplers;
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let before = stream.memory;
        let mut reading = Reading {
            options: &self.options,
            stream,
            samplers: &mut self.samplers,
            pairing: &mut self.pairing,
            counts: &mut self.counts,
            exporter: Exporter {
                address: key.exporter.ip(),
                domain: key.domain,
            },
            until_us: now_us.saturating_add(microseconds(self.options.pairing_us)),
            limit: room + before,
            load: Some(Load::default()),
            is_cut,
        };
        reading.datagram(&header, body, each);
        let (load, is_cut) = (reading.load, reading.is_cut);
        self.counts.cut += u64::from(is_cut);
        // The steps of v9 do not depend on what is in a datagram.
        let load = load.or((header.version == Version::V9).then(Load::default));
        let (standing, missing) = stream.sequence.follow(header.version, header.sequence, load);
        self.counts.behind += u64::from(standing == Standing::Behind);
        stream.lost += u64::from(missing);
        *match header.version {
            Version::V5 | Version::Ipfix => &mut self.counts.lost_records,
            Version::V9 => &mut self.counts.lost_datagrams,
        } += u64::from(missing);
        self.memory = self.memory - before + stream.memory;
    }
}

/// What a datagram is read with.
struct Reading<'a> {
    options: &'a Options,
    stream: &'a mut Stream,
    samplers: &'a mut Samplers,
    pairing: &'a mut Pairing,
    counts: &'a mut Counts,
    exporter: Exporter,
    /// Until when a one-way record waits for its other direction.
    until_us: i64,
    /// Bytes that the stream and the samplers may take together.
    limit: usize,
    /// The records so far; `None` once there were some that cannot be counted.
    load: Option<Load>,
    is_cut: bool,
}

impl Reading<'_> {
    fn datagram(&mut self, header: &Header, body: &[u8], each: &mut impl FnMut(Record, Exporter)) {
        if header.version == Version::V5 {
            // The number counts the flows that were sent, those included that were cut off.
            self.load = Some(Load {
                flows: header.count.into(),
                options: 0,
            });
            let whole = usize::from(header.count) * V5_RECORD;
            let records = body.get(..whole).unwrap_or(body);
            self.records(header, &V5_TEMPLATE, records, each);
            return;
        }
        for set in Sets(body) {
            match set {
                Ok(set) => self.set(header, &set, each),
                Err(refusal) => {
                    self.counts.refused.add(refusal, 1);
                    self.load = None;
                }
            }
        }
    }

    fn set(&mut self, header: &Header, set: &Set<'_>, each: &mut impl FnMut(Record, Exporter)) {
        self.is_cut |= set.is_cut;
        match (header.version, set.id) {
            (Version::V9, 0) | (Version::Ipfix, 2) => self.definitions(header, set.body, false, each),
            (Version::V9, 1) | (Version::Ipfix, 3) => self.definitions(header, set.body, true, each),
            (_, 256..) => self.data(header, set, each),
            _ => self.counts.passed_over.add(PassedOver::UnknownSet, 1),
        }
    }

    fn definitions(
        &mut self,
        header: &Header,
        body: &[u8],
        is_options: bool,
        each: &mut impl FnMut(Record, Exporter),
    ) {
        let mut bytes = Bytes(body);
        while let Some(definition) = Template::read(&mut bytes, header.version, is_options) {
            match definition {
                Definition::Template(id, template) => {
                    self.counts.templates += 1;
                    let room = self.room();
                    match self.stream.define(id, template, self.options.templates, room) {
                        Ok(()) => self.replay(|early| early.template == id && !early.needs_boot, each),
                        Err(refusal) => self.counts.refused.add(refusal, 1),
                    }
                }
                Definition::Skipped(reason) => self.counts.passed_over.add(reason, 1),
                Definition::Refused(refusal) => self.counts.refused.add(refusal, 1),
            }
        }
    }

    /// Reads the sets that waited for a template or the start of the exporter.
    fn replay(&mut self, is_ready: impl Fn(&Early) -> bool, each: &mut impl FnMut(Record, Exporter)) {
        let load = self.load;
        for early in self.stream.release(is_ready) {
            let set = Set {
                id: early.template,
                body: &early.body,
                is_cut: false,
            };
            self.data(&early.header, &set, each);
        }
        // They were part of another datagram.
        self.load = load;
    }

    fn data(&mut self, header: &Header, set: &Set<'_>, each: &mut impl FnMut(Record, Exporter)) {
        let needs_boot = match self.stream.template(set.id) {
            Some(template) if !template.needs_boot(header.version) || self.stream.boot_ms.is_some() => {
                let template = Arc::clone(template);
                return self.records(header, &template, set.body, each);
            }
            Some(template) => {
                let flows = template.count(set.body);
                if let Some(load) = &mut self.load {
                    load.flows += flows;
                }
                true
            }
            None => {
                self.load = None;
                false
            }
        };
        let early = Early {
            header: *header,
            template: set.id,
            body: set.body.into(),
            needs_boot,
        };
        let room = self.room();
        let dropped = self.stream.hold(early, room);
        if dropped > 0 {
            self.counts.refused.add(Refusal::NoTemplate, dropped);
        }
    }

    fn records(
        &mut self,
        header: &Header,
        template: &Template,
        body: &[u8],
        each: &mut impl FnMut(Record, Exporter),
    ) {
        let mut bytes = Bytes(body);
        loop {
            let mut values = Values::default();
            if template
                .take(&mut bytes, |element, value| values.take(element, value))
                .is_none()
            {
                return;
            }
            let is_counted = header.version != Version::V5;
            if let Some(load) = self.load.as_mut().filter(|_| is_counted) {
                *if template.is_options {
                    &mut load.options
                } else {
                    &mut load.flows
                } += 1;
            }
            if template.is_options {
                self.option(&values, each);
            } else {
                self.flow(header, &values, each);
            }
        }
    }

    fn option(&mut self, values: &Values, each: &mut impl FnMut(Record, Exporter)) {
        self.counts.options += 1;
        let Exporter { address, domain } = self.exporter;
        let room = self.room();
        self.samplers.note(address, domain, &values.sampling, room);
        if let Some(boot_ms) = values.boot_ms() {
            self.stream.boot_ms = Some(boot_ms);
            self.replay(|early| early.needs_boot, each);
        }
    }

    fn flow(&mut self, header: &Header, values: &Values, each: &mut impl FnMut(Record, Exporter)) {
        let rate = self.rate(header, values);
        let observed = values.observed(header, self.stream.boot_ms, rate, self.options.out_is_reverse);
        let observed = match observed {
            Ok(observed) => observed,
            Err(Skip::Passed(reason)) => return self.counts.passed_over.add(reason, 1),
            Err(Skip::Refused(refusal)) => return self.counts.refused.add(refusal, 1),
        };
        self.counts.records += 1;
        self.stream.records += 1;
        if observed.is_two_way || self.options.pairing_us == 0 {
            return each(settled(observed), self.exporter);
        }
        let is_full = self.pairing.len() >= self.options.unpaired;
        match (self.pairing).take(
            observed,
            self.exporter,
            self.until_us,
            self.options.unpaired,
            &mut *each,
        ) {
            Paired::Pair => self.counts.pairs += 1,
            Paired::Waits => self.counts.hurried += u64::from(is_full),
        }
    }

    /// One in so many packets was looked at: by the record, its sampler, or the header.
    fn rate(&self, header: &Header, values: &Values) -> u32 {
        let Exporter { address, domain } = self.exporter;
        values.sampling.rate().unwrap_or_else(|| match header.version {
            Version::V5 => header.sampling.max(1),
            Version::V9 | Version::Ipfix => self.samplers.rate(address, domain, values.sampling.sampler),
        })
    }

    /// Bytes that are left.
    fn room(&self) -> usize {
        self.limit
            .saturating_sub(self.stream.memory + self.samplers.memory())
    }
}

/// The layout of v5, as a template.
static V5_TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    Template::fixed(&[
        (Element::SourceV4, 4),
        (Element::DestinationV4, 4),
        // Next hop and interfaces.
        (Element::Other, 8),
        (Element::Packets, 4),
        (Element::Octets, 4),
        (Element::StartUptime, 4),
        (Element::EndUptime, 4),
        (Element::SourcePort, 2),
        (Element::DestinationPort, 2),
        (Element::Other, 1),
        (Element::Flags, 1),
        (Element::Protocol, 1),
        // Type of service, autonomous systems, masks.
        (Element::Other, 9),
    ])
});

fn microseconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
