//! The one loop in which networks spend their time, for training as well.

/// Outputs summed together.
pub const LANES: usize = 8;
/// Rows summed together.
pub const ROWS: usize = 4;

/// For each of four rows and eight outputs `start` plus the sum over the inputs of value times weight, in the order of
/// the inputs. Sixteen registers of four numbers, which every processor has, hold the sums and what is added.
#[inline(always)]
pub fn accumulate(
    values: &[[f32; ROWS]],
    weights: &[[f32; LANES]],
    start: [f32; LANES],
) -> [[f32; LANES]; ROWS] {
    let [mut first, mut second, mut third, mut fourth] = [start; ROWS];
    for (values, weights) in values.iter().zip(weights) {
        first = plus(first, values[0], weights);
        second = plus(second, values[1], weights);
        third = plus(third, values[2], weights);
        fourth = plus(fourth, values[3], weights);
    }
    [first, second, third, fourth]
}

#[inline(always)]
fn plus(mut sums: [f32; LANES], value: f32, weights: &[f32; LANES]) -> [f32; LANES] {
    for lane in 0..LANES {
        sums[lane] += value * weights[lane];
    }
    sums
}
