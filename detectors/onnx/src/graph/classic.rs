//! Operators of `ai.onnx.ml`, in which scikit-learn's models are exported.

use std::collections::BTreeMap;

use super::attributes::Attributes;
use super::select::gather;
use super::tensor::{Data, Inputs, Tensor, count};
use super::trees::Trees;
use super::{Kernel, kernel, many};

/// What is made here.
pub(super) const OPERATORS: &[&str] = &[
    "ArrayFeatureExtractor",
    "Imputer",
    "LabelEncoder",
    "LinearClassifier",
    "LinearRegressor",
    "Normalizer",
    "SVMRegressor",
    "Scaler",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
];

/// The operator, if it is one of these.
pub(super) fn prepare(attributes: &Attributes<'_>) -> Option<Result<Kernel, String>> {
    let made = match attributes.node.operator.as_str() {
        "ArrayFeatureExtractor" => Ok(kernel(features)),
        "Scaler" => Ok(scaler(attributes)),
        "Normalizer" => normalizer(attributes),
        "Imputer" => Ok(imputer(attributes)),
        "LabelEncoder" => label_encoder(attributes),
        "LinearClassifier" => linear_classifier(attributes),
        "LinearRegressor" => linear_regressor(attributes),
        "SVMRegressor" => support_vectors(attributes),
        "TreeEnsembleClassifier" => tree_classifier(attributes),
        "TreeEnsembleRegressor" => tree_regressor(attributes),
        _ => return None,
    };
    Some(made)
}

/// By column, the last dimension.
fn features(inputs: Inputs<'_>) -> Result<Tensor, String> {
    let positions = inputs.tensor(1)?;
    // Whatever their shape, they are a list.
    let flat = Tensor::new(&[positions.data.len()], positions.data.clone());
    let first = inputs.tensor(0)?;
    let made = gather(Inputs(&[Some(first), Some(&flat)]), -1)?;
    if made.shape.len() == 1 {
        return Ok(Tensor::new(&[1, made.shape[0]], made.data));
    }
    Ok(made)
}

/// What becomes of the numbers of a row at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Logistic,
    Softmax,
}

impl Last {
    fn new(attributes: &Attributes<'_>) -> Result<Self, String> {
        match attributes.text("post_transform", "NONE") {
            "NONE" => Ok(Self::Nothing),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            other => Err(format!(
                "it ends with {other}, and NONE, LOGISTIC and SOFTMAX are known; export it with one of these"
            )),
        }
    }

    fn apply(self, row: &mut [f64]) {
        match self {
            Self::Nothing => {}
            Self::Logistic => row.iter_mut().for_each(|value| *value = logistic(*value)),
            Self::Softmax => {
                let most = row
                    .iter()
                    .copied()
                    .fold(f64::NEG_INFINITY, |a, b| if a > b { a } else { b });
                row.iter_mut().for_each(|value| *value = libm::exp(*value - most));
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|value| *value /= sum);
            }
        }
    }

    /// Both classes of one number, that of the second. `is_share` says whether the two sum to 1 as they are.
    fn both(self, value: f64, is_share: bool) -> Result<[f64; 2], String> {
        match self {
            Self::Nothing if is_share => Ok([1.0 - value, value]),
            Self::Nothing => Ok([-value, value]),
            Self::Logistic => Ok([logistic(-value), logistic(value)]),
            Self::Softmax => Err("it ends with SOFTMAX of one number; export it with LOGISTIC".to_owned()),
        }
    }
}

fn logistic(value: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-value))
}

/// The outputs of a classifier: its labels, which nobody may need, and the numbers of each class.
fn classes(rows: usize, numbers: Vec<f32>) -> Vec<Tensor> {
    let width = numbers.len().checked_div(rows).unwrap_or(0);
    vec![
        Tensor::integers(&[0], Vec::new()),
        Tensor::floats(&[rows, width], numbers),
    ]
}

/// How many classes a classifier tells apart.
fn labels(attributes: &Attributes<'_>, integers: &str) -> usize {
    let integers = attributes.ints(integers).map_or(0, |labels| labels.len());
    attributes.texts("classlabels_strings").len().max(integers)
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

/// Whether there is a value for each column, or one for all of them.
fn check_columns(inputs: Inputs<'_>, lists: &[&[f32]]) -> Result<(), String> {
    let width = inputs.tensor(0)?.shape.last().copied().unwrap_or(1);
    match lists.iter().find(|list| list.len() > 1 && list.len() != width) {
        Some(list) => Err(format!("it has {} numbers for {width} columns", list.len())),
        None => Ok(()),
    }
}

fn scaler(attributes: &Attributes<'_>) -> Kernel {
    let (offset, scale) = (attributes.floats("offset"), attributes.floats("scale"));
    kernel(move |inputs| {
        check_columns(inputs, &[&offset, &scale])?;
        by_row(inputs, |row| {
            for (column, value) in row.iter_mut().enumerate() {
                *value = (*value - of_column(&offset, column, 0.0)) * of_column(&scale, column, 1.0);
            }
        })
    })
}

fn normalizer(attributes: &Attributes<'_>) -> Result<Kernel, String> {
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

fn imputer(attributes: &Attributes<'_>) -> Kernel {
    let (replaced, imputed) = (
        attributes.float("replaced_value_float", 0.0),
        attributes.floats("imputed_value_floats"),
    );
    kernel(move |inputs| {
        check_columns(inputs, &[&imputed])?;
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
fn label_encoder(attributes: &Attributes<'_>) -> Result<Kernel, String> {
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
    attributes.without_effect(&["default_string"]);
    let mut places = BTreeMap::new();
    for (place, &key) in keys.iter().enumerate() {
        // Of a key that is there twice the first place counts.
        places.entry(key).or_insert(place);
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

/// For each row one number for each list of coefficients.
fn products(
    inputs: Inputs<'_>,
    coefficients: &[f32],
    intercepts: &[f32],
    lists: usize,
) -> Result<Vec<f64>, String> {
    let (shape, values) = numbers(inputs)?;
    let width = coefficients.len() / lists;
    if shape.last() != Some(&width) || width == 0 {
        return Err(format!("{width} coefficients of {shape:?} values"));
    }
    let mut made = Vec::with_capacity(count(&[values.len() / width, lists])?);
    for row in values.chunks_exact(width) {
        for (list, coefficients) in coefficients.chunks_exact(width).enumerate() {
            let products = row
                .iter()
                .zip(coefficients)
                .map(|(a, b)| f64::from(*a) * f64::from(*b));
            let start = intercepts.get(list).copied().unwrap_or(0.0);
            made.push(f64::from(start) + products.sum::<f64>());
        }
    }
    Ok(made)
}

/// Coefficients and intercepts, for `lists` numbers of a row.
fn lines(attributes: &Attributes<'_>, lists: usize) -> Result<(Vec<f32>, Vec<f32>), String> {
    let (coefficients, intercepts) = (attributes.floats("coefficients"), attributes.floats("intercepts"));
    if lists == 0 || !coefficients.len().is_multiple_of(lists) || ![0, lists].contains(&intercepts.len()) {
        return Err(format!(
            "{} coefficients and {} intercepts for {lists} numbers",
            coefficients.len(),
            intercepts.len()
        ));
    }
    Ok((coefficients, intercepts))
}

fn linear_regressor(attributes: &Attributes<'_>) -> Result<Kernel, String> {
    let targets = usize::try_from(attributes.int("targets", 1)).unwrap_or(0);
    let (coefficients, intercepts) = lines(attributes, targets)?;
    let last = Last::new(attributes)?;
    if last != Last::Nothing {
        return Err("it transforms its numbers at the end; export it without".to_owned());
    }
    Ok(kernel(move |inputs| {
        let made = products(inputs, &coefficients, &intercepts, targets)?;
        let made: Vec<f32> = made.into_iter().map(|value| value as f32).collect();
        Ok(Tensor::floats(&[made.len() / targets, targets], made))
    }))
}

fn linear_classifier(attributes: &Attributes<'_>) -> Result<Kernel, String> {
    // It says how the model was trained.
    attributes.without_effect(&["multi_class"]);
    let labels = labels(attributes, "classlabels_ints");
    // Of two classes one may have no coefficients.
    let lists = match attributes.floats("intercepts").len() {
        1 if labels == 2 => 1,
        _ => labels,
    };
    if labels < 2 {
        return Err(format!("it tells {labels} classes apart"));
    }
    let (coefficients, intercepts) = lines(attributes, lists)?;
    let last = Last::new(attributes)?;
    Ok(many(move |inputs| {
        let made = products(inputs, &coefficients, &intercepts, lists)?;
        let mut numbers = Vec::with_capacity(made.len() / lists * labels);
        for row in made.chunks_exact(lists) {
            let mut row = row.to_vec();
            if let [value] = row[..] {
                row = last.both(value, true)?.to_vec();
            } else {
                last.apply(&mut row);
            }
            numbers.extend(row.into_iter().map(|value| value as f32));
        }
        Ok(classes(made.len() / lists, numbers))
    }))
}

/// The trees of an ensemble, and the numbers of its rows.
fn by_trees(trees: &Trees, inputs: Inputs<'_>) -> Result<Vec<f64>, String> {
    let (shape, values) = numbers(inputs)?;
    let width = *shape.last().ok_or("it is given a single number")?;
    trees.run(&values, width)
}

fn tree_regressor(attributes: &Attributes<'_>) -> Result<Kernel, String> {
    if Last::new(attributes)? != Last::Nothing {
        return Err("it transforms its numbers at the end; export it without".to_owned());
    }
    let targets = usize::try_from(attributes.int("n_targets", 1)).unwrap_or(0);
    let trees = Trees::new(attributes, "target", targets)?;
    Ok(kernel(move |inputs| {
        let made = by_trees(&trees, inputs)?;
        let made: Vec<f32> = made.into_iter().map(|value| value as f32).collect();
        Ok(Tensor::floats(&[made.len() / targets, targets], made))
    }))
}

fn tree_classifier(attributes: &Attributes<'_>) -> Result<Kernel, String> {
    let labels = labels(attributes, "classlabels_int64s");
    let last = Last::new(attributes)?;
    let ids = attributes.ints("class_ids").unwrap_or_default();
    // Of two classes one number may be all that there is, and stands for the second.
    let is_one = labels == 2 && ids.iter().all(|&id| id == 0);
    let is_share = attributes
        .floats("class_weights")
        .iter()
        .all(|&weight| weight >= 0.0);
    let bases = attributes.floats("base_values").len();
    if labels < 2 || bases > usize::from(is_one) && (bases != labels || labels == 2) {
        return Err(format!("it has {bases} base values for {labels} classes"));
    }
    let lists = if is_one { 1 } else { labels };
    let trees = Trees::new(attributes, "class", lists)?;
    Ok(many(move |inputs| {
        let mut made = by_trees(&trees, inputs)?;
        let rows = made.len() / lists;
        if is_one {
            let both = made.iter().map(|&value| last.both(value, is_share));
            made = both.collect::<Result<Vec<_>, _>>()?.concat();
        } else {
            made.chunks_exact_mut(lists).for_each(|row| last.apply(row));
        }
        Ok(classes(
            rows,
            made.into_iter().map(|value| value as f32).collect(),
        ))
    }))
}

/// How alike two rows are.
type Likeness = Box<dyn Fn(&[f32], &[f32]) -> f64 + Send + Sync>;

/// Support vector regression, as which one-class machines are exported.
fn support_vectors(attributes: &Attributes<'_>) -> Result<Kernel, String> {
    if Last::new(attributes)? != Last::Nothing {
        return Err("it transforms its numbers at the end; export it without".to_owned());
    }
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
