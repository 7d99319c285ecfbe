//! How well scores separate attacks from ordinary flows at a threshold.

/// Label of a row that is known to be ordinary.
pub const ORDINARY: u8 = 0;
/// Label of a row that is known to be an attack.
pub const ATTACK: u8 = 1;

/// The four outcomes, over rows with a label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Attacks above the threshold.
    pub found: u64,
    /// Attacks at or below the threshold.
    pub missed: u64,
    /// Ordinary rows above the threshold.
    pub false_alarms: u64,
    /// Ordinary rows at or below the threshold.
    pub quiet: u64,
}

impl Confusion {
    /// Counts the outcomes. A row is alerted when its score lies above the threshold, as on the host.
    pub fn count(scores: &[f32], labels: &[u8], threshold: f32) -> Self {
        let mut counts = Self::default();
        for (&score, &label) in scores.iter().zip(labels) {
            match (label, score > threshold) {
                (ATTACK, true) => counts.found += 1,
                (ATTACK, false) => counts.missed += 1,
                (ORDINARY, true) => counts.false_alarms += 1,
                (ORDINARY, false) => counts.quiet += 1,
                _ => {}
            }
        }
        counts
    }

    /// Share of the attacks that are alerted (TPR); `None` without attacks.
    pub fn true_positive_rate(&self) -> Option<f64> {
        share(self.found, self.found + self.missed)
    }

    /// Share of the ordinary rows that are alerted (FPR); `None` without ordinary rows.
    pub fn false_positive_rate(&self) -> Option<f64> {
        share(self.false_alarms, self.false_alarms + self.quiet)
    }

    /// Share of the alerts that are attacks; `None` without alerts.
    pub fn precision(&self) -> Option<f64> {
        share(self.found, self.found + self.false_alarms)
    }
}

/// A part of a whole, 0 to 1.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Chance that a random attack scores above a random ordinary row, ties counting half: the area under the
/// ROC curve. `None` when either kind is missing.
pub fn auroc(scores: &[f32], labels: &[u8]) -> Option<f64> {
    let mut rows: Vec<(f32, u8)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    rows.retain(|&(_, label)| label == ATTACK || label == ORDINARY);
    rows.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let (mut below, mut attacks, mut wins) = (0u64, 0u64, 0f64);
    for ties in rows.chunk_by(|one, other| one.0 == other.0) {
        let tied_attacks = ties.iter().filter(|&&(_, label)| label == ATTACK).count() as u64;
        let tied_ordinary = ties.len() as u64 - tied_attacks;
        wins += tied_attacks as f64 * (below as f64 + tied_ordinary as f64 / 2.0);
        below += tied_ordinary;
        attacks += tied_attacks;
    }
    (below > 0 && attacks > 0).then(|| wins / (below as f64 * attacks as f64))
}

/// The rows with the highest scores, highest first; of equal scores the earlier row first.
pub fn top_rows(scores: &[f32], count: usize) -> Vec<u32> {
    let mut rows: Vec<u32> = (0u32..).take(scores.len()).collect();
    let by_score = |one: &u32, other: &u32| {
        scores[*other as usize]
            .total_cmp(&scores[*one as usize])
            .then(one.cmp(other))
    };
    if count < rows.len() {
        rows.select_nth_unstable_by(count, by_score);
        rows.truncate(count);
    }
    rows.sort_unstable_by(by_score);
    rows
}

/// The value below which the share `q` of the values lies; `None` without values.
pub fn quantile(values: &[f32], q: f64) -> Option<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    // Within 0..=last, because `q` is clamped.
    let position = (q.clamp(0.0, 1.0) * last as f64).round() as usize;
    sorted.get(position).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outcomes_and_ignores_unknown_labels() {
        let scores = [0.9, 0.2, 0.8, 0.1, 0.7, 0.5];
        let labels = [1, 1, 0, 0, 255, 1];
        let counts = Confusion::count(&scores, &labels, 0.5);
        assert_eq!(
            counts,
            Confusion {
                found: 1,
                missed: 2,
                false_alarms: 1,
                quiet: 1
            }
        );
        assert_eq!(counts.false_positive_rate(), Some(0.5));
        assert_eq!(counts.precision(), Some(0.5));
        assert_eq!(Confusion::default().true_positive_rate(), None);
    }

    fn check_auroc(scores: &[f32], labels: &[u8], expected: Option<f64>) {
        assert_eq!(auroc(scores, labels), expected);
    }

    #[test]
    fn ranks() {
        check_auroc(&[0.1, 0.9], &[0, 1], Some(1.0));
        check_auroc(&[0.9, 0.1], &[0, 1], Some(0.0));
        check_auroc(&[0.5, 0.5], &[0, 1], Some(0.5));
        check_auroc(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1], Some(0.75));
        check_auroc(&[0.1, 0.4, 9.0], &[0, 0, 255], None);
        check_auroc(&[], &[], None);
    }

    #[test]
    fn picks_the_top_rows_in_order() {
        assert_eq!(top_rows(&[0.1, 0.9, 0.5, 0.9], 3), [1, 3, 2]);
        assert_eq!(top_rows(&[0.1, 0.2], 9), [1, 0]);
        assert!(top_rows(&[], 3).is_empty());
    }

    #[test]
    fn quantiles() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 7.0), Some(3.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
