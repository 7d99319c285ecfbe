//! What is kept of one exporter and observation domain.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Refusal;
use super::sequence::{Load, Sequence, Standing};
use super::template::Template;
use super::wire::{Header, Sets, Version};

/// Most bytes of sets that wait for their template, and of datagrams that wait for those before them.
const MOST_HELD: usize = 256 << 10;
/// Most datagrams that wait for those before them.
const MOST_AHEAD: usize = 32;
/// Bytes of a stream beside what it holds, with the map's own.
pub(super) const BYTES: usize = 512;
/// Bytes beside those of a set or a datagram that waits.
const OVERHEAD: usize = 96;

/// A set that cannot be read yet.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) header: Header,
    pub(super) template: u16,
    pub(super) body: Box<[u8]>,
    /// The template is there; when the exporter started is not.
    pub(super) needs_boot: bool,
}

/// A datagram before which others are missing.
#[derive(Debug)]
struct Ahead {
    sequence: u32,
    until_us: i64,
    datagram: Box<[u8]>,
}

/// An exporter, by address and port, and one of its observation domains.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) sequence: Sequence,
    templates: HashMap<u16, Arc<Template>>,
    /// When the exporter started, by its options, milliseconds since the epoch.
    pub(super) boot_ms: Option<i64>,
    early: VecDeque<Early>,
    ahead: Vec<Ahead>,
    pub(super) last_us: i64,
    pub(super) records: u64,
    pub(super) lost: u64,
    /// Bytes of templates and of all that waits.
    pub(super) memory: usize,
    held: usize,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            sequence: Sequence::default(),
            templates: HashMap::new(),
            boot_ms: None,
            early: VecDeque::new(),
            ahead: Vec::new(),
            last_us: i64::MIN,
            records: 0,
            lost: 0,
            memory: BYTES,
            held: 0,
        }
    }

    pub(super) fn template(&self, id: u16) -> Option<&Arc<Template>> {
        self.templates.get(&id)
    }

    /// The last definition of an id holds, of whichever kind.
    pub(super) fn define(
        &mut self,
        id: u16,
        template: Template,
        most: usize,
        room: usize,
    ) -> Result<(), Refusal> {
        let known = self.templates.get(&id);
        if known.is_some_and(|known| **known == template) {
            return Ok(());
        }
        if known.is_none() && self.templates.len() >= most {
            return Err(Refusal::ManyTemplates);
        }
        let (before, after) = (known.map_or(0, |known| known.memory()), template.memory());
        if after > before + room {
            return Err(Refusal::MemoryFull);
        }
        self.memory = self.memory - before + after;
        self.templates.insert(id, Arc::new(template));
        Ok(())
    }

    /// Keeps a set that cannot be read yet, and gives how many others had to leave for it.
    pub(super) fn hold(&mut self, early: Early, room: usize) -> u64 {
        let bytes = early.body.len() + OVERHEAD;
        let mut dropped = 0;
        let mut room = room;
        while bytes > room || self.held + bytes > MOST_HELD {
            let Some(first) = self.early.pop_front() else {
                return dropped + 1;
            };
            room += first.body.len() + OVERHEAD;
            self.free(first.body.len() + OVERHEAD);
            dropped += 1;
        }
        self.memory += bytes;
        self.held += bytes;
        self.early.push_back(early);
        dropped
    }

    /// The sets that waited for this.
    pub(super) fn release(&mut self, is_ready: impl Fn(&Early) -> bool) -> Vec<Early> {
        if !self.early.iter().any(&is_ready) {
            return Vec::new();
        }
        let (ready, waiting): (Vec<_>, Vec<_>) = self.early.drain(..).partition(is_ready);
        self.early = waiting.into();
        let freed = ready.iter().map(|early| early.body.len() + OVERHEAD).sum();
        self.free(freed);
        ready
    }

    /// Sets that still wait.
    pub(super) fn waiting_sets(&self) -> u64 {
        self.early.len() as u64
    }

    /// Where a datagram stands, as far as that can be told before it is read.
    pub(super) fn standing(&self, header: &Header, body: &[u8]) -> Standing {
        let load = match header.version {
            Version::Ipfix => self.load(body),
            // The steps of the others do not depend on what is in the datagram.
            Version::V5 | Version::V9 => Some(Load::default()),
        };
        // Without a template nothing can be told, so the datagram does not wait.
        load.map_or(Standing::InOrder, |load| {
            self.sequence.standing(header.version, header.sequence, load)
        })
    }

    fn load(&self, body: &[u8]) -> Option<Load> {
        let mut load = Load::default();
        for set in Sets(body).map_while(Result::ok).filter(|set| set.id >= 256) {
            let template = self.templates.get(&set.id)?;
            let records = if template.is_options {
                &mut load.options
            } else {
                &mut load.flows
            };
            *records += template.count(set.body);
        }
        Some(load)
    }

    /// Lets a datagram wait for those before it; `false` when there is no room for it.
    pub(super) fn put_ahead(&mut self, sequence: u32, datagram: &[u8], until_us: i64, room: usize) -> bool {
        let bytes = datagram.len() + OVERHEAD;
        if bytes > room || self.held + bytes > MOST_HELD || self.ahead.len() >= MOST_AHEAD {
            return false;
        }
        self.memory += bytes;
        self.held += bytes;
        self.ahead.push(Ahead {
            sequence,
            until_us,
            datagram: datagram.into(),
        });
        true
    }

    /// Number of datagrams that wait for those before them.
    pub(super) fn waiting_datagrams(&self) -> usize {
        self.ahead.len()
    }

    /// The first datagram of those that wait, if nothing is missing before it any more, or one has waited until now.
    pub(super) fn next_ahead(&mut self, now_us: i64) -> Option<Box<[u8]>> {
        let base = self.ahead.first()?.sequence;
        // By the distance to each other: numbers wrap.
        let distance = |ahead: &Ahead| ahead.sequence.wrapping_sub(base).cast_signed();
        let (place, first) = (self.ahead.iter().enumerate()).min_by_key(|(_, ahead)| distance(ahead))?;
        let is_over = self.ahead.iter().any(|ahead| ahead.until_us <= now_us);
        let is_next = || match Header::read(&first.datagram) {
            Ok((header, body, _)) => !matches!(self.standing(&header, body), Standing::Ahead(_)),
            Err(_) => true,
        };
        if !is_over && !is_next() {
            return None;
        }
        let datagram = self.ahead.swap_remove(place).datagram;
        self.free(datagram.len() + OVERHEAD);
        Some(datagram)
    }

    fn free(&mut self, bytes: usize) {
        self.memory -= bytes;
        self.held -= bytes;
    }
}
