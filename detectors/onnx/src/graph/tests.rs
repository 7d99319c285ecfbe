//! What the operators compute is compared with onnxruntime by the tests of `netsage-models`; here is what no graph may
//! do.

use netsage_onnx_format::proto::{AttributeProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use netsage_onnx_format::{Dim, GraphBuilder, Lstm, Model, Value};
use proptest::prelude::*;
use prost::Message as _;

use super::{Program, operators};

const ROWS: Dim = Dim::Symbol("rows");

fn program(bytes: &[u8], inputs: usize, output: Option<&str>) -> Result<Program, String> {
    Program::new(
        &Model::decode(bytes).map_err(|error| error.to_string())?,
        inputs,
        output,
    )
}

/// Many kinds of operators in one graph.
fn graph() -> Vec<u8> {
    let mut graph = GraphBuilder::new("many");
    let value = graph.input("in", &[ROWS, Dim::Fixed(6)]);
    let steps = graph.reshape(&value, &[-1, 3, 2]);
    let sequence = graph.transpose(&steps, &[1, 0, 2]);
    let weights: Vec<f32> = (0..32).map(|index| (index % 7) as f32 / 5.0 - 0.5).collect();
    let input_weights = graph.floats("w", &[1, 16, 2], &weights);
    let recurrent_weights = graph.floats("r", &[1, 16, 4], &[weights.as_slice(), &weights].concat());
    let lstm = graph.lstm(&Lstm {
        hidden: 4,
        sequence: &sequence,
        input_weights: &input_weights,
        recurrent_weights: &recurrent_weights,
        bias: None,
        lengths: None,
        initial_hidden: None,
        initial_cell: None,
    });
    let last = graph.squeeze(&lstm.hidden, &[0]);
    let shape = graph.node("Shape", &[last.name()], vec![]);
    let none = graph.node("ConstantOfShape", &[shape.name()], vec![]);
    let sum = graph.add(&last, &none);
    let part = graph.slice(&sum, 1, -3, 4);
    let both = graph.concat(&[&part, &value], 1);
    let soft = graph.node("Softmax", &[both.name()], vec![]);
    let score = graph.reduce_sum(&soft, &[1], true);
    let sums = graph.reduce_mean(&both, &[1], true);
    let score = graph.mul(&score, &sums);
    graph.output("score", &score, &[ROWS, Dim::Fixed(1)]);
    graph.output("all", &both, &[ROWS, Dim::Fixed(9)]);
    graph.encode()
}

#[track_caller]
fn refused(build: impl FnOnce(&mut GraphBuilder), inputs: usize, output: Option<&str>, part: &str) {
    let mut graph = GraphBuilder::new("refused");
    build(&mut graph);
    let error = program(&graph.encode(), inputs, output).unwrap_err();
    assert!(error.contains(part), "{error} does not say {part}");
}

#[test]
fn a_row_has_the_same_bits_in_every_block() {
    let mut program = program(&graph(), 6, Some("score")).unwrap();
    assert_eq!(program.outputs(), 1);
    let rows: Vec<f32> = (0..6 * 41)
        .map(|index| (index * 29 % 83) as f32 / 9.0 - 4.0)
        .collect();
    let together = program.run(&rows, 41).unwrap();
    for size in [1, 2, 3, 5, 40] {
        let mut apart = Vec::new();
        for block in rows.chunks(6 * size) {
            apart.extend(program.run(block, block.len() / 6).unwrap());
        }
        assert_eq!(together, apart, "blocks of {size}");
    }
}

#[test]
fn the_output_is_chosen_by_name() {
    assert_eq!(program(&graph(), 6, Some("all")).unwrap().outputs(), 9);
    let error = program(&graph(), 6, None).unwrap_err();
    assert!(error.contains("the outputs score, all"), "{error}");
    let error = program(&graph(), 6, Some("label")).unwrap_err();
    assert!(error.contains("no output label; it has score, all"), "{error}");
}

#[test]
fn what_cannot_be_run_is_named() {
    let unknown = |graph: &mut GraphBuilder| {
        let value = graph.input("in", &[ROWS, Dim::Fixed(2)]);
        let made = graph.node("Scan", &[value.name()], vec![]);
        graph.output("out", &made, &[]);
    };
    refused(
        unknown,
        2,
        None,
        "the operator Scan of the node Scan_0 is not known; export the model without control flow",
    );
    let mixing = |graph: &mut GraphBuilder| {
        let value = graph.input("in", &[ROWS, Dim::Fixed(2)]);
        let mean = graph.reduce_mean(&value, &[0], true);
        let made = graph.sub(&value, &mean);
        graph.output("out", &made, &[]);
    };
    refused(mixing, 2, None, "something else among other rows");
    let fixed = |graph: &mut GraphBuilder| {
        let value = graph.input("in", &[Dim::Fixed(5), Dim::Fixed(2)]);
        let made = graph.sqrt(&value);
        graph.output("out", &made, &[]);
    };
    refused(fixed, 2, None, "5 rows at a time");
    let narrow = |graph: &mut GraphBuilder| {
        let value = graph.input("in", &[ROWS, Dim::Fixed(3)]);
        let made = graph.sqrt(&value);
        graph.output("out", &made, &[]);
    };
    refused(
        narrow,
        2,
        None,
        "it reads 3 numbers of a row, and the columns become 2",
    );
    let shapes = |graph: &mut GraphBuilder| {
        let value = graph.input("in", &[ROWS, Dim::Fixed(2)]);
        let weights = graph.floats("w", &[3, 1], &[1.0; 3]);
        let made = graph.matmul(&value, &weights);
        graph.output("out", &made, &[]);
    };
    refused(
        shapes,
        2,
        None,
        "the operator MatMul of the node MatMul_0: the shapes [3, 2] and [3, 1]",
    );
    let constant = |graph: &mut GraphBuilder| {
        graph.input("in", &[ROWS, Dim::Fixed(2)]);
        let weights = graph.floats("w", &[3, 1], &[1.0; 3]);
        graph.output("out", &weights, &[]);
    };
    refused(constant, 2, None, "does not depend on its input");
    let large = |graph: &mut GraphBuilder| {
        let value = graph.input("in", &[ROWS, Dim::Fixed(2)]);
        let times = graph.integers("times", &[2], &[1 << 40, 1 << 40]);
        let made = graph.node("Tile", &[value.name(), times.name()], vec![]);
        graph.output("out", &made, &[]);
    };
    refused(large, 2, None, "is too large");
}

/// A model whose nodes are changed before it is read.
#[track_caller]
fn changed_is_refused(change: impl FnOnce(&mut ModelProto), part: &str) {
    let mut graph = GraphBuilder::new("changed");
    let value = graph.input("in", &[ROWS, Dim::Fixed(2)]);
    let columns = [1.0, 2.0];
    let weights = ["a", "b", "c", "d"].map(|name| graph.floats(name, &[2], &columns));
    let [a, b, c, d] = weights.each_ref().map(Value::name);
    let made = graph.node("BatchNormalization", &[value.name(), a, b, c, d], vec![]);
    let made = graph.node("Dropout", &[made.name()], vec![]);
    graph.output("out", &made, &[ROWS, Dim::Fixed(2)]);
    let mut model = ModelProto::decode(graph.encode().as_slice()).unwrap();
    change(&mut model);
    let error = program(&model.encode_to_vec(), 2, None).unwrap_err();
    assert!(error.contains(part), "{error} does not say {part}");
}

fn node(model: &mut ModelProto, place: usize) -> &mut NodeProto {
    &mut model.graph.as_mut().unwrap().node[place]
}

fn attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(2),
        ..AttributeProto::default()
    }
}

fn of_type(model: &mut ModelProto, kind: i32) {
    let input = &mut model.graph.as_mut().unwrap().input[0];
    let tensor = input.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
    tensor.elem_type = Some(kind);
}

#[test]
fn nothing_that_changes_the_meaning_is_ignored() {
    let training = "BatchNormalization of the node BatchNormalization_0: it is in training mode; export the model in \
                    evaluation mode";
    changed_is_refused(
        |model| node(model, 0).attribute.push(attribute("training_mode", 1)),
        training,
    );
    changed_is_refused(
        |model| {
            model.opset_import[0].version = Some(13);
            node(model, 0).output.push("mean".to_owned());
        },
        training,
    );
    changed_is_refused(
        |model| {
            let flag = TensorProto {
                name: Some("training".to_owned()),
                data_type: Some(9),
                raw_data: Some(vec![1]),
                ..TensorProto::default()
            };
            model.graph.as_mut().unwrap().initializer.push(flag);
            node(model, 1)
                .input
                .extend([String::new(), "training".to_owned()]);
        },
        "Dropout of the node Dropout_1: it is in training mode",
    );
    changed_is_refused(
        |model| node(model, 1).attribute.push(attribute("strange", 0)),
        "Dropout of the node Dropout_1: its attribute strange is not known",
    );
    // Of another type than the operator's, or without one, as it could be anything.
    changed_is_refused(
        |model| node(model, 0).attribute.push(attribute("epsilon", 1)),
        "its attribute epsilon is not known",
    );
    changed_is_refused(
        |model| {
            node(model, 0).attribute.push(AttributeProto {
                r#type: None,
                ..attribute("epsilon", 1)
            });
        },
        "its attribute epsilon is not known",
    );
    changed_is_refused(
        |model| node(model, 0).input.push("in".to_owned()),
        "its input 5 (in) is not known",
    );
    changed_is_refused(
        |model| {
            node(model, 1).output.extend([String::new(), "more".to_owned()]);
            node(model, 2).input[0] = "more".to_owned();
        },
        "its output 2 is not made here",
    );
    for version in [6, 99] {
        changed_is_refused(
            |model| model.opset_import[0].version = Some(version),
            &format!(
                "the model is written for opset {version}, and 7 to 26 are known; export it for one of them"
            ),
        );
    }
    changed_is_refused(|model| model.opset_import.clear(), "does not say for which opset");
    changed_is_refused(
        |model| of_type(model, 8),
        "its input in is of the type string, which is not computed; export the part of the model behind its encoders",
    );
    changed_is_refused(
        |model| of_type(model, 2),
        "its input in is of the type uint8, which is not computed; export it with float32 or int64",
    );
    changed_is_refused(
        |model| {
            let weights = &mut model.graph.as_mut().unwrap().initializer[1];
            (weights.data_type, weights.raw_data) = (Some(3), Some(vec![1, 2]));
        },
        "b is of the type int8, which is not computed; export it with float32 or int64",
    );
    changed_is_refused(
        |model| {
            let classifier = node(model, 1);
            (classifier.op_type, classifier.domain) =
                (Some("ZipMap".to_owned()), Some("ai.onnx.ml".to_owned()));
            let opset = OperatorSetIdProto {
                domain: Some("ai.onnx.ml".to_owned()),
                version: Some(3),
            };
            model.opset_import.push(opset);
        },
        "ZipMap of ai.onnx.ml of the node Dropout_1 is not known; export it without (`options={'zipmap': False}`",
    );
}

#[test]
fn one_number_of_several_is_chosen() {
    let mut all = program(&graph(), 6, Some("all")).unwrap();
    let mut third = program(&graph(), 6, Some("all[2]")).unwrap();
    let rows: Vec<f32> = (0..18).map(|index| index as f32 / 7.0 - 1.0).collect();
    let expected: Vec<f32> = all
        .run(&rows, 3)
        .unwrap()
        .into_iter()
        .skip(2)
        .step_by(9)
        .collect();
    assert_eq!((third.outputs(), third.run(&rows, 3).unwrap()), (1, expected));
    let error = program(&graph(), 6, Some("all[9]")).unwrap_err();
    assert!(error.contains("9 numbers for a row, and none at 9"), "{error}");
    let error = program(&graph(), 6, Some("none[1]")).unwrap_err();
    assert!(
        error.contains("it has no output none[1]; it has score, all"),
        "{error}"
    );
}

#[test]
fn a_graph_for_one_row_takes_many() {
    let mut graph = GraphBuilder::new("one");
    let value = graph.input("in", &[Dim::Fixed(1), Dim::Fixed(2), Dim::Fixed(2)]);
    let flat = graph.reshape(&value, &[1, 4]);
    let made = graph.reduce_sum(&flat, &[1], true);
    graph.output("out", &made, &[Dim::Fixed(1), Dim::Fixed(1)]);
    let mut program = program(&graph.encode(), 4, None).unwrap();
    let made = program.run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 2).unwrap();
    assert_eq!(made, [10.0, 26.0]);
}

#[test]
fn every_operator_is_listed() {
    let listed = operators();
    for operator in ["Softmax", "LSTM", "Gather", "TreeEnsembleRegressor", "Where"] {
        assert!(listed.contains(operator), "{listed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_damage_makes_it_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = graph();
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        for output in ["score", "all"] {
            if let Ok(mut program) = program(&bytes, 6, Some(output)) {
                let _ = program.run(&[1.0; 12], 2);
            }
        }
    }
}
