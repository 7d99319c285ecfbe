//! Operators that put tensors together, and those that take parts of them.

use super::layout::{lengths, whole};
use super::tensor::{Data, Inputs, Tensor, axis, count, each, strides, view};

pub(super) fn concat(inputs: Inputs<'_>, along: i64) -> Result<Tensor, String> {
    let first = inputs.tensor(0)?;
    let along = axis(along, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[along] = 0;
    for tensor in inputs.all() {
        let same = tensor.shape.len() == shape.len()
            && (0..shape.len()).all(|place| place == along || tensor.shape[place] == shape[place]);
        if !same {
            return Err(format!(
                "the shapes {:?} and {:?} do not fit each other",
                first.shape, tensor.shape
            ));
        }
        shape[along] = shape[along].saturating_add(tensor.shape[along]);
    }
    let total = count(&shape)?;
    let outer = count(&shape[..along])?;
    let run = |tensor: &Tensor| tensor.data.len().checked_div(outer).unwrap_or(0);
    macro_rules! joined {
        ($kind:ident) => {{
            let mut values = Vec::with_capacity(total);
            for place in 0..outer {
                for tensor in inputs.all() {
                    let Data::$kind(part) = &tensor.data else {
                        return Err("its inputs are not of one type".to_owned());
                    };
                    let run = run(tensor);
                    values.extend_from_slice(&part[place * run..(place + 1) * run]);
                }
            }
            Data::$kind(values)
        }};
    }
    let data = match &first.data {
        Data::Float(_) => joined!(Float),
        Data::Integer(_) => joined!(Integer),
        Data::Truth(_) => joined!(Truth),
    };
    Ok(Tensor::new(&shape, data))
}

pub(super) fn split(
    inputs: Inputs<'_>,
    along: i64,
    fixed: Option<&[i64]>,
    parts: usize,
) -> Result<Vec<Tensor>, String> {
    let tensor = inputs.tensor(0)?;
    let along = axis(along, tensor.shape.len())?;
    let length = tensor.shape[along];
    let given = match fixed {
        Some(given) => Some(given),
        None => inputs.optional_integers(1)?,
    };
    let lengths = match given {
        Some(given) => lengths(given)?,
        None => {
            let each = length.div_ceil(parts.max(1));
            (0..parts)
                .map(|part| each.min(length.saturating_sub(part * each)))
                .collect()
        }
    };
    let sum = lengths
        .iter()
        .try_fold(0usize, |sum, &length| sum.checked_add(length));
    if sum != Some(length) || lengths.len() != parts {
        return Err(format!("{length} values cannot be split into {lengths:?}"));
    }
    let own = strides(&tensor.shape);
    let mut from = 0isize;
    let mut made = Vec::with_capacity(parts);
    for length in lengths {
        let mut shape = tensor.shape.clone();
        shape[along] = length;
        let data = each!(&tensor.data, values => view(values, from * own[along], &own, &shape));
        made.push(Tensor::new(&shape, data));
        from += length.cast_signed();
    }
    Ok(made)
}

/// Bounds as attributes, as they were once, or as inputs: starts, ends, axes, steps.
pub(super) fn slice(inputs: Inputs<'_>, fixed: &[Option<Vec<i64>>; 3]) -> Result<Tensor, String> {
    let tensor = inputs.tensor(0)?;
    let rank = tensor.shape.len();
    let given = |place: usize| -> Result<Option<Vec<i64>>, String> {
        match fixed.get(place).cloned().flatten() {
            Some(values) => Ok(Some(values)),
            None => Ok(inputs.optional_integers(place + 1)?.map(<[i64]>::to_vec)),
        }
    };
    let starts = given(0)?.ok_or("it has no starts")?;
    let ends = given(1)?.ok_or("it has no ends")?;
    let axes = given(2)?.unwrap_or_else(|| (0..whole(starts.len())).collect());
    let steps = given(3)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its bounds are not as many as its axes".to_owned());
    }
    let (mut shape, own) = (tensor.shape.clone(), strides(&tensor.shape));
    let (mut from, mut steps_by) = (0isize, own.clone());
    for (place, &dimension) in axes.iter().enumerate() {
        let dimension = axis(dimension, rank)?;
        let (length, step) = (whole(tensor.shape[dimension]), steps[place]);
        let absolute = |value: i64| {
            if value < 0 {
                value.saturating_add(length)
            } else {
                value
            }
        };
        let (first, taken) = match step {
            1.. => {
                let (first, last) = (
                    absolute(starts[place]).clamp(0, length),
                    absolute(ends[place]).clamp(0, length),
                );
                (
                    first,
                    (last - first)
                        .max(0)
                        .cast_unsigned()
                        .div_ceil(step.cast_unsigned()),
                )
            }
            ..0 if length == 0 => (0, 0),
            ..0 => {
                // Other than in Python, a start before the first value is the first.
                let first = absolute(starts[place]).clamp(0, length - 1);
                let last = absolute(ends[place]).clamp(-1, length - 1);
                (
                    first,
                    (first - last)
                        .max(0)
                        .cast_unsigned()
                        .div_ceil(step.unsigned_abs()),
                )
            }
            0 => return Err("its step is 0".to_owned()),
        };
        shape[dimension] = usize::try_from(taken).unwrap_or(0);
        // Within the tensor, so none of these products is large; nothing is read when nothing is taken.
        let first = isize::try_from(first).unwrap_or(0);
        from += first * own[dimension];
        steps_by[dimension] = own[dimension].saturating_mul(isize::try_from(step).unwrap_or(isize::MAX));
    }
    Ok(Tensor::new(
        &shape,
        each!(&tensor.data, values => view(values, from, &steps_by, &shape)),
    ))
}

/// The position that an index stands for.
fn position(index: i64, length: usize) -> Result<usize, String> {
    axis(index, length).map_err(|_| format!("the index {index} lies beyond {length} values"))
}

pub(super) fn gather(inputs: Inputs<'_>, along: i64) -> Result<Tensor, String> {
    let (tensor, indices) = (inputs.tensor(0)?, inputs.integers(1)?);
    let along = axis(along, tensor.shape.len())?;
    let length = tensor.shape[along];
    let places = indices
        .iter()
        .map(|&index| position(index, length))
        .collect::<Result<Vec<_>, _>>()?;
    let (before, after) = (&tensor.shape[..along], &tensor.shape[along + 1..]);
    let shape = [before, &inputs.tensor(1)?.shape, after].concat();
    count(&shape)?;
    let (outer, inner) = (count(before)?, count(after)?);
    let starts =
        (0..outer).flat_map(|place| places.iter().map(move |index| (place * length + index) * inner));
    Ok(Tensor::new(
        &shape,
        each!(&tensor.data, values => starts.flat_map(|start| &values[start..start + inner]).copied().collect()),
    ))
}

pub(super) fn gather_elements(inputs: Inputs<'_>, along: i64) -> Result<Tensor, String> {
    let (tensor, indices) = (inputs.tensor(0)?, inputs.integers(1)?);
    let shape = &inputs.tensor(1)?.shape;
    let rank = tensor.shape.len();
    let along = axis(along, rank)?;
    let fits =
        shape.len() == rank && (0..rank).all(|place| place == along || shape[place] <= tensor.shape[place]);
    if !fits {
        return Err(format!("indices of the shape {shape:?} for {:?}", tensor.shape));
    }
    let (own, of_indices) = (strides(&tensor.shape), strides(shape));
    let mut places = Vec::with_capacity(indices.len());
    for (number, &index) in indices.iter().enumerate() {
        let (mut rest, mut place) = (number.cast_signed(), 0);
        for dimension in 0..rank {
            let coordinate = rest / of_indices[dimension];
            rest %= of_indices[dimension];
            place += own[dimension]
                * if dimension == along {
                    position(index, tensor.shape[along])?.cast_signed()
                } else {
                    coordinate
                };
        }
        places.push(place.cast_unsigned());
    }
    Ok(Tensor::new(
        shape,
        each!(&tensor.data, values => places.iter().map(|&place| values[place]).collect()),
    ))
}
