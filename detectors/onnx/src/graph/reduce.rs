//! Operators that sum up along dimensions, and those that normalise by such sums.

use super::attributes::Attributes;
use super::elementwise::{larger, smaller};
use super::layout::{IN_TRAINING, transpose};
use super::tensor::{Tensor, axis, count};
use super::{Kernel, kernel};

/// What is made here.
pub(super) const OPERATORS: &[&str] = &[
    "ArgMax",
    "ArgMin",
    "BatchNormalization",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LayerNormalization",
    "LogSoftmax",
    "LpNormalization",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Softmax",
];

/// The operator, if it is one of these.
pub(super) fn prepare(attributes: &Attributes<'_>, opset: i64) -> Option<Result<Kernel, String>> {
    let operator = attributes.node.operator.as_str();
    let made = match operator {
        "ReduceSum" => reduction(attributes, sum),
        "ReduceMean" => reduction(attributes, |values| sum(values) / values.len() as f64),
        "ReduceProd" => reduction(attributes, |values| {
            values
                .iter()
                .fold(1.0, |product, &value| product * f64::from(value))
        }),
        "ReduceL1" => reduction(attributes, |values| {
            values.iter().map(|&value| f64::from(value.abs())).sum()
        }),
        "ReduceL2" => reduction(attributes, |values| squares(values).sqrt()),
        "ReduceSumSquare" => reduction(attributes, squares),
        "ReduceLogSum" => reduction(attributes, |values| libm::log(sum(values))),
        "ReduceLogSumExp" => reduction(attributes, log_sum_exp),
        "ReduceMax" => reduction(attributes, |values| f64::from(largest(values))),
        "ReduceMin" => reduction(attributes, |values| {
            f64::from(values.iter().copied().fold(f32::INFINITY, smaller))
        }),
        "ArgMax" => position(attributes, |best, value| value > best),
        "ArgMin" => position(attributes, |best, value| value < best),
        "Softmax" | "LogSoftmax" => softmax(attributes, opset, operator == "LogSoftmax"),
        "LpNormalization" => lp_normalization(attributes),
        "LayerNormalization" => layer_normalization(attributes),
        "BatchNormalization" => {
            attributes.without_effect(&["momentum"]);
            // Before opset 14 the number of outputs said whether it was in training.
            if attributes.flag("training_mode", false) || (opset < 14 && attributes.node.outputs.len() > 1) {
                return Some(Err(IN_TRAINING.to_owned()));
            }
            if !attributes.flag("spatial", true) {
                return Some(Err(
                    "it normalises each value by itself; export it for opset 9 or later".to_owned(),
                ));
            }
            batch_normalization(attributes)
        }
        "GlobalAveragePool" => global_pool(|values| sum(values) / values.len() as f64),
        "GlobalMaxPool" => global_pool(|values| f64::from(largest(values))),
        _ => return None,
    };
    Some(Ok(made))
}

/// In double precision, so that the result hardly depends on the order, which is that of the values.
fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum()
}

fn squares(values: &[f32]) -> f64 {
    let square = |&value: &f32| f64::from(value) * f64::from(value);
    values.iter().map(square).sum()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, larger)
}

fn log_sum_exp(values: &[f32]) -> f64 {
    let most = f64::from(largest(values));
    if !most.is_finite() {
        return most;
    }
    let sum: f64 = values
        .iter()
        .map(|&value| libm::exp(f64::from(value) - most))
        .sum();
    most + libm::log(sum)
}

/// A tensor whose last dimensions are to be made into one value each.
struct Folded {
    values: Vec<f32>,
    /// Values that become one.
    run: usize,
    shape: Vec<usize>,
}

/// Moves `axes` to the end, so that what is summed up lies together.
fn fold(tensor: &Tensor, axes: &[usize], keep: bool) -> Result<Folded, String> {
    let rank = tensor.shape.len();
    let kept = (0..rank).filter(|place| !axes.contains(place));
    let order: Vec<usize> = kept
        .chain((0..rank).filter(|place| axes.contains(place)))
        .collect();
    let moved = if order.is_sorted() {
        tensor.clone()
    } else {
        transpose(tensor, Some(&order))?
    };
    let run: Vec<usize> = (0..rank)
        .filter(|place| axes.contains(place))
        .map(|place| tensor.shape[place])
        .collect();
    let shape = (0..rank)
        .filter(|place| keep || !axes.contains(place))
        .map(|place| {
            if axes.contains(&place) {
                1
            } else {
                tensor.shape[place]
            }
        })
        .collect();
    let values = moved.as_floats()?;
    let run = count(&run)?;
    if run == 0 {
        return Err("it sums up nothing".to_owned());
    }
    Ok(Folded {
        values: values.to_vec(),
        run,
        shape,
    })
}

/// Axes as an attribute, as they were once, or as an input; all of them when there are none.
fn reduction(attributes: &Attributes<'_>, function: fn(&[f32]) -> f64) -> Kernel {
    let fixed = attributes.ints("axes");
    let (keep, none_is_none) = (
        attributes.flag("keepdims", true),
        attributes.flag("noop_with_empty_axes", false),
    );
    kernel(move |inputs| {
        let tensor = inputs.tensor(0)?;
        let rank = tensor.shape.len();
        let given = match &fixed {
            Some(axes) => Some(axes.as_slice()),
            None => inputs.optional_integers(1)?,
        };
        let axes = match given.unwrap_or_default() {
            // Each value by itself.
            [] if none_is_none => Vec::new(),
            [] => (0..rank).collect(),
            axes => axes
                .iter()
                .map(|&value| axis(value, rank))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let folded = fold(tensor, &axes, keep)?;
        let runs = folded.values.chunks_exact(folded.run);
        Ok(Tensor::floats(
            &folded.shape,
            runs.map(|run| function(run) as f32).collect(),
        ))
    })
}

/// The position of the value that no other is better than: of several the first, or the last if that is asked for.
fn position(attributes: &Attributes<'_>, better: fn(f32, f32) -> bool) -> Kernel {
    let along = attributes.int("axis", 0);
    let (keep, last) = (
        attributes.flag("keepdims", true),
        attributes.flag("select_last_index", false),
    );
    kernel(move |inputs| {
        let tensor = inputs.tensor(0)?;
        let folded = fold(tensor, &[axis(along, tensor.shape.len())?], keep)?;
        let best = |run: &[f32]| {
            let mut best = 0;
            for (place, &value) in run.iter().enumerate() {
                if better(run[best], value) || (last && value == run[best]) {
                    best = place;
                }
            }
            i64::try_from(best).unwrap_or(i64::MAX)
        };
        let runs = folded.values.chunks_exact(folded.run);
        Ok(Tensor::integers(&folded.shape, runs.map(best).collect()))
    })
}

/// Works on each run of values along one dimension, in place.
fn along(tensor: &Tensor, dimension: usize, function: impl Fn(&mut [f32])) -> Result<Tensor, String> {
    let rank = tensor.shape.len();
    // Swapping twice brings every dimension back to its place.
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(dimension, rank - 1);
    let is_last = dimension + 1 == rank;
    let moved = if is_last {
        tensor.clone()
    } else {
        transpose(tensor, Some(&order))?
    };
    let mut values = moved.as_floats()?.to_vec();
    for run in values.chunks_exact_mut(moved.shape[rank - 1].max(1)) {
        function(run);
    }
    let made = Tensor::floats(&moved.shape, values);
    if is_last {
        Ok(made)
    } else {
        transpose(&made, Some(&order))
    }
}

fn softmax(attributes: &Attributes<'_>, opset: i64, logarithm: bool) -> Kernel {
    // Before opset 13 everything from the dimension on was one.
    let flat = opset < 13;
    let dimension = attributes.int("axis", if flat { 1 } else { -1 });
    let function = move |run: &mut [f32]| {
        let all = log_sum_exp(run);
        for value in run {
            let logarithms = f64::from(*value) - all;
            *value = if logarithm {
                logarithms
            } else {
                libm::exp(logarithms)
            } as f32;
        }
    };
    kernel(move |inputs| {
        let tensor = inputs.tensor(0)?;
        let dimension = axis(dimension, tensor.shape.len())?;
        if !flat {
            return along(tensor, dimension, function);
        }
        let run = count(&tensor.shape[dimension..])?;
        let made = along(
            &Tensor::new(
                &[tensor.data.len().checked_div(run).unwrap_or(0), run],
                tensor.data.clone(),
            ),
            1,
            function,
        )?;
        Ok(Tensor::new(&tensor.shape, made.data))
    })
}

fn lp_normalization(attributes: &Attributes<'_>) -> Kernel {
    let (dimension, power) = (attributes.int("axis", -1), attributes.int("p", 2));
    kernel(move |inputs| {
        let tensor = inputs.tensor(0)?;
        along(tensor, axis(dimension, tensor.shape.len())?, |run| {
            let size = if power == 1 {
                run.iter().map(|value| f64::from(value.abs())).sum()
            } else {
                squares(run).sqrt()
            };
            if size != 0.0 {
                run.iter_mut()
                    .for_each(|value| *value = (f64::from(*value) / size) as f32);
            }
        })
    })
}

fn layer_normalization(attributes: &Attributes<'_>) -> Kernel {
    let (dimension, epsilon) = (attributes.int("axis", -1), attributes.float("epsilon", 1e-5));
    attributes.without_effect(&["stash_type"]);
    kernel(move |inputs| {
        let (shape, values) = inputs.floats(0)?;
        let from = axis(dimension, shape.len())?;
        let run = count(&shape[from..])?;
        let (_, scale) = inputs.floats(1)?;
        let bias = inputs.optional_floats(2)?;
        if run == 0 || scale.len() != run || bias.is_some_and(|bias| bias.len() != run) {
            return Err(format!("{} scales of {run} values", scale.len()));
        }
        let mut values = values.to_vec();
        for run in values.chunks_exact_mut(run) {
            let count = run.len() as f64;
            let mean = sum(run) / count;
            let variance = run
                .iter()
                .map(|&value| (f64::from(value) - mean) * (f64::from(value) - mean));
            let deviation = (variance.sum::<f64>() / count + f64::from(epsilon)).sqrt();
            for (place, value) in run.iter_mut().enumerate() {
                let bias = bias.map_or(0.0, |bias| bias[place]);
                *value = ((f64::from(*value) - mean) / deviation) as f32 * scale[place] + bias;
            }
        }
        Ok(Tensor::floats(shape, values))
    })
}

/// By the means and variances of training, one for each channel, the second dimension.
fn batch_normalization(attributes: &Attributes<'_>) -> Kernel {
    let epsilon = attributes.float("epsilon", 1e-5);
    kernel(move |inputs| {
        let (shape, values) = inputs.floats(0)?;
        let channels = if shape.len() < 2 { 1 } else { shape[1] };
        let mut parameters = [&[][..]; 4];
        for (place, parameter) in parameters.iter_mut().enumerate() {
            *parameter = inputs.floats(place + 1)?.1;
            if parameter.len() != channels {
                return Err(format!("{} parameters of {channels} channels", parameter.len()));
            }
        }
        let [scale, bias, mean, variance] = parameters;
        let inner = count(shape.get(2..).unwrap_or_default())?.max(1);
        let mut values = values.to_vec();
        for (place, run) in values.chunks_exact_mut(inner).enumerate() {
            let channel = place % channels;
            let deviation = (f64::from(variance[channel]) + f64::from(epsilon)).sqrt();
            let factor = (f64::from(scale[channel]) / deviation) as f32;
            for value in run {
                *value = (*value - mean[channel]) * factor + bias[channel];
            }
        }
        Ok(Tensor::floats(shape, values))
    })
}

/// Of everything behind the channels.
fn global_pool(function: fn(&[f32]) -> f64) -> Kernel {
    kernel(move |inputs| {
        let tensor = inputs.tensor(0)?;
        let axes: Vec<usize> = (2..tensor.shape.len()).collect();
        let folded = fold(tensor, &axes, true)?;
        let runs = folded.values.chunks_exact(folded.run);
        Ok(Tensor::floats(
            &folded.shape,
            runs.map(|run| function(run) as f32).collect(),
        ))
    })
}
