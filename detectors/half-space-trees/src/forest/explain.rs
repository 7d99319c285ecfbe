//! Which columns drove a score.

use netsage_detector_sdk::maths::straight_log2;
use netsage_detector_sdk::{Contribution, Explanation, RowError};

use super::Forest;

impl Forest {
    /// For each row the columns whose halvings led to emptier places, or in which it lies apart from ordinary rows, at
    /// most `limit` of them, the largest first. Weights are shares of all the emptiness that was met on the way.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(
        &mut self,
        values: &[f32],
        rows: usize,
        limit: usize,
    ) -> Result<Explanation, RowError> {
        RowError::check_shape(rows, self.columns.len(), values)?;
        let mut explanation = Explanation::default();
        for (index, row) in values.chunks_exact(self.columns.len()).enumerate() {
            self.scale(index, row)?;
            let mut emptied = vec![0.0f32; self.columns.len()];
            let hazard = self.hazard(self.hazards[0]);
            let mut alone = 0.0;
            for (splits, masses) in self.trees() {
                let (depth, mass) = self.descend(splits, masses, &self.scaled, |column, before, after| {
                    emptied[column] += straight_log2(before + 1.0) - straight_log2(after + 1.0) - 1.0;
                });
                let emptiness = self.emptiness(depth, mass);
                alone += hazard.applied(depth, emptiness) - emptiness;
            }
            let apart: Vec<f32> = row
                .iter()
                .enumerate()
                .map(|(column, &value)| self.reach.apart(column, self.place(column, value)))
                .collect();
            let all_apart: f32 = apart.iter().sum();
            for (emptied, apart) in emptied.iter_mut().zip(&apart) {
                if *apart > 0.0 {
                    *emptied += alone * apart / all_apart;
                }
            }
            let all: f32 = emptied.iter().filter(|&&share| share > 0.0).sum();
            let mut order: Vec<usize> = (0..emptied.len())
                .filter(|&column| emptied[column] > 0.0)
                .collect();
            order.sort_by(|&a, &b| emptied[b].total_cmp(&emptied[a]).then(a.cmp(&b)));
            order.truncate(limit);
            explanation.push_row(order.into_iter().map(|column| Contribution {
                column,
                // Rounded down a little: the shares of a row must not sum to more than 1.
                weight: emptied[column] / all * (1.0 - 1e-5),
                typical: self.columns[column].typical,
            }));
        }
        Ok(explanation)
    }
}
