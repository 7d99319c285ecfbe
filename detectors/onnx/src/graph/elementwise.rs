//! Operators that work value by value.

use super::attributes::Attributes;
use super::pairs::{
    arithmetic, c_remainder, choose, clip, comparison, folded, logic, power, remainder, truths,
};
use super::tensor::{Data, Tensor};
use super::types::cast;
use super::{Kernel, kernel, many};
use crate::maths::{sigmoid, tanh};

/// What is made here.
pub(super) const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "ThresholdedRelu",
    "Where",
    "Xor",
];

/// The operator, if it is one of these.
pub(super) fn prepare(attributes: &Attributes<'_>) -> Option<Result<Kernel, String>> {
    let number = |name: &str, default: f32| attributes.float(name, default);
    let made = match attributes.node.operator.as_str() {
        "Relu" => both(|x| if x < 0.0 { 0.0 } else { x }, |x| x.max(0)),
        "Abs" => both(f32::abs, i64::wrapping_abs),
        "Neg" => both(|x| -x, i64::wrapping_neg),
        "Sign" => both(
            |x| {
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    x
                }
            },
            i64::signum,
        ),
        "Sigmoid" => unary(sigmoid),
        "Tanh" => unary(tanh),
        "Exp" => called(libm::expf),
        "Log" => called(libm::logf),
        "Sqrt" => unary(f32::sqrt),
        "Sin" => called(libm::sinf),
        "Cos" => called(libm::cosf),
        "Erf" => called(libm::erff),
        "Reciprocal" => unary(|x| 1.0 / x),
        "Floor" => unary(f32::floor),
        "Ceil" => unary(f32::ceil),
        "Round" => unary(f32::round_ties_even),
        "Softplus" => called(softplus),
        "Softsign" => unary(|x| x / (1.0 + x.abs())),
        "Mish" => called(|x| x * libm::tanhf(softplus(x))),
        "HardSwish" => unary(|x| x * between(x / 6.0 + 0.5, 0.0, 1.0)),
        "Gelu" if attributes.text("approximate", "none") == "tanh" => called(|x| {
            let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + libm::tanhf(inner))
        }),
        "Gelu" => called(|x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))),
        "LeakyRelu" => {
            let alpha = number("alpha", 0.01);
            unary(move |x| if x < 0.0 { alpha * x } else { x })
        }
        "Elu" => {
            let alpha = number("alpha", 1.0);
            unary(move |x| if x < 0.0 { alpha * libm::expm1f(x) } else { x })
        }
        "Celu" => {
            let alpha = number("alpha", 1.0);
            unary(move |x| {
                if x < 0.0 {
                    alpha * libm::expm1f(x / alpha)
                } else {
                    x
                }
            })
        }
        "Selu" => {
            let (alpha, gamma) = (number("alpha", 1.673_263_2), number("gamma", 1.050_701));
            unary(move |x| gamma * if x < 0.0 { alpha * libm::expm1f(x) } else { x })
        }
        "ThresholdedRelu" => {
            let alpha = number("alpha", 1.0);
            unary(move |x| if x > alpha { x } else { 0.0 })
        }
        "HardSigmoid" => {
            let (alpha, beta) = (number("alpha", 0.2), number("beta", 0.5));
            unary(move |x| between(alpha * x + beta, 0.0, 1.0))
        }
        "IsNaN" => test(f32::is_nan),
        "IsInf" => {
            let (low, high) = (
                attributes.flag("detect_negative", true),
                attributes.flag("detect_positive", true),
            );
            test(move |x| (low && x == f32::NEG_INFINITY) || (high && x == f32::INFINITY))
        }
        "Not" => kernel(|inputs| {
            let tensor = inputs.tensor(0)?;
            let values = truths(tensor)?.iter().map(|value| !value).collect();
            Ok(Tensor::truths(&tensor.shape, values))
        }),
        "Add" => arithmetic(|a, b| a + b, |a, b| Some(a.wrapping_add(b))),
        "Sub" => arithmetic(|a, b| a - b, |a, b| Some(a.wrapping_sub(b))),
        "Mul" => arithmetic(|a, b| a * b, |a, b| Some(a.wrapping_mul(b))),
        "Div" => arithmetic(|a, b| a / b, i64::checked_div),
        "Mod" if attributes.flag("fmod", false) => {
            arithmetic(libm::fmodf as fn(f32, f32) -> f32, c_remainder)
        }
        // Of whole numbers only.
        "Mod" => {
            let of_integers = arithmetic(libm::fmodf as fn(f32, f32) -> f32, remainder);
            many(move |inputs| {
                inputs.integers(0)?;
                of_integers(inputs)
            })
        }
        "PRelu" => arithmetic(|x, slope| if x < 0.0 { slope * x } else { x }, |_, _| None),
        "Pow" => kernel(power),
        "Max" => folded(larger, |a, b| a.max(b), false),
        "Min" => folded(smaller, |a, b| a.min(b), false),
        "Sum" => folded(|a, b| a + b, i64::wrapping_add, false),
        "Mean" => folded(|a, b| a + b, i64::wrapping_add, true),
        "Equal" => comparison(|a, b| a == b, |a, b| a == b, |a, b| a == b),
        "Less" => comparison(|a, b| a < b, |a, b| a < b, |_, _| false),
        "LessOrEqual" => comparison(|a, b| a <= b, |a, b| a <= b, |_, _| false),
        "Greater" => comparison(|a, b| a > b, |a, b| a > b, |_, _| false),
        "GreaterOrEqual" => comparison(|a, b| a >= b, |a, b| a >= b, |_, _| false),
        "And" => logic(|a, b| a & b),
        "Or" => logic(|a, b| a | b),
        "Xor" => logic(|a, b| a ^ b),
        "Clip" => {
            let ends = (number("min", f32::NEG_INFINITY), number("max", f32::INFINITY));
            kernel(move |inputs| clip(inputs, ends))
        }
        "Cast" => {
            attributes.without_effect(&["saturate", "round_mode"]);
            let to = attributes.int("to", 0);
            kernel(move |inputs| cast(inputs.tensor(0)?, to))
        }
        "CastLike" => {
            attributes.without_effect(&["saturate", "round_mode"]);
            kernel(|inputs| {
                let to = match &inputs.tensor(1)?.data {
                    Data::Float(_) => 1,
                    Data::Integer(_) => 7,
                    Data::Truth(_) => 9,
                };
                cast(inputs.tensor(0)?, to)
            })
        }
        "Where" => kernel(choose),
        _ => return None,
    };
    Some(Ok(made))
}

/// As [`unary`], for functions that are so long that a call does not count.
fn called(function: fn(f32) -> f32) -> Kernel {
    unary(function)
}

fn unary(function: impl Fn(f32) -> f32 + Send + Sync + 'static) -> Kernel {
    kernel(move |inputs| {
        let (shape, values) = inputs.floats(0)?;
        Ok(Tensor::floats(
            shape,
            values.iter().map(|&value| function(value)).collect(),
        ))
    })
}

fn both(of_float: impl Fn(f32) -> f32 + Send + Sync + 'static, of_integer: fn(i64) -> i64) -> Kernel {
    kernel(move |inputs| {
        let tensor = inputs.tensor(0)?;
        let data = match &tensor.data {
            Data::Float(values) => Data::Float(values.iter().map(|&value| of_float(value)).collect()),
            Data::Integer(values) => Data::Integer(values.iter().map(|&value| of_integer(value)).collect()),
            Data::Truth(_) => return Err("it is given no numbers".to_owned()),
        };
        Ok(Tensor::new(&tensor.shape, data))
    })
}

fn test(function: impl Fn(f32) -> bool + Send + Sync + 'static) -> Kernel {
    kernel(move |inputs| {
        let (shape, values) = inputs.floats(0)?;
        Ok(Tensor::truths(
            shape,
            values.iter().map(|&value| function(value)).collect(),
        ))
    })
}

fn softplus(x: f32) -> f32 {
    libm::log1pf(libm::expf(-x.abs())) + if x > 0.0 { x } else { 0.0 }
}

/// `x` between two ends; what is no number stays none. `f32::max` and `f32::min` leave the sign of 0 open.
pub(super) fn between(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

pub(super) fn smaller(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}
