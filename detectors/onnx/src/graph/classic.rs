//! Operators of `ai.onnx.ml`, in which scikit-learn's models are exported.

use std::collections::BTreeMap;

use netsage_onnx_format::Node;

use super::attributes::Attributes;
use super::select::gather;
use super::tensor::{Data, Inputs, Tensor, count};
use super::trees::Trees;
use super::{Kernel, kernel};

/// What is made here.
pub(super) const OPERATORS: &[&str] = &[
    "ArrayFeatureExtractor",
    "Imputer",
    "LabelEncoder",
    "LinearRegressor",
    "Normalizer",
    "SVMRegressor",
    "Scaler",
    "TreeEnsembleRegressor",
];

/// The operator, if it is one of these.
pub(super) fn prepare(node: &Node) -> Option<Result<Kernel, String>> {
    let attributes = Attributes(node);
    let post = attributes.text("post_transform", "NONE");
    if post != "NONE" {
        return Some(Err(format!("it ends with {post}; NONE is known")));
    }
    match node.operator.as_str() {
        // By column, the last dimension.
        "ArrayFeatureExtractor" => Some(Ok(kernel(|inputs| gather(inputs, -1)))),
        "Scaler" => Some(Ok(scaler(attributes))),
        "Normalizer" => Some(normalizer(attributes)),
        "Imputer" => Some(Ok(imputer(attributes))),
        "LabelEncoder" => Some(label_encoder(attributes)),
        "LinearRegressor" => Some(linear(attributes)),
        "SVMRegressor" => Some(support_vectors(attributes)),
        "TreeEnsembleRegressor" => Some(Trees::new(attributes).map(|trees| {
            kernel(move |inputs| {
                let (shape, values) = numbers(inputs)?;
                let width = *shape.last().ok_or("it is given a single number")?;
                trees.run(&values, width)
            })
        })),
        _ => None,
    }
}

/// Numbers of any type, which these operators all take.
fn numbers(inputs: Inputs<'_>) -> Result<(Vec<usize>, Vec<f32>), String> {
    let tensor = inputs.tensor(0)?;
    let values = match &tensor.data {
        Data::Float(values) => values.clone(),
        Data::Integer(values) => values.iter().map(|&value| value as f32).collect(),
        Data::Truth(values) => values
            .iter()
            .map(|&value| if value { 1.0 } else { 0.0 })
            .collect(),
    };
    Ok((tensor.shape.clone(), values))
}

/// Changes the rows, each a run of the last dimension.
fn by_row(inputs: Inputs<'_>, function: impl Fn(&mut [f32])) -> Result<Tensor, String> {
    let (shape, mut values) = numbers(inputs)?;
    let width = shape.last().copied().unwrap_or(1);
    for row in values.chunks_exact_mut(width.max(1)) {
        function(row);
    }
    Ok(Tensor::floats(&shape, values))
}

/// The value of a column, or the one for all of them.
fn of_column(values: &[f32], column: usize, default: f32) -> f32 {
    match values {
        [] => default,
        [one] => *one,
        values => values.get(column).copied().unwrap_or(default),
    }
}

fn scaler(attributes: Attributes<'_>) -> Kernel {
    let (offset, scale) = (attributes.floats("offset"), attributes.floats("scale"));
    kernel(move |inputs| {
        by_row(inputs, |row| {
            for (column, value) in row.iter_mut().enumerate() {
                *value = (*value - of_column(&offset, column, 0.0)) * of_column(&scale, column, 1.0);
            }
        })
    })
}

fn normalizer(attributes: Attributes<'_>) -> Result<Kernel, String> {
    let size: fn(&[f32]) -> f64 = match attributes.text("norm", "MAX") {
        "MAX" => |row| {
            row.iter()
                .map(|value| f64::from(*value))
                .fold(f64::NEG_INFINITY, |a, b| if a > b { a } else { b })
        },
        "L1" => |row| row.iter().map(|value| f64::from(value.abs())).sum(),
        "L2" => |row| {
            row.iter()
                .map(|value| f64::from(*value) * f64::from(*value))
                .sum::<f64>()
                .sqrt()
        },
        other => return Err(format!("it has the norm {other}; MAX, L1 and L2 are known")),
    };
    Ok(kernel(move |inputs| {
        by_row(inputs, |row| {
            let size = size(row);
            if size != 0.0 {
                row.iter_mut()
                    .for_each(|value| *value = (f64::from(*value) / size) as f32);
            }
        })
    }))
}

fn imputer(attributes: Attributes<'_>) -> Kernel {
    let (replaced, imputed) = (
        attributes.float("replaced_value_float", 0.0),
        attributes.floats("imputed_value_floats"),
    );
    kernel(move |inputs| {
        by_row(inputs, |row| {
            for (column, value) in row.iter_mut().enumerate() {
                if *value == replaced || (replaced.is_nan() && value.is_nan()) {
                    *value = of_column(&imputed, column, replaced);
                }
            }
        })
    })
}

/// From whole numbers to numbers.
fn label_encoder(attributes: Attributes<'_>) -> Result<Kernel, String> {
    let keys = attributes
        .ints("keys_int64s")
        .ok_or("it does not encode whole numbers")?;
    let floats = attributes.floats("values_floats");
    let integers = attributes.ints("values_int64s").unwrap_or_default();
    let to_floats = floats.len() == keys.len();
    if !to_floats && integers.len() != keys.len() {
        return Err("it does not encode as numbers".to_owned());
    }
    let (other_float, other_integer) = (
        attributes.float("default_float", -0.0),
        attributes.int("default_int64", -1),
    );
    let mut places = BTreeMap::new();
    for (place, &key) in keys.iter().enumerate() {
        places.insert(key, place);
    }
    Ok(kernel(move |inputs| {
        let (shape, codes) = (&inputs.tensor(0)?.shape, inputs.integers(0)?);
        let place = |code: &i64| places.get(code).copied();
        Ok(if to_floats {
            let values = codes
                .iter()
                .map(|code| place(code).map_or(other_float, |place| floats[place]));
            Tensor::floats(shape, values.collect())
        } else {
            let values = codes
                .iter()
                .map(|code| place(code).map_or(other_integer, |place| integers[place]));
            Tensor::integers(shape, values.collect())
        })
    }))
}

fn linear(attributes: Attributes<'_>) -> Result<Kernel, String> {
    let (coefficients, intercepts) = (attributes.floats("coefficients"), attributes.floats("intercepts"));
    let targets = usize::try_from(attributes.int("targets", 1)).unwrap_or(0);
    if targets == 0 || !coefficients.len().is_multiple_of(targets) {
        return Err(format!(
            "{} coefficients of {targets} targets",
            coefficients.len()
        ));
    }
    let width = coefficients.len() / targets;
    Ok(kernel(move |inputs| {
        let (shape, values) = numbers(inputs)?;
        if shape.last() != Some(&width) || width == 0 {
            return Err(format!("{width} coefficients of {shape:?} values"));
        }
        let rows = values.len() / width;
        let mut made = Vec::with_capacity(count(&[rows, targets])?);
        for row in values.chunks_exact(width) {
            for (target, coefficients) in coefficients.chunks_exact(width).enumerate() {
                let products = row
                    .iter()
                    .zip(coefficients)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b));
                let start = intercepts.get(target).copied().unwrap_or(0.0);
                made.push((f64::from(start) + products.sum::<f64>()) as f32);
            }
        }
        Ok(Tensor::floats(&[rows, targets], made))
    }))
}

/// How alike two rows are.
type Likeness = Box<dyn Fn(&[f32], &[f32]) -> f64 + Send + Sync>;

/// Support vector regression, as which one-class machines are exported.
fn support_vectors(attributes: Attributes<'_>) -> Result<Kernel, String> {
    let (coefficients, vectors) = (
        attributes.floats("coefficients"),
        attributes.floats("support_vectors"),
    );
    let rho = attributes.floats("rho").first().copied().unwrap_or(0.0);
    let one_class = attributes.flag("one_class", false);
    let parameters = attributes.floats("kernel_params");
    let parameter = |place: usize| f64::from(parameters.get(place).copied().unwrap_or(0.0));
    let (gamma, constant, degree) = (parameter(0), parameter(1), parameter(2));
    let kind = attributes.text("kernel_type", "LINEAR");
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let function: Likeness = match kind {
        "LINEAR" => Box::new(dot),
        "POLY" => Box::new(move |a, b| libm::pow(gamma * dot(a, b) + constant, degree)),
        "SIGMOID" => Box::new(move |a, b| libm::tanh(gamma * dot(a, b) + constant)),
        "RBF" => Box::new(move |a, b| {
            let squares = a.iter().zip(b).map(|(a, b)| {
                let difference = f64::from(*a) - f64::from(*b);
                difference * difference
            });
            libm::exp(-gamma * squares.sum::<f64>())
        }),
        other => {
            return Err(format!(
                "it has the kernel {other}; LINEAR, POLY, RBF and SIGMOID are known"
            ));
        }
    };
    // Without vectors the coefficients are those of a line.
    let count = usize::try_from(attributes.int("n_supports", 0)).unwrap_or(0);
    let width = vectors.len().checked_div(count).unwrap_or(coefficients.len());
    if width == 0 || (count > 0 && (vectors.len() != count * width || coefficients.len() != count)) {
        return Err(format!("{} coefficients of {count} vectors", coefficients.len()));
    }
    Ok(kernel(move |inputs| {
        let (shape, values) = numbers(inputs)?;
        if shape.last() != Some(&width) {
            return Err(format!("vectors of {width} numbers for {shape:?}"));
        }
        let score = |row: &[f32]| {
            let sum = if count == 0 {
                dot(row, &coefficients)
            } else {
                let supports = vectors.chunks_exact(width).zip(&coefficients);
                supports
                    .map(|(vector, &coefficient)| f64::from(coefficient) * function(row, vector))
                    .sum()
            };
            let sum = (sum + f64::from(rho)) as f32;
            match one_class {
                true if sum > 0.0 => 1.0,
                true => -1.0,
                false => sum,
            }
        };
        let scores: Vec<f32> = values.chunks_exact(width).map(score).collect();
        Ok(Tensor::floats(&[scores.len(), 1], scores))
    }))
}
