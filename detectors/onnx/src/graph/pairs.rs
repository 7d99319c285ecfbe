//! Operators of two tensors or more, value by value, and those between types.

use std::borrow::Cow;

use super::elementwise::between;
use super::tensor::{Data, Inputs, Tensor, common_shape, each, stretch};
use super::{Kernel, kernel};

/// A function of two tensors, stretched to a common shape.
fn zip<A: Copy, B: Copy, C>(
    (a_shape, a): (&[usize], &[A]),
    (b_shape, b): (&[usize], &[B]),
    function: impl Fn(A, B) -> C,
) -> Result<(Vec<usize>, Vec<C>), String> {
    let shape = common_shape(a_shape, b_shape)?;
    // One loop for all shapes, which compilers turn into vector instructions.
    let (a, b) = (stretched(a, a_shape, &shape), stretched(b, b_shape, &shape));
    let values = a.iter().zip(b.iter()).map(|(&a, &b)| function(a, b)).collect();
    Ok((shape, values))
}

/// The values as they are where nothing is to be stretched.
fn stretched<'a, T: Copy>(values: &'a [T], from: &[usize], to: &[usize]) -> Cow<'a, [T]> {
    if from == to {
        Cow::Borrowed(values)
    } else {
        Cow::Owned(stretch(values, from, to))
    }
}

fn types() -> String {
    "its inputs are not numbers of one type".to_owned()
}

pub(super) fn arithmetic(
    of_floats: impl Fn(f32, f32) -> f32 + Send + Sync + 'static,
    of_integers: fn(i64, i64) -> Option<i64>,
) -> Kernel {
    kernel(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => {
                let (shape, values) = zip((&a.shape, x), (&b.shape, y), &of_floats)?;
                Ok(Tensor::floats(&shape, values))
            }
            (Data::Integer(x), Data::Integer(y)) => {
                let (shape, values) = zip((&a.shape, x), (&b.shape, y), of_integers)?;
                let values = values.into_iter().collect::<Option<Vec<i64>>>();
                let values =
                    values.ok_or("a division of whole numbers by 0, or one that they cannot have")?;
                Ok(Tensor::integers(&shape, values))
            }
            _ => Err(types()),
        }
    })
}

/// The remainder with the sign of the dividend, as in C. (The smallest number by -1 leaves none.)
pub(super) fn c_remainder(a: i64, b: i64) -> Option<i64> {
    (b != 0).then(|| a.wrapping_rem(b))
}

/// The remainder with the sign of the divisor, as in Python.
pub(super) fn remainder(a: i64, b: i64) -> Option<i64> {
    let rest = c_remainder(a, b)?;
    Some(if rest != 0 && (rest < 0) != (b < 0) {
        rest + b
    } else {
        rest
    })
}

pub(super) fn power(inputs: Inputs<'_>) -> Result<Tensor, String> {
    let (base_shape, base) = inputs.floats(0)?;
    let exponent = inputs.tensor(1)?;
    let exponents: Vec<f32> = match &exponent.data {
        Data::Float(values) => values.clone(),
        Data::Integer(values) => values.iter().map(|&value| value as f32).collect(),
        Data::Truth(_) => return Err(types()),
    };
    let power = |x: f32, y: f32| if y == 2.0 { x * x } else { libm::powf(x, y) };
    let (shape, values) = zip((base_shape, base), (&exponent.shape, &exponents), power)?;
    Ok(Tensor::floats(&shape, values))
}

/// Two or more tensors made into one, from the first to the last.
pub(super) fn folded(of_floats: fn(f32, f32) -> f32, of_integers: fn(i64, i64) -> i64, mean: bool) -> Kernel {
    kernel(move |inputs| {
        let mut made = inputs.tensor(0)?.clone();
        if mean {
            made.as_floats()?;
        }
        for next in inputs.all().skip(1) {
            let (shape, data) = match (&made.data, &next.data) {
                (Data::Float(a), Data::Float(b)) => {
                    let (shape, values) = zip((&made.shape, a), (&next.shape, b), of_floats)?;
                    (shape, Data::Float(values))
                }
                (Data::Integer(a), Data::Integer(b)) => {
                    let (shape, values) = zip((&made.shape, a), (&next.shape, b), of_integers)?;
                    (shape, Data::Integer(values))
                }
                _ => return Err(types()),
            };
            made = Tensor::new(&shape, data);
        }
        if let (true, Data::Float(values)) = (mean, &mut made.data) {
            let count = inputs.all().count() as f32;
            values.iter_mut().for_each(|value| *value /= count);
        }
        Ok(made)
    })
}

pub(super) fn comparison(
    of_floats: fn(f32, f32) -> bool,
    of_integers: fn(i64, i64) -> bool,
    of_truths: fn(bool, bool) -> bool,
) -> Kernel {
    kernel(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let (shape, values) = match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => zip((&a.shape, x), (&b.shape, y), of_floats)?,
            (Data::Integer(x), Data::Integer(y)) => zip((&a.shape, x), (&b.shape, y), of_integers)?,
            (Data::Truth(x), Data::Truth(y)) => zip((&a.shape, x), (&b.shape, y), of_truths)?,
            _ => return Err(types()),
        };
        Ok(Tensor::truths(&shape, values))
    })
}

pub(super) fn truths(tensor: &Tensor) -> Result<&[bool], String> {
    match &tensor.data {
        Data::Truth(values) => Ok(values),
        _ => Err("it is given numbers instead of truths".to_owned()),
    }
}

pub(super) fn logic(function: fn(bool, bool) -> bool) -> Kernel {
    kernel(move |inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let (shape, values) = zip((&a.shape, truths(a)?), (&b.shape, truths(b)?), function)?;
        Ok(Tensor::truths(&shape, values))
    })
}

/// Both ends as attributes, as they were once, or as inputs.
pub(super) fn clip(inputs: Inputs<'_>, (low, high): (f32, f32)) -> Result<Tensor, String> {
    let tensor = inputs.tensor(0)?;
    match &tensor.data {
        Data::Float(values) => {
            let end = |position| -> Result<Option<f32>, String> {
                Ok(inputs
                    .optional_floats(position)?
                    .and_then(|end| end.first().copied()))
            };
            let (low, high) = (end(1)?.unwrap_or(low), end(2)?.unwrap_or(high));
            let values = values.iter().map(|&value| between(value, low, high)).collect();
            Ok(Tensor::floats(&tensor.shape, values))
        }
        Data::Integer(values) => {
            let end = |position| -> Result<Option<i64>, String> {
                Ok(inputs
                    .optional_integers(position)?
                    .and_then(|end| end.first().copied()))
            };
            let (low, high) = (end(1)?.unwrap_or(i64::MIN), end(2)?.unwrap_or(i64::MAX));
            let values = values.iter().map(|&value| value.max(low).min(high)).collect();
            Ok(Tensor::integers(&tensor.shape, values))
        }
        Data::Truth(_) => Err(types()),
    }
}

pub(super) fn choose(inputs: Inputs<'_>) -> Result<Tensor, String> {
    let [condition, one, other] = [inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?];
    let shape = common_shape(&common_shape(&one.shape, &other.shape)?, &condition.shape)?;
    let conditions = stretch(truths(condition)?, &condition.shape, &shape);
    // To one type first; the two are told apart below.
    if std::mem::discriminant(&one.data) != std::mem::discriminant(&other.data) {
        return Err(types());
    }
    let ones = each!(&one.data, values => stretch(values, &one.shape, &shape));
    let others = each!(&other.data, values => stretch(values, &other.shape, &shape));
    Ok(Tensor::new(
        &shape,
        match (ones, others) {
            (Data::Float(a), Data::Float(b)) => Data::Float(pick(&conditions, &a, &b)),
            (Data::Integer(a), Data::Integer(b)) => Data::Integer(pick(&conditions, &a, &b)),
            (Data::Truth(a), Data::Truth(b)) => Data::Truth(pick(&conditions, &a, &b)),
            _ => return Err(types()),
        },
    ))
}

fn pick<T: Copy>(conditions: &[bool], ones: &[T], others: &[T]) -> Vec<T> {
    let both = ones.iter().zip(others);
    both.zip(conditions)
        .map(|((&one, &other), &condition)| if condition { one } else { other })
        .collect()
}
