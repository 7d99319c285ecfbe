//! What runs the network.

use netsage_onnx_format::Model;

use crate::artifact::{ArtifactError, Network};
use crate::dense::Dense;

#[derive(Debug)]
pub(crate) enum Engine {
    Dense(Dense),
}

impl Engine {
    /// Makes a network ready that makes `outputs` numbers of `inputs`.
    pub(crate) fn new(network: &Network, inputs: usize, outputs: usize) -> Result<Self, ArtifactError> {
        match network {
            Network::Dense(onnx) => {
                let dense = Dense::new(&Model::decode(onnx)?).map_err(ArtifactError::NotDense)?;
                if (dense.inputs(), dense.outputs()) != (inputs, outputs) {
                    return Err(ArtifactError::Content(format!(
                        "the network makes {} numbers of {}, and its columns need {outputs} of {inputs}",
                        dense.outputs(),
                        dense.inputs()
                    )));
                }
                Ok(Self::Dense(dense))
            }
        }
    }

    /// What `rows` rows become; rows are padded to whole lanes, here and there.
    pub(crate) fn run(&mut self, values: &[f32], rows: usize) -> &[f32] {
        match self {
            Self::Dense(dense) => dense.run(values, rows),
        }
    }
}
