//! From values to places on a chart, ticks of an axis, and bins.

/// A straight map of one interval to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// The values at both ends.
    pub domain: (f64, f64),
    /// The places at both ends.
    pub range: (f64, f64),
}

impl Linear {
    /// The place of a value; the start of the range when the domain is a single point.
    pub fn place(&self, value: f64) -> f64 {
        let width = self.domain.1 - self.domain.0;
        if width == 0.0 {
            return self.range.0;
        }
        self.range.0 + (value - self.domain.0) / width * (self.range.1 - self.range.0)
    }
}

/// Round values within an interval, about `count` of them, rising.
pub fn ticks(from: f64, to: f64, count: u32) -> Vec<f64> {
    let span = to - from;
    if !span.is_finite() || span <= 0.0 || count == 0 {
        return Vec::new();
    }
    let rough = span / f64::from(count);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let first = (from / step).ceil();
    // At most count + 1 values, because the step is at least the rough one.
    (0..=count)
        .map(|index| (first + f64::from(index)) * step)
        .take_while(|tick| *tick <= to + step * 1e-9)
        .collect()
}

/// The end of an axis that starts at 0 and shows `highest`: a round value, at least 1.
pub fn ceiling(highest: f64) -> f64 {
    let top = highest.max(1.0);
    let step = ticks(0.0, top, 4).get(1).copied().unwrap_or(1.0);
    (top / step).ceil() * step
}

/// Round times within an interval, about `count` of them. Times are ms since the epoch; `offset` is what to
/// add to get local time, ms.
pub fn time_ticks(from: i64, to: i64, count: u32, offset: i64) -> Vec<i64> {
    const SECOND: i64 = 1000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    #[rustfmt::skip]
    const STEPS: [i64; 18] = [
        SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE,
        30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY,
    ];
    let span = to.saturating_sub(from);
    if span <= 0 || count == 0 {
        return Vec::new();
    }
    let step = STEPS
        .into_iter()
        .find(|step| span / step <= i64::from(count))
        .unwrap_or(span);
    let first = (from.saturating_add(offset)).div_euclid(step) * step - offset;
    (0i64..=i64::from(count) + 1)
        .map(|index| first.saturating_add(index * step))
        .filter(|time| (from..=to).contains(time))
        .collect()
}

/// In which of `bins` equal parts of an interval a value lies; values outside go to the nearest part.
pub fn bin_of(value: f64, from: f64, to: f64, bins: usize) -> usize {
    if bins == 0 || to <= from {
        return 0;
    }
    let position = (value - from) / (to - from) * bins as f64;
    // A saturating conversion: below zero and NaN give 0.
    (position as usize).min(bins - 1)
}

/// How many values lie in each of `bins` equal parts of an interval.
pub fn histogram(values: impl Iterator<Item = f32>, from: f64, to: f64, bins: usize) -> Vec<u64> {
    let mut counts = vec![0; bins];
    for value in values {
        if let Some(count) = counts.get_mut(bin_of(f64::from(value), from, to, bins)) {
            *count += 1;
        }
    }
    counts
}

/// The highest and the mean score in each of `bins` equal parts of the places' interval; `None` where no
/// place lies.
pub fn envelope(places: &[f64], scores: &[f32], bins: usize) -> Vec<Option<(f32, f32)>> {
    let (from, to) = extent(places.iter().copied()).unwrap_or((0.0, 0.0));
    let mut parts = vec![(f32::NEG_INFINITY, 0f64, 0u64); bins];
    for (&place, &score) in places.iter().zip(scores) {
        if let Some((highest, sum, count)) = parts.get_mut(bin_of(place, from, to, bins)) {
            *highest = highest.max(score);
            *sum += f64::from(score);
            *count += 1;
        }
    }
    let summary =
        |(highest, sum, count): (f32, f64, u64)| (count > 0).then(|| (highest, (sum / count as f64) as f32));
    parts.into_iter().map(summary).collect()
}

/// The lowest and the highest of some values; `None` without values.
pub fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_ticks(from: f64, to: f64, count: u32, expected: &[f64]) {
        let found = ticks(from, to, count);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(one, other)| (one - other).abs() < 1e-9),
            "{found:?}"
        );
    }

    #[test]
    fn ticks_are_round_and_inside() {
        check_ticks(0.0, 10.0, 5, &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        check_ticks(0.31, 0.74, 4, &[0.4, 0.6]);
        check_ticks(5.0, 5.0, 4, &[]);
        check_ticks(0.0, f64::INFINITY, 4, &[]);
    }

    #[test]
    fn an_axis_ends_above_its_highest_value() {
        for highest in [0.0, 1.0, 7.0, 99.0, 101.0, 12_345.0] {
            assert!(ceiling(highest) >= highest.max(1.0), "{highest}");
            assert!(ceiling(highest) <= highest.max(1.0) * 1.6, "{highest}");
        }
    }

    #[test]
    fn time_ticks_fall_on_round_local_times() {
        let minute = 60_000;
        assert_eq!(
            time_ticks(0, 3 * minute, 6, 0),
            [0, 30_000, minute, 90_000, 120_000, 150_000, 180_000]
        );
        let half_past = 30 * minute;
        assert!(
            time_ticks(0, 10 * 3_600_000, 4, half_past)
                .iter()
                .all(|time| (time + half_past) % 3_600_000 == 0)
        );
        assert!(time_ticks(5, 5, 4, 0).is_empty());
    }

    #[test]
    fn bins_hold_every_value_once() {
        assert_eq!(
            histogram([0.0, 0.1, 0.5, 1.0, 2.0, -1.0].into_iter(), 0.0, 1.0, 2),
            [3, 3]
        );
        assert!(histogram([1.0].into_iter(), 0.0, 1.0, 0).is_empty());
        assert_eq!(
            envelope(&[0.0, 1.0, 9.0], &[1.0, 3.0, 5.0], 3),
            [Some((3.0, 2.0)), None, Some((5.0, 5.0))]
        );
        assert_eq!(envelope(&[], &[], 2), [None, None]);
    }

    #[test]
    fn a_scale_maps_both_ends() {
        let scale = Linear {
            domain: (2.0, 4.0),
            range: (100.0, 0.0),
        };
        assert_eq!(
            (scale.place(2.0), scale.place(3.0), scale.place(4.0)),
            (100.0, 50.0, 0.0)
        );
        assert_eq!(
            Linear {
                domain: (1.0, 1.0),
                range: (7.0, 9.0)
            }
            .place(1.0),
            7.0
        );
    }
}
