//! The Mahalanobis distance from the mean of the training rows.
//!
//! The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, "A well-conditioned estimator for
//! large-dimensional covariance matrices", 2004), which makes it regular. The distance is that in the space of all
//! principal components, each divided by its own deviation; Cholesky's decomposition gives it without computing them.

use ndarray::{Array1, Array2, Axis};
use netsage_schema::Rows;

use super::encoding::Encoding;
use crate::TrainError;

/// Mean and decomposed covariance of encoded rows.
#[derive(Debug, Clone)]
pub struct Mahalanobis {
    encoding: Encoding,
    gaussian: Gaussian,
}

impl Mahalanobis {
    /// Fits it on the rows of these numbers, reading these columns.
    pub(super) fn fit(training: &Rows, fitted: &[usize], columns: &[usize]) -> Result<Self, TrainError> {
        let encoding = Encoding::fit(training, fitted, columns)?;
        let mut values = Vec::with_capacity(fitted.len() * encoding.width);
        for &row in fitted {
            encoding.encode(training.row(row), &mut values);
        }
        let table = Array2::from_shape_vec((fitted.len(), encoding.width), values)
            .expect("each row was encoded to the same width");
        let gaussian = Gaussian::fit(table).ok_or_else(|| {
            TrainError::Score("the training rows are all equal, so no distance has a scale".to_owned())
        })?;
        Ok(Self { encoding, gaussian })
    }

    /// The distance of a row.
    pub fn score(&self, row: &[f64]) -> f32 {
        let mut encoded = Vec::with_capacity(self.encoding.width);
        self.encoding.encode(row, &mut encoded);
        self.gaussian.distance(&mut encoded) as f32
    }
}

/// A normal distribution.
#[derive(Debug, Clone)]
struct Gaussian {
    mean: Array1<f64>,
    /// The lower triangle L of the covariance L L'.
    triangle: Array2<f64>,
    /// How far the covariance was shrunk, 0 to 1.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the test compares it with that of scikit-learn")
    )]
    shrinkage: f64,
}

impl Gaussian {
    /// `None` when the rows are all equal.
    fn fit(mut rows: Array2<f64>) -> Option<Self> {
        let (count, width) = (rows.nrows() as f64, rows.ncols());
        let mean = rows.mean_axis(Axis(0))?;
        rows -= &mean;
        let mut covariance = rows.t().dot(&rows) / count;
        let shrinkage = ledoit_wolf(&rows, &covariance);
        let scale = covariance.diag().sum() / width as f64;
        covariance *= 1.0 - shrinkage;
        covariance
            .diag_mut()
            .mapv_inplace(|value| value + shrinkage * scale);
        Some(Self {
            mean,
            triangle: cholesky(covariance)?,
            shrinkage,
        })
    }

    /// The distance of a row, which it destroys.
    fn distance(&self, row: &mut [f64]) -> f64 {
        // Solves L y = x - mean from the top; the length of y is the distance.
        let mut sum = 0.0;
        for index in 0..row.len() {
            let line = self.triangle.row(index);
            let mut value = row[index] - self.mean[index];
            for (solved, weight) in row[..index].iter().zip(line) {
                value -= solved * weight;
            }
            value /= line[index];
            row[index] = value;
            sum += value * value;
        }
        sum.sqrt()
    }
}

/// How far to shrink the covariance of centred rows, 0 to 1.
fn ledoit_wolf(rows: &Array2<f64>, covariance: &Array2<f64>) -> f64 {
    let (count, width) = (rows.nrows() as f64, rows.ncols() as f64);
    let squares = covariance.iter().map(|value| value * value).sum::<f64>();
    let trace = covariance.diag().sum();
    let fourth = rows
        .rows()
        .into_iter()
        .map(|row| row.dot(&row).powi(2))
        .sum::<f64>();
    let spread = (squares - trace * trace / width) / width;
    let error = ((fourth / count - squares) / (width * count)).min(spread);
    if error <= 0.0 { 0.0 } else { error / spread }
}

/// The lower triangle whose product with its transpose is the matrix; `None` when that is not positive definite.
fn cholesky(mut matrix: Array2<f64>) -> Option<Array2<f64>> {
    let width = matrix.nrows();
    for column in 0..width {
        for row in column..width {
            let mut value = matrix[[row, column]];
            for before in 0..column {
                value -= matrix[[row, before]] * matrix[[column, before]];
            }
            if row > column {
                matrix[[row, column]] = value / matrix[[column, column]];
            } else if value > 0.0 {
                matrix[[row, column]] = value.sqrt();
            } else {
                return None;
            }
        }
        for row in 0..column {
            matrix[[row, column]] = 0.0;
        }
    }
    Some(matrix)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_triangle_gives_its_matrix_back() {
        let matrix = array![[4.0, 2.0, 0.6], [2.0, 5.0, -1.0], [0.6, -1.0, 3.0]];
        let triangle = cholesky(matrix.clone()).unwrap();
        let product = triangle.dot(&triangle.t());
        assert!(
            (product - matrix)
                .iter()
                .all(|difference| difference.abs() < 1e-12)
        );
        assert!(cholesky(array![[1.0, 2.0], [2.0, 1.0]]).is_none());
    }

    /// The rows, shrinkage and distances of `sklearn.covariance.LedoitWolf` 1.9.1 on them:
    /// `LedoitWolf().fit(rows)`, `.shrinkage_`, `.mahalanobis(rows) ** 0.5`.
    #[test]
    fn distances_are_those_of_scikit_learn() {
        let rows = array![
            [1.0, 2.0, 0.5],
            [2.0, 1.0, 0.0],
            [3.0, 5.0, 1.0],
            [4.0, 3.0, -1.0],
            [0.0, 1.0, 2.0],
            [2.5, 2.0, 1.5]
        ];
        let gaussian = Gaussian::fit(rows.clone()).unwrap();
        let expected = (
            0.6847504562905153,
            [
                0.9181751596950396,
                1.2162614966556664,
                2.1475895415829904,
                1.9346109229716235,
                1.9890333670115932,
                0.9227963851525441,
            ],
        );
        assert!(
            (gaussian.shrinkage - expected.0).abs() < 1e-9,
            "{}",
            gaussian.shrinkage
        );
        for (row, expected) in rows.rows().into_iter().zip(expected.1) {
            let distance = gaussian.distance(&mut row.to_vec());
            assert!((distance - expected).abs() < 1e-9, "{distance}, not {expected}");
        }
    }
}
