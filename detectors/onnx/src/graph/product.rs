//! Operators that multiply matrices.

use super::attributes::Attributes;
use super::layout::transpose;
use super::tensor::{Inputs, Tensor, common_shape, count, stretch};
use super::{Kernel, kernel};

/// What is made here.
pub(super) const OPERATORS: &[&str] = &["Conv", "Gemm", "MatMul"];

/// Most multiplications of one operator: about a second.
const MOST_PRODUCTS: usize = 1 << 31;

/// The operator, if it is one of these.
pub(super) fn prepare(attributes: &Attributes<'_>) -> Option<Result<Kernel, String>> {
    match attributes.node.operator.as_str() {
        "MatMul" => Some(Ok(kernel(matmul))),
        "Gemm" => Some(Ok(gemm(attributes))),
        "Conv" => Some(conv(attributes)),
        _ => None,
    }
}

/// Adds `a x b` to `sums`, each sum in the order of the inner dimension, whatever the number of rows.
#[inline(never)]
pub(super) fn multiply(
    a: &[f32],
    b: &[f32],
    inner: usize,
    columns: usize,
    sums: &mut [f32],
) -> Result<(), String> {
    if inner == 0 || columns == 0 || sums.is_empty() {
        return Ok(());
    }
    if a.len()
        .checked_mul(columns)
        .is_none_or(|products| products > MOST_PRODUCTS)
    {
        return Err("it takes too many multiplications".to_owned());
    }
    // Four rows at a time, so that what is read of `b` serves four.
    for (rows, sums) in a.chunks(4 * inner).zip(sums.chunks_mut(4 * columns)) {
        if rows.len() == 4 * inner {
            let (first, rest) = sums.split_at_mut(columns);
            let (second, rest) = rest.split_at_mut(columns);
            let (third, fourth) = rest.split_at_mut(columns);
            for (place, b) in b.chunks_exact(columns).enumerate() {
                let [x, y, z, w] = [0, 1, 2, 3].map(|row| rows[row * inner + place]);
                for column in 0..columns {
                    first[column] += x * b[column];
                    second[column] += y * b[column];
                    third[column] += z * b[column];
                    fourth[column] += w * b[column];
                }
            }
        } else {
            for (row, sums) in rows.chunks_exact(inner).zip(sums.chunks_exact_mut(columns)) {
                for (&value, b) in row.iter().zip(b.chunks_exact(columns)) {
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum += value * b;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Over the last two dimensions; those before are stretched to each other.
fn matmul(inputs: Inputs<'_>) -> Result<Tensor, String> {
    let ((a_given, a), (b_given, b)) = (inputs.floats(0)?, inputs.floats(1)?);
    // A vector is a matrix of one row, or of one column; that dimension goes away again.
    let a_shape = if a_given.len() == 1 {
        vec![1, a_given[0]]
    } else {
        a_given.to_vec()
    };
    let b_shape = if b_given.len() == 1 {
        vec![b_given[0], 1]
    } else {
        b_given.to_vec()
    };
    let ([a_outer @ .., rows, inner], [b_outer @ .., b_inner, columns]) =
        (a_shape.as_slice(), b_shape.as_slice())
    else {
        return Err("it is given single numbers".to_owned());
    };
    let (&rows, &inner, &columns) = (rows, inner, columns);
    if inner != *b_inner {
        return Err(format!(
            "the shapes {a_given:?} and {b_given:?} do not fit each other"
        ));
    }
    let outer = common_shape(a_outer, b_outer)?;
    let mut shape = [outer.as_slice(), &[rows, columns]].concat();
    let mut sums = vec![0.0; count(&shape)?];
    if b_outer.is_empty() {
        // One matrix for all rows.
        multiply(a, b, inner, columns, &mut sums)?;
    } else {
        let a = stretch(a, &a_shape, &[outer.as_slice(), &[rows, inner]].concat());
        let b = stretch(b, &b_shape, &[outer.as_slice(), &[inner, columns]].concat());
        let (a, b) = (
            a.chunks_exact((rows * inner).max(1)),
            b.chunks_exact((inner * columns).max(1)),
        );
        for ((a, b), sums) in a.zip(b).zip(sums.chunks_exact_mut((rows * columns).max(1))) {
            multiply(a, b, inner, columns, sums)?;
        }
    }
    if b_given.len() == 1 {
        shape.pop();
    }
    if a_given.len() == 1 {
        shape.remove(outer.len());
    }
    Ok(Tensor::floats(&shape, sums))
}

fn gemm(attributes: &Attributes<'_>) -> Kernel {
    let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
    let (turn_a, turn_b) = (attributes.flag("transA", false), attributes.flag("transB", false));
    kernel(move |inputs| {
        let turned = |position: usize, turn: bool| {
            let tensor = inputs.tensor(position)?;
            if turn {
                transpose(tensor, Some(&[1, 0]))
            } else {
                Ok(tensor.clone())
            }
        };
        let (a, b) = (turned(0, turn_a)?, turned(1, turn_b)?);
        let (a_shape, b_shape) = (a.shape.as_slice(), b.shape.as_slice());
        let (&[rows, inner], &[b_inner, columns]) = (a_shape, b_shape) else {
            return Err(format!("the shapes {a_shape:?} and {b_shape:?} are no matrices"));
        };
        if inner != b_inner {
            return Err(format!(
                "the shapes {a_shape:?} and {b_shape:?} do not fit each other"
            ));
        }
        let shape = [rows, columns];
        let mut sums = vec![0.0; count(&shape)?];
        multiply(a.as_floats()?, b.as_floats()?, inner, columns, &mut sums)?;
        if alpha != 1.0 {
            sums.iter_mut().for_each(|sum| *sum *= alpha);
        }
        if inputs.optional(2).is_some() {
            let (bias_shape, bias) = inputs.floats(2)?;
            if common_shape(bias_shape, &shape)? != shape {
                return Err(format!("a bias of the shape {bias_shape:?} for {shape:?}"));
            }
            for (sum, bias) in sums.iter_mut().zip(stretch(bias, bias_shape, &shape)) {
                *sum += beta * bias;
            }
        }
        Ok(Tensor::floats(&shape, sums))
    })
}

/// How a window moves along one dimension.
#[derive(Debug, Clone, Copy)]
struct Moves {
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

/// Over one or two dimensions behind the channels; one is two of which the first has the length 1.
fn conv(attributes: &Attributes<'_>) -> Result<Kernel, String> {
    let padding = attributes.text("auto_pad", "NOTSET");
    if !matches!(padding, "NOTSET" | "VALID") {
        return Err(format!(
            "it pads by itself ({padding}); NOTSET and VALID are known"
        ));
    }
    attributes.without_effect(&["kernel_shape"]);
    let groups = usize::try_from(attributes.int("group", 1)).unwrap_or(0).max(1);
    let strides = attributes.lengths("strides")?;
    let dilations = attributes.lengths("dilations")?;
    let pads = attributes.lengths("pads")?;
    Ok(kernel(move |inputs| {
        let ((shape, values), (window, weights)) = (inputs.floats(0)?, inputs.floats(1)?);
        let spatial = shape.len().saturating_sub(2);
        if !(1..=2).contains(&spatial) || window.len() != shape.len() {
            return Err(format!(
                "a convolution of {shape:?} by {window:?}; one or two dimensions are known"
            ));
        }
        let moves = |dimension: usize| {
            let of = |values: &Option<Vec<usize>>, place: usize, default: usize| {
                values
                    .as_ref()
                    .and_then(|values| values.get(place))
                    .copied()
                    .unwrap_or(default)
            };
            Moves {
                stride: of(&strides, dimension, 1).max(1),
                dilation: of(&dilations, dimension, 1).max(1),
                before: of(&pads, dimension, 0),
                after: of(&pads, dimension + spatial, 0),
            }
        };
        let alone = Moves {
            stride: 1,
            dilation: 1,
            before: 0,
            after: 0,
        };
        let moves = if spatial == 1 {
            [alone, moves(0)]
        } else {
            [moves(0), moves(1)]
        };
        let plane = |shape: &[usize]| {
            if spatial == 1 {
                [1, shape[2]]
            } else {
                [shape[2], shape[3]]
            }
        };
        let bias = inputs.optional_floats(2)?;
        let convolution = Convolution {
            batch: shape[0],
            channels: shape[1],
            made: window[0],
            groups,
            from: plane(shape),
            window: plane(window),
            moves,
        };
        if window[1].checked_mul(groups) != Some(shape[1])
            || !window[0].is_multiple_of(groups)
            || bias.is_some_and(|bias| bias.len() != window[0])
        {
            return Err(format!("windows {window:?} do not fit {shape:?}"));
        }
        let (to, sums) = convolution.run(values, weights, bias)?;
        let to = if spatial == 1 { &to[1..] } else { &to[..] };
        Ok(Tensor::floats(&[&[shape[0], window[0]], to].concat(), sums))
    }))
}

struct Convolution {
    batch: usize,
    channels: usize,
    made: usize,
    groups: usize,
    from: [usize; 2],
    window: [usize; 2],
    moves: [Moves; 2],
}

impl Convolution {
    fn run(
        &self,
        values: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<([usize; 2], Vec<f32>), String> {
        let mut to = [0; 2];
        for (place, to) in to.iter_mut().enumerate() {
            let moves = self.moves[place];
            let covered = self.window[place]
                .saturating_sub(1)
                .saturating_mul(moves.dilation)
                .saturating_add(1);
            let length = self.from[place]
                .saturating_add(moves.before)
                .saturating_add(moves.after);
            *to = length
                .checked_sub(covered)
                .map_or(0, |rest| rest / moves.stride + 1);
        }
        let (from, window, [down, across]) = (self.from, self.window, self.moves);
        let total = count(&[self.batch, self.made, to[0], to[1]])?;
        let taps = self.channels / self.groups * window[0] * window[1];
        if total
            .checked_mul(taps)
            .is_none_or(|products| products > MOST_PRODUCTS)
        {
            return Err("it takes too many multiplications".to_owned());
        }
        let mut sums = Vec::with_capacity(total);
        let in_group = self.channels / self.groups;
        for number in 0..total {
            let (column, rest) = (number % to[1], number / to[1]);
            let (line, rest) = (rest % to[0], rest / to[0]);
            let (channel, row) = (rest % self.made, rest / self.made);
            let group = channel / (self.made / self.groups);
            let mut sum = bias.map_or(0.0, |bias| bias[channel]);
            for inner in 0..in_group {
                let plane = (row * self.channels + group * in_group + inner) * from[0] * from[1];
                let taps = (channel * in_group + inner) * window[0] * window[1];
                for y in 0..window[0] {
                    let Some(y_from) = (line * down.stride + y * down.dilation).checked_sub(down.before)
                    else {
                        continue;
                    };
                    if y_from >= from[0] {
                        continue;
                    }
                    for x in 0..window[1] {
                        let x_from =
                            (column * across.stride + x * across.dilation).checked_sub(across.before);
                        if let Some(x_from) = x_from.filter(|&x_from| x_from < from[1]) {
                            sum +=
                                values[plane + y_from * from[1] + x_from] * weights[taps + y * window[1] + x];
                        }
                    }
                }
            }
            sums.push(sum);
        }
        Ok((to, sums))
    }
}
