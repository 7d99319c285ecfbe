//! Matrix products for training. Each sum has the order of its terms, whatever the machine, so that the same rows and
//! seed give the same network everywhere; libraries that choose their code by the processor do not.

use netsage_onnx::kernel::{LANES, ROWS, accumulate};

/// A matrix, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Matrix {
    pub(super) columns: usize,
    pub(super) values: Vec<f32>,
}

/// A matrix or its transpose.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// From a row to the next, and from a column to the next.
    strides: [usize; 2],
}

/// Memory for parts of matrices in the order in which they are summed.
#[derive(Debug, Default)]
pub(super) struct Packing {
    rows: Vec<[f32; ROWS]>,
    panels: Vec<[f32; LANES]>,
}

impl<'a> View<'a> {
    /// Values, row-major.
    pub(super) fn new(values: &'a [f32], columns: usize) -> Self {
        Self {
            values,
            rows: values.len() / columns,
            columns,
            strides: [columns, 1],
        }
    }

    /// The transpose.
    pub(super) fn turned(self) -> Self {
        let [row, column] = self.strides;
        Self {
            rows: self.columns,
            columns: self.rows,
            strides: [column, row],
            ..self
        }
    }
}

impl Matrix {
    pub(super) fn view(&self) -> View<'_> {
        View::new(&self.values, self.columns)
    }

    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    pub(super) fn resize(&mut self, rows: usize, columns: usize) {
        self.columns = columns;
        self.values.resize(rows * columns, 0.0);
    }

    /// Makes this `a x b`, plus `bias` in every row.
    pub(super) fn set_product(
        &mut self,
        a: View<'_>,
        b: View<'_>,
        bias: Option<&[f32]>,
        packing: &mut Packing,
    ) {
        self.resize(a.rows, b.columns);
        let (inner, columns) = (a.columns, b.columns);
        packing.rows.resize(inner, [0.0; ROWS]);
        pack(&mut packing.panels, b.turned());
        for (block, out) in self.values.chunks_mut(ROWS * columns).enumerate() {
            pack_block(&mut packing.rows, a, block * ROWS);
            for (panel, weights) in packing.panels.chunks_exact(inner).enumerate() {
                let start = panel * LANES;
                let width = LANES.min(columns - start);
                let mut first = [0.0; LANES];
                if let Some(bias) = bias {
                    first[..width].copy_from_slice(&bias[start..start + width]);
                }
                let sums = accumulate(&packing.rows, weights, first);
                for (out, sums) in out.chunks_exact_mut(columns).zip(&sums) {
                    out[start..start + width].copy_from_slice(&sums[..width]);
                }
            }
        }
    }
}

/// All rows, some at a time, column by column; behind the last row stand zeros.
fn pack<const N: usize>(packed: &mut Vec<[f32; N]>, view: View<'_>) {
    packed.resize(view.rows.div_ceil(N) * view.columns, [0.0; N]);
    for (block, packed) in packed.chunks_exact_mut(view.columns).enumerate() {
        pack_block(packed, view, block * N);
    }
}

fn pack_block<const N: usize>(packed: &mut [[f32; N]], view: View<'_>, first: usize) {
    let rows = N.min(view.rows - first);
    let [down, along] = view.strides;
    for (column, packed) in packed.iter_mut().enumerate() {
        for (row, value) in packed.iter_mut().enumerate() {
            *value = if row < rows {
                view.values[(first + row) * down + column * along]
            } else {
                0.0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, Packing};

    #[track_caller]
    fn check(rows: usize, inner: usize, columns: usize) {
        let fill = |rows: usize, columns: usize, factor: usize| Matrix {
            columns,
            values: (0..rows * columns)
                .map(|place| (place * factor % 17) as f32 - 8.0)
                .collect(),
        };
        let (a, b, bias) = (fill(rows, inner, 5), fill(inner, columns, 7), fill(1, columns, 3));
        let (mut packing, mut product, mut turned) =
            (Packing::default(), Matrix::default(), Matrix::default());
        product.set_product(a.view(), b.view(), Some(&bias.values), &mut packing);
        turned.set_product(b.view().turned(), a.view().turned(), None, &mut packing);
        for row in 0..rows {
            for column in 0..columns {
                // Small whole numbers, so every order of the sum is exact.
                let terms = (0..inner)
                    .map(|place| a.values[row * inner + place] * b.values[place * columns + column]);
                let expected: f32 = terms.sum();
                assert_eq!(
                    product.values[row * columns + column],
                    expected + bias.values[column]
                );
                assert_eq!(turned.values[column * rows + row], expected);
            }
        }
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for (rows, inner, columns) in [
            (1, 1, 1),
            (4, 3, 8),
            (5, 7, 9),
            (13, 64, 17),
            (8, 12, 16),
            (3, 2, 40),
        ] {
            check(rows, inner, columns);
        }
    }
}
