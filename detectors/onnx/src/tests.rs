//! Scores are those of the definition, the same in every block; hostile bytes and rows give errors.

use netsage_onnx_format::{Activation, Dim, Gemm, GraphBuilder};
use proptest::prelude::*;

use crate::artifact::UNKNOWN;
use netsage_detector_sdk::artifact;

use crate::{ArtifactError, Encoding, Function, InputColumn, Model, Network, Output, RowError, Scorer};

fn number(name: &str, function: Function, offset: f32, scale: f32) -> InputColumn {
    InputColumn {
        name: name.to_owned(),
        typical: 0.0,
        range: [0.0, 1e9],
        weight: 1.0,
        encoding: Encoding::Number {
            function,
            offset,
            scale,
            limit: 10.0,
        },
    }
}

/// Columns of every kind: a number, a logarithm, three categories of four codes, an ordinal. Six numbers.
fn columns() -> Vec<InputColumn> {
    let nominal = |name: &str, encoding| InputColumn {
        encoding,
        ..number(name, Function::Same, 0.0, 1.0)
    };
    vec![
        number("ct_srv_src", Function::Same, 2.0, 4.0),
        nominal(
            "proto",
            Encoding::OneHot {
                categories: vec![0, UNKNOWN, 1, UNKNOWN],
                count: 3,
                other: Some(2),
                values: vec![[0.0, 3.0], [-1.0, 2.0], [0.0, 1.0]],
            },
        ),
        number("sbytes", Function::Logarithm { steps: 10.0 }, 1.0, 2.0),
        nominal(
            "service",
            Encoding::Ordinal {
                numbers: vec![0.0, 0.5, 1.0],
                unknown: -1.0,
            },
        ),
    ]
}

/// A network from `widths` to `widths`, with every activation, and weights that are not regular.
fn network(widths: &[usize], transpose_weights: bool) -> Vec<u8> {
    let mut graph = GraphBuilder::new("test");
    let batch = Dim::Symbol("rows");
    let mut value = graph.input("in", &[batch, Dim::Fixed(widths[0])]);
    let activations = [Activation::Tanh, Activation::Relu, Activation::Sigmoid];
    for (index, pair) in widths.windows(2).enumerate() {
        let values: Vec<f32> = (0..pair[0] * pair[1])
            .map(|place| ((place * 37 + index * 11) % 19) as f32 / 19.0 - 0.4)
            .collect();
        let shape = if transpose_weights {
            [pair[1], pair[0]]
        } else {
            [pair[0], pair[1]]
        };
        let weights = graph.floats(&format!("w{index}"), &shape, &values);
        let values: Vec<f32> = (0..pair[1]).map(|place| place as f32 / 10.0 - 0.2).collect();
        let bias = graph.floats(&format!("b{index}"), &[pair[1]], &values);
        value = if transpose_weights {
            graph.gemm(&value, &weights, Some(&bias), Gemm { transpose_weights })
        } else {
            let product = graph.matmul(&value, &weights);
            graph.add(&bias, &product)
        };
        if index + 2 < widths.len() {
            value = graph.activation(activations[index % 3], &value);
        }
    }
    let last = widths[widths.len() - 1];
    graph.output("out", &value, &[batch, Dim::Fixed(last)]);
    graph.encode()
}

fn model(widths: &[usize], output: Output) -> Model {
    Model {
        schema: "unsw-nb15@1".to_owned(),
        columns: columns(),
        output,
        network: Network::Dense(network(widths, false)),
    }
}

fn rows(count: usize) -> Vec<f32> {
    (0..count)
        .flat_map(|index| {
            let index = index as f32;
            [index % 13.0, index % 5.0, index * index, index % 4.0]
        })
        .collect()
}

fn scores(model: &Model, values: &[f32]) -> Vec<f32> {
    let mut scores = Vec::new();
    let mut scorer = Scorer::decode(&model.encode()).unwrap();
    scorer.score_block(values, values.len() / 4, &mut scores).unwrap();
    scores
}

/// The same by definition, in double precision.
fn encoded(row: &[f32]) -> [f64; 6] {
    let mut encoded = [(f64::from(row[0]) - 2.0) / 4.0, 0.0, -1.0, 0.0, 0.0, 0.0];
    let (slot, value) = match row[1] as usize {
        0 => (1, 3.0),
        2 => (2, 2.0),
        _ => (3, 1.0),
    };
    encoded[slot] = value;
    encoded[4] = ((10.0 * f64::from(row[2])).ln_1p() - 1.0) / 2.0;
    encoded[5] = [0.0, 0.5, 1.0, -1.0][row[3] as usize];
    encoded
}

fn forward(widths: &[usize], input: &[f64], transposed: bool) -> Vec<f64> {
    let mut values = input.to_vec();
    for (index, pair) in widths.windows(2).enumerate() {
        let weight = |input: usize, output: usize| {
            let place = if transposed {
                output * pair[0] + input
            } else {
                input * pair[1] + output
            };
            f64::from(((place * 37 + index * 11) % 19) as f32 / 19.0 - 0.4)
        };
        let sum = |output: usize| {
            let terms = values
                .iter()
                .enumerate()
                .map(|(input, value)| value * weight(input, output));
            terms.sum::<f64>() + f64::from(output as f32 / 10.0 - 0.2)
        };
        let sums: Vec<f64> = (0..pair[1]).map(sum).collect();
        let last = index + 2 == widths.len();
        values = sums
            .into_iter()
            .map(|sum| match index % 3 {
                _ if last => sum,
                0 => sum.tanh(),
                1 => sum.max(0.0),
                _ => 1.0 / (1.0 + (-sum).exp()),
            })
            .collect();
    }
    values
}

#[track_caller]
fn check(widths: &[usize], transposed: bool, output: Output) {
    let model = Model {
        network: Network::Dense(network(widths, transposed)),
        ..model(widths, output)
    };
    let values = rows(150);
    let found = scores(&model, &values);
    for (row, found) in values.chunks_exact(4).zip(&found) {
        let input = encoded(row);
        let given = forward(widths, &input, transposed);
        let expected = match output {
            Output::Score { negate } => given[0] * if negate { -1.0 } else { 1.0 },
            Output::Reconstruction => {
                // The number of a nominal column is as many as its categories, each with the weight of the column.
                let errors = input.iter().zip(&given);
                let squares = errors.map(|(seen, given)| (seen - given) * (seen - given));
                (squares.sum::<f64>() / 4.0).sqrt()
            }
        };
        let close = (f64::from(*found) - expected).abs() <= 1e-5 * expected.abs() + 1e-6;
        assert!(close, "{row:?}: {found} instead of {expected}");
    }
}

#[test]
fn scores_are_those_of_the_definition() {
    for transposed in [false, true] {
        check(&[6, 9, 3, 17, 6], transposed, Output::Reconstruction);
        check(&[6, 6], transposed, Output::Reconstruction);
        check(&[6, 8, 1], transposed, Output::Score { negate: false });
        check(&[6, 16, 5, 1], transposed, Output::Score { negate: true });
    }
}

#[test]
fn a_row_has_one_score_in_every_block() {
    let model = model(&[6, 9, 3, 6], Output::Reconstruction);
    let values = rows(131);
    let together = scores(&model, &values);
    let alone: Vec<f32> = values.chunks(4).flat_map(|row| scores(&model, row)).collect();
    assert_eq!(together, alone);
    let in_sevens: Vec<f32> = values.chunks(28).flat_map(|rows| scores(&model, rows)).collect();
    assert_eq!(together, in_sevens);
}

#[test]
fn the_column_that_is_wrong_explains_the_score() {
    // A network that gives 0 back: the error of a column is how far it is from its offset. It falls by (20 / 4)^2.
    let mut graph = GraphBuilder::new("zero");
    let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(6)]);
    let weights = graph.floats("w", &[6, 6], &[0.0; 36]);
    let given = graph.matmul(&value, &weights);
    graph.output("out", &given, &[Dim::Symbol("rows"), Dim::Fixed(6)]);
    let mut reconstruction = Model {
        network: Network::Dense(graph.encode()),
        ..model(&[6, 6], Output::Reconstruction)
    };
    for column in &mut reconstruction.columns[..2] {
        column.typical = 2.0;
    }
    let mut scorer = Scorer::new(&reconstruction).unwrap();
    let explanation = scorer.explain_block(&[22.0, 0.0, 0.0, 0.0], 1, 2).unwrap();
    let [first, second] = explanation.entries() else {
        panic!("two entries")
    };
    assert_eq!((first.column, first.typical), (0, 2.0));
    assert!((first.weight - 25.0 / 31.0).abs() < 1e-3, "{first:?}");
    // The first category is wrong by 3 and 1, the second, which the network expects, by 2.
    assert_eq!((second.column, second.typical), (1, 2.0));

    // A score: what it falls by when a column has its typical value.
    let mut graph = GraphBuilder::new("sum");
    let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(6)]);
    let weights = graph.floats("w", &[6, 1], &[1.0, 0.0, 0.0, 0.0, 0.0, 4.0]);
    let given = graph.matmul(&value, &weights);
    graph.output("out", &given, &[Dim::Symbol("rows"), Dim::Fixed(1)]);
    let score = Model {
        network: Network::Dense(graph.encode()),
        ..model(&[6, 1], Output::Score { negate: false })
    };
    let mut scorer = Scorer::new(&score).unwrap();
    let explanation = scorer.explain_block(&[4.0, 0.0, 5.0, 2.0], 1, 8).unwrap();
    let found: Vec<(usize, f32)> = explanation
        .entries()
        .iter()
        .map(|entry| (entry.column, entry.weight))
        .collect();
    // 4 from the ordinal, and 4 / 4 from the number.
    assert_eq!(found.len(), 2);
    assert!(found[0].0 == 3 && (found[0].1 - 0.8).abs() < 1e-3, "{found:?}");
    assert!(found[1].0 == 0 && (found[1].1 - 0.2).abs() < 1e-3, "{found:?}");
}

#[test]
fn bad_rows_are_named() {
    let mut scorer = Scorer::new(&model(&[6, 6], Output::Reconstruction)).unwrap();
    let mut check = |values: &[f32], rows: usize, part: &str| {
        let error = scorer.score_block(values, rows, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    };
    check(&[0.0; 7], 2, "2 rows of 4 columns are not 7 values");
    check(&[0.0; 4], usize::MAX, "columns are not 4 values");
    let mut values = rows(70);
    values[69 * 4 + 1] = 0.5;
    check(&values, 70, "row 69, column proto: 0.5");
    values[69 * 4 + 1] = -1.0;
    check(&values, 70, "row 69, column proto: -1");
}

#[test]
fn what_is_no_number_is_said() {
    let mut graph = GraphBuilder::new("overflow");
    let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(6)]);
    let weights = graph.floats("w", &[6, 2], &[f32::MAX; 12]);
    let large = graph.matmul(&value, &weights);
    let weights = graph.floats("v", &[2, 1], &[f32::MAX, -f32::MAX]);
    let given = graph.matmul(&large, &weights);
    graph.output("out", &given, &[Dim::Symbol("rows"), Dim::Fixed(1)]);
    let model = Model {
        network: Network::Dense(graph.encode()),
        ..model(&[6, 1], Output::Score { negate: false })
    };
    let mut scorer = Scorer::new(&model).unwrap();
    let found = scorer.score_block(&[40.0, 0.0, 5.0, 2.0], 1, &mut Vec::new());
    assert_eq!(found, Err(RowError::NoNumber { row: 0 }));
}

#[test]
fn contradictions_are_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Model), part: &str) {
        let mut model = model(&[6, 9, 6], Output::Reconstruction);
        change(&mut model);
        let error = Scorer::decode(&model.encode()).unwrap_err();
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
    check(|model| model.columns.clear(), "0 columns");
    check(|model| model.columns.truncate(3), "makes 6 numbers of 6");
    check(
        |model| model.output = Output::Score { negate: false },
        "need 1 of 6",
    );
    check(
        |model| model.columns[0].encoding = number("x", Function::Same, 0.0, 0.0).encoding,
        "ct_srv_src cannot",
    );
    check(|model| model.columns[0].weight = f32::NAN, "ct_srv_src cannot");
    check(|model| model.columns[0].range = [1.0, 0.0], "ct_srv_src cannot");
    check(
        |model| {
            for column in &mut model.columns {
                column.weight = 0.0;
            }
        },
        "weigh nothing",
    );
    check(
        |model| {
            if let Encoding::OneHot { categories, .. } = &mut model.columns[1].encoding {
                categories[0] = 3;
            }
        },
        "proto cannot",
    );
    check(
        |model| model.network = Network::Dense(vec![1, 2, 3]),
        "no ONNX model",
    );
    check(
        |model| {
            let mut graph = GraphBuilder::new("lstm");
            let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(6)]);
            let value = graph.transpose(&value, &[1, 0]);
            graph.output("out", &value, &[]);
            model.network = Network::Dense(graph.encode());
        },
        "operator Transpose",
    );
}

#[test]
fn other_bytes_are_refused() {
    for other in [b"".as_slice(), b"NSONNX\0\x02 and so on"] {
        let error = Scorer::decode(other).unwrap_err();
        assert!(
            matches!(error, ArtifactError::Envelope(artifact::ArtifactError::Format(_))),
            "{error}"
        );
    }
    let mut longer = model(&[6, 6], Output::Reconstruction).encode();
    longer.push(0);
    let error = Scorer::decode(&longer).unwrap_err().to_string();
    assert!(error.contains("1 bytes follow its end"), "{error}");
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = model(&[6, 9, 6], Output::Reconstruction).encode();
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(mut scorer) = Scorer::decode(bytes) {
                let columns = scorer.columns().len();
                let _ = scorer.score_block(&vec![1.0; 3 * columns], 3, &mut Vec::new());
                let _ = scorer.explain_block(&vec![1.0; 3 * columns], 3, 4);
            }
        }
    }

    #[test]
    fn no_row_makes_it_panic(values in proptest::collection::vec(any::<f32>(), 8)) {
        for output in [Output::Reconstruction, Output::Score { negate: true }] {
            let widths = if output == Output::Reconstruction { [6, 9, 6] } else { [6, 9, 1] };
            let mut scorer = Scorer::new(&model(&widths, output)).unwrap();
            let mut scores = Vec::new();
            if scorer.score_block(&values, 2, &mut scores).is_ok() {
                prop_assert!(scores.iter().all(|score| score.is_finite()));
                let explanation = scorer.explain_block(&values, 2, 4).unwrap();
                for row in explanation.rows() {
                    prop_assert!(row.iter().map(|entry| entry.weight).sum::<f32>() <= 1.0);
                    prop_assert!(row.iter().all(|entry| entry.typical.is_finite() && entry.weight >= 0.0));
                }
            }
        }
    }
}
