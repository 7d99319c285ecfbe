//! Tensors of any shape, and the checks of operators on their inputs.

use netsage_onnx_format::TensorData;

/// Most values in one tensor: 64 MB of `f32`.
const MOST_VALUES: usize = 1 << 24;
/// Most dimensions.
pub(super) const MOST_DIMENSIONS: usize = 8;

/// Values, row-major, as many as the shape says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

/// Values of a tensor. Every width of numbers is computed as these: `f64` as `f32`, 32 bits as 64.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Float(Vec<f32>),
    Integer(Vec<i64>),
    Truth(Vec<bool>),
}

/// The same for the values of either type, which stay of it.
macro_rules! each {
    ($data:expr, $values:ident => $new:expr) => {
        match $data {
            $crate::graph::tensor::Data::Float($values) => $crate::graph::tensor::Data::Float($new),
            $crate::graph::tensor::Data::Integer($values) => $crate::graph::tensor::Data::Integer($new),
            $crate::graph::tensor::Data::Truth($values) => $crate::graph::tensor::Data::Truth($new),
        }
    };
}
pub(super) use each;

impl Tensor {
    pub(super) fn floats(shape: &[usize], values: Vec<f32>) -> Self {
        Self::new(shape, Data::Float(values))
    }

    pub(super) fn integers(shape: &[usize], values: Vec<i64>) -> Self {
        Self::new(shape, Data::Integer(values))
    }

    pub(super) fn truths(shape: &[usize], values: Vec<bool>) -> Self {
        Self::new(shape, Data::Truth(values))
    }

    pub(super) fn new(shape: &[usize], data: Data) -> Self {
        debug_assert_eq!(count(shape), Ok(data.len()));
        Self {
            shape: shape.to_vec(),
            data,
        }
    }

    /// Its values, if they are floating-point numbers.
    pub(super) fn as_floats(&self) -> Result<&[f32], String> {
        match &self.data {
            Data::Float(values) => Ok(values),
            _ => Err("it is given no floating-point numbers".to_owned()),
        }
    }

    /// The constant of a model.
    pub(super) fn constant(tensor: &netsage_onnx_format::Tensor) -> Result<Self, String> {
        let data = match &tensor.data {
            TensorData::Float(values) => Data::Float(values.clone()),
            TensorData::Integer(values) => Data::Integer(values.clone()),
            TensorData::Truth(values) => Data::Truth(values.clone()),
            TensorData::Other(kind) => return Err(super::types::refused(*kind)),
        };
        count(&tensor.shape)?;
        Ok(Self::new(&tensor.shape, data))
    }
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Truth(values) => values.len(),
        }
    }
}

/// How many values a shape has, if that is not too many.
#[inline(never)]
pub(super) fn count(shape: &[usize]) -> Result<usize, String> {
    let product = |count: usize, &length: &usize| count.checked_mul(length);
    let count = shape.iter().try_fold(1, product);
    count
        .filter(|&count| count <= MOST_VALUES && shape.len() <= MOST_DIMENSIONS)
        .ok_or_else(|| format!("the shape {shape:?} is too large"))
}

/// The position of a dimension of `rank`; negative ones count from the end.
#[inline(never)]
pub(super) fn axis(value: i64, rank: usize) -> Result<usize, String> {
    let length = i64::try_from(rank).unwrap_or(i64::MAX);
    let position = if value < 0 {
        value.saturating_add(length)
    } else {
        value
    };
    usize::try_from(position)
        .ok()
        .filter(|&position| position < rank)
        .ok_or_else(|| format!("there is no dimension {value} of {rank}"))
}

/// By how many values neighbours along each dimension lie apart.
pub(super) fn strides(shape: &[usize]) -> Vec<isize> {
    let mut stride = 1isize;
    let mut strides = vec![0; shape.len()];
    for (place, &length) in strides.iter_mut().zip(shape).rev() {
        *place = stride;
        // A tensor has at most 2^24 values.
        stride = stride.saturating_mul(length.try_into().unwrap_or(isize::MAX));
    }
    strides
}

/// The values at `start` and by `strides` from there, for a tensor of `shape`. Every place must lie within the values;
/// others are left out, which cannot happen to the callers here.
#[inline(never)]
pub(super) fn view<T: Copy>(values: &[T], start: isize, strides: &[isize], shape: &[usize]) -> Vec<T> {
    let Ok(total) = count(shape) else {
        return Vec::new();
    };
    let mut gathered = Vec::with_capacity(total);
    if total == 0 {
        return gathered;
    }
    let (inner, step) = match (shape.last(), strides.last()) {
        (Some(&inner), Some(&step)) => (inner, step),
        _ => (1, 1),
    };
    let outer = shape.len().saturating_sub(1);
    let mut index = vec![0usize; outer];
    let mut place = start;
    loop {
        let from = place.cast_unsigned();
        match values.get(from..from.saturating_add(inner)) {
            Some(run) if step == 1 => gathered.extend_from_slice(run),
            _ => gathered.extend((0..inner).filter_map(|position| {
                let place = place + position.cast_signed() * step;
                values.get(place.cast_unsigned()).copied()
            })),
        }
        // The next of the outer places, the last dimension first.
        let mut dimension = outer;
        loop {
            if dimension == 0 {
                return gathered;
            }
            dimension -= 1;
            index[dimension] += 1;
            place += strides[dimension];
            if index[dimension] < shape[dimension] {
                break;
            }
            place -= strides[dimension] * shape[dimension].cast_signed();
            index[dimension] = 0;
        }
    }
}

/// The shape to which both are stretched, by the rules of ONNX (those of NumPy).
#[inline(never)]
pub(super) fn common_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let length = |shape: &[usize], place: usize| {
        let missing = rank - shape.len();
        if place < missing {
            1
        } else {
            shape[place - missing]
        }
    };
    let lengths = (0..rank).map(|place| match (length(a, place), length(b, place)) {
        (1, other) | (other, 1) => Some(other),
        (one, other) => (one == other).then_some(one),
    });
    let shape = lengths
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| format!("the shapes {a:?} and {b:?} do not fit each other"))?;
    count(&shape)?;
    Ok(shape)
}

/// Values of `from`, stretched to `to`, which must be the common shape of `from` and another.
#[inline(never)]
pub(super) fn stretch<T: Copy>(values: &[T], from: &[usize], to: &[usize]) -> Vec<T> {
    let missing = to.len().saturating_sub(from.len());
    let own = strides(from);
    let strides: Vec<isize> = (0..to.len())
        .map(|place| {
            if place < missing || from[place - missing] == 1 {
                0
            } else {
                own[place - missing]
            }
        })
        .collect();
    view(values, 0, &strides, to)
}

/// What an operator is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a>(pub(super) &'a [Option<&'a Tensor>]);

impl<'a> Inputs<'a> {
    pub(super) fn all(self) -> impl Iterator<Item = &'a Tensor> {
        self.0.iter().filter_map(|tensor| *tensor)
    }

    pub(super) fn optional(self, position: usize) -> Option<&'a Tensor> {
        self.0.get(position).copied().flatten()
    }

    pub(super) fn tensor(self, position: usize) -> Result<&'a Tensor, String> {
        self.optional(position)
            .ok_or_else(|| format!("its input {position} is missing"))
    }

    pub(super) fn floats(self, position: usize) -> Result<(&'a [usize], &'a [f32]), String> {
        match self.tensor(position)? {
            Tensor {
                shape,
                data: Data::Float(values),
            } => Ok((shape, values)),
            _ => Err(format!("its input {position} holds no floating-point numbers")),
        }
    }

    pub(super) fn integers(self, position: usize) -> Result<&'a [i64], String> {
        match &self.tensor(position)?.data {
            Data::Integer(values) => Ok(values),
            _ => Err(format!("its input {position} holds no whole numbers")),
        }
    }

    pub(super) fn optional_integers(self, position: usize) -> Result<Option<&'a [i64]>, String> {
        match self.optional(position) {
            Some(_) => self.integers(position).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn optional_floats(self, position: usize) -> Result<Option<&'a [f32]>, String> {
        match self.optional(position) {
            Some(_) => Ok(Some(self.floats(position)?.1)),
            None => Ok(None),
        }
    }
}
