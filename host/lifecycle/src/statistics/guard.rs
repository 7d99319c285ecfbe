//! When a generation is taken out, and why.

use std::fmt;

use super::distance::{chance, kolmogorov_smirnov, total};
use super::histogram::time_quantile;
use super::tally::{FailureKind, Measured};
use crate::config::GuardLimits;

/// Calls before the cost is judged: the first calls find cold caches.
const COST_CALLS: u64 = 16;
/// Total time of calls from which their cost is judged, however few they are.
const DEAR_NANOSECONDS: u64 = 250_000_000;
/// Allowance of a call over one of the active detector, whatever the call scores: a canary has few flows, so its calls
/// miss the caches more often.
const CALL_ALLOWANCE_NANOSECONDS: f64 = 50_000.0;

/// Why a generation was taken out: what was measured, and what is allowed.
#[derive(Debug, Clone, PartialEq)]
pub enum RollbackReason {
    /// Too many calls failed.
    Failures {
        /// How they failed.
        kind: FailureKind,
        /// How many failed.
        failed: u64,
        /// Of how many.
        calls: u64,
        /// Share that is allowed.
        allowed: f64,
    },
    /// The scores have another distribution.
    Distance {
        /// Kolmogorov-Smirnov statistic.
        distance: f64,
        /// What is allowed, chance included.
        allowed: f64,
        /// Scores compared: its own, and those of the other one.
        scores: [u64; 2],
    },
    /// Its calls take too long.
    Cost {
        /// Median time of a call, nanoseconds: its own, and of the active one.
        nanoseconds: [f64; 2],
        /// Mean number of flows in a call: its own, and of the active one.
        flows: [f64; 2],
        /// Median time that is allowed, nanoseconds.
        allowed: f64,
    },
    /// The detector failed several times in a row, with a new instance each time.
    InARow {
        /// How often.
        failures: u32,
        /// What it did the last time.
        last: String,
    },
}

impl fmt::Display for RollbackReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures {
                kind,
                failed,
                calls,
                allowed,
            } => {
                let what = match kind {
                    FailureKind::Fault => "trapped or broke the contract",
                    FailureKind::Overrun => "overran its deadline",
                    FailureKind::NotFinite => "gave scores that are not finite",
                };
                write!(
                    formatter,
                    "it {what} in {failed} of {calls} calls, where {} are allowed",
                    Percent(*allowed)
                )
            }
            Self::Distance {
                distance,
                allowed,
                scores: [own, other],
            } => write!(
                formatter,
                "its {own} scores lie {distance:.3} from the {other} of the active one \
                 (Kolmogorov-Smirnov), where {allowed:.3} is allowed"
            ),
            Self::Cost {
                nanoseconds: [own, other],
                flows: [own_flows, other_flows],
                allowed,
            } => {
                let [own, other, allowed] = [own, other, allowed].map(|time| time / 1000.0);
                write!(
                    formatter,
                    "its calls take {own:.0} us for {own_flows:.0} flows, where {allowed:.0} us are allowed beside the \
                     active one's {other:.0} us for {other_flows:.0}"
                )
            }
            Self::InARow { failures, last } => {
                write!(
                    formatter,
                    "it failed {failures} times in a row, the last time so: {last}"
                )
            }
        }
    }
}

/// A share as a percentage, without digits that say nothing.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 10_000.0).round() / 100.0;
        write!(formatter, "{rounded} %")
    }
}

/// Which figures are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Failures, cost and scores, where both generations score flows of the same time.
    All,
    /// Failures and cost.
    Conduct,
}

/// Whether a generation with the figures `candidate` must be taken out, compared with the figures of the active one.
///
/// Failures are judged as a share of the calls, of at least [`GuardLimits::calls`] of them: with 5, two failures in
/// three calls count as two in five. Costs are compared by the medians of the calls, so that a call during which the
/// machine was busy does not count; see [`allowed_call`]. Distances are compared as [`GuardLimits::distance`] says.
pub fn judge(
    candidate: &Measured,
    reference: Option<&Measured>,
    limits: &GuardLimits,
    judged: Judged,
) -> Option<RollbackReason> {
    failures(candidate, limits).or_else(|| {
        let reference = reference?;
        cost(candidate, reference, limits).or_else(|| match judged {
            Judged::All => distance(candidate, reference, limits),
            Judged::Conduct => None,
        })
    })
}

fn failures(candidate: &Measured, limits: &GuardLimits) -> Option<RollbackReason> {
    let kinds = [
        (FailureKind::NotFinite, limits.not_finite_rate),
        (FailureKind::Overrun, limits.overrun_rate),
        (FailureKind::Fault, limits.trap_rate),
    ];
    kinds.into_iter().find_map(|(kind, allowed)| {
        let failed = candidate.failures(kind);
        let calls = candidate.calls.max(limits.calls).max(1);
        (failed as f64 > allowed * calls as f64).then_some(RollbackReason::Failures {
            kind,
            failed,
            calls: candidate.calls,
            allowed,
        })
    })
}

fn cost(candidate: &Measured, reference: &Measured, limits: &GuardLimits) -> Option<RollbackReason> {
    let is_enough =
        candidate.calls >= limits.calls.max(COST_CALLS) || candidate.nanoseconds >= DEAR_NANOSECONDS;
    if !is_enough || reference.calls == 0 {
        return None;
    }
    let both = [candidate, reference];
    let flows = both.map(|side| side.rows as f64 / side.calls as f64);
    let [own, other] = both.map(|side| time_quantile(&side.call_time, 0.5));
    let nanoseconds = [own?, other?];
    let allowed = allowed_call(nanoseconds[1], flows, limits);
    (nanoseconds[0] > allowed).then_some(RollbackReason::Cost {
        nanoseconds,
        flows,
        allowed,
    })
}

/// Most time of a call of a candidate, nanoseconds, where a call of the active generation takes `active`: the fixed
/// part of `active`, plus [`GuardLimits::cost_ratio`] times the part for the flows. The size of either part is unknown,
/// so each is taken to be the whole, which favours the candidate: `active * (1 + ratio * flows / active's flows)`, and
/// 50 us.
fn allowed_call(active: f64, flows: [f64; 2], limits: &GuardLimits) -> f64 {
    let by_flows = limits.cost_ratio * flows[0] / flows[1].max(1.0);
    active * (1.0 + by_flows) + CALL_ALLOWANCE_NANOSECONDS
}

fn distance(candidate: &Measured, reference: &Measured, limits: &GuardLimits) -> Option<RollbackReason> {
    let sides = Measured::on_one_scale(candidate, reference);
    let scores = sides.map(|side| total(side));
    if scores.iter().any(|count| *count < limits.scores.max(1)) {
        return None;
    }
    let distance = kolmogorov_smirnov(sides[0], sides[1])?;
    let allowed = allowed_distance(scores, limits);
    (distance > allowed).then_some(RollbackReason::Distance {
        distance,
        allowed,
        scores,
    })
}

/// The distance above which a canary is rolled back, with these numbers of scores.
pub fn allowed_distance(scores: [u64; 2], limits: &GuardLimits) -> f64 {
    limits.distance + chance(scores[0], scores[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::histogram::time_bin;
    use super::*;

    /// A generation whose calls of 100 rows took `call_us` each, with these counts of scores.
    fn measured(calls: u64, call_us: u64, scores: &[(usize, u64)]) -> Measured {
        let mut measured = Measured {
            calls,
            rows: calls * 100,
            nanoseconds: calls * call_us * 1000,
            ..Measured::default()
        };
        measured.call_time[time_bin(call_us * 1000)] = calls;
        for (bin, count) in scores {
            measured.calibrated[*bin] = *count;
        }
        measured
    }

    fn check(candidate: &Measured, reference: &Measured, judged: Judged, expected: &str) {
        let reason = judge(candidate, Some(reference), &GuardLimits::default(), judged);
        let text = reason.map_or_else(|| "stays".to_owned(), |reason| reason.to_string());
        assert_eq!(text, expected);
    }

    #[test]
    fn failures_are_judged_by_their_share() {
        let reference = measured(100, 100, &[]);
        let failing = |calls, failures| Measured {
            failures,
            ..measured(calls, 100, &[])
        };
        check(
            &failing(1, [1, 0, 0]),
            &reference,
            Judged::All,
            "it trapped or broke the contract in 1 of 1 calls, where 1 % are allowed",
        );
        check(&failing(100, [1, 0, 0]), &reference, Judged::All, "stays");
        check(
            &failing(199, [2, 0, 0]),
            &reference,
            Judged::Conduct,
            "it trapped or broke the contract in 2 of 199 calls, where 1 % are allowed",
        );
        check(
            &failing(50, [0, 1, 0]),
            &reference,
            Judged::All,
            "it overran its deadline in 1 of 50 calls, where 1 % are allowed",
        );
        check(
            &failing(100_000, [0, 0, 1]),
            &reference,
            Judged::All,
            "it gave scores that are not finite in 1 of 100000 calls, where 0 % are allowed",
        );
    }

    #[test]
    fn cost_is_judged_after_some_calls_or_long_ones() {
        let reference = measured(100, 100, &[]);
        check(&measured(50, 1000, &[]), &reference, Judged::All, "stays");
        check(&measured(15, 2000, &[]), &reference, Judged::All, "stays");
        // The bins end at 2,097 and 115 us; 115 * (1 + 10) + 50 are allowed.
        let dear = "its calls take 2097 us for 100 flows, where 1312 us are allowed beside the active one's 115 us for 100";
        check(&measured(16, 2000, &[]), &reference, Judged::All, dear);
        check(&measured(16, 2000, &[]), &reference, Judged::Conduct, dear);
        let very_dear = measured(1, 300_000, &[]);
        assert!(matches!(
            judge(&very_dear, Some(&reference), &GuardLimits::default(), Judged::All),
            Some(RollbackReason::Cost { .. })
        ));
        // A few calls of many in which the machine was busy.
        let mut interrupted = measured(50, 100, &[]);
        interrupted.nanoseconds += 4_000_000_000;
        interrupted.calls += 10;
        interrupted.call_time[time_bin(400_000_000)] += 10;
        check(&interrupted, &reference, Judged::All, "stays");
        check(&very_dear, &Measured::default(), Judged::All, "stays");
        // Few flows in a call: most of what it takes is for the call.
        let few_flows = Measured {
            rows: 100,
            ..measured(100, 100, &[])
        };
        check(&few_flows, &reference, Judged::All, "stays");
    }

    #[test]
    fn scores_are_judged_when_there_are_enough() {
        let spread: Vec<(usize, u64)> = (0..200).map(|bin| (bin, 5)).collect();
        let shifted: Vec<(usize, u64)> = (56..256).map(|bin| (bin, 5)).collect();
        let far: Vec<(usize, u64)> = (156..256).map(|bin| (bin, 10)).collect();
        let few: Vec<(usize, u64)> = (0..199).map(|bin| (255 - bin, 1)).collect();
        let reference = measured(10, 100, &spread);
        check(&measured(10, 100, &spread), &reference, Judged::All, "stays");
        // 0.28 apart, which is more than 0.25 and less than what chance adds to it: 1.95 * sqrt(2 / 1000) = 0.087.
        check(&measured(10, 100, &shifted), &reference, Judged::All, "stays");
        check(&measured(10, 100, &few), &reference, Judged::All, "stays");
        check(
            &measured(10, 100, &far),
            &reference,
            Judged::All,
            "its 1000 scores lie 0.780 from the 1000 of the active one (Kolmogorov-Smirnov), where 0.337 is allowed",
        );
        check(&measured(10, 100, &far), &reference, Judged::Conduct, "stays");
        let raw = Measured {
            calibrated: [0; 256],
            squashed: reference.calibrated,
            ..reference.clone()
        };
        let both = Measured {
            squashed: raw.squashed,
            ..measured(10, 100, &far)
        };
        check(&both, &raw, Judged::All, "stays");
    }

    proptest! {
        #[test]
        fn what_behaves_like_the_active_one_stays(
            counts in prop::collection::vec(0_u64..1000, 256),
            calls in 1_u64..1000,
            call_us in 1_u64..1_000_000,
        ) {
            let scores: Vec<(usize, u64)> = counts.into_iter().enumerate().collect();
            let one = measured(calls, call_us, &scores);
            prop_assert_eq!(judge(&one, Some(&one), &GuardLimits::default(), Judged::All), None);
        }

        /// More failures of the same calls never make it better.
        #[test]
        fn failing_more_is_never_better(calls in 1_u64..5000, failed in 0_u64..100) {
            let taken_out = |failed: u64| {
                let candidate = Measured { failures: [failed.min(calls), 0, 0], ..measured(calls, 1, &[]) };
                judge(&candidate, None, &GuardLimits::default(), Judged::All).is_some()
            };
            prop_assert!(!taken_out(failed) || taken_out(failed + 1));
        }
    }
}
