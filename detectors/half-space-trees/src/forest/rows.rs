//! Rows on their way to the trees: checked, scaled, and how far they lie apart.

use netsage_detector_sdk::RowError;
use netsage_detector_sdk::maths::straight_log2;

use super::Forest;
use crate::artifact::Scale;

impl Forest {
    /// Scales rows into `scaled` and says in `hazards` how far they lie apart. `first` is the number of the first.
    pub(super) fn scale(&mut self, first: usize, values: &[f32]) -> Result<(), RowError> {
        let columns = self.columns.len();
        self.scaled.clear();
        self.hazards.clear();
        for (index, row) in values.chunks_exact(columns).enumerate() {
            let mut apart = 0.0;
            for (index_of_column, (column, &value)) in self.columns.iter().zip(row).enumerate() {
                if matches!(column.scale, Scale::Rank(_)) && !(value >= 0.0 && value.fract() == 0.0) {
                    return Err(RowError::Code {
                        row: first + index,
                        column: column.name.clone(),
                        value,
                    });
                }
                let place = self.place(index_of_column, value);
                apart += self.reach.apart(index_of_column, place);
                self.scaled.push(match &column.scale {
                    Scale::Logarithm { low, high, .. } => ((place - low) / (high - low)).clamp(-0.5, 1.5),
                    Scale::Rank(_) => straight_log2(1.0 + place) / self.last_ranks[index_of_column],
                });
            }
            self.hazards.push(apart / columns as f32);
        }
        Ok(())
    }

    /// Where a value lies on the scale of its column: its logarithm, or the rank of its code.
    #[inline(always)]
    pub(super) fn place(&self, column: usize, value: f32) -> f32 {
        match &self.columns[column].scale {
            Scale::Logarithm { steps, .. } => Scale::logarithm(value, *steps),
            Scale::Rank(ranks) => ranks
                .get(value as usize)
                .map_or(self.unseen[column], |&rank| f32::from(rank)),
        }
    }
}
