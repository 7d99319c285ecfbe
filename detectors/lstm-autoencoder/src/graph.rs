//! The model as an ONNX graph.

use netsage_onnx_format::proto::{AttributeProto, attribute_type};
use netsage_onnx_format::{Activation, Dim, Gemm, GraphBuilder, Lstm, Value};

use crate::artifact::{
    Encoding, FORMAT, InputColumn, Layer, Memory, Model, SCALED_LIMIT, SCORE_FLOOR, VALUE_LIMIT, WINDOW,
};

/// Number of `TensorProto.INT64`, the type that [`Model::encode`] casts codes to.
const INT64: i64 = 7;

impl Model {
    /// The artifact of this model: an ONNX file.
    ///
    /// Inputs are `window`, raw rows `[batch, 8, columns]`, the oldest first and those that lack at the end, and
    /// `lengths`, how many of each window are there. Outputs are `score` `[batch]` of the last row that is there, and
    /// its `reconstruction` in scaled numbers, `[batch, features]`.
    ///
    /// # Panics
    /// When the weights do not have the sizes that the model says: a mistake of who made it.
    pub fn encode(&self) -> Vec<u8> {
        let mut graph = GraphBuilder::new("lstm-autoencoder");
        graph.describe("LSTM autoencoder over the last flows of a source, from raw columns to the score of the last flow");
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        // Positions of the nominal columns, in the order of their tables.
        let is_nominal = |column: &(usize, &InputColumn)| matches!(column.1.encoding, Encoding::Terms(_));
        let columns = self.columns.iter().enumerate();
        let nominal: Vec<String> = columns
            .filter(is_nominal)
            .map(|(position, _)| position.to_string())
            .collect();
        for (key, value) in [
            ("netsage.format", FORMAT),
            ("netsage.schema", &self.schema),
            ("netsage.columns", &names.join(",")),
            ("netsage.nominal", &nominal.join(",")),
        ] {
            graph.metadata(key, value);
        }
        let batch = Dim::Symbol("batch");
        let shape = [batch, Dim::Fixed(WINDOW), Dim::Fixed(self.columns.len())];
        let window = graph.input("window", &shape);
        let lengths = graph.integer_input("lengths", &[batch]);

        let rows = self.prepare(&mut graph, &window);
        let embedded = layer(&mut graph, "embedding", &self.embedding, &rows);
        let embedded = graph.activation(Activation::Tanh, &embedded);
        let steps_first = graph.transpose(&embedded, &[1, 0, 2]);
        let encoded = memory(&mut graph, "encoder", &self.encoder, &steps_first, &lengths).all;
        let encoded = graph.squeeze(&encoded, &[1]);
        let codes = layer(&mut graph, "code", &self.code, &encoded);
        let decoded = memory(&mut graph, "decoder", &self.decoder, &codes, &lengths).hidden;
        let decoded = graph.squeeze(&decoded, &[0]);
        let weights = matrix(&mut graph, "output_weights", &self.output);
        let bias = graph.floats("output_bias", &[self.output.outputs], &self.output.bias);
        let reconstruction = graph.gemm(&decoded, &weights, Some(&bias), Gemm::default());

        let last = last_of(&mut graph, &rows, &lengths);
        let error = graph.sub(&last, &reconstruction);
        let squared = graph.mul(&error, &error);
        let weights = graph.floats("score_weights", &[self.features()], &self.score_weights);
        let weighted = graph.mul(&squared, &weights);
        let sum = graph.reduce_sum(&weighted, &[1], false);
        let floor = graph.floats("squared_floor", &[], &[SCORE_FLOOR * SCORE_FLOOR]);
        let raised = graph.add(&sum, &floor);
        let score = graph.sqrt(&raised);
        graph.output("score", &score, &[batch]);
        graph.output(
            "reconstruction",
            &reconstruction,
            &[batch, Dim::Fixed(self.features())],
        );
        graph.encode()
    }

    /// The numbers of raw rows, `[batch, 8, features]`.
    fn prepare(&self, graph: &mut GraphBuilder, window: &Value) -> Value {
        let (mut positions, mut steps, mut means, mut factors) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut nominal = Vec::new();
        for (position, column) in self.columns.iter().enumerate() {
            match &column.encoding {
                Encoding::Logarithm {
                    steps: s,
                    mean,
                    factor,
                } => {
                    positions.push(whole(position));
                    steps.push(*s);
                    means.push(*mean);
                    factors.push(*factor);
                }
                Encoding::Terms(places) => nominal.push((whole(position), places, column.encoding.width())),
            }
        }
        let zero = graph.floats("zero", &[], &[0.0]);
        let mut parts = Vec::new();
        if !positions.is_empty() {
            let count = positions.len();
            let positions = graph.integers("numeric_columns", &[count], &positions);
            let one = graph.floats("one", &[], &[1.0]);
            let most = graph.floats("value_limit", &[], &[VALUE_LIMIT]);
            let [low, high] = [("lowest", -SCALED_LIMIT), ("highest", SCALED_LIMIT)]
                .map(|(name, limit)| graph.floats(name, &[], &[limit]));
            let [steps, means, factors] = [("steps", steps), ("means", means), ("factors", factors)]
                .map(|(name, values)| graph.floats(name, &[count], &values));
            let values = graph.node(
                "Gather",
                &[window.name(), positions.name()],
                vec![attribute("axis", 2)],
            );
            let values = graph.node("Clip", &[values.name(), zero.name(), most.name()], Vec::new());
            let values = graph.mul(&values, &steps);
            let values = graph.add(&values, &one);
            let values = graph.node("Log", &[values.name()], Vec::new());
            let values = graph.sub(&values, &means);
            let values = graph.mul(&values, &factors);
            parts.push(graph.node("Clip", &[values.name(), low.name(), high.name()], Vec::new()));
        }
        for (index, (position, places, width)) in nominal.into_iter().enumerate() {
            let mut table = vec![0.0; places.len() * width];
            for (row, &place) in table.chunks_exact_mut(width).zip(places) {
                row[usize::from(place)] = 1.0;
            }
            let table = graph.floats(&format!("terms_{index}"), &[places.len(), width], &table);
            let beyond = graph.floats(&format!("beyond_{index}"), &[], &[places.len() as f32 - 1.0]);
            let codes = graph.slice(window, 2, position, position + 1);
            let codes = graph.squeeze(&codes, &[2]);
            let codes = graph.node("Clip", &[codes.name(), zero.name(), beyond.name()], Vec::new());
            let codes = graph.node("Cast", &[codes.name()], vec![attribute("to", INT64)]);
            parts.push(graph.node(
                "Gather",
                &[table.name(), codes.name()],
                vec![attribute("axis", 0)],
            ));
        }
        graph.concat(&parts.iter().collect::<Vec<_>>(), 2)
    }
}

/// The last row of each window that is there, by a product with ones and zeros.
fn last_of(graph: &mut GraphBuilder, rows: &Value, lengths: &Value) -> Value {
    let one = graph.integers("one_step", &[1], &[1]);
    let depth = graph.integers("window_steps", &[], &[whole(WINDOW)]);
    let off_and_on = graph.floats("off_and_on", &[2], &[0.0, 1.0]);
    let lengths = graph.node("Cast", &[lengths.name()], vec![attribute("to", INT64)]);
    let last = graph.sub(&lengths, &one);
    let inputs = [last.name(), depth.name(), off_and_on.name()];
    let chosen = graph.node("OneHot", &inputs, vec![attribute("axis", -1)]);
    let chosen = graph.unsqueeze(&chosen, &[1]);
    let last = graph.matmul(&chosen, rows);
    graph.squeeze(&last, &[1])
}

/// A position or length as ONNX writes it.
fn whole(value: usize) -> i64 {
    i64::try_from(value).expect("memory holds fewer values than 2^63")
}

fn attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(attribute_type::INT),
        ..AttributeProto::default()
    }
}

fn matrix(graph: &mut GraphBuilder, name: &str, layer: &Layer) -> Value {
    graph.floats(name, &[layer.inputs, layer.outputs], &layer.weights)
}

/// A dense layer over the last dimension.
fn layer(graph: &mut GraphBuilder, name: &str, layer: &Layer, rows: &Value) -> Value {
    let weights = matrix(graph, &format!("{name}_weights"), layer);
    let bias = graph.floats(&format!("{name}_bias"), &[layer.outputs], &layer.bias);
    let product = graph.matmul(rows, &weights);
    graph.add(&product, &bias)
}

fn memory(
    graph: &mut GraphBuilder,
    name: &str,
    memory: &Memory,
    sequence: &Value,
    lengths: &Value,
) -> netsage_onnx_format::LstmOutputs {
    let (hidden, gates, inputs) = (memory.hidden, 4 * memory.hidden, memory.input.inputs);
    let transposed = transpose(&memory.input.weights, gates);
    let input_weights = graph.floats(&format!("{name}_weights"), &[1, gates, inputs], &transposed);
    let transposed = transpose(&memory.recurrent, gates);
    let recurrent_weights = graph.floats(&format!("{name}_recurrent"), &[1, gates, hidden], &transposed);
    // ONNX has a bias for either product; one of them says it all.
    let both = [memory.input.bias.as_slice(), &vec![0.0; gates]].concat();
    let bias = graph.floats(&format!("{name}_bias"), &[1, 2 * gates], &both);
    graph.lstm(&Lstm {
        hidden,
        sequence,
        input_weights: &input_weights,
        recurrent_weights: &recurrent_weights,
        bias: Some(&bias),
        lengths: Some(lengths),
        initial_hidden: None,
        initial_cell: None,
    })
}

/// The transpose of a matrix whose rows have that many values.
pub(crate) fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let column = |index: usize| values.iter().skip(index).step_by(columns);
    (0..columns).flat_map(column).copied().collect()
}
