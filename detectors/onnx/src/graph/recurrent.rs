//! Recurrent networks: LSTM, GRU and RNN, by the equations of ONNX's operators.

use super::attributes::Attributes;
use super::layout::transpose;
use super::product::multiply;
use super::tensor::{Inputs, Tensor, count};
use super::{Kernel, many};
use crate::maths::{sigmoid, tanh};

/// What is made here.
pub(super) const OPERATORS: &[&str] = &["GRU", "LSTM", "RNN"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Lstm,
    Gru { reset_after: bool },
    Rnn { rectified: bool },
}

impl Cell {
    /// How many states' worth of sums a step needs.
    fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru { .. } => 3,
            Self::Rnn { .. } => 1,
        }
    }
}

/// The operator, if it is one of these.
pub(super) fn prepare(attributes: &Attributes<'_>) -> Option<Result<Kernel, String>> {
    let (cell, usual) = match attributes.node.operator.as_str() {
        "LSTM" => (Cell::Lstm, ["Sigmoid", "Tanh", "Tanh"].as_slice()),
        "GRU" => {
            let reset_after = attributes.flag("linear_before_reset", false);
            (Cell::Gru { reset_after }, ["Sigmoid", "Tanh"].as_slice())
        }
        "RNN" => {
            let functions = attributes.texts("activations");
            let rectified = functions.first().is_some_and(|name| name == "Relu");
            let usual = if rectified { ["Relu"] } else { ["Tanh"] };
            return Some(checked(attributes, Cell::Rnn { rectified }, &usual));
        }
        _ => return None,
    };
    Some(checked(attributes, cell, usual))
}

fn checked(attributes: &Attributes<'_>, cell: Cell, usual: &[&str]) -> Result<Kernel, String> {
    let functions = attributes.texts("activations");
    let is_usual = |(place, name): (usize, &String)| name == usual[place % usual.len()];
    if !functions.iter().enumerate().all(is_usual) {
        return Err(format!(
            "it has the activations {functions:?}; {usual:?} are known"
        ));
    }
    if attributes.flag("layout", false) || attributes.flag("input_forget", false) {
        return Err("it has another layout, or joined gates".to_owned());
    }
    attributes.without_effect(&["hidden_size"]);
    let backwards: &'static [bool] = match attributes.text("direction", "forward") {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("it has the direction {other}")),
    };
    Ok(many(move |inputs| run(inputs, cell, backwards)))
}

/// What is the same for both directions.
struct Sizes {
    rows: usize,
    inputs: usize,
    hidden: usize,
}

fn run(inputs: Inputs<'_>, cell: Cell, backwards: &[bool]) -> Result<Vec<Tensor>, String> {
    let (shape, sequence) = inputs.floats(0)?;
    let ((weights_shape, _), (recurrent_shape, _)) = (inputs.floats(1)?, inputs.floats(2)?);
    let (&[steps, rows, width], &[directions, sums, inner], &[_, _, hidden]) =
        (shape, weights_shape, recurrent_shape)
    else {
        return Err(format!(
            "the shapes {shape:?}, {weights_shape:?}, {recurrent_shape:?} are not three-dimensional"
        ));
    };
    let gates = cell.gates();
    let fits = directions == backwards.len()
        && inner == width
        && hidden.checked_mul(gates) == Some(sums)
        && recurrent_shape == [directions, sums, hidden]
        && hidden > 0;
    if !fits {
        return Err("its weights do not fit each other".to_owned());
    }
    let sizes = Sizes {
        rows,
        inputs: width,
        hidden,
    };
    let state = |position: usize| -> Result<Vec<f32>, String> {
        let length = count(&[directions, rows, hidden])?;
        match inputs.optional_floats(position)? {
            Some(values) if values.len() == length => Ok(values.to_vec()),
            Some(_) => Err("its first state does not fit".to_owned()),
            None => Ok(vec![0.0; length]),
        }
    };
    let (mut states, mut cells) = (state(5)?, if cell == Cell::Lstm { state(6)? } else { Vec::new() });
    let lengths = match inputs.optional_integers(4)? {
        Some(lengths) if lengths.len() == rows => lengths
            .iter()
            .map(|&length| usize::try_from(length).unwrap_or(0).min(steps))
            .collect(),
        Some(_) => return Err("its lengths are not as many as its rows".to_owned()),
        None => vec![steps; rows],
    };
    let mut all = vec![0.0; count(&[steps, directions, rows, hidden])?];
    count(&[rows, sums])?;
    for (direction, &backwards) in backwards.iter().enumerate() {
        let layer = Layer::new(inputs, direction, cell, &sizes)?;
        let part = direction * rows * hidden..(direction + 1) * rows * hidden;
        let cells = if cells.is_empty() {
            &mut [][..]
        } else {
            &mut cells[part.clone()]
        };
        let state = &mut states[part];
        for step in 0..steps {
            let longest = lengths.iter().copied().max().unwrap_or(0);
            if step >= longest {
                break;
            }
            layer.step(
                sequence,
                &sizes,
                |row| {
                    // Backwards, a row begins at its own end.
                    let place = if backwards {
                        lengths[row].checked_sub(step + 1)
                    } else {
                        Some(step)
                    };
                    place.filter(|_| step < lengths[row])
                },
                state,
                cells,
                |row, place, state| {
                    let start = ((place * directions + direction) * rows + row) * hidden;
                    all[start..start + hidden].copy_from_slice(state);
                },
            )?;
        }
    }
    let last = [directions, rows, hidden];
    let mut made = vec![
        Tensor::floats(&[steps, directions, rows, hidden], all),
        Tensor::floats(&last, states),
    ];
    if cell == Cell::Lstm {
        made.push(Tensor::floats(&last, cells));
    }
    Ok(made)
}

/// One direction.
struct Layer {
    cell: Cell,
    hidden: usize,
    /// `[inputs, gates * hidden]`.
    weights: Vec<f32>,
    /// `[hidden, gates * hidden]`.
    recurrent: Vec<f32>,
    /// Of the weights, then of the recurrent ones.
    bias: [Vec<f32>; 2],
}

impl Layer {
    fn new(inputs: Inputs<'_>, direction: usize, cell: Cell, sizes: &Sizes) -> Result<Self, String> {
        let sums = cell.gates() * sizes.hidden;
        let turned = |position: usize, inner: usize| -> Result<Vec<f32>, String> {
            let (_, values) = inputs.floats(position)?;
            let part = &values[direction * sums * inner..(direction + 1) * sums * inner];
            let turned = transpose(&Tensor::floats(&[sums, inner], part.to_vec()), None)?;
            Ok(turned.as_floats()?.to_vec())
        };
        let bias = match inputs.optional_floats(3)? {
            Some(bias) => {
                let own = bias.get(direction * 2 * sums..(direction + 1) * 2 * sums);
                let (first, second) = own.ok_or("its bias does not fit")?.split_at(sums);
                [first.to_vec(), second.to_vec()]
            }
            None => [vec![0.0; sums], vec![0.0; sums]],
        };
        Ok(Self {
            cell,
            hidden: sizes.hidden,
            weights: turned(1, sizes.inputs)?,
            recurrent: turned(2, sizes.hidden)?,
            bias,
        })
    }

    /// One step of every row that still has one; `place` says which of its inputs comes now.
    fn step(
        &self,
        sequence: &[f32],
        sizes: &Sizes,
        place: impl Fn(usize) -> Option<usize>,
        states: &mut [f32],
        cells: &mut [f32],
        mut given: impl FnMut(usize, usize, &[f32]),
    ) -> Result<(), String> {
        let (hidden, sums) = (self.hidden, self.cell.gates() * self.hidden);
        let mut now = vec![0.0; sizes.rows * sizes.inputs];
        for (row, now) in now.chunks_exact_mut(sizes.inputs.max(1)).enumerate() {
            if let Some(place) = place(row) {
                let start = (place * sizes.rows + row) * sizes.inputs;
                now.copy_from_slice(&sequence[start..start + sizes.inputs]);
            }
        }
        let mut from_inputs = self.bias[0].repeat(sizes.rows);
        let mut from_state = self.bias[1].repeat(sizes.rows);
        multiply(&now, &self.weights, sizes.inputs, sums, &mut from_inputs)?;
        multiply(states, &self.recurrent, hidden, sums, &mut from_state)?;
        for row in 0..sizes.rows {
            let Some(place) = place(row) else {
                continue;
            };
            let state = &mut states[row * hidden..(row + 1) * hidden];
            let x = &from_inputs[row * sums..(row + 1) * sums];
            let h = &from_state[row * sums..(row + 1) * sums];
            match self.cell {
                Cell::Lstm => {
                    let cells = &mut cells[row * hidden..(row + 1) * hidden];
                    for unit in 0..hidden {
                        let [input, output, forget, new] = [0, 1, 2, 3].map(|gate| {
                            let sum = x[gate * hidden + unit] + h[gate * hidden + unit];
                            if gate == 3 { tanh(sum) } else { sigmoid(sum) }
                        });
                        cells[unit] = forget * cells[unit] + input * new;
                        state[unit] = output * tanh(cells[unit]);
                    }
                }
                Cell::Gru { reset_after } => self.gru(x, h, state, reset_after)?,
                Cell::Rnn { rectified } => {
                    for unit in 0..hidden {
                        let sum = x[unit] + h[unit];
                        state[unit] = match rectified {
                            true if sum < 0.0 => 0.0,
                            true => sum,
                            false => tanh(sum),
                        };
                    }
                }
            }
            given(row, place, state);
        }
        Ok(())
    }

    fn gru(&self, x: &[f32], h: &[f32], state: &mut [f32], reset_after: bool) -> Result<(), String> {
        let hidden = self.hidden;
        let gate = |gate: usize, unit: usize| sigmoid(x[gate * hidden + unit] + h[gate * hidden + unit]);
        let mut candidate: Vec<f32> = h[2 * hidden..].to_vec();
        if reset_after {
            for (unit, candidate) in candidate.iter_mut().enumerate() {
                *candidate *= gate(1, unit);
            }
        } else {
            // The state is reset before it is multiplied.
            let reset: Vec<f32> = state
                .iter()
                .enumerate()
                .map(|(unit, state)| state * gate(1, unit))
                .collect();
            let mut sums = vec![0.0; 3 * hidden];
            multiply(&reset, &self.recurrent, hidden, 3 * hidden, &mut sums)?;
            for (unit, candidate) in candidate.iter_mut().enumerate() {
                *candidate = sums[2 * hidden + unit] + self.bias[1][2 * hidden + unit];
            }
        }
        for unit in 0..hidden {
            let update = gate(0, unit);
            let new = tanh(x[2 * hidden + unit] + candidate[unit]);
            state[unit] = (1.0 - update) * new + update * state[unit];
        }
        Ok(())
    }
}
