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
            self.add_four(rows, stride, results);
        }
        let rest = rows.remainder().chunks_exact(stride);
        for (row, result) in rest.zip(results.into_remainder().chunks_exact_mut(self.width)) {
            self.add_one(&row[..self.inputs], result);
        }
    }

    /// Four rows at once. Written out, and by values instead of through references, so that the sums stay in registers.
    #[inline(always)]
    fn add_four(&self, rows: &[f32], stride: usize, results: &mut [f32]) {
        let [r0, r1, r2, r3] = std::array::from_fn(|row| &rows[row * stride..][..self.inputs]);
        let (o0, rest) = results.split_at_mut(self.width);
        let (o1, rest) = rest.split_at_mut(self.width);
        let (o2, o3) = rest.split_at_mut(self.width);
        let first_two = eights(o0).zip(eights(o1));
        let last_two = eights(o2).zip(eights(o3));
        let tiles = self.tiles.chunks_exact(self.inputs);
        for (weights, ((o0, o1), (o2, o3))) in tiles.zip(first_two.zip(last_two)) {
            let (mut s0, mut s1, mut s2, mut s3) = (*o0, *o1, *o2, *o3);
            let values = r0.iter().zip(r1).zip(r2.iter().zip(r3));
            for (weights, ((&v0, &v1), (&v2, &v3))) in weights.iter().zip(values) {
                s0 = add(s0, v0, weights);
                s1 = add(s1, v1, weights);
                s2 = add(s2, v2, weights);
                s3 = add(s3, v3, weights);
            }
            (*o0, *o1, *o2, *o3) = (s0, s1, s2, s3);
        }
    }

    #[inline(always)]
    fn add_one(&self, row: &[f32], result: &mut [f32]) {
        for (weights, result) in self.tiles.chunks_exact(self.inputs).zip(eights(result)) {
            let mut sums = *result;
            for (weights, &value) in weights.iter().zip(row) {
                sums = add(sums, value, weights);
            }
            *result = sums;
        }
    }
}

#[inline(always)]
fn eights(row: &mut [f32]) -> impl Iterator<Item = &mut [f32; LANES]> {
    row.as_chunks_mut().0.iter_mut()
}

/// Written out: closures and iterators over lanes are not always taken apart.
#[inline(always)]
fn add(sums: [f32; LANES], value: f32, weights: &[f32; LANES]) -> [f32; LANES] {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sums;
    let [w0, w1, w2, w3, w4, w5, w6, w7] = weights;
    [
        s0 + value * w0,
        s1 + value * w1,
        s2 + value * w2,
        s3 + value * w3,
        s4 + value * w4,
        s5 + value * w5,
        s6 + value * w6,
        s7 + value * w7,
    ]
}
