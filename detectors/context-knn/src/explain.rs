//! Which columns drove a score.

use netsage_detector_sdk::{Contribution, Explanation, RowError};

use crate::Scale;
use crate::maths::exp2;
use crate::scorer::{Prepared, Scorer};

/// What speaks against a column, over all groups.
#[derive(Debug, Clone, Copy, Default)]
struct Blame {
    /// Surprise laid on it.
    surprise: f32,
    /// The largest part of it that one group laid.
    largest: f32,
    /// What that group would have found typical.
    typical: f32,
}

impl Blame {
    fn add(&mut self, surprise: f32, typical: f32) {
        self.surprise += surprise;
        if surprise > self.largest {
            (self.largest, self.typical) = (surprise, typical);
        }
    }
}

impl Scorer {
    /// For each row the columns that drove its score, at most `limit` of them, the largest first: by how much the score
    /// falls when the column has the value that is typical.
    ///
    /// What is typical is found in the group that is most surprised: the mean of the neighbours, or the component of a
    /// mixture that the row most likely comes from; for a nominal column the code of the nearest neighbour. Where no
    /// single column makes the score fall, the surprise of each group is divided among its columns by their parts of
    /// the squared distance.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(
        &mut self,
        values: &[f32],
        rows: usize,
        limit: usize,
    ) -> Result<Explanation, RowError> {
        RowError::check_shape(rows, self.columns().len(), values)?;
        let mut explanation = Explanation::default();
        for (index, row) in values.chunks_exact(self.columns().len()).enumerate() {
            self.take(index, row)?;
            let mut blames = self.blame();
            let mut weights = self.falls(index, row, &mut blames)?;
            if weights.iter().all(|&weight| weight <= 0.0) {
                weights = blames.iter().map(|blame| blame.surprise).collect();
            }
            let all: f32 = weights.iter().sum();
            let mut order: Vec<usize> = (0..weights.len())
                .filter(|&column| weights[column] > 0.0)
                .collect();
            order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
            order.truncate(limit);
            explanation.push_row(order.into_iter().map(|column| Contribution {
                column,
                // Rounded down a little: the shares of a row must not sum to more than 1.
                weight: weights[column] / all * (1.0 - 1e-5),
                typical: blames[column].typical,
            }));
        }
        Ok(explanation)
    }

    /// By how much the score falls when one column after the other has a typical value; `blames` then say which. A
    /// column that several groups read counts in each group; of correlated columns each counts only for the part that
    /// it alone explains.
    ///
    /// The neighbours of a row that is far off in a column are themselves the farthest ones in it. So three values are
    /// tried, and the one with the lowest score counts: that of the neighbours, the mean of training, and that of the
    /// neighbours which the row has with this mean.
    fn falls(&mut self, index: usize, row: &[f32], blames: &mut [Blame]) -> Result<Vec<f32>, RowError> {
        let score = self.score(index, row)?;
        let mut variant = row.to_vec();
        let mut falls = vec![0.0; row.len()];
        for (column, blame) in blames.iter_mut().enumerate() {
            if blame.surprise <= 0.0 {
                continue;
            }
            let mut candidates = vec![blame.typical];
            if !self.columns()[column].scale.is_nominal() {
                variant[column] = self.original(column, 0.0);
                self.take(index, &variant)?;
                candidates.extend([variant[column], self.blame()[column].typical]);
            }
            for typical in candidates {
                variant[column] = typical;
                let fall = score - self.score(index, &variant)?;
                if fall > falls[column] {
                    (falls[column], blame.typical) = (fall, typical);
                }
            }
            variant[column] = row[column];
        }
        Ok(falls)
    }

    /// What speaks against each column of the row at hand.
    fn blame(&mut self) -> Vec<Blame> {
        let mut blames = vec![Blame::default(); self.columns().len()];
        let nominals = self.nominals().to_vec();
        for group in 0..self.groups.len() {
            let distance = self.groups[group].distance(&mut self.row);
            let surprise = self.groups[group].surprise.at(distance);
            // Parts of the squared distance, by column, and what is typical.
            let parts = self.parts(group, &nominals);
            let all: f32 = parts.iter().map(|part| part.1).sum();
            if all > 0.0 {
                for (column, part, typical) in parts {
                    blames[column].add(surprise * (part / all), typical);
                }
            }
        }
        blames
    }

    fn parts(&mut self, group: usize, nominals: &[usize]) -> Vec<(usize, f32, f32)> {
        let resolution = self.resolution();
        let columns = self.groups[group].columns.clone();
        let mut parts = Vec::new();
        match &mut self.groups[group].method {
            Prepared::Neighbours(neighbours) => {
                let found = neighbours.nearest.entries().to_vec();
                let total: f32 = found.iter().map(|entry| entry.count as f32).sum();
                if total <= 0.0 {
                    return parts;
                }
                let clouds: Vec<usize> = found
                    .iter()
                    .map(|entry| {
                        neighbours
                            .clouds
                            .iter()
                            .position(|cloud| cloud.holds(entry.point))
                    })
                    .map(Option::unwrap_or_default)
                    .collect();
                let mean = |place: usize| {
                    let values = found.iter().zip(&clouds).map(|(entry, &cloud)| {
                        neighbours.clouds[cloud].value(entry.point, place) * entry.count as f32
                    });
                    values.sum::<f32>() / total
                };
                let means: Vec<f32> = (0..columns.len()).map(mean).collect();
                let penalties = neighbours.penalties.clone();
                let nearest = clouds[0];
                for (nominal, (&column, &penalty)) in nominals.iter().zip(&penalties).enumerate() {
                    if self.row.differences[nearest] >> nominal & 1 == 1 {
                        parts.push((column, penalty, f32::from(self.contexts()[nearest][nominal])));
                    }
                }
                for (&column, mean) in columns.iter().zip(means) {
                    let difference = self.row.grid[column] - mean;
                    parts.push((
                        column,
                        difference * difference,
                        self.original(column, mean / resolution),
                    ));
                }
            }
            Prepared::Mixture(mixture, components, _) => {
                let picked = &self.row.picked;
                let component = mixture.likeliest(picked, &self.row.codes);
                let component = components[component].clone();
                let width = columns.len();
                // The gradient of half the squared distance, times the difference: its parts sum to the square.
                let differences: Vec<f32> = columns
                    .iter()
                    .zip(&component.mean)
                    .map(|(&column, mean)| self.row.numbers[column] - mean)
                    .collect();
                let mut gradient = vec![0.0f32; width];
                let mut rest = component.whitening.as_slice();
                for row in 0..width {
                    let (factors, after) = rest.split_at(row + 1);
                    rest = after;
                    let whitened: f32 = factors
                        .iter()
                        .zip(&differences)
                        .map(|(factor, difference)| factor * difference)
                        .sum();
                    for (gradient, factor) in gradient.iter_mut().zip(factors) {
                        *gradient += factor * whitened;
                    }
                }
                for (place, &column) in columns.iter().enumerate() {
                    let part = (gradient[place] * differences[place]).max(0.0);
                    parts.push((column, part, self.original(column, component.mean[place])));
                }
                for ((&column, table), &code) in nominals.iter().zip(&component.nominals).zip(&self.row.codes)
                {
                    let entry = |code: usize| table.get(code).or(table.last()).copied().unwrap_or_default();
                    let likeliest =
                        (0..table.len()).fold(
                            0,
                            |best, code| if entry(code) > entry(best) { code } else { best },
                        );
                    let part = 2.0 * (entry(likeliest) - entry(usize::from(code)));
                    parts.push((column, part, likeliest as f32));
                }
            }
        }
        parts
    }

    /// The value in the unit of the column that lies so many standard deviations from the mean.
    fn original(&self, column: usize, deviations: f32) -> f32 {
        match self.columns()[column].scale {
            Scale::Nominal | Scale::Name => 0.0,
            Scale::Number {
                steps,
                centre,
                deviation,
            } => ((exp2(centre + deviations * deviation) - 1.0) / steps).max(0.0),
        }
    }
}
