//! Which times of packets are believed.
//!
//! The meter's timers follow the times of packets, so that one packet with a time far in the future would end every
//! flow, and so would a packet with a time long ago, because time then seems to begin anew. A single packet is
//! therefore not believed: one whose time is *out of step* with the clock (more than a minute behind the latest time
//! seen, or more than an hour ahead of it) is held back until the next one arrives.
//!
//! - When that is in step with the clock, the time of the held packet was false. It is metered at the time of
//!   the clock, and counted.
//! - When that agrees with the held packet instead, time has really leapt, as in a capture that was paused or put
//!   together from several. The held packet is metered at its own time, and the clock follows it. To agree with a
//!   leap ahead it is enough not to be behind it: where packets are hours apart, each is a leap.
//! - When it agrees with neither, the held packet's time was false, and the next one is held.
//!
//! A held packet that nothing follows is metered at its own time, which nothing has contradicted. The clock of a
//! live meter is not a packet: it is always believed, and settles what is held.

use crate::packet::{LinkType, Packet};

/// How far a packet may be ahead of the latest time seen, nanoseconds: one hour, far more than the pauses of a
/// network that is in use and far less than what a damaged time is off.
const FARTHEST_AHEAD_NS: i64 = 3_600 * 1_000_000_000;

/// How far a packet may be behind the latest time seen, nanoseconds: the longest timeout, beyond which flows that
/// it belongs to are over.
const FARTHEST_BEHIND_NS: i64 = crate::flow::timeout::LARGEST_TIMEOUT_NS;

fn is_in_step(time_ns: i64, clock_ns: i64) -> bool {
    (-FARTHEST_BEHIND_NS..=FARTHEST_AHEAD_NS).contains(&time_ns.saturating_sub(clock_ns))
}

/// The latest time that is believed, and the packet that is not yet.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// `None` before the first packet.
    clock_ns: Option<i64>,
    held: Option<Held>,
    /// The memory of the last packet held, for the next one.
    spare: Vec<u8>,
}

/// A packet that is held back or was.
#[derive(Debug)]
pub(crate) struct Held {
    link: LinkType,
    time_ns: i64,
    wire_length: u32,
    bytes: Vec<u8>,
    /// Whether its time was contradicted, and is that of the clock now.
    pub(crate) had_false_time: bool,
}

impl Held {
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet {
            link: self.link,
            time_ns: self.time_ns,
            wire_length: self.wire_length,
            bytes: &self.bytes,
        }
    }
}

impl Timeline {
    /// Whether a packet of this time can be metered at once. The clock has then followed it.
    pub(crate) fn follows(&mut self, time_ns: i64) -> bool {
        let clock_ns = self.clock_ns.unwrap_or(time_ns);
        let follows = self.held.is_none() && is_in_step(time_ns, clock_ns);
        if follows {
            self.clock_ns = Some(clock_ns.max(time_ns));
        }
        follows
    }

    /// Decides about the packet that is held, if any, by the time of the next one. It is to be metered first, and
    /// given back.
    pub(crate) fn settle(&mut self, next_ns: i64) -> Option<Held> {
        let mut held = self.held.take()?;
        let clock_ns = self.clock_ns.unwrap_or(held.time_ns);
        let agrees = if held.time_ns > clock_ns {
            next_ns >= held.time_ns.saturating_sub(FARTHEST_BEHIND_NS)
        } else {
            is_in_step(next_ns, held.time_ns)
        };
        held.had_false_time = is_in_step(next_ns, clock_ns) || !agrees;
        if held.had_false_time {
            held.time_ns = clock_ns;
        }
        self.clock_ns = Some(held.time_ns);
        Some(held)
    }

    /// The packet that is held, when nothing follows it.
    pub(crate) fn release(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// Holds a packet back; none is held.
    pub(crate) fn hold(&mut self, packet: &Packet<'_>) {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.extend_from_slice(packet.bytes);
        self.held = Some(Held {
            link: packet.link,
            time_ns: packet.time_ns,
            wire_length: packet.wire_length,
            bytes,
            had_false_time: false,
        });
    }

    /// Takes the memory of a packet that was held.
    pub(crate) fn reuse(&mut self, held: Held) {
        self.spare = held.bytes;
    }

    /// Follows a clock that is always right.
    pub(crate) fn set(&mut self, now_ns: i64) {
        // Packets of this moment may be a little ahead of it, and the latest of them may be already.
        let clock_ns = self.clock_ns.filter(|&clock_ns| is_in_step(now_ns, clock_ns));
        self.clock_ns = Some(clock_ns.map_or(now_ns, |clock_ns| clock_ns.max(now_ns)));
    }

    /// Forgets everything: the next packet is the first again.
    pub(crate) fn restart(&mut self) {
        self.clock_ns = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    /// Times in seconds go in; what is metered comes out, false times in brackets at the time they got.
    fn check(times: &[i64], expected: &str) {
        let mut timeline = Timeline::default();
        let mut metered = Vec::new();
        let mut meter = |held: Option<Held>, timeline: &mut Timeline| {
            if let Some(held) = held {
                let seconds = held.packet().time_ns / 1_000_000_000;
                metered.push(if held.had_false_time {
                    format!("[{seconds}]")
                } else {
                    seconds.to_string()
                });
                timeline.reuse(held);
            }
        };
        for &seconds in times {
            let packet = Packet {
                link: LinkType::Ethernet,
                time_ns: seconds.saturating_mul(1_000_000_000),
                wire_length: 0,
                bytes: &[],
            };
            let settled = timeline.settle(packet.time_ns);
            meter(settled, &mut timeline);
            if timeline.follows(packet.time_ns) {
                timeline.hold(&packet);
                let passed = timeline.release();
                meter(passed, &mut timeline);
            } else {
                timeline.hold(&packet);
            }
        }
        let last = timeline.release();
        meter(last, &mut timeline);
        assert_eq!(metered.join(" "), expected, "{times:?}");
    }

    #[test]
    fn times_in_step_pass() {
        check(&[100, 101, 90, 41, 101 + HOUR], "100 101 90 41 3701");
        check(&[i64::MIN, i64::MIN], "-9223372036 -9223372036");
    }

    #[test]
    fn a_packet_alone_is_not_believed() {
        check(&[100, 100 + 2 * HOUR, 101, 102], "100 [100] 101 102");
        check(&[100, 0, 101, 30, 102], "100 [100] 101 [101] 102");
        check(&[100, i64::MAX, 101, i64::MIN, 102], "100 [100] 101 [101] 102");
    }

    #[test]
    fn two_packets_that_agree_are() {
        check(&[100, 100 + 2 * HOUR, 101 + 2 * HOUR, 101], "100 7300 7301 101");
        check(&[9_000, 100, 101, 102], "9000 100 101 102");
        check(&[0, 2 * HOUR, 4 * HOUR, 6 * HOUR], "0 7200 14400 21600");
        check(&[100, 2 * HOUR, 9 * HOUR, 101, 102], "100 7200 [7200] 101 102");
        check(&[100, 0, 9 * HOUR, 101, 102], "100 [100] [100] 101 102");
    }

    #[test]
    fn the_last_packet_is_not_contradicted() {
        check(&[100, 2 * HOUR], "100 7200");
    }

    #[test]
    fn a_clock_settles_what_is_held() {
        let mut timeline = Timeline::default();
        assert!(timeline.follows(0));
        timeline.set(5 * FARTHEST_AHEAD_NS);
        assert!(timeline.follows(5 * FARTHEST_AHEAD_NS + 1));
        timeline.set(0);
        assert!(timeline.follows(1), "the clock was set back");
    }
}
