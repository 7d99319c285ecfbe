//! What the fields of one record say together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::element::Element;
use super::samplers::Sampling;
use super::wire::Header;
use super::{PassedOver, Refusal};
use crate::{BytesOf, Record, Sides};

/// A flow may end so much after the time in its header, which is cut to seconds, before the clocks count as wrapped.
const AHEAD_MS: u32 = 60_000;
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A record of one direction, or of both.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    /// Without a state; of a one-way record packets and bytes are those of the source.
    pub(super) record: Record,
    /// Flags of TCP that the source has sent, and those of the destination, where they are told.
    pub(super) flags: [Option<u8>; 2],
    /// Whether the record tells both directions.
    pub(super) is_two_way: bool,
}

/// Why a record is no flow.
pub(super) enum Skip {
    Passed(PassedOver),
    Refused(Refusal),
}

impl From<Refusal> for Skip {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The fields of a record, as far as they matter. What is not there is `None`.
#[derive(Debug, Default)]
pub(super) struct Values {
    source_v4: Option<Ipv4Addr>,
    destination_v4: Option<Ipv4Addr>,
    source_v6: Option<Ipv6Addr>,
    destination_v6: Option<Ipv6Addr>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    protocol: Option<u8>,
    icmp_type_code: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    flags: [Option<u8>; 2],
    octets: Counter,
    packets: Counter,
    start: Moment,
    end: Moment,
    duration_us: Option<i64>,
    event_us: Option<i64>,
    boot_ms: Option<i64>,
    firewall_event: Option<u64>,
    nat_event: Option<u64>,
    pub(super) sampling: Sampling,
}

/// A count in the elements that exporters have for it.
#[derive(Debug, Default)]
struct Counter {
    delta: Option<u64>,
    total: Option<u64>,
    reverse: Option<u64>,
    initiator: Option<u64>,
    responder: Option<u64>,
    out: Option<u64>,
}

impl Counter {
    /// Of the source alone, unless the destination's is told too. `out` repeats the count on the way out of a router; some
    /// exporters mean the other direction by it.
    fn sides(&self, out_is_reverse: bool) -> Option<(u64, Option<u64>)> {
        if self.initiator.or(self.responder).is_some() {
            return Some((self.initiator.unwrap_or(0), Some(self.responder.unwrap_or(0))));
        }
        let own = self.delta.or(self.total);
        let out = if out_is_reverse { self.out } else { None };
        match own.or(if out_is_reverse { None } else { self.out }) {
            Some(own) => Some((own, self.reverse.or(out))),
            None => self.reverse.or(out).map(|reverse| (0, Some(reverse))),
        }
    }

    fn is_told(&self) -> bool {
        let Self {
            delta,
            total,
            reverse,
            initiator,
            responder,
            out,
        } = self;
        [delta, total, reverse, initiator, responder, out]
            .into_iter()
            .any(Option::is_some)
    }
}

/// A time in the elements that exporters have for it.
#[derive(Debug, Default)]
struct Moment {
    /// Microseconds since the epoch, by the element of the finest unit.
    absolute: Option<(Unit, i64)>,
    /// Milliseconds since the exporter started.
    uptime: Option<u32>,
    /// Microseconds before the header's time.
    delta: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Seconds,
    Milliseconds,
    Finer,
}

impl Moment {
    /// Of times in one unit, those of two directions, the one that `outermost` picks.
    fn tell(&mut self, unit: Unit, time_us: i64, outermost: fn(i64, i64) -> i64) {
        self.absolute = match self.absolute {
            Some((known, _)) if known > unit => self.absolute,
            Some((known, other)) if known == unit => Some((unit, outermost(other, time_us))),
            _ => Some((unit, time_us)),
        };
    }

    /// Absolute times win: a header can hold anything.
    fn resolve(&self, header: &Header, boot_ms: Option<i64>) -> Result<Option<i64>, Refusal> {
        if let Some((_, time_us)) = self.absolute {
            return Ok(Some(time_us));
        }
        if let Some(delta_us) = self.delta {
            let delta_us = i64::try_from(delta_us).unwrap_or(i64::MAX);
            return Ok(Some((header.export_ms * 1_000).saturating_sub(delta_us)));
        }
        let Some(uptime) = self.uptime else {
            return Ok(None);
        };
        let now = match boot_ms {
            // The counter has 32 bits.
            Some(boot_ms) => (header.export_ms.wrapping_sub(boot_ms) & 0xffff_ffff) as u32,
            None => header.uptime_ms.ok_or(Refusal::NoBootTime)?,
        };
        // It wraps after 49.7 days, perhaps between the flow and its export.
        let ago = now.wrapping_sub(uptime);
        let ago = if ago > u32::MAX - AHEAD_MS {
            i64::from(ago.cast_signed())
        } else {
            i64::from(ago)
        };
        Ok(Some((header.export_ms - ago) * 1_000))
    }
}

impl Values {
    /// Takes a field in.
    pub(super) fn take(&mut self, element: Element, value: &[u8]) {
        match element {
            Element::Other => {}
            Element::Octets => self.octets.delta = number(value),
            Element::OctetsTotal => self.octets.total = number(value),
            Element::ReverseOctets => self.octets.reverse = number(value),
            Element::InitiatorOctets => self.octets.initiator = number(value),
            Element::ResponderOctets => self.octets.responder = number(value),
            Element::OutOctets => self.octets.out = number(value),
            Element::Packets => self.packets.delta = number(value),
            Element::PacketsTotal => self.packets.total = number(value),
            Element::ReversePackets => self.packets.reverse = number(value),
            Element::InitiatorPackets => self.packets.initiator = number(value),
            Element::ResponderPackets => self.packets.responder = number(value),
            Element::OutPackets => self.packets.out = number(value),
            Element::Protocol => self.protocol = small(value),
            // Two bytes have the further flags in the first.
            Element::Flags => self.flags[0] = low_byte(value),
            Element::ReverseFlags => self.flags[1] = low_byte(value),
            Element::SourcePort => self.source_port = port(value).or(self.source_port),
            Element::DestinationPort => self.destination_port = port(value).or(self.destination_port),
            Element::SourceV4 => self.source_v4 = address(value),
            Element::DestinationV4 => self.destination_v4 = address(value),
            Element::SourceV6 => self.source_v6 = address(value),
            Element::DestinationV6 => self.destination_v6 = address(value),
            Element::IcmpTypeCode => {
                // A template for both versions of IP leaves the other one 0.
                self.icmp_type_code = port(value).or(self.icmp_type_code);
            }
            Element::IcmpType => self.icmp_type = small(value),
            Element::IcmpCode => self.icmp_code = small(value),
            Element::StartUptime => self.start.uptime = uptime(value),
            Element::EndUptime => self.end.uptime = uptime(value),
            Element::StartSeconds => tell(&mut self.start, Unit::Seconds, seconds(value), i64::min),
            Element::EndSeconds => tell(&mut self.end, Unit::Seconds, seconds(value), i64::max),
            Element::StartMilliseconds => {
                tell(&mut self.start, Unit::Milliseconds, milliseconds(value), i64::min);
            }
            Element::EndMilliseconds => {
                tell(&mut self.end, Unit::Milliseconds, milliseconds(value), i64::max);
            }
            Element::StartNtp => tell(&mut self.start, Unit::Finer, ntp(value), i64::min),
            Element::EndNtp => tell(&mut self.end, Unit::Finer, ntp(value), i64::max),
            Element::StartDelta => self.start.delta = number(value),
            Element::EndDelta => self.end.delta = number(value),
            Element::DurationMilliseconds => {
                self.duration_us = signed(value).and_then(|duration| duration.checked_mul(1_000));
            }
            Element::DurationMicroseconds => self.duration_us = signed(value),
            Element::EventSeconds => self.event_us = self.event_us.or(seconds(value)),
            Element::EventMilliseconds => self.event_us = milliseconds(value).or(self.event_us),
            Element::BootMilliseconds => self.boot_ms = signed(value).filter(|&boot_ms| boot_ms > 0),
            Element::FirewallEvent => self.firewall_event = number(value),
            Element::NatEvent => self.nat_event = number(value),
            Element::SamplerId
            | Element::SamplingInterval
            | Element::SamplingPackets
            | Element::SamplingSpace
            | Element::SamplingSize
            | Element::SamplingPopulation => self.sampling.take(element, value),
        }
    }

    /// When the exporter started, milliseconds since the epoch, if the record says so.
    pub(super) fn boot_ms(&self) -> Option<i64> {
        self.boot_ms
    }

    /// The flow. `boot_ms` is when the exporter started, by its options; `rate`: one in so many packets was looked at.
    pub(super) fn observed(
        &self,
        header: &Header,
        boot_ms: Option<i64>,
        rate: u32,
        out_is_reverse: bool,
    ) -> Result<Observed, Skip> {
        if !self.octets.is_told() && !self.packets.is_told() {
            if self.firewall_event.is_some() {
                return Err(Skip::Passed(PassedOver::FirewallEvent));
            }
            if self.nat_event.is_some() {
                return Err(Skip::Passed(PassedOver::NatEvent));
            }
        }
        let (source, destination) = self.addresses().ok_or(Skip::Passed(PassedOver::NoAddresses))?;
        let protocol = self.protocol.ok_or(Refusal::Missing("protocol"))?;
        let (start_us, end_us) = self.times(header, boot_ms)?;
        let (source_port, destination_port) = self.ports(protocol);
        let [packets, octets] = [&self.packets, &self.octets].map(|counter| counter.sides(out_is_reverse));
        let is_two_way = [packets, octets]
            .into_iter()
            .flatten()
            .any(|(_, reverse)| reverse.is_some());
        let sides = |(source, reverse): (u64, Option<u64>)| Sides {
            source: source.saturating_mul(rate.into()),
            destination: reverse.unwrap_or(0).saturating_mul(rate.into()),
        };
        let record = Record {
            start_us,
            end_us,
            source,
            destination,
            source_port,
            destination_port,
            protocol,
            service: None,
            state: None,
            packets: packets.map(sides),
            bytes: octets.map(sides),
            bytes_of: BytesOf::Network,
            payload: None,
            sampling: rate,
            own_id: None,
            sensor: None,
            network: None,
            foreign: None,
        };
        Ok(Observed {
            record,
            flags: self.flags,
            is_two_way,
        })
    }

    /// A template for both versions of IP leaves the addresses of the other one 0.
    fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        let v4 = self.source_v4.zip(self.destination_v4);
        let v6 = self.source_v6.zip(self.destination_v6);
        match (v4, v6) {
            (Some((source, destination)), Some((source_v6, destination_v6)))
                if source.is_unspecified()
                    && destination.is_unspecified()
                    && !(source_v6.is_unspecified() && destination_v6.is_unspecified()) =>
            {
                Some((source_v6.into(), destination_v6.into()))
            }
            (Some((source, destination)), _) => Some((source.into(), destination.into())),
            (None, Some((source, destination))) => Some((source.into(), destination.into())),
            (None, None) => None,
        }
    }

    /// The ports; of ICMP type and code, which many exporters put into the port of the destination.
    fn ports(&self, protocol: u8) -> (u16, u16) {
        let destination = self.destination_port.unwrap_or(0);
        if !matches!(protocol, ICMP | ICMPV6) {
            return (self.source_port.unwrap_or(0), destination);
        }
        let [kind, code] = self.icmp_type_code.unwrap_or(destination).to_be_bytes();
        let kind = self.icmp_type.unwrap_or(kind);
        (kind.into(), self.icmp_code.unwrap_or(code).into())
    }

    fn times(&self, header: &Header, boot_ms: Option<i64>) -> Result<(i64, i64), Refusal> {
        let boot_ms = self.boot_ms.or(boot_ms);
        let start = self.start.resolve(header, boot_ms)?;
        let end = self.end.resolve(header, boot_ms)?;
        let (start_us, end_us) = match (start, end, self.duration_us) {
            (Some(start), Some(end), _) => (start, end),
            (Some(start), None, Some(duration)) => (start, start.saturating_add(duration)),
            (None, Some(end), Some(duration)) => (end.saturating_sub(duration), end),
            (Some(start), None, None) => (start, self.event_us.unwrap_or(start).max(start)),
            (None, Some(end), None) => (end, end),
            (None, None, _) => {
                let event = self.event_us.ok_or(Refusal::Missing("time"))?;
                (event, event)
            }
        };
        if end_us < start_us {
            return Err(Refusal::EndsBeforeStart);
        }
        Ok((start_us, end_us))
    }
}

fn tell(moment: &mut Moment, unit: Unit, time_us: Option<i64>, outermost: fn(i64, i64) -> i64) {
    if let Some(time_us) = time_us {
        moment.tell(unit, time_us, outermost);
    }
}

/// A number of up to 8 bytes; exporters leave out leading ones that are 0, or write more.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let number = value.iter().try_fold(0_u64, |number, &byte| {
        number.checked_mul(256).map(|number| number | u64::from(byte))
    });
    Some(number.unwrap_or(u64::MAX))
}

fn signed(value: &[u8]) -> Option<i64> {
    number(value).and_then(|number| i64::try_from(number).ok())
}

fn small(value: &[u8]) -> Option<u8> {
    number(value).and_then(|number| u8::try_from(number).ok())
}

fn low_byte(value: &[u8]) -> Option<u8> {
    value.last().copied()
}

/// A port that is not 0: elements of TCP and of UDP stand beside each other in some templates.
fn port(value: &[u8]) -> Option<u16> {
    number(value)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|&port| port != 0)
}

fn address<const N: usize, A: From<[u8; N]>>(value: &[u8]) -> Option<A> {
    <[u8; N]>::try_from(value).ok().map(A::from)
}

fn uptime(value: &[u8]) -> Option<u32> {
    // Wider counters wrap here as the narrow ones do.
    number(value).map(|number| (number & 0xffff_ffff) as u32)
}

fn seconds(value: &[u8]) -> Option<i64> {
    // 0 stands for a time that is not known.
    signed(value).filter(|&time| time > 0)?.checked_mul(1_000_000)
}

fn milliseconds(value: &[u8]) -> Option<i64> {
    signed(value).filter(|&time| time > 0)?.checked_mul(1_000)
}

/// Microseconds since the epoch of a timestamp of NTP: seconds and their fraction, 32 bits each.
fn ntp(value: &[u8]) -> Option<i64> {
    let stamp = u64::from_be_bytes(value.try_into().ok()?);
    let (seconds, fraction) = (stamp >> 32, stamp & 0xffff_ffff);
    // Seconds before 1970 are those of the next era, which begins in 2036.
    let seconds = seconds
        .checked_sub(NTP_EPOCH)
        .unwrap_or(seconds + (1 << 32) - NTP_EPOCH);
    let microseconds = (fraction * 1_000_000 + (1 << 31)) >> 32;
    i64::try_from(seconds * 1_000_000 + microseconds).ok()
}
