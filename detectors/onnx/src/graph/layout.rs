//! Operators that move values without changing them, and those that make shapes.

use super::attributes::Attributes;
use super::select::{concat, gather, gather_elements, slice, split};
use super::tensor::{Data, Inputs, MOST_DIMENSIONS, Tensor, axis, count, each, stretch, strides, view};
use super::{Kernel, kernel, many};

/// What is made here.
pub(super) const OPERATORS: &[&str] = &[
    "Concat",
    "ConstantOfShape",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "Identity",
    "Pad",
    "Range",
    "Reshape",
    "Shape",
    "Size",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// The operator, if it is one of these.
pub(super) fn prepare(attributes: &Attributes<'_>) -> Option<Result<Kernel, String>> {
    let dimension = |default: i64| attributes.int("axis", default);
    let made = match attributes.node.operator.as_str() {
        "Identity" => kernel(|inputs| inputs.tensor(0).cloned()),
        "Dropout" => {
            let ratio = attributes.float("ratio", 0.5);
            attributes.without_effect(&["seed"]);
            many(move |inputs| dropout(inputs, ratio))
        }
        "Reshape" => {
            let (fixed, keep_zero) = (attributes.ints("shape"), attributes.flag("allowzero", false));
            kernel(move |inputs| reshape(inputs, fixed.as_deref(), keep_zero))
        }
        "Flatten" => {
            let from = dimension(1);
            kernel(move |inputs| flatten(inputs.tensor(0)?, from))
        }
        "Squeeze" => {
            let axes = attributes.ints("axes");
            kernel(move |inputs| squeeze(inputs, axes.as_deref()))
        }
        "Unsqueeze" => {
            let axes = attributes.ints("axes");
            kernel(move |inputs| unsqueeze(inputs, axes.as_deref()))
        }
        "Transpose" => match attributes.lengths("perm") {
            Ok(order) => kernel(move |inputs| transpose(inputs.tensor(0)?, order.as_deref())),
            Err(error) => return Some(Err(error)),
        },
        "Concat" => {
            let along = dimension(0);
            kernel(move |inputs| concat(inputs, along))
        }
        "Split" => {
            let (along, lengths, parts) = (
                dimension(0),
                attributes.ints("split"),
                attributes.node.outputs.len(),
            );
            let stated = attributes.int("num_outputs", whole(parts));
            if stated != whole(parts) {
                return Some(Err(format!("it has {parts} outputs and says {stated}")));
            }
            many(move |inputs| split(inputs, along, lengths.as_deref(), parts))
        }
        "Slice" => {
            let bounds = ["starts", "ends", "axes"].map(|name| attributes.ints(name));
            kernel(move |inputs| slice(inputs, &bounds))
        }
        "Gather" => {
            let along = dimension(0);
            kernel(move |inputs| gather(inputs, along))
        }
        "GatherElements" => {
            let along = dimension(0);
            kernel(move |inputs| gather_elements(inputs, along))
        }
        "Expand" => kernel(|inputs| {
            let tensor = inputs.tensor(0)?;
            let wanted = lengths(inputs.integers(1)?)?;
            let shape = super::tensor::common_shape(&tensor.shape, &wanted)?;
            Ok(Tensor::new(
                &shape,
                each!(&tensor.data, values => stretch(values, &tensor.shape, &shape)),
            ))
        }),
        "Tile" => kernel(tile),
        "Pad" => {
            let (pads, mode) = (
                attributes.ints("pads"),
                attributes.text("mode", "constant").to_owned(),
            );
            if mode != "constant" {
                return Some(Err(format!(
                    "it pads in the mode {mode}, and constant is known; pad before the model, or by Concat"
                )));
            }
            let value = attributes.float("value", 0.0);
            kernel(move |inputs| pad(inputs, pads.as_deref(), value))
        }
        "Shape" => {
            let ends = (attributes.int("start", 0), attributes.int("end", i64::MAX));
            kernel(move |inputs| {
                let shape = &inputs.tensor(0)?.shape;
                let (from, to) = (bound(ends.0, shape.len()), bound(ends.1, shape.len()));
                let lengths: Vec<i64> = shape
                    .get(from..to)
                    .unwrap_or_default()
                    .iter()
                    .map(|&n| whole(n))
                    .collect();
                Ok(Tensor::integers(&[lengths.len()], lengths))
            })
        }
        "Size" => kernel(|inputs| Ok(Tensor::integers(&[], vec![whole(inputs.tensor(0)?.data.len())]))),
        "ConstantOfShape" => {
            let value = match attributes.tensor("value").map(Tensor::constant).transpose() {
                Ok(value) => value.map_or(Data::Float(vec![0.0]), |tensor| tensor.data),
                Err(error) => return Some(Err(error)),
            };
            kernel(move |inputs| {
                let shape = lengths(inputs.integers(0)?)?;
                let count = count(&shape)?;
                let first = |missing: bool| {
                    if missing {
                        Err("its value is empty".to_owned())
                    } else {
                        Ok(())
                    }
                };
                first(value.len() == 0)?;
                Ok(Tensor::new(
                    &shape,
                    each!(&value, values => vec![values[0]; count]),
                ))
            })
        }
        "Range" => kernel(range),
        _ => return None,
    };
    Some(Ok(made))
}

pub(super) fn whole(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

pub(super) fn lengths(values: &[i64]) -> Result<Vec<usize>, String> {
    let lengths: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    lengths.ok_or_else(|| format!("the shape {values:?} cannot be"))
}

/// A position within `0..=length`, of one that may count from the end.
fn bound(value: i64, length: usize) -> usize {
    let length = whole(length);
    let value = if value < 0 {
        value.saturating_add(length)
    } else {
        value
    };
    usize::try_from(value.clamp(0, length)).unwrap_or(0)
}

/// What is given: nothing is dropped outside training.
fn dropout(inputs: Inputs<'_>, ratio: f32) -> Result<Vec<Tensor>, String> {
    let tensor = inputs.tensor(0)?;
    let in_training = match inputs.optional(2).map(|training| &training.data) {
        None => false,
        Some(Data::Truth(values)) => values.contains(&true),
        Some(_) => return Err("its input 2 holds no truth".to_owned()),
    };
    let ratio = inputs
        .optional_floats(1)?
        .and_then(|ratio| ratio.first().copied())
        .unwrap_or(ratio);
    if in_training && ratio != 0.0 {
        return Err(IN_TRAINING.to_owned());
    }
    let all_kept = vec![true; tensor.data.len()];
    Ok(vec![tensor.clone(), Tensor::truths(&tensor.shape, all_kept)])
}

/// Why an operator that still learns is refused.
pub(super) const IN_TRAINING: &str =
    "it is in training mode; export the model in evaluation mode (`model.eval()` in PyTorch)";

fn reshaped(tensor: &Tensor, shape: &[usize]) -> Result<Tensor, String> {
    if count(shape)? != tensor.data.len() {
        return Err(format!("the shape {:?} cannot become {shape:?}", tensor.shape));
    }
    Ok(Tensor::new(shape, tensor.data.clone()))
}

fn reshape(inputs: Inputs<'_>, fixed: Option<&[i64]>, keep_zero: bool) -> Result<Tensor, String> {
    let tensor = inputs.tensor(0)?;
    let wanted = match fixed {
        Some(wanted) => wanted,
        None => inputs.integers(1)?,
    };
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (place, &length) in wanted.iter().enumerate() {
        shape.push(match length {
            -1 if open.is_none() => {
                open = Some(place);
                1
            }
            0 if !keep_zero => *tensor
                .shape
                .get(place)
                .ok_or("it keeps a length that is not there")?,
            _ => usize::try_from(length).map_err(|_| format!("the shape {wanted:?} cannot be"))?,
        });
    }
    if let Some(open) = open {
        let others = count(&shape)?;
        shape[open] = tensor.data.len().checked_div(others).unwrap_or(0);
    }
    reshaped(tensor, &shape)
}

fn flatten(tensor: &Tensor, from: i64) -> Result<Tensor, String> {
    let from = match usize::try_from(from) {
        Ok(from) if from == tensor.shape.len() => from,
        _ => axis(from, tensor.shape.len())?,
    };
    let (outer, inner) = tensor.shape.split_at(from);
    reshaped(tensor, &[count(outer)?, count(inner)?])
}

fn squeeze(inputs: Inputs<'_>, fixed: Option<&[i64]>) -> Result<Tensor, String> {
    let tensor = inputs.tensor(0)?;
    let rank = tensor.shape.len();
    let axes = match fixed {
        Some(axes) => Some(axes),
        None => inputs.optional_integers(1)?,
    };
    let gone = match axes {
        Some(axes) => axes
            .iter()
            .map(|&value| axis(value, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).filter(|&place| tensor.shape[place] == 1).collect(),
    };
    let kept = (0..rank).filter(|place| !gone.contains(place));
    let shape: Vec<usize> = kept.map(|place| tensor.shape[place]).collect();
    reshaped(tensor, &shape)
}

fn unsqueeze(inputs: Inputs<'_>, fixed: Option<&[i64]>) -> Result<Tensor, String> {
    let tensor = inputs.tensor(0)?;
    let axes = match fixed {
        Some(axes) => axes,
        None => inputs.integers(1)?,
    };
    let rank = tensor.shape.len().saturating_add(axes.len());
    if rank > MOST_DIMENSIONS {
        return Err(format!(
            "it makes {rank} dimensions; {MOST_DIMENSIONS} are allowed"
        ));
    }
    let new = axes
        .iter()
        .map(|&value| axis(value, rank))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rest = tensor.shape.iter();
    // Where no new dimension is, the next of the old ones stands.
    let lengths = (0..rank).map(|place| {
        if new.contains(&place) {
            Some(&1)
        } else {
            rest.next()
        }
    });
    let shape = lengths
        .map_while(|length| length.copied())
        .collect::<Vec<usize>>();
    if shape.len() != rank || rest.next().is_some() {
        return Err(format!("it cannot add the dimensions {axes:?}"));
    }
    reshaped(tensor, &shape)
}

pub(super) fn transpose(tensor: &Tensor, order: Option<&[usize]>) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    let order: Vec<usize> = order.map_or_else(|| (0..rank).rev().collect(), <[usize]>::to_vec);
    if order.len() != rank || !(0..rank).all(|place| order.contains(&place)) {
        return Err(format!("{order:?} is no order of {rank} dimensions"));
    }
    let own = strides(&tensor.shape);
    let shape: Vec<usize> = order.iter().map(|&place| tensor.shape[place]).collect();
    let strides: Vec<isize> = order.iter().map(|&place| own[place]).collect();
    Ok(Tensor::new(
        &shape,
        each!(&tensor.data, values => view(values, 0, &strides, &shape)),
    ))
}

fn tile(inputs: Inputs<'_>) -> Result<Tensor, String> {
    let mut made = inputs.tensor(0)?.clone();
    let repeats = lengths(inputs.integers(1)?)?;
    if repeats.len() != made.shape.len() {
        return Err(format!(
            "{} repeats of {} dimensions",
            repeats.len(),
            made.shape.len()
        ));
    }
    for (place, &times) in repeats.iter().enumerate() {
        let mut shape = made.shape.clone();
        shape[place] = shape[place].saturating_mul(times);
        count(&shape)?;
        let run = count(&made.shape[place..])?.max(1);
        let data =
            each!(&made.data, values => values.chunks(run).flat_map(|run| run.repeat(times)).collect());
        made = Tensor::new(&shape, data);
    }
    Ok(made)
}

fn pad(inputs: Inputs<'_>, fixed: Option<&[i64]>, value: f32) -> Result<Tensor, String> {
    let (shape, values) = inputs.floats(0)?;
    let pads = match fixed {
        Some(pads) => pads,
        None => inputs.integers(1)?,
    };
    let value = inputs
        .optional_floats(2)?
        .and_then(|value| value.first().copied())
        .unwrap_or(value);
    let pads = lengths(pads)?;
    let rank = shape.len();
    if pads.len() != 2 * rank {
        return Err(format!("{} pads of {rank} dimensions", pads.len()));
    }
    let wider: Vec<usize> = (0..rank)
        .map(|place| {
            shape[place]
                .saturating_add(pads[place])
                .saturating_add(pads[place + rank])
        })
        .collect();
    let mut padded = vec![value; count(&wider)?];
    let inner = shape.last().copied().unwrap_or(1).max(1);
    let (own, new) = (strides(shape), strides(&wider));
    for (number, run) in values.chunks(inner).enumerate() {
        let (mut rest, mut place) = ((number * inner).cast_signed(), 0isize);
        for dimension in 0..rank {
            place += (rest / own[dimension] + pads[dimension].cast_signed()) * new[dimension];
            rest %= own[dimension];
        }
        let place = place.cast_unsigned();
        padded[place..place + run.len()].copy_from_slice(run);
    }
    Ok(Tensor::floats(&wider, padded))
}

fn range(inputs: Inputs<'_>) -> Result<Tensor, String> {
    let integer = |position| -> Result<i64, String> {
        inputs
            .integers(position)?
            .first()
            .copied()
            .ok_or_else(|| "it has an empty end".to_owned())
    };
    let (start, end, step) = (integer(0)?, integer(1)?, integer(2)?);
    if step == 0 {
        return Err("its step is 0".to_owned());
    }
    let distance = if step > 0 {
        end.saturating_sub(start)
    } else {
        start.saturating_sub(end)
    };
    let length =
        usize::try_from(distance.max(0).cast_unsigned().div_ceil(step.unsigned_abs())).unwrap_or(usize::MAX);
    count(&[length])?;
    let values = (0..whole(length))
        .map(|index| start.wrapping_add(index.wrapping_mul(step)))
        .collect();
    Ok(Tensor::integers(&[length], values))
}
