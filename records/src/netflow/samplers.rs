//! Sampling rates, as exporters tell them beside their records.

use std::collections::HashMap;
use std::net::IpAddr;

use super::element::Element;
use super::values::number;

/// Most samplers of one domain.
const MOST_SAMPLERS: usize = 256;
/// Bytes for a domain, with the map's own.
const BYTES: usize = 128;
/// Bytes for a sampler.
const SAMPLER_BYTES: usize = size_of::<Sampler>();

/// Its id, where it has one, and one in so many packets.
type Sampler = (Option<u64>, u32);

/// What a record says of sampling.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sampling {
    pub(super) sampler: Option<u64>,
    interval: Option<u64>,
    packets: Option<u64>,
    space: Option<u64>,
    size: Option<u64>,
    population: Option<u64>,
}

impl Sampling {
    /// Takes a field in, if it is one of sampling.
    pub(super) fn take(&mut self, element: Element, value: &[u8]) {
        let place = match element {
            Element::SamplerId => &mut self.sampler,
            Element::SamplingInterval => &mut self.interval,
            Element::SamplingPackets => &mut self.packets,
            Element::SamplingSpace => &mut self.space,
            Element::SamplingSize => &mut self.size,
            Element::SamplingPopulation => &mut self.population,
            _ => return,
        };
        *place = number(value);
    }

    /// One in so many packets, where that is told.
    pub(super) fn rate(&self) -> Option<u32> {
        let share = |whole: u64, part: u64| (part > 0).then(|| whole.saturating_add(part / 2) / part);
        let rate = match (self.packets, self.space, self.size, self.population) {
            // So many packets are taken, then so many are skipped.
            (Some(packets), Some(space), ..) => share(packets.saturating_add(space), packets)?,
            (.., Some(size), Some(population)) => share(population, size)?,
            _ => self.interval?,
        };
        // 0 and 1 both stand for every packet.
        Some(u32::try_from(rate).unwrap_or(u32::MAX).max(1))
    }
}

/// The samplers of all exporters, by address and domain. The port is left out: options may come from another one, and a
/// restart changes it.
#[derive(Debug, Default)]
pub(super) struct Samplers {
    domains: HashMap<(IpAddr, u32), Vec<Sampler>>,
    memory: usize,
}

impl Samplers {
    /// Notes a rate that options tell, if there is room.
    pub(super) fn note(&mut self, address: IpAddr, domain: u32, sampling: &Sampling, room: usize) {
        let Some(rate) = sampling.rate() else { return };
        let needed = BYTES + SAMPLER_BYTES * 4;
        let is_new = !self.domains.contains_key(&(address, domain));
        if is_new && needed > room {
            return;
        }
        self.memory += if is_new { needed } else { 0 };
        let samplers = self.domains.entry((address, domain)).or_default();
        if let Some((_, known)) = samplers.iter_mut().find(|(id, _)| *id == sampling.sampler) {
            *known = rate;
        } else if samplers.len() < MOST_SAMPLERS && SAMPLER_BYTES * 2 <= room {
            self.memory += SAMPLER_BYTES * 2;
            samplers.push((sampling.sampler, rate));
        }
    }

    /// The rate of a record's sampler; of the only one, where the record names none; 1 where nothing is told.
    pub(super) fn rate(&self, address: IpAddr, domain: u32, sampler: Option<u64>) -> u32 {
        let Some(samplers) = self.domains.get(&(address, domain)) else {
            return 1;
        };
        let of = |wanted: Option<u64>| samplers.iter().find(|(id, _)| *id == wanted);
        let only = || match &samplers[..] {
            [only] if sampler.is_none() || only.0.is_none() => Some(only),
            _ => None,
        };
        of(sampler).or_else(only).map_or(1, |&(_, rate)| rate)
    }

    /// Forgets what was told by an exporter that is gone.
    pub(super) fn forget(&mut self, address: IpAddr, domain: u32) {
        if let Some(samplers) = self.domains.remove(&(address, domain)) {
            self.memory -= BYTES + SAMPLER_BYTES * (4 + 2 * samplers.len());
        }
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }
}
