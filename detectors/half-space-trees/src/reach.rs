//! How far the values of ordinary rows go, and what it means when a row goes further.

use crate::artifact::{ArtifactError, InputColumn, Scale};

/// Deepest node, so that a table has one entry more.
const MAX_DEPTH: usize = 16;

/// Where ordinary rows lie in each column: the least and the largest place on the column's scale, a logarithm or a
/// rank.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    known: Vec<[f32; 2]>,
    /// Of the window that is not full.
    pending: Vec<[f32; 2]>,
}

/// Of no row yet.
const NOTHING: [f32; 2] = [f32::MAX, f32::MIN];

impl Reach {
    /// That of the rows a model was trained on.
    pub(crate) fn of(columns: &[InputColumn]) -> Self {
        let known = columns.iter().map(|column| match &column.scale {
            Scale::Logarithm { low, high, .. } => [*low, *high],
            Scale::Rank(ranks) => {
                // The rank behind all others is that of terms never seen, when several have it; one alone may be
                // the rarest that was.
                let last = ranks.iter().copied().max().unwrap_or_default();
                let never_seen = ranks.iter().filter(|&&rank| rank == last).count() > 1;
                [0.0, f32::from(if never_seen { last - last.min(1) } else { last })]
            }
        });
        Self {
            known: known.collect(),
            pending: vec![NOTHING; columns.len()],
        }
    }

    /// What was saved.
    pub(crate) fn restore(
        &mut self,
        known: Vec<[f32; 2]>,
        pending: Vec<[f32; 2]>,
    ) -> Result<(), ArtifactError> {
        let sound = |[low, high]: &[f32; 2]| low.is_finite() && high.is_finite();
        let fits = |reach: &[[f32; 2]]| reach.len() == self.known.len() && reach.iter().all(sound);
        if !fits(&known) || !fits(&pending) {
            let text = "its state does not fit its columns".to_owned();
            return Err(ArtifactError::Content(text));
        }
        *self = Self { known, pending };
        Ok(())
    }

    pub(crate) fn known(&self) -> &[[f32; 2]] {
        &self.known
    }

    pub(crate) fn pending(&self) -> &[[f32; 2]] {
        &self.pending
    }

    /// How far a place in a column lies beyond the others, 0 to 1: twice the largest value or half the least, and
    /// whatever is further, is all apart. So is a term that was never seen.
    #[inline(always)]
    pub(crate) fn apart(&self, column: usize, place: f32) -> f32 {
        let [low, high] = self.known[column];
        (place - high).max(low - place).clamp(0.0, 1.0)
    }

    /// Notes the place of an ordinary row.
    pub(crate) fn learn(&mut self, column: usize, place: f32) {
        let [low, high] = &mut self.pending[column];
        *low = low.min(place);
        *high = high.max(place);
    }

    /// Lets the full window count; it is all there is when nothing was known before.
    pub(crate) fn take_window(&mut self, first: bool) {
        for (known, pending) in self.known.iter_mut().zip(&mut self.pending) {
            let [low, high] = std::mem::replace(pending, NOTHING);
            *known = if first {
                [low, high]
            } else {
                [known[0].min(low), known[1].max(high)]
            };
        }
    }
}

/// How the emptiness of a node changes for a row with values beyond the range of ordinary rows, by the depth at which
/// the row ends.
///
/// Halvings are drawn without looking at data and cover the range of ordinary rows alone. A halving of a column in
/// which the row lies apart would isolate the row. The probability that a halving is of such a column is the share of
/// those columns among all columns: the *hazard* of a step, as in survival analysis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hazard {
    /// Probability that no step down to this depth has isolated the row.
    stays: [f32; MAX_DEPTH + 1],
    /// Expected emptiness from the steps that isolated the row: the emptiness at each depth, times the probability of
    /// isolation there.
    alone: [f32; MAX_DEPTH + 1],
}

impl Hazard {
    /// `hazard` is the probability that one halving isolates the row, 0 to 1; `all` is the binary logarithm of the
    /// number of ordinary rows.
    pub(crate) fn new(hazard: f32, all: f32) -> Self {
        let mut table = Self {
            stays: [1.0; MAX_DEPTH + 1],
            alone: [0.0; MAX_DEPTH + 1],
        };
        let emptiest = all.max(0.0);
        for depth in 1..=MAX_DEPTH {
            let before = table.stays[depth - 1];
            table.stays[depth] = before * (1.0 - hazard);
            table.alone[depth] = table.alone[depth - 1] + before * hazard * (emptiest - depth as f32);
        }
        table
    }

    /// The emptiness of a node at this depth, given the emptiness by the trees alone; both in halvings.
    #[inline(always)]
    pub(crate) fn applied(&self, depth: usize, emptiness: f32) -> f32 {
        self.alone[depth] + self.stays[depth] * emptiness
    }
}
