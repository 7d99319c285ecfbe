//! What the answers of one program are held against: the sum of flows in each, and for how long health was wrong.

use std::time::Duration;

use netsage_api_types::PipelineCounters;

/// Longest time that health may be wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// What health says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Fine,
    Problem,
    /// Nothing.
    Silent,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    Well,
    /// Something needs an operator.
    Ill,
    /// It may be told either way, or nobody is there to tell.
    Open,
}

/// A way to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Says that all is well.
    Fine,
    /// Complains, or says nothing.
    Complaint,
}

/// Follows what health says.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    since: Option<(Duration, Wrong)>,
    /// Whether that it is wrong for too long has been said.
    is_said: bool,
    /// The longest times that it was wrong.
    pub(crate) fine_for: Duration,
    pub(crate) complaint_for: Duration,
}

impl Judge {
    /// Takes what is told at a time since the start. Says how it is wrong when that becomes too long.
    pub(crate) fn take(&mut self, now: Duration, told: Told, truth: Truth) -> Option<Wrong> {
        let wrong = match (truth, told) {
            (Truth::Ill, Told::Fine) => Some(Wrong::Fine),
            (Truth::Well, Told::Problem | Told::Silent) => Some(Wrong::Complaint),
            _ => None,
        };
        // It was wrong until now, whatever it is from now on.
        let past = self
            .since
            .map(|(since, wrong)| (wrong, now.saturating_sub(since)));
        if let Some((wrong, lasted)) = past {
            let longest = match wrong {
                Wrong::Fine => &mut self.fine_for,
                Wrong::Complaint => &mut self.complaint_for,
            };
            *longest = lasted.max(*longest);
        }
        self.since = match (wrong, self.since) {
            (Some(wrong), Some((since, before))) if before == wrong => Some((since, wrong)),
            (wrong, _) => wrong.map(|wrong| (now, wrong)),
        };
        let too_long = past.filter(|(_, lasted)| *lasted > PATIENCE && !self.is_said);
        self.is_said = self.since.is_some() && (self.is_said || too_long.is_some());
        too_long.map(|(wrong, _)| wrong)
    }
}

/// What contradicts that each flow is in exactly one number.
pub(crate) fn sum(counters: &PipelineCounters) -> Result<(), String> {
    let PipelineCounters {
        flows,
        flows_scored,
        flows_failed,
        flows_dropped,
        flows_dropped_by,
        flows_waiting,
        ..
    } = *counters;
    let by_reason: u64 = flows_dropped_by.named().iter().map(|(_, flows)| flows).sum();
    if by_reason != flows_dropped {
        return Err(format!(
            "{flows_dropped} flows are dropped, and {by_reason} by reason"
        ));
    }
    let parts = flows_scored + flows_failed + flows_dropped + flows_waiting;
    if parts != flows {
        return Err(format!(
            "{flows} flows, but {flows_scored} scored, {flows_failed} failed, {flows_dropped} dropped and {flows_waiting} waiting make {parts}"
        ));
    }
    Ok(())
}

/// What contradicts that counters only rise in one life.
pub(crate) fn risen(last: &PipelineCounters, now: &PipelineCounters) -> Result<(), String> {
    for (name, last, now) in [
        ("packets", last.packets, now.packets),
        ("flows", last.flows, now.flows),
        ("scored", last.flows_scored, now.flows_scored),
        ("failed", last.flows_failed, now.flows_failed),
        ("dropped", last.flows_dropped, now.flows_dropped),
    ] {
        if now < last {
            return Err(format!("`{name}` fell from {last} to {now}"));
        }
    }
    Ok(())
}

/// The same counters as the metrics show them.
pub(crate) fn of_metrics(metrics: &str) -> Result<PipelineCounters, String> {
    let metric = |name: &str| -> Result<u64, String> {
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.and_then(|value| value.trim().parse().ok());
        value.ok_or_else(|| format!("/metrics has no `{name}`"))
    };
    let mut counters = PipelineCounters {
        packets: metric("netsage_packets_total")?,
        flows: metric("netsage_flows_total")?,
        flows_scored: metric("netsage_flows_scored_total")?,
        flows_failed: metric("netsage_flows_failed_total")?,
        flows_waiting: metric("netsage_flows_waiting")?,
        ..PipelineCounters::default()
    };
    let by = &mut counters.flows_dropped_by;
    for (reason, count) in [
        ("scoring", &mut by.scoring),
        ("store", &mut by.store),
        ("ending", &mut by.ending),
    ] {
        *count = metric(&format!("netsage_dropped_total{{queue=\"{reason}_flows\"}}"))?;
    }
    counters.flows_dropped = by.named().iter().map(|(_, flows)| flows).sum();
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_wrong_from_the_first_wrong_answer_to_the_next_right_one() {
        use Told::{Fine, Problem, Silent};
        use Truth::{Ill, Open, Well};
        let check = |answers: &[(u64, Told, Truth)], fine_for: u64, complaint_for: u64| {
            let mut judge = Judge::default();
            let too_long = answers
                .iter()
                .filter(|&&(second, told, truth)| {
                    judge.take(Duration::from_secs(second), told, truth).is_some()
                })
                .count();
            let longest = [judge.fine_for, judge.complaint_for].map(|longest| longest.as_secs());
            assert_eq!(longest, [fine_for, complaint_for], "{answers:?}");
            let expected = usize::from(fine_for.max(complaint_for) > 5);
            assert_eq!(too_long, expected, "said once: {answers:?}");
        };
        check(&[(0, Fine, Well), (9, Problem, Ill), (20, Silent, Open)], 0, 0);
        check(
            &[
                (0, Fine, Ill),
                (4, Fine, Ill),
                (5, Problem, Ill),
                (20, Fine, Well),
            ],
            5,
            0,
        );
        check(
            &[(0, Fine, Ill), (7, Fine, Ill), (8, Fine, Ill), (9, Fine, Well)],
            9,
            0,
        );
        check(
            &[
                (0, Silent, Well),
                (3, Problem, Well),
                (4, Fine, Ill),
                (6, Problem, Well),
            ],
            2,
            4,
        );
        check(
            &[
                (0, Problem, Well),
                (4, Problem, Open),
                (9, Problem, Well),
                (10, Fine, Well),
            ],
            0,
            4,
        );
    }

    #[test]
    fn a_flow_that_is_in_no_number_or_in_two_is_seen() {
        let counters = PipelineCounters {
            flows: 10,
            flows_scored: 4,
            flows_failed: 1,
            flows_dropped: 2,
            flows_waiting: 3,
            ..PipelineCounters::default()
        };
        assert!(sum(&counters).unwrap_err().contains("by reason"));
        let mut counters = PipelineCounters {
            flows_dropped_by: netsage_api_types::FlowsDropped {
                store: 2,
                ..Default::default()
            },
            ..counters
        };
        assert_eq!(sum(&counters), Ok(()));
        for waiting in [2, 4] {
            counters.flows_waiting = waiting;
            assert!(sum(&counters).unwrap_err().contains("make"));
        }
    }

    #[test]
    fn metrics_are_read_as_counters() {
        let metrics = "# TYPE\nnetsage_packets_total 9\nnetsage_flows_total 7\nnetsage_flows_scored_total 2\n\
                       netsage_flows_failed_total 0\nnetsage_flows_waiting 1\nnetsage_dropped_total{queue=\"scoring_flows\"} 1\n\
                       netsage_dropped_total{queue=\"store_flows\"} 3\nnetsage_dropped_total{queue=\"ending_flows\"} 0\n";
        let counters = of_metrics(metrics).unwrap();
        assert_eq!((counters.flows, counters.flows_dropped), (7, 4));
        assert_eq!(sum(&counters), Ok(()));
        assert!(of_metrics("").unwrap_err().contains("netsage_packets_total"));
    }
}
