//! What runs the network.

use netsage_onnx_format::Model;

use crate::artifact::{ArtifactError, Network};
use crate::dense::{Dense, padded};
use crate::graph::Program;

#[derive(Debug)]
pub(crate) enum Engine {
    Dense(Dense),
    Graph(Box<Graph>),
}

/// A graph, and its rows in the layout of the scorer.
#[derive(Debug)]
pub(crate) struct Graph {
    program: Program,
    /// Numbers in a row that it is given.
    inputs: usize,
    /// Without the padding.
    compact: Vec<f32>,
    /// What the rows became, padded.
    given: Vec<f32>,
}

impl Engine {
    /// Makes a network ready that makes `outputs` numbers of `inputs`.
    pub(crate) fn new(network: &Network, inputs: usize, outputs: usize) -> Result<Self, ArtifactError> {
        let (engine, makes) = match network {
            Network::Dense(onnx) => {
                let dense = Dense::new(&Model::decode(onnx)?).map_err(ArtifactError::NotDense)?;
                let makes = (dense.inputs(), dense.outputs());
                (Self::Dense(dense), makes)
            }
            Network::Graph { onnx, output } => {
                let program = Program::new(&Model::decode(onnx)?, inputs, output.as_deref());
                let program = program.map_err(ArtifactError::Graph)?;
                let makes = (inputs, program.outputs());
                let graph = Graph {
                    program,
                    inputs,
                    compact: Vec::new(),
                    given: Vec::new(),
                };
                (Self::Graph(Box::new(graph)), makes)
            }
        };
        if makes != (inputs, outputs) {
            let way_out = if outputs == 1 && makes.1 > 1 {
                " (`--output 'NAME[1]'` takes the second)"
            } else {
                ""
            };
            return Err(ArtifactError::Content(format!(
                "the network makes {} numbers of {}, and its columns need {outputs} of {inputs}{way_out}",
                makes.1, makes.0
            )));
        }
        Ok(engine)
    }

    /// Rows that go through the network together. Dense layers keep few of them in the nearest memory; a graph is
    /// walked once for many.
    pub(crate) fn chunk(&self) -> usize {
        match self {
            Self::Dense(_) => 64,
            Self::Graph(_) => 256,
        }
    }

    /// What `rows` rows become; rows are padded to whole lanes, here and there.
    pub(crate) fn run(&mut self, values: &[f32], rows: usize) -> Result<&[f32], String> {
        match self {
            Self::Dense(dense) => Ok(dense.run(values, rows)),
            Self::Graph(graph) => graph.run(values, rows),
        }
    }
}

impl Graph {
    fn run(&mut self, values: &[f32], rows: usize) -> Result<&[f32], String> {
        self.compact.clear();
        for row in values.chunks_exact(padded(self.inputs)).take(rows) {
            self.compact.extend_from_slice(&row[..self.inputs]);
        }
        let made = self.program.run(&self.compact, rows)?;
        let outputs = self.program.outputs();
        if made.len() != rows * outputs {
            return Err(format!("it makes {} numbers of {rows} rows", made.len()));
        }
        self.given.clear();
        self.given.resize(rows * padded(outputs), 0.0);
        for (row, place) in made
            .chunks_exact(outputs)
            .zip(self.given.chunks_exact_mut(padded(outputs)))
        {
            place[..outputs].copy_from_slice(row);
        }
        Ok(&self.given)
    }
}
