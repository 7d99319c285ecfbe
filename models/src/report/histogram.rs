//! How scores spread.

/// Bars of a histogram.
const BARS: usize = 60;

/// How the scores of both classes spread, each class on its own scale.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Score at the left edge of the first bar.
    pub low: f32,
    /// Score at the right edge of the last bar.
    pub high: f32,
    /// Whether bars are equally wide in the logarithm of the score.
    pub logarithmic: bool,
    /// Share of the ordinary rows in each bar. What lies beyond an edge counts in the bar at that edge.
    pub ordinary: Vec<f64>,
    /// Share of the attacks in each bar.
    pub attacks: Vec<f64>,
}

impl Histogram {
    /// Counts scores; the edges leave the outermost 0.2 % of them outside.
    pub(super) fn of(scores: &[f32], attack: &[bool]) -> Self {
        let mut sorted: Vec<f32> = scores.iter().copied().filter(|score| score.is_finite()).collect();
        if sorted.is_empty() {
            return Self::default();
        }
        sorted.sort_by(f32::total_cmp);
        let at = |share| crate::preparation::quantile(&sorted, share);
        let (low, high) = (at(0.002), at(0.998));
        let high = if high > low { high } else { low + 1.0 };
        let mut histogram = Self {
            low,
            high,
            // A few scores far away from the rest would squeeze the rest into one bar.
            logarithmic: low > 0.0 && high > 20.0 * at(0.5),
            ordinary: vec![0.0; BARS],
            attacks: vec![0.0; BARS],
        };
        let attacks = attack.iter().filter(|&&attack| attack).count().max(1) as f64;
        let ordinary = (attack.len() as f64 - attacks).max(1.0);
        for (&score, &attack) in scores.iter().zip(attack) {
            let bar = ((histogram.position(score) * BARS as f64) as usize).min(BARS - 1);
            if attack {
                histogram.attacks[bar] += 1.0 / attacks;
            } else {
                histogram.ordinary[bar] += 1.0 / ordinary;
            }
        }
        histogram
    }

    /// Where a score lies between the edges, 0 to 1.
    pub(super) fn position(&self, score: f32) -> f64 {
        let scale = |value: f32| {
            let value = f64::from(value);
            if self.logarithmic {
                value.max(f64::MIN_POSITIVE).ln()
            } else {
                value
            }
        };
        let (low, high) = (scale(self.low), scale(self.high));
        ((scale(score) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The score at a position between the edges.
    pub(super) fn score(&self, position: f64) -> f32 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let score = if self.logarithmic {
            (low.ln() + position * (high.ln() - low.ln())).exp()
        } else {
            low + position * (high - low)
        };
        score as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_adds_up_to_one_whatever_the_scores() {
        let check = |scores: &[f32], attack: &[bool], logarithmic: bool| {
            let histogram = Histogram::of(scores, attack);
            assert_eq!(histogram.logarithmic, logarithmic, "{scores:?}");
            for shares in [&histogram.ordinary, &histogram.attacks] {
                let sum: f64 = shares.iter().sum();
                assert!((sum - 1.0).abs() < 1e-9, "{scores:?}: {sum}");
            }
            let middle = histogram.score(0.5);
            assert!((histogram.position(middle) - 0.5).abs() < 1e-5, "{scores:?}");
        };
        check(&[0.1, 0.2, 0.3, 0.9], &[false, false, true, true], false);
        check(&[0.1, 0.2, 0.1, 900.0], &[false, false, true, true], true);
        check(&[7.0, 7.0], &[false, true], false);
        check(
            &[-4.0, 1e30, f32::INFINITY, 0.0],
            &[false, true, true, false],
            false,
        );
        assert_eq!(Histogram::of(&[], &[]), Histogram::default());
    }
}
