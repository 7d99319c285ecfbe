//! Reading the model from an ONNX file that may come from anywhere.

use netsage_onnx_format::{Graph, Model as Onnx};

use crate::artifact::{
    ArtifactError, Encoding, FORMAT, InputColumn, Layer, MOST_CODES, MOST_COLUMNS, MOST_FEATURES, MOST_UNITS,
    Memory, Model,
};
use crate::graph::transpose;

fn content(text: String) -> ArtifactError {
    ArtifactError::Content(text)
}

impl Model {
    /// Reads an artifact and checks everything in it.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let onnx = Onnx::decode(bytes)?;
        let property = |key: &str| onnx.metadata.get(key).cloned().unwrap_or_default();
        let format = property("netsage.format");
        if format != FORMAT {
            return Err(ArtifactError::Format(format));
        }
        let graph = &onnx.graph;
        let columns = columns(graph, &property("netsage.columns"), &property("netsage.nominal"))?;
        let features: usize = columns.iter().map(|column| column.encoding.width()).sum();
        if !(1..=MOST_FEATURES).contains(&features) {
            return Err(content(format!(
                "its rows become {features} numbers, not 1 to {MOST_FEATURES}"
            )));
        }
        let embedding = layer(graph, "embedding", features)?;
        let encoder = memory(graph, "encoder", embedding.outputs)?;
        let code = layer(graph, "code", encoder.hidden)?;
        let decoder = memory(graph, "decoder", code.outputs)?;
        let output = layer(graph, "output", decoder.hidden)?;
        if output.outputs != features {
            return Err(content(format!(
                "it reconstructs {} numbers of {features}",
                output.outputs
            )));
        }
        let score_weights = floats(graph, "score_weights", &[features])?;
        if score_weights.iter().any(|&weight| !(0.0..=1e6).contains(&weight)) {
            return Err(content(
                "a weight of its score is below 0 or above a million".to_owned(),
            ));
        }
        let model = Self {
            schema: property("netsage.schema"),
            columns,
            embedding,
            encoder,
            code,
            decoder,
            output,
            score_weights,
        };
        model.check_operators(graph)?;
        Ok(model)
    }

    /// The weights alone would not show that the graph computes what this crate computes.
    fn check_operators(&self, graph: &Graph) -> Result<(), ArtifactError> {
        let own = Onnx::decode(&self.encode())?;
        let operators = |graph: &Graph| -> Vec<String> {
            graph
                .nodes
                .iter()
                .map(|node| format!("{}:{}", node.domain, node.operator))
                .collect()
        };
        if operators(graph) == operators(&own.graph) {
            return Ok(());
        }
        Err(content(
            "its graph has other operators than those of its format".to_owned(),
        ))
    }
}

/// Weights of this shape, none of which is beyond any use.
fn floats(graph: &Graph, name: &str, shape: &[usize]) -> Result<Vec<f32>, ArtifactError> {
    let values = graph.weights(name, shape)?;
    if values.iter().all(|value| value.abs() <= 1e6) {
        return Ok(values.to_vec());
    }
    Err(content(format!(
        "a number in {name} is not finite or above a million"
    )))
}

fn integers<'a>(graph: &'a Graph, name: &str) -> &'a [i64] {
    let tensor = graph.initializers.get(name);
    tensor.and_then(|tensor| tensor.integers()).unwrap_or_default()
}

/// Width of the last dimension of a tensor, when it can be that of a layer.
fn width(graph: &Graph, name: &str) -> Result<usize, ArtifactError> {
    let tensor = graph.initializers.get(name);
    let width = tensor
        .and_then(|tensor| tensor.shape.last().copied())
        .unwrap_or_default();
    if (1..=MOST_UNITS.max(MOST_FEATURES)).contains(&width) {
        return Ok(width);
    }
    Err(content(format!("{name} has a width of {width}")))
}

fn layer(graph: &Graph, name: &str, inputs: usize) -> Result<Layer, ArtifactError> {
    let outputs = width(graph, &format!("{name}_bias"))?;
    Ok(Layer {
        inputs,
        outputs,
        weights: floats(graph, &format!("{name}_weights"), &[inputs, outputs])?,
        bias: floats(graph, &format!("{name}_bias"), &[outputs])?,
    })
}

fn memory(graph: &Graph, name: &str, inputs: usize) -> Result<Memory, ArtifactError> {
    let hidden = width(graph, &format!("{name}_recurrent"))?;
    if hidden > MOST_UNITS {
        return Err(content(format!(
            "{name} has {hidden} units instead of 1 to {MOST_UNITS}"
        )));
    }
    let gates = 4 * hidden;
    let weights = floats(graph, &format!("{name}_weights"), &[1, gates, inputs])?;
    let recurrent = floats(graph, &format!("{name}_recurrent"), &[1, gates, hidden])?;
    let both = floats(graph, &format!("{name}_bias"), &[1, 2 * gates])?;
    let (first, second) = both.split_at(gates);
    if second.iter().any(|&bias| bias != 0.0) {
        return Err(content(format!("{name} has a bias of its state")));
    }
    Ok(Memory {
        hidden,
        input: Layer {
            inputs,
            outputs: gates,
            weights: transpose(&weights, inputs),
            bias: first.to_vec(),
        },
        recurrent: transpose(&recurrent, hidden),
    })
}

fn columns(graph: &Graph, names: &str, nominal: &str) -> Result<Vec<InputColumn>, ArtifactError> {
    let names: Vec<&str> = names.split(',').collect();
    if names.len() > MOST_COLUMNS || names.iter().any(|name| !(1..=64).contains(&name.len())) {
        return Err(content(format!("{} columns, or one without a name", names.len())));
    }
    let mut encodings = vec![None; names.len()];
    let mut put = |position: i64, encoding: Encoding| {
        let place = usize::try_from(position)
            .ok()
            .and_then(|position| encodings.get_mut(position));
        match place {
            Some(place @ None) => {
                *place = Some(encoding);
                Ok(())
            }
            _ => Err(content(format!(
                "it reads column {position} twice, or there is none"
            ))),
        }
    };
    let numeric = integers(graph, "numeric_columns");
    if !numeric.is_empty() {
        let [steps, means, factors] =
            ["steps", "means", "factors"].map(|name| floats(graph, name, &[numeric.len()]));
        for (((&position, steps), mean), factor) in numeric.iter().zip(steps?).zip(means?).zip(factors?) {
            if !(steps > 0.0 && factor > 0.0) {
                return Err(content(format!("the scale of column {position} is none")));
            }
            put(position, Encoding::Logarithm { steps, mean, factor })?;
        }
    }
    let positions = nominal.split(',').filter(|position| !position.is_empty());
    for (index, position) in positions.enumerate() {
        // What is no number is no position either.
        put(
            position.parse().unwrap_or(-1),
            Encoding::Terms(places(graph, index)?),
        )?;
    }
    let columns = names.iter().zip(encodings).map(|(name, encoding)| {
        let encoding = encoding.ok_or_else(|| content(format!("it does not read its column {name}")))?;
        Ok(InputColumn {
            name: (*name).to_owned(),
            encoding,
        })
    });
    columns.collect()
}

/// The place of the 1 in each row of a table of terms.
fn places(graph: &Graph, index: usize) -> Result<Vec<u16>, ArtifactError> {
    let name = format!("terms_{index}");
    let wrong = || content(format!("{name} does not have one place for each code"));
    let tensor = graph.initializers.get(&name).ok_or_else(wrong)?;
    let (&[codes, width], Some(values)) = (tensor.shape.as_slice(), tensor.floats()) else {
        return Err(wrong());
    };
    if !(1..=MOST_CODES).contains(&codes) || !(1..=MOST_FEATURES).contains(&width) {
        return Err(wrong());
    }
    let places = values.chunks_exact(width).map(|row| {
        let place = row.iter().position(|&value| value == 1.0)?;
        let others = row.iter().filter(|&&value| value != 0.0).count();
        u16::try_from(place).ok().filter(|_| others == 1)
    });
    let places: Vec<u16> = places.collect::<Option<_>>().ok_or_else(wrong)?;
    // Otherwise the width of the encoding would be another than that of the table.
    if places
        .iter()
        .max()
        .is_none_or(|&most| usize::from(most) + 1 != width)
    {
        return Err(wrong());
    }
    Ok(places)
}
