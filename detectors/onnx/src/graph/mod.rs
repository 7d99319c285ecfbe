//! Any graph of the operators that are known here, node by node.
//!
//! Shapes are those of the values at hand, so a graph may have any that its operators allow. What depends on no input
//! is computed once. Every sum has a fixed order and no function of a platform's maths library is called, so that a row
//! has the same bits in every block and on every machine.

mod attributes;
mod classic;
mod elementwise;
mod layout;
mod pairs;
mod plan;
mod product;
mod recurrent;
mod reduce;
mod select;
mod tensor;
mod trees;
mod types;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use netsage_onnx_format::Model;
use netsage_onnx_format::proto::data_type::{INT32, INT64};

pub(crate) use plan::operators;
use plan::{chosen, input_shape, label, needed, prepare};
use tensor::{Data, Inputs, Tensor, count};

/// An operator with its attributes, ready to run.
type Kernel = Box<dyn Fn(Inputs<'_>) -> Result<Vec<Tensor>, String> + Send + Sync>;

/// An operator with one output.
fn kernel(function: impl Fn(Inputs<'_>) -> Result<Tensor, String> + Send + Sync + 'static) -> Kernel {
    Box::new(move |inputs| Ok(vec![function(inputs)?]))
}

/// An operator with several.
fn many(function: impl Fn(Inputs<'_>) -> Result<Vec<Tensor>, String> + Send + Sync + 'static) -> Kernel {
    Box::new(function)
}

/// What an operator made, if that is all that is needed of it.
fn all(made: Vec<Tensor>, outputs: &[Option<usize>]) -> Result<Vec<Tensor>, String> {
    match outputs
        .iter()
        .rposition(Option::is_some)
        .filter(|&place| place >= made.len())
    {
        Some(place) => Err(format!(
            "its output {place} is not made here, and another node needs it"
        )),
        None => Ok(made),
    }
}

/// One application of an operator.
struct Step {
    /// For errors: node and operator.
    label: String,
    kernel: Kernel,
    /// Where its inputs are; `None` for an optional one that is absent.
    inputs: Vec<Option<usize>>,
    /// Where its outputs go; `None` for an output that no node reads.
    outputs: Vec<Option<usize>>,
    /// Values that no later node reads.
    last_uses: Vec<usize>,
}

/// A graph, ready to run.
pub struct Program {
    steps: Vec<Step>,
    /// Values by place: constants, and while it runs what the steps made.
    values: Vec<Option<Tensor>>,
    input: usize,
    /// Type of the input, one of [`data_type`](netsage_onnx_format::proto::data_type).
    input_type: i32,
    output: usize,
    /// Which of the numbers of a row its output stands for; none for all.
    column: Option<usize>,
    /// Shape of the input behind the rows.
    input_shape: Vec<usize>,
    /// Whether the graph takes one row at a time.
    one_row: bool,
    /// Numbers that a row becomes.
    outputs: usize,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels: Vec<&str> = self.steps.iter().map(|step| step.label.as_str()).collect();
        formatter
            .debug_struct("Program")
            .field("steps", &labels)
            .finish_non_exhaustive()
    }
}

/// Where each name lies.
#[derive(Default)]
struct Places(BTreeMap<String, usize>);

impl Places {
    fn add(&mut self, name: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}

impl Program {
    /// Makes ready the part of a model's graph that the output `output` needs; without a name the model must have one
    /// output. A row has `inputs` numbers.
    ///
    /// # Errors
    /// Why the model cannot be run, in words; an unknown operator is named, with its node.
    pub fn new(model: &Model, inputs: usize, output: Option<&str>) -> Result<Self, String> {
        let graph = &model.graph;
        let [input] = graph.inputs.as_slice() else {
            let names: Vec<&str> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(format!(
                "it has the inputs {}, and can have one; export it with one input of all columns",
                names.join(", ")
            ));
        };
        types::given(input.data_type, &[])
            .map_err(|_| format!("its input {} is {}", input.name, types::refused(input.data_type)))?;
        let (output, column) = chosen(model, output)?;
        let (needed, wanted) = needed(model, output)?;
        let mut places = Places::default();
        let input_place = places.add(&input.name);
        let mut known: BTreeMap<usize, Tensor> = BTreeMap::new();
        let mut made = vec![input_place];
        let mut steps = Vec::new();
        for node in needed {
            for name in node.inputs.iter().filter(|name| !name.is_empty()) {
                let is_new = !places.0.contains_key(name);
                let place = places.add(name);
                match graph.initializers.get(name) {
                    Some(tensor) if is_new => {
                        let tensor =
                            Tensor::constant(tensor).map_err(|error| format!("{name} is {error}"))?;
                        known.insert(place, tensor);
                    }
                    None if is_new => return Err(format!("nothing makes {name}, which a node needs")),
                    _ => {}
                }
            }
            let place = |name: &String| places.0.get(name).copied();
            let inputs: Vec<Option<usize>> = node.inputs.iter().map(place).collect();
            let (label, kernel) = (label(node), prepare(node, model, &wanted)?);
            let is_constant = inputs.iter().flatten().all(|place| known.contains_key(place));
            let outputs: Vec<Option<usize>> = node
                .outputs
                .iter()
                .map(|name| wanted.contains(name.as_str()).then(|| places.add(name)))
                .collect();
            if outputs
                .iter()
                .flatten()
                .any(|place| known.contains_key(place) || made.contains(place))
            {
                return Err(format!("{label} makes what is there already"));
            }
            if is_constant {
                let given: Vec<Option<&Tensor>> = inputs.iter().map(|place| known.get(&(*place)?)).collect();
                let results = kernel(Inputs(&given)).and_then(|results| all(results, &outputs));
                let results = results.map_err(|error| format!("{label}: {error}"))?;
                let results = outputs.iter().zip(results);
                known.extend(results.filter_map(|(place, result)| Some(((*place)?, result))));
            } else {
                made.extend(outputs.iter().flatten());
                steps.push(Step {
                    label,
                    kernel,
                    inputs,
                    outputs,
                    last_uses: Vec::new(),
                });
            }
        }
        let output = places
            .0
            .get(output)
            .copied()
            .filter(|place| made.contains(place) && *place != input_place);
        let output = output.ok_or("its output does not depend on its input")?;
        let mut values: Vec<Option<Tensor>> = vec![None; places.0.len()];
        for (place, tensor) in known {
            values[place] = Some(tensor);
        }
        let (input_shape, one_row) = input_shape(input.shape.as_deref(), inputs)?;
        let mut program = Self {
            steps,
            values,
            input: input_place,
            input_type: input.data_type,
            output,
            column,
            input_shape,
            one_row,
            outputs: 0,
        };
        program.find_last_uses();
        program.try_out(inputs)?;
        Ok(program)
    }

    fn find_last_uses(&mut self) {
        let mut seen = vec![false; self.values.len()];
        seen[self.output] = true;
        for (place, value) in self.values.iter().enumerate() {
            seen[place] |= value.is_some();
        }
        for step in self.steps.iter_mut().rev() {
            // What a step makes and nobody reads goes at once.
            for &place in step.inputs.iter().chain(&step.outputs).flatten() {
                if !std::mem::replace(&mut seen[place], true) {
                    step.last_uses.push(place);
                }
            }
        }
    }

    /// Numbers that a row becomes.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Runs meaningless rows: the graph must accept one row and several, and give each row the result that it gives the
    /// row alone.
    fn try_out(&mut self, inputs: usize) -> Result<(), String> {
        let number = |place: usize| {
            let number = (place * 7 + place / inputs.max(1) * 3) % 11;
            match self.input_type {
                // A whole number may be a position, of which there may be few.
                INT32 | INT64 => (number % 2) as f32,
                _ => number as f32 / 5.0 - 1.0,
            }
        };
        let rows: Vec<f32> = (0..3 * inputs).map(number).collect();
        let together = self.run(&rows, 3)?;
        if together.is_empty() || !together.len().is_multiple_of(3) {
            return Err(format!("it makes {} numbers of 3 rows", together.len()));
        }
        self.outputs = together.len() / 3;
        let mut alone = Vec::new();
        for row in rows.chunks_exact(inputs) {
            alone.extend(self.run(row, 1)?);
        }
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        if alone.len() == together.len() && alone.iter().zip(&together).all(same) {
            return Ok(());
        }
        Err(
            "it gives a row something else among other rows than alone; export it with a free number of rows"
                .to_owned(),
        )
    }

    /// What `rows` rows become, row after row.
    ///
    /// # Errors
    /// Which operator cannot take these rows, and why.
    pub fn run(&mut self, values: &[f32], rows: usize) -> Result<Vec<f32>, String> {
        if !self.one_row {
            return self.pass(values, rows);
        }
        let mut made = Vec::new();
        for row in values.chunks_exact((values.len() / rows.max(1)).max(1)) {
            made.extend(self.pass(row, 1)?);
        }
        Ok(made)
    }

    fn pass(&mut self, values: &[f32], rows: usize) -> Result<Vec<f32>, String> {
        let shape = [&[rows], self.input_shape.as_slice()].concat();
        if count(&shape)? != values.len() {
            return Err(format!("{} numbers for the shape {shape:?}", values.len()));
        }
        self.values[self.input] = Some(Tensor::new(&shape, types::given(self.input_type, values)?));
        for step in &self.steps {
            let inputs: Vec<Option<&Tensor>> = step
                .inputs
                .iter()
                .map(|place| self.values[(*place)?].as_ref())
                .collect();
            let made = (step.kernel)(Inputs(&inputs)).and_then(|made| all(made, &step.outputs));
            let made = made.map_err(|error| format!("{}: {error}", step.label))?;
            for (place, tensor) in step.outputs.iter().zip(made) {
                if let Some(place) = place {
                    self.values[*place] = Some(tensor);
                }
            }
            for &place in &step.last_uses {
                self.values[place] = None;
            }
        }
        // Whatever its shape, row after row: that was tried out when the graph was made ready.
        match self.values[self.output].take() {
            Some(Tensor {
                data: Data::Float(values),
                ..
            }) => match self.column {
                None => Ok(values),
                Some(column) => {
                    let width = values.len() / rows.max(1);
                    if column >= width {
                        return Err(format!(
                            "its output has {width} numbers for a row, and none at {column}"
                        ));
                    }
                    Ok(values.into_iter().skip(column).step_by(width).collect())
                }
            },
            Some(_) => Err(
                "its output is not of floating-point numbers; cast it to float32 before the export"
                    .to_owned(),
            ),
            None => Err("its output was not made".to_owned()),
        }
    }
}
