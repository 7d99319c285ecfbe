//! Sequence numbers: what is missing of a stream of datagrams.
//!
//! The number of a datagram counts what came before: flows (v5), datagrams (v9), or data records (IPFIX). Exporters of IPFIX
//! differ in whether records about themselves count, and softflowd counts the records of the datagram itself; by which of
//! four rules a stream counts is learnt from the stream: the rule that has explained most steps so far.

use super::wire::Version;

/// A longer gap is no loss but a stream that began anew.
const MOST_LOST: u32 = 1 << 20;
/// Steps that a rule can be ahead by, so that an exporter that changes is followed.
const MOST_HITS: u8 = 64;

/// The records of one datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Records of flows.
    pub(super) flows: u32,
    /// Records about the exporter.
    pub(super) options: u32,
}

/// Where a datagram stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Behind the one before, with nothing missing.
    InOrder,
    /// So many are missing before it.
    Ahead(u32),
    /// Another one that follows it was here before.
    Behind,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    sequence: u32,
    load: Load,
}

/// The sequence of one exporter and domain.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: Option<Step>,
    /// The last one that came behind its turn: the first of a stream that began anew, if another one follows it.
    behind: Option<Step>,
    /// How many steps each rule has explained.
    hits: [u8; 4],
}

impl Sequence {
    /// Where a datagram stands.
    pub(super) fn standing(&self, version: Version, sequence: u32, load: Load) -> Standing {
        let last = self.last.as_ref();
        last.map_or(Standing::InOrder, |last| {
            self.standing_after(last, version, sequence, load).0
        })
    }

    /// Takes a datagram in and says how many are missing before it. A load of `None` is not known, and so nothing is known
    /// of the next step.
    pub(super) fn follow(&mut self, version: Version, sequence: u32, load: Option<Load>) -> (Standing, u32) {
        let Some(load) = load else {
            (self.last, self.behind) = (None, None);
            return (Standing::InOrder, 0);
        };
        let step = Some(Step { sequence, load });
        let Some(last) = self.last else {
            self.last = step;
            return (Standing::InOrder, 0);
        };
        let (standing, explained) = self.standing_after(&last, version, sequence, load);
        match standing {
            Standing::InOrder => {
                for (hits, explains) in self.hits.iter_mut().zip(explained) {
                    if explains {
                        *hits = hits.saturating_add(1).min(MOST_HITS);
                    } else {
                        *hits = hits.saturating_sub(1);
                    }
                }
                (self.last, self.behind) = (step, None);
                (standing, 0)
            }
            Standing::Ahead(missing) => {
                (self.last, self.behind) = (step, None);
                (standing, if missing > MOST_LOST { 0 } else { missing })
            }
            Standing::Behind => {
                let follows = self.behind.is_some_and(|behind| {
                    let (standing, _) = self.standing_after(&behind, version, sequence, load);
                    standing == Standing::InOrder
                });
                if follows {
                    (self.last, self.behind) = (step, None);
                } else {
                    self.behind = step;
                }
                (standing, 0)
            }
        }
    }

    /// Also says which rules explain the step.
    fn standing_after(
        &self,
        last: &Step,
        version: Version,
        sequence: u32,
        load: Load,
    ) -> (Standing, [bool; 4]) {
        let all = |load: Load| load.flows.wrapping_add(load.options);
        let expected = match version {
            Version::V5 => [last.load.flows; 4],
            Version::V9 => [1; 4],
            Version::Ipfix => [all(last.load), last.load.flows, load.flows, all(load)],
        };
        let step = sequence.wrapping_sub(last.sequence);
        let gaps = expected.map(|expected| step.wrapping_sub(expected).cast_signed());
        let most = self.hits.iter().max().copied().unwrap_or(0);
        let of_best = || {
            gaps.iter()
                .zip(self.hits)
                .filter(|&(_, hits)| hits == most)
                .map(|(&gap, _)| gap)
        };
        let standing = if of_best().any(|gap| gap == 0) {
            Standing::InOrder
        } else {
            match of_best().filter(|&gap| gap > 0).min() {
                Some(gap) => Standing::Ahead(gap.unsigned_abs()),
                None => Standing::Behind,
            }
        };
        (standing, gaps.map(|gap| gap == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datagrams as (sequence, flows, options); what is missing before each.
    #[track_caller]
    fn check(version: Version, datagrams: &[(u32, u32, u32)], expected: &[u32]) {
        let mut sequence = Sequence::default();
        let missing: Vec<u32> = (datagrams.iter())
            .map(|&(number, flows, options)| {
                let load = Load { flows, options };
                sequence.follow(version, number, Some(load)).1
            })
            .collect();
        assert_eq!(missing, expected, "{version:?} {datagrams:?}");
    }

    #[test]
    fn each_version_counts_in_its_unit() {
        use Version::{Ipfix, V5, V9};
        check(
            V5,
            &[(7, 30, 0), (37, 2, 0), (39, 1, 0), (50, 1, 0)],
            &[0, 0, 0, 10],
        );
        check(V9, &[(7, 30, 0), (8, 2, 1), (9, 1, 0), (12, 1, 0)], &[0, 0, 0, 2]);
        // By RFC 7011, with options and without.
        check(
            Ipfix,
            &[(0, 5, 1), (6, 3, 0), (9, 2, 0), (20, 1, 0)],
            &[0, 0, 0, 9],
        );
        check(
            Ipfix,
            &[(0, 5, 1), (5, 3, 1), (8, 2, 0), (20, 1, 0)],
            &[0, 0, 0, 10],
        );
        // As softflowd counts: with the datagram's own records, without options.
        check(
            Ipfix,
            &[(5, 5, 1), (8, 3, 0), (10, 2, 1), (11, 1, 0), (15, 1, 0)],
            &[0, 0, 0, 0, 3],
        );
        // The numbers begin again at 0.
        check(V5, &[(u32::MAX - 1, 2, 0), (0, 1, 0), (2, 1, 0)], &[0, 0, 1]);
    }

    #[test]
    fn a_new_start_is_no_loss() {
        use Version::{V5, V9};
        check(
            V9,
            &[
                (900, 1, 0),
                (901, 1, 0),
                (0, 1, 0),
                (1, 1, 0),
                (2, 1, 0),
                (4, 1, 0),
            ],
            &[0, 0, 0, 0, 0, 1],
        );
        check(V9, &[(1, 1, 0), (3_000_000, 1, 0), (3_000_001, 1, 0)], &[0, 0, 0]);
        // One that comes twice changes nothing.
        check(
            V5,
            &[
                (0, 30, 0),
                (30, 30, 0),
                (30, 30, 0),
                (60, 30, 0),
                (0, 30, 0),
                (90, 1, 0),
            ],
            &[0; 6],
        );
    }
}
