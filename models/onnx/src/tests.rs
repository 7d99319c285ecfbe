//! What is written is read again, and damaged bytes are refused or read as something else, without a panic.

use proptest::prelude::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

use prost::Message as _;

use crate::proto::{GraphProto, ModelProto, StringStringEntryProto, TensorProto, data_type};
use crate::{
    Activation, Dim, External, Gemm, GraphBuilder, Lstm, Model, OnnxError, Tensor, TensorData, embed,
};

fn example() -> Vec<u8> {
    let mut graph = GraphBuilder::new("example");
    graph.describe("every operator once");
    graph.metadata("made-by", "a test");
    let rows = graph.input("rows", &[Dim::Symbol("batch"), Dim::Fixed(3)]);
    let weights = graph.floats("weights", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let bias = graph.floats("bias", &[2], &[0.5, -0.5]);
    let transpose = Gemm {
        transpose_weights: true,
    };
    let sums = graph.gemm(&rows, &weights, Some(&bias), transpose);
    let active = graph.activation(Activation::Tanh, &sums);
    let first = graph.slice(&active, 1, 0, 1);
    let both = graph.concat(&[&first, &active], 1);
    let squares = graph.mul(&both, &both);
    let error = graph.reduce_mean(&squares, &[1], true);
    let sequence = graph.unsqueeze(&active, &[0]);
    let input_weights = graph.floats("lstm_w", &[1, 4, 2], &[0.1; 8]);
    let recurrent_weights = graph.floats("lstm_r", &[1, 4, 1], &[0.2; 4]);
    let initial = graph.unsqueeze(&first, &[0]);
    let lstm = graph.lstm(&Lstm {
        hidden: 1,
        sequence: &sequence,
        input_weights: &input_weights,
        recurrent_weights: &recurrent_weights,
        bias: None,
        lengths: None,
        initial_hidden: Some(&initial),
        initial_cell: None,
    });
    let hidden = graph.squeeze(&lstm.hidden, &[0]);
    let score = graph.add(&error, &hidden);
    graph.output("score", &score, &[Dim::Symbol("batch"), Dim::Fixed(1)]);
    graph.encode()
}

#[test]
fn what_is_written_is_read() {
    let model = Model::decode(&example()).unwrap();
    assert_eq!(model.opsets[""], crate::OPSET);
    assert_eq!(model.metadata["made-by"], "a test");
    let graph = &model.graph;
    assert_eq!(graph.inputs[0].name, "rows");
    assert_eq!(graph.inputs[0].shape, Some(vec![None, Some(3)]));
    assert_eq!(graph.outputs[0].data_type, data_type::FLOAT);
    assert_eq!(graph.weights("weights", &[2, 3]).unwrap()[5], 6.0);
    let operators: Vec<&str> = graph.nodes.iter().map(|node| node.operator.as_str()).collect();
    let expected = [
        "Gemm",
        "Tanh",
        "Slice",
        "Concat",
        "Mul",
        "ReduceMean",
        "Unsqueeze",
        "Unsqueeze",
        "LSTM",
        "Squeeze",
        "Add",
        "Identity",
    ];
    assert_eq!(operators, expected);
    assert_eq!(graph.nodes[0].ints["transB"], 1);
    assert_eq!(graph.nodes[5].int_lists["axes"], [1]);
    let lstm = &graph.nodes[8];
    // Absent inputs before one that is there have an empty name, those after it have none.
    assert_eq!(lstm.inputs.len(), 6);
    assert_eq!((lstm.inputs[3].as_str(), lstm.inputs[4].as_str()), ("", ""));
}

#[test]
fn names_are_unique_and_known_before_they_are_used() {
    let model = Model::decode(&example()).unwrap();
    let mut known: Vec<String> = model.graph.initializers.keys().cloned().collect();
    known.push("rows".to_owned());
    for node in &model.graph.nodes {
        for input in node.inputs.iter().filter(|input| !input.is_empty()) {
            assert!(known.contains(input), "{input} of {} is not known yet", node.name);
        }
        for output in &node.outputs {
            assert!(!known.contains(output), "{output} is there twice");
            known.push(output.clone());
        }
    }
}

/// What ONNX's own checker and onnxruntime say: full shape inference, then two rows through the graph.
const PEERS: &str = "
import sys, numpy, onnx, onnxruntime
model = onnx.load_model_from_string(sys.stdin.buffer.read())
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
rows = numpy.array([[0.1, 0.2, 0.3], [0, 0, 0]], dtype=numpy.float32)
score = session.run(None, {'rows': rows})[0]
assert score.shape == (2, 1) and numpy.isfinite(score).all(), score
";

#[test]
fn peers_accept_what_is_written() {
    let Ok(python) = std::env::var("NETSAGE_PYTHON") else {
        println!("skipped: NETSAGE_PYTHON does not name a Python with onnx and onnxruntime");
        return;
    };
    let mut child = Command::new(python)
        .args(["-c", PEERS])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&example()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[track_caller]
fn check(tensor: TensorProto, expected: Result<Tensor, &str>) {
    let model = ModelProto {
        graph: Some(GraphProto {
            initializer: vec![TensorProto {
                name: Some("t".to_owned()),
                ..tensor
            }],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    let found = Model::decode(&model.encode_to_vec());
    match (found, expected) {
        (Ok(model), Ok(expected)) => assert_eq!(model.graph.initializers["t"], expected),
        (Err(error @ OnnxError::Tensor { .. }), Err(part)) => {
            assert!(error.to_string().contains(part), "{error} does not say {part}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[test]
fn tensors_are_read_from_every_field() {
    let tensor = |data_type, dims: &[i64]| TensorProto {
        data_type: Some(data_type),
        dims: dims.to_vec(),
        ..TensorProto::default()
    };
    let floats = |shape: &[usize], values: &[f32]| Tensor {
        shape: shape.to_vec(),
        data: TensorData::Float(values.to_vec()),
    };
    let float_data = TensorProto {
        float_data: vec![1.0, 2.0],
        ..tensor(data_type::FLOAT, &[2])
    };
    check(float_data, Ok(floats(&[2], &[1.0, 2.0])));
    let raw = |data_type, dims: &[i64], raw_data: Vec<u8>| TensorProto {
        raw_data: Some(raw_data),
        ..tensor(data_type, dims)
    };
    check(
        raw(data_type::FLOAT, &[], 1.5f32.to_le_bytes().to_vec()),
        Ok(floats(&[], &[1.5])),
    );
    check(
        raw(data_type::DOUBLE, &[1, 1], 0.5f64.to_le_bytes().to_vec()),
        Ok(floats(&[1, 1], &[0.5])),
    );
    let integer = Tensor {
        shape: vec![1],
        data: TensorData::Integer(vec![-7]),
    };
    check(
        raw(data_type::INT32, &[1], (-7i32).to_le_bytes().to_vec()),
        Ok(integer.clone()),
    );
    check(
        raw(data_type::INT64, &[1], (-7i64).to_le_bytes().to_vec()),
        Ok(integer),
    );
    check(raw(data_type::FLOAT, &[1], vec![0; 5]), Err("holds 5 bytes"));
    check(raw(data_type::FLOAT, &[-1], vec![0; 4]), Err("impossible shape"));
    check(
        raw(data_type::FLOAT, &[1 << 40, 1 << 40], vec![0; 4]),
        Err("impossible shape"),
    );
    check(
        raw(data_type::FLOAT, &[1 << 40], vec![0; 4]),
        Err("holds 1 values"),
    );
    let external = TensorProto {
        data_location: Some(1),
        ..tensor(data_type::FLOAT, &[2])
    };
    check(external, Err("another file"));
    let halves = [0x3c00u16, 0xc000, 0x0001, 0x03ff, 0x7bff, 0x7c00];
    let values = [1.0, -2.0, 5.960_464_5e-8, 6.097_555e-5, 65_504.0, f32::INFINITY];
    let bytes = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    check(raw(data_type::FLOAT16, &[6], bytes), Ok(floats(&[6], &values)));
    let fields = TensorProto {
        int32_data: halves.iter().map(|&half| i32::from(half)).collect(),
        ..tensor(data_type::FLOAT16, &[6])
    };
    check(fields, Ok(floats(&[6], &values)));
    check(
        raw(data_type::BFLOAT16, &[1], vec![0xc0, 0x3f]),
        Ok(floats(&[1], &[1.5])),
    );
}

/// The example with its weights of this name in another file.
fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut model = ModelProto::decode(example().as_slice()).unwrap();
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    let tensor = tensors
        .iter_mut()
        .find(|tensor| tensor.name() == "weights")
        .unwrap();
    tensor.raw_data = None;
    tensor.data_location = Some(1);
    tensor.external_data = entries
        .iter()
        .map(|&(key, value)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        })
        .collect();
    model.encode_to_vec()
}

#[test]
fn weights_of_another_file_are_brought_in() {
    let bytes = external(&[("location", "weights.bin"), ("offset", "8"), ("length", "24")]);
    let read = |external: &External| {
        assert_eq!((external.location.as_str(), external.offset), ("weights.bin", 8));
        assert_eq!(external.length, Some(24));
        Ok([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_le_bytes).concat())
    };
    let model = Model::decode(&embed(bytes.clone(), read).unwrap()).unwrap();
    assert_eq!(model, Model::decode(&example()).unwrap());
    let error = embed(bytes, |_| Err("is on the moon".to_owned())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("tensor weights of the ONNX model is on the moon"),
        "{error}"
    );
    let nameless = embed(external(&[]), |_| Ok(Vec::new())).unwrap_err();
    assert!(nameless.to_string().contains("without a name"), "{nameless}");
    assert_eq!(
        embed(example(), |_| Err("not asked".to_owned())).unwrap(),
        example()
    );
}

#[test]
fn says_what_is_missing() {
    assert_eq!(Model::decode(&[]), Err(OnnxError::NoGraph));
    let model = Model::decode(&example()).unwrap();
    let absent = model.graph.weights("absent", &[1]).unwrap_err();
    assert_eq!(absent, OnnxError::Missing("absent".to_owned()));
    let shape = model.graph.weights("weights", &[3, 2]).unwrap_err();
    assert!(shape.to_string().contains("[2, 3] instead of [3, 2]"), "{shape}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Model::decode(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = example();
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        let _ = Model::decode(&bytes);
    }
}
