//! From distances to surprise: `-ln p`, where `p` is the share of held-out ordinary rows that lie at least as far.
//!
//! Up to the tail, the few farthest of those rows, the curve is theirs. Beyond, surprise rises slowly with the
//! logarithm of the distance, so that rows beyond anything seen keep their order and no group outshouts all others.
//! `netsage-models` fits it.

use serde::{Deserialize, Serialize};

use crate::maths::log2;

/// Surprise by distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surprise {
    /// Distances and the surprise at each, both rising; straight between them. At least one; the first stands for
    /// everything below it.
    pub knots: Vec<(f32, f32)>,
    /// How much the surprise rises, beyond the last knot, when the distance doubles; at least 0.
    pub per_doubling: f32,
}

impl Surprise {
    /// The surprise at a distance.
    #[inline]
    pub fn at(&self, distance: f32) -> f32 {
        let knots = &self.knots;
        let after = knots.partition_point(|knot| knot.0 <= distance);
        let (Some(&(low, from)), next) = (knots.get(after.saturating_sub(1)), knots.get(after.max(1))) else {
            return 0.0;
        };
        match next {
            Some(_) if after == 0 => from,
            Some(&(high, to)) => from + (to - from) * ((distance - low) / (high - low)),
            None if distance <= low => from,
            // The last knot lies above 0.
            None => from + self.per_doubling * log2(distance / low),
        }
    }

    /// The distance up to which the surprise is the same.
    pub fn floor(&self) -> f32 {
        self.knots.first().map_or(0.0, |knot| knot.0)
    }

    /// What contradicts itself, if anything does.
    pub(crate) fn defect(&self) -> Option<&'static str> {
        let sound = |value: f32| (0.0..=1e9).contains(&value);
        let rising = |pair: &[(f32, f32)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        if !self
            .knots
            .iter()
            .all(|&(distance, surprise)| sound(distance) && sound(surprise))
        {
            return Some("a surprise or its distance is out of range");
        }
        if !self.knots.windows(2).all(rising) {
            return Some("surprise does not rise");
        }
        if !sound(self.per_doubling) || self.knots.last().is_none_or(|last| last.0 < 1e-6) {
            return Some("surprise has no end to go on from");
        }
        None
    }
}
