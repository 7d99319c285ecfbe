//! What is disturbed when: made of the seed alone, so that a run can be repeated on any machine.

use netsage_testkit::random::Random;

/// Nothing is disturbed before this, ms: the program starts.
const FIRST_MS: u64 = 3_000;
/// Nothing is disturbed for this long before the end, ms.
const LAST_MS: u64 = 10_000;

/// A way to disturb the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Another process locks the database.
    Lock,
    /// The file system of data and store becomes full.
    FullDisk,
    /// The server of the store is stopped (SIGSTOP).
    ServerHangs,
    /// The server of the store is killed, and started again.
    ServerAway,
    /// The other end of the wire is switched off.
    NoCarrier,
    /// The interface is switched off.
    InterfaceDown,
    /// The interface is removed, and made anew.
    InterfaceGone,
    /// The clock steps, and steps back.
    Clock,
    /// No further descriptor can be opened.
    Descriptors,
    /// Hardly more memory can be had.
    Memory,
    /// SIGSTOP, then SIGCONT.
    Stop,
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Terminate,
    /// SIGHUP, without a terminal.
    Hangup,
}

impl Kind {
    /// As it stands in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lock => "store locked",
            Self::FullDisk => "disk full",
            Self::ServerHangs => "server hangs",
            Self::ServerAway => "server away",
            Self::NoCarrier => "no carrier",
            Self::InterfaceDown => "interface down",
            Self::InterfaceGone => "interface gone",
            Self::Clock => "clock steps",
            Self::Descriptors => "no descriptors",
            Self::Memory => "no memory",
            Self::Stop => "SIGSTOP",
            Self::Kill => "SIGKILL",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        }
    }

    /// Whether it is over as soon as it has begun.
    fn is_instant(self) -> bool {
        matches!(self, Self::Kill | Self::Terminate | Self::Hangup)
    }
}

/// A disturbance and its time, ms since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) begin_ms: u64,
    /// The same as the beginning for what has no duration.
    pub(crate) end_ms: u64,
    pub(crate) kind: Kind,
    /// Drawn for whoever needs it.
    pub(crate) draw: u64,
}

/// Deals out the kinds again and again, each in another order. Into every third disturbance that lasts falls one of the
/// process.
pub(crate) fn schedule(random: &mut Random, kinds: &[Kind], seconds: u64) -> Vec<Event> {
    const OF_THE_PROCESS: [Kind; 4] = [Kind::Kill, Kind::Hangup, Kind::Terminate, Kind::Kill];
    let mut events = Vec::new();
    let mut left = Vec::new();
    let mut begin_ms = FIRST_MS;
    loop {
        if left.is_empty() {
            left.extend_from_slice(kinds);
        }
        let kind = left.swap_remove(random.below(left.len() as u64) as usize);
        let lasts_ms = if kind.is_instant() {
            0
        } else {
            3_000 + random.below(5_500)
        };
        let end_ms = begin_ms + lasts_ms;
        if end_ms + LAST_MS > seconds * 1_000 {
            return events;
        }
        let draw = random.below(u64::MAX);
        events.push(Event {
            begin_ms,
            end_ms,
            kind,
            draw,
        });
        if lasts_ms > 0 && kind != Kind::Stop && random.below(3) == 0 {
            let middle_ms = begin_ms + 500 + random.below(lasts_ms - 500);
            events.push(Event {
                begin_ms: middle_ms,
                end_ms: middle_ms,
                kind: OF_THE_PROCESS[random.below(4) as usize],
                draw,
            });
        }
        begin_ms = end_ms + 1_000 + random.below(4_000);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const KINDS: [Kind; 4] = [Kind::Lock, Kind::Kill, Kind::Hangup, Kind::Stop];

    fn of(seed: u64) -> Vec<Event> {
        schedule(&mut Random::new(seed), &KINDS, 120)
    }

    #[test]
    fn a_seed_gives_its_schedule_again_and_another_seed_another() {
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn every_kind_has_its_turn_and_nothing_is_left_at_the_end() {
        for seed in 0..50 {
            let events = of(seed);
            let kinds: BTreeSet<Kind> = events.iter().map(|event| event.kind).collect();
            assert!(kinds.is_superset(&KINDS.into()), "{events:?}");
            for event in events {
                assert!(
                    event.begin_ms >= FIRST_MS && event.end_ms >= event.begin_ms,
                    "{event:?}"
                );
                assert!(event.end_ms + LAST_MS <= 120_000, "{event:?}");
                assert_eq!(
                    event.kind.is_instant(),
                    event.begin_ms == event.end_ms,
                    "{event:?}"
                );
            }
        }
    }
}
