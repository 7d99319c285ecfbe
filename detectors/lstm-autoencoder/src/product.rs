//! The product of a block of rows with a matrix of weights: where nearly all time goes.

/// Columns of weights that are worked on together: two vector registers of 128 bits.
pub(crate) const LANES: usize = 8;
/// Rows that are worked on together, so that each weight that is fetched serves all of them.
const ROWS: usize = 4;

/// Weights, laid out for [`Weights::add_product`].
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    inputs: usize,
    /// A multiple of [`LANES`]; what lies beyond the outputs is 0.
    width: usize,
    /// For each eight columns, their weights input by input.
    tiles: Vec<[f32; LANES]>,
}

/// The multiple of [`LANES`] that holds this many values.
pub(crate) fn padded(values: usize) -> usize {
    values.next_multiple_of(LANES)
}

/// Values followed by zeros up to a multiple of [`LANES`].
pub(crate) fn pad(values: &[f32]) -> Vec<f32> {
    let mut row = values.to_vec();
    row.resize(padded(values.len()), 0.0);
    row
}

impl Weights {
    /// From `[inputs, outputs]`, row-major.
    pub(crate) fn new(outputs: usize, values: &[f32]) -> Self {
        let width = padded(outputs);
        let inputs = values.len() / outputs.max(1);
        let tiles = (0..width).step_by(LANES).flat_map(|first| {
            values.chunks_exact(outputs).map(move |row| {
                std::array::from_fn(|lane| row.get(first + lane).copied().unwrap_or_default())
            })
        });
        Self {
            inputs,
            width,
            tiles: tiles.collect(),
        }
    }

    /// Width of a row of results.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Adds to each of `results` the product of its row with the weights. Rows lie `stride` values apart, of which the
    /// first are the inputs.
    ///
    /// Every sum goes from the first input to the last, whatever rows are beside it: so its bits are the same in any
    /// block.
    pub(crate) fn add_product(&self, rows: &[f32], stride: usize, results: &mut [f32]) {
        debug_assert_eq!(rows.len() / stride, results.len() / self.width);
        let mut rows = rows.chunks_exact(ROWS * stride);
        let mut results = results.chunks_exact_mut(ROWS * self.width);
        for (rows, results) in rows.by_ref().zip(results.by_ref()) {
            self.add::<ROWS>(rows, stride, results);
        }
        let rest = rows.remainder().chunks_exact(stride);
        for (row, result) in rest.zip(results.into_remainder().chunks_exact_mut(self.width)) {
            self.add::<1>(row, stride, result);
        }
    }

    #[inline(always)]
    fn add<const COUNT: usize>(&self, rows: &[f32], stride: usize, results: &mut [f32]) {
        let rows: [&[f32]; COUNT] = std::array::from_fn(|row| &rows[row * stride..][..self.inputs]);
        for (tile, weights) in self.tiles.chunks_exact(self.inputs).enumerate() {
            let mut sums = [[0.0; LANES]; COUNT];
            for (row, sums) in sums.iter_mut().enumerate() {
                sums.copy_from_slice(&results[row * self.width + tile * LANES..][..LANES]);
            }
            for (input, weights) in weights.iter().enumerate() {
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let value = row[input];
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += value * weight;
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                results[row * self.width + tile * LANES..][..LANES].copy_from_slice(sums);
            }
        }
    }
}
