//! Types of values: which are computed, and what rounding to one of 16 bits does.

use netsage_onnx_format::proto::data_type::{self, BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT32, INT64};

use super::tensor::{Data, Tensor};

/// Why a type is not computed, and what to do about it.
pub(super) fn refused(kind: i32) -> String {
    let way_out = match data_type::name(kind) {
        "string" => {
            "export the part of the model behind its encoders of texts, and encode with `--columns NAME=term|term`"
        }
        _ => "export it with float32 or int64",
    };
    format!(
        "of the type {}, which is not computed; {way_out}",
        data_type::name(kind)
    )
}

/// Rows as an input of this type has them.
pub(super) fn given(kind: i32, values: &[f32]) -> Result<Data, String> {
    match kind {
        FLOAT | DOUBLE => Ok(Data::Float(values.to_vec())),
        FLOAT16 => Ok(Data::Float(values.iter().map(|&value| to_half(value)).collect())),
        BFLOAT16 => Ok(Data::Float(
            values.iter().map(|&value| to_bfloat(value)).collect(),
        )),
        INT32 | INT64 => {
            // Beyond it there are fractions no more, and whole numbers are missing.
            let most = 16_777_216.0;
            let fraction = values
                .iter()
                .find(|value| value.fract() != 0.0 || value.abs() > most);
            match fraction {
                None => Ok(Data::Integer(values.iter().map(|&value| value as i64).collect())),
                Some(value) => Err(format!(
                    "{value} for an input of the type {}",
                    data_type::name(kind)
                )),
            }
        }
        _ => Err(format!("an input {}", refused(kind))),
    }
}

/// To a type by its number in `TensorProto.DataType`.
pub(super) fn cast(tensor: &Tensor, to: i64) -> Result<Tensor, String> {
    let to = i32::try_from(to).unwrap_or(0);
    let floats = |values: Vec<f32>| given(to, &values);
    let data = match (&tensor.data, to) {
        (Data::Float(values), FLOAT | DOUBLE | FLOAT16 | BFLOAT16) => given(to, values)?,
        (Data::Integer(values), FLOAT | DOUBLE | FLOAT16 | BFLOAT16) => {
            floats(values.iter().map(|&value| value as f32).collect())?
        }
        (Data::Truth(values), FLOAT | DOUBLE | FLOAT16 | BFLOAT16) => {
            let number = |&value: &bool| if value { 1.0 } else { 0.0 };
            floats(values.iter().map(number).collect())?
        }
        (Data::Float(values), INT32) => {
            Data::Integer(values.iter().map(|&value| i64::from(value as i32)).collect())
        }
        (Data::Float(values), INT64) => Data::Integer(values.iter().map(|&value| value as i64).collect()),
        // The lower half of the bits.
        (Data::Integer(values), INT32) => {
            Data::Integer(values.iter().map(|&value| i64::from(value as i32)).collect())
        }
        (Data::Integer(values), INT64) => Data::Integer(values.clone()),
        (Data::Truth(values), INT32 | INT64) => {
            Data::Integer(values.iter().map(|&value| i64::from(value)).collect())
        }
        (Data::Truth(values), BOOL) => Data::Truth(values.clone()),
        (Data::Float(values), BOOL) => Data::Truth(values.iter().map(|&value| value != 0.0).collect()),
        (Data::Integer(values), BOOL) => Data::Truth(values.iter().map(|&value| value != 0).collect()),
        _ => return Err(format!("it makes values {}", refused(to))),
    };
    Ok(Tensor::new(&tensor.shape, data))
}

/// The nearest half, of two the even one.
fn to_half(value: f32) -> f32 {
    let size = value.abs();
    if size >= 65_520.0 {
        return f32::INFINITY.copysign(value);
    }
    if size < 6.103_515_6e-5 {
        // Whole multiples of 2^-24; powers of two, so neither product rounds.
        return (value * 16_777_216.0).round_ties_even() / 16_777_216.0;
    }
    nearest(value, 13)
}

/// The nearest number of eight bits of mantissa, of two the even one.
fn to_bfloat(value: f32) -> f32 {
    nearest(value, 16)
}

/// Without its last bits; what is no number stays none.
fn nearest(value: f32, bits: u32) -> f32 {
    if value.is_nan() {
        return value;
    }
    let kept = value.to_bits();
    let half = (1 << (bits - 1)) - 1 + (kept >> bits & 1);
    f32::from_bits((kept + half) >> bits << bits)
}

#[cfg(test)]
mod tests {
    use super::{to_bfloat, to_half};

    #[test]
    fn sixteen_bits_are_rounded_to_even() {
        for (value, half) in [
            (1.0, 1.0),
            (2_049.0, 2_048.0),
            (2_051.0, 2_052.0),
            (65_519.0, 65_504.0),
            (-65_520.0, f32::NEG_INFINITY),
            (3.0e-8, 5.960_464_5e-8),
            (2.9e-8, 0.0),
            (0.1, 0.099_975_586),
        ] {
            assert_eq!(to_half(value), half, "{value}");
        }
        assert!(to_half(f32::NAN).is_nan() && to_bfloat(f32::NAN).is_nan());
        assert_eq!((to_bfloat(257.0), to_bfloat(259.0)), (256.0, 260.0));
        assert_eq!(to_bfloat(f32::MAX), f32::INFINITY);
    }
}
