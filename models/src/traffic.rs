//! How much traffic training rows come from.

use netsage_schema::Identity;

/// A pause of this length, or a step back by it, ends a capture: what comes next is another one.
const PAUSE_NS: i64 = 3_600_000_000_000;
/// Shortest time that says anything about a day.
const SHORTEST_NS: i64 = 600_000_000_000;
const DAY_NS: f64 = 86_400e9;

/// Flows per day of the captures that flows come from, one after the other and each in the order of its ends; `None`
/// for less than ten minutes. Captures of the same time, made or generated side by side, each count by themselves: a
/// step back by more than half of the capture so far, and by a minute or more, begins the next.
pub(crate) fn flows_per_day(identities: &[Identity]) -> Option<f64> {
    let mut total = 0_i64;
    // Beginning and end of the capture at hand.
    let mut run: Option<[i64; 2]> = None;
    for flow in identities {
        let Some([begin, end]) = run else {
            run = Some([flow.start_ns, flow.end_ns]);
            continue;
        };
        let step_back = (end.saturating_sub(begin) / 2).clamp(60_000_000_000, PAUSE_NS);
        let is_other =
            flow.end_ns < end.saturating_sub(step_back) || flow.start_ns > end.saturating_add(PAUSE_NS);
        if is_other {
            total = total.saturating_add(end.saturating_sub(begin));
            run = Some([flow.start_ns, flow.end_ns]);
        } else {
            run = Some([begin.min(flow.start_ns), end.max(flow.end_ns)]);
        }
    }
    let total = run.map_or(total, |[begin, end]| {
        total.saturating_add(end.saturating_sub(begin))
    });
    (total >= SHORTEST_NS).then(|| (identities.len() as f64 * DAY_NS / total as f64).round())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flow of a second every minute, from `first` to `last`, minutes.
    fn capture(first: i64, last: i64) -> Vec<Identity> {
        let flow = |minute: i64| Identity {
            start_ns: minute * 60_000_000_000,
            end_ns: minute * 60_000_000_000 + 1_000_000_000,
            source: [10, 0, 0, 1].into(),
            source_port: 1,
            destination: [10, 0, 0, 2].into(),
            destination_port: 2,
            protocol: 6,
        };
        (first..=last).map(flow).collect()
    }

    #[test]
    fn captures_count_by_the_time_they_took() {
        let check = |captures: &[Vec<Identity>], expected: Option<f64>| {
            let found = flows_per_day(&captures.concat());
            let is_near = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 0.03 * expected,
                (found, expected) => found == expected,
            };
            assert!(is_near, "{found:?} instead of {expected:?}");
        };
        let a_minute = Some(1_440.0);
        check(&[], None);
        check(&[capture(0, 5)], None);
        check(&[capture(0, 100)], a_minute);
        check(&[capture(0, 100), capture(0, 100), capture(0, 100)], a_minute);
        check(&[capture(0, 100), capture(10_000, 10_100)], a_minute);
        check(&[capture(10_000, 10_100), capture(0, 100)], a_minute);
    }
}
