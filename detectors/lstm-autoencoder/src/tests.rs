//! What must hold of the detector.

use proptest::prelude::*;

use crate::artifact::{Encoding, InputColumn, Layer, Memory, Model, SCORE_FLOOR, WINDOW};
use crate::{ArtifactError, Autoencoder, RowError};
use netsage_detector_sdk::maths::{sigmoid, tanh};

/// Numbers from -1 to 1 (SplitMix64).
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn layer(seed: u64, inputs: usize, outputs: usize) -> Layer {
    Layer {
        inputs,
        outputs,
        weights: numbers(seed, inputs * outputs),
        bias: numbers(seed + 1, outputs),
    }
}

fn memory(seed: u64, inputs: usize, hidden: usize) -> Memory {
    Memory {
        hidden,
        input: layer(seed, inputs, 4 * hidden),
        recurrent: numbers(seed + 2, hidden * 4 * hidden),
    }
}

/// An untrained model of three columns; widths are no multiples of what the code works with at once.
fn model() -> Model {
    let numeric = |name: &str, steps: f32| InputColumn {
        name: name.to_owned(),
        encoding: Encoding::Logarithm {
            steps,
            mean: 3.0,
            factor: 0.5,
        },
    };
    Model {
        schema: "unsw-nb15@1".to_owned(),
        columns: vec![
            numeric("sbytes", 1.0),
            InputColumn {
                name: "proto".to_owned(),
                encoding: Encoding::Terms(vec![0, 2, 1, 2]),
            },
            numeric("dur", 1000.0),
        ],
        embedding: layer(10, 5, 9),
        encoder: memory(20, 9, 5),
        code: layer(30, 5, 3),
        decoder: memory(40, 3, 7),
        output: layer(50, 7, 5),
        score_weights: vec![1.0, 0.5, 2.0, 1.0, 0.25],
    }
}

/// Rows of a few sources, in an order that mixes them; the source is the last value.
fn rows(count: usize, sources: usize) -> Vec<[f32; 4]> {
    let values = numbers(7, 4 * count);
    let rows = values.chunks_exact(4).map(|row| {
        let source = ((row[3] + 1.0) * sources as f32 / 2.0).floor();
        [
            (row[0] * 20.0).abs().floor(),
            ((row[1] + 1.0) * 2.4).floor(),
            row[2].abs(),
            source,
        ]
    });
    rows.collect()
}

/// The values of rows, and their sources.
fn parts(rows: &[[f32; 4]]) -> (Vec<f32>, Vec<u64>) {
    let values = rows.iter().flat_map(|row| row[..3].to_vec()).collect();
    (values, rows.iter().map(|row| row[3] as u64).collect())
}

fn score(autoencoder: &mut Autoencoder, rows: &[[f32; 4]]) -> Vec<f32> {
    let (values, sources) = parts(rows);
    let mut scores = Vec::new();
    autoencoder
        .score_block(&values, rows.len(), Some(&sources), &mut scores)
        .unwrap();
    scores
}

/// Scores rows of which nobody knows the sources.
fn score_of_nobody(autoencoder: &mut Autoencoder, rows: &[[f32; 4]]) -> Vec<f32> {
    let mut scores = Vec::new();
    autoencoder
        .score_block(&parts(rows).0, rows.len(), None, &mut scores)
        .unwrap();
    scores
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|score| score.to_bits()).collect()
}

/// The definition, without any regard for speed: the score of the last row of a window.
fn defined(model: &Model, window: &[[f32; 4]]) -> f32 {
    let dense = |layer: &Layer, input: &[f32]| -> Vec<f32> {
        (0..layer.outputs)
            .map(|output| {
                let products = input
                    .iter()
                    .enumerate()
                    .map(|(at, value)| value * layer.weights[at * layer.outputs + output]);
                layer.bias[output] + products.sum::<f32>()
            })
            .collect()
    };
    let step = |memory: &Memory, input: &[f32], state: &mut (Vec<f32>, Vec<f32>)| {
        let (hidden, gates) = (memory.hidden, dense(&memory.input, input));
        let gate = |kind: usize, unit: usize| {
            let at = kind * hidden + unit;
            let products = state
                .0
                .iter()
                .enumerate()
                .map(|(other, value)| value * memory.recurrent[other * 4 * hidden + at]);
            gates[at] + products.sum::<f32>()
        };
        let cells: Vec<f32> = (0..hidden)
            .map(|unit| sigmoid(gate(2, unit)) * state.1[unit] + sigmoid(gate(0, unit)) * tanh(gate(3, unit)))
            .collect();
        let states = (0..hidden)
            .map(|unit| sigmoid(gate(1, unit)) * tanh(cells[unit]))
            .collect();
        *state = (states, cells);
    };
    let begin = |memory: &Memory| (vec![0.0; memory.hidden], vec![0.0; memory.hidden]);
    let (mut encoder, mut decoder) = (begin(&model.encoder), begin(&model.decoder));
    let mut input = Vec::new();
    for row in window {
        let (mut terms, mut of_bytes, mut of_time) = ([0.0; 3], [0.0], [0.0]);
        model.columns[0].encoding.write(row[0], &mut of_bytes);
        model.columns[1].encoding.write(row[1], &mut terms);
        model.columns[2].encoding.write(row[2], &mut of_time);
        input = [&of_bytes[..], &of_time, &terms].concat();
        let embedded: Vec<f32> = dense(&model.embedding, &input).into_iter().map(tanh).collect();
        step(&model.encoder, &embedded, &mut encoder);
        step(&model.decoder, &dense(&model.code, &encoder.0), &mut decoder);
    }
    let output = dense(&model.output, &decoder.0);
    let errors = input.iter().zip(&output).zip(&model.score_weights);
    let sum: f32 = errors.map(|((a, b), weight)| weight * (a - b) * (a - b)).sum();
    (sum + SCORE_FLOOR * SCORE_FLOOR).sqrt()
}

#[test]
fn scores_are_those_of_the_definition_over_the_last_eight_flows() {
    let (model, rows) = (model(), rows(600, 9));
    let found = score(&mut Autoencoder::new(&model), &rows);
    for (at, row) in rows.iter().enumerate() {
        let before = rows[..at].iter().filter(|other| other[3] == row[3]);
        let mut window: Vec<[f32; 4]> = before.copied().collect();
        window.drain(..window.len().saturating_sub(WINDOW - 1));
        window.push(*row);
        let expected = defined(&model, &window);
        assert!(
            (found[at] - expected).abs() <= 1e-5 * expected,
            "row {at}: {} and not {expected}",
            found[at]
        );
    }
}

#[test]
fn an_artifact_comes_back_as_it_was() {
    let model = model();
    let artifact = model.encode();
    assert_eq!(Model::decode(&artifact).unwrap(), model);
    assert_eq!(Model::decode(&artifact).unwrap().encode(), artifact);
}

#[test]
fn a_new_session_knows_nobody() {
    let (model, rows) = (model(), rows(400, 3));
    let mut used = Autoencoder::new(&model);
    let first = score(&mut used, &rows);
    assert_eq!(used.sources(), 3);
    assert_ne!(
        bits(&score(&mut used, &rows)),
        bits(&first),
        "what came before counts"
    );
    assert_eq!(bits(&score(&mut Autoencoder::new(&model), &rows)), bits(&first));
    // In a new session every source begins with a window of one: as if nobody knew it.
    for source in 0..3 {
        let row = *rows.iter().find(|row| row[3] == source as f32).unwrap();
        let mut fresh = Autoencoder::new(&model);
        assert_eq!(
            bits(&score(&mut fresh, &[row])),
            bits(&score_of_nobody(&mut used, &[row]))
        );
    }
}

#[test]
fn rows_of_nobody_are_sources_of_their_own() {
    let model = model();
    let row = [700.0, 1.0, 0.3, 0.0];
    let mut autoencoder = Autoencoder::new(&model);
    let found = score_of_nobody(&mut autoencoder, &[row; 20]);
    assert!(found.iter().all(|score| score.to_bits() == found[0].to_bits()));
    assert_eq!(autoencoder.sources(), 0);
}

#[test]
fn the_source_that_was_silent_longest_is_forgotten_first() {
    let model = model();
    let row = |source: f32| [700.0, 1.0, 0.3, source];
    let alone = score_of_nobody(&mut Autoencoder::new(&model), &[row(0.0)])[0].to_bits();
    // Room for three: 4 comes after 1 spoke again, so 2 is the one to go.
    let order = [1.0, 2.0, 3.0, 1.0, 4.0, 3.0, 1.0, 2.0].map(row);
    let expected = [true, true, true, false, true, false, false, true];
    for cut in 0..=order.len() {
        let mut autoencoder = Autoencoder::with_memory(&model, 3);
        let (first, second) = order.split_at(cut);
        let found = [score(&mut autoencoder, first), score(&mut autoencoder, second)].concat();
        let is_alone: Vec<bool> = found.iter().map(|score| score.to_bits() == alone).collect();
        assert_eq!(is_alone, expected, "cut at {cut}");
        assert_eq!(autoencoder.sources(), 3);
    }
}

#[test]
fn explanations_are_of_the_score_that_was_given() {
    let (model, rows) = (model(), rows(300, 2));
    let mut autoencoder = Autoencoder::new(&model);
    let before = score(&mut autoencoder, &rows[..200]);
    let explain = |autoencoder: &mut Autoencoder, row: &[f32; 4]| {
        let source = row[3] as u64;
        let explanation = autoencoder
            .explain_block(&row[..3], 1, Some(&[source]), 3)
            .unwrap();
        explanation.entries().to_vec()
    };
    // A row of the last block, from its middle: its window is long gone from the histories.
    let entries = explain(&mut autoencoder, &rows[50]);
    assert!(entries.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
    let weights: f32 = entries.iter().map(|entry| entry.weight).sum();
    assert!((0.999..=1.0).contains(&weights), "{weights}");
    // Explaining changes nothing.
    let after = score(&mut autoencoder, &rows[200..]);
    let mut other = Autoencoder::new(&model);
    assert_eq!(bits(&score(&mut other, &rows)), bits(&[before, after].concat()));
    // A row that was not scored is explained as the next one of its source.
    let next = [5_000.0, 1.0, 2.0, 1.0];
    let expected = explain(&mut autoencoder, &next);
    score(&mut autoencoder, &[next]);
    assert_eq!(explain(&mut autoencoder, &next), expected);
}

#[test]
fn typical_values_are_in_the_units_of_their_columns() {
    // A network that always says the same: 0.4 for both numbers and the second term.
    let mut model = model();
    model.output.weights.fill(0.0);
    model.output.bias = vec![0.4, -1.0, 0.0, 0.1, 0.9];
    let mut autoencoder = Autoencoder::new(&model);
    let explanation = autoencoder.explain_block(&[1e6, 0.0, 0.001], 1, None, 3).unwrap();
    let entries = explanation.entries();
    assert_eq!(entries[0].column, 0);
    for entry in entries {
        let expected = match entry.column {
            0 => (0.4_f64 / 0.5 + 3.0).exp() - 1.0,
            1 => 1.0,
            _ => ((-1.0_f64 / 0.5 + 3.0).exp() - 1.0) / 1_000.0,
        };
        assert!(
            (f64::from(entry.typical) - expected).abs() < 1e-4 * expected,
            "{entry:?}, not {expected}"
        );
    }
}

#[test]
fn mistakes_are_named() {
    let mut autoencoder = Autoencoder::new(&model());
    let mut out = Vec::new();
    let check = |autoencoder: &mut Autoencoder, values: &[f32], sources: &[u64], expected: &str| {
        let mut out = Vec::new();
        let message = autoencoder
            .score_block(values, 1, Some(sources), &mut out)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    };
    let of_three = "1 rows of 3 columns are not 4 values";
    check(&mut autoencoder, &[0.0; 4], &[1], of_three);
    check(
        &mut autoencoder,
        &[0.0, 0.5, 0.0],
        &[1],
        "row 0, column proto: 0.5",
    );
    check(
        &mut autoencoder,
        &[0.0, -1.0, 0.0],
        &[1],
        "row 0, column proto: -1",
    );
    check(&mut autoencoder, &[0.0; 3], &[1, 2], "2 values");
    assert_eq!(autoencoder.sources(), 0, "of wrong rows nothing is remembered");
    // A code beyond the vocabulary is no mistake: it has the place of all terms that training did not know.
    autoencoder
        .score_block(&[0.0, 9_999.0, 0.0], 1, Some(&[1]), &mut out)
        .unwrap();
    assert!(matches!(
        autoencoder.explain_block(&[0.0, 0.5, 0.0], 1, None, 3),
        Err(RowError::Code { row: 0, .. })
    ));

    let decode = |change: fn(&mut Model), expected: &str| {
        let mut changed = model();
        change(&mut changed);
        let message = Model::decode(&changed.encode()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    decode(|model| model.score_weights[0] = -1.0, "weight of its score");
    decode(|model| model.output.bias[0] = f32::NAN, "not finite");
    decode(|model| model.columns[0].name.clear(), "without a name");
    decode(
        |model| model.columns[0].name = "a,b".to_owned(),
        "does not read its column",
    );
    decode(
        |model| {
            model.columns[0].encoding = Encoding::Logarithm {
                steps: 0.0,
                mean: 0.0,
                factor: 1.0,
            };
        },
        "scale",
    );
    assert!(matches!(Model::decode(b"no model"), Err(ArtifactError::Onnx(_))));
    let mut other = netsage_onnx_format::GraphBuilder::new("other");
    other.metadata("netsage.format", "autoencoder/1");
    assert!(matches!(
        Model::decode(&other.encode()),
        Err(ArtifactError::Format(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_borders_of_blocks_do_not_show(
        cuts in proptest::collection::vec(1usize..40, 0..60),
        room in 1usize..6,
    ) {
        let (model, rows) = (model(), rows(1_100, 5));
        let whole = score(&mut Autoencoder::with_memory(&model, room), &rows);
        let mut autoencoder = Autoencoder::with_memory(&model, room);
        let (mut rest, mut found) = (&rows[..], Vec::new());
        for cut in cuts {
            let (block, after) = rest.split_at(cut.min(rest.len()));
            found.extend(score(&mut autoencoder, block));
            rest = after;
        }
        // One row at a time from there on.
        for row in rest {
            found.extend(score(&mut autoencoder, std::slice::from_ref(row)));
        }
        prop_assert_eq!(bits(&whole), bits(&found));
    }

    #[test]
    fn any_bytes_and_any_rows_end_in_an_answer(
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..8),
        end in any::<usize>(),
        row in proptest::array::uniform2(any::<f32>()),
        code in 0u16..9,
        source in proptest::option::of(any::<u64>()),
    ) {
        let mut artifact = model().encode();
        let damaged = !damage.is_empty();
        for (position, byte) in damage {
            let place = position % artifact.len();
            artifact[place] = byte;
        }
        if damaged && end % 4 == 0 {
            artifact.truncate(end % artifact.len());
        }
        let finite = row.map(|value| if value.is_finite() { value } else { 0.0 });
        if let Ok(mut autoencoder) = Autoencoder::decode(&artifact) {
            let values = [finite[0], f32::from(code), finite[1]];
            let sources = source.map(|source| [source; 3]);
            let sources = sources.as_ref().map(<[u64; 3]>::as_slice);
            let mut scores = Vec::new();
            let block = [values; 3].concat();
            if autoencoder.score_block(&block, 3, sources, &mut scores).is_ok() {
                prop_assert!(scores.iter().all(|score| score.is_finite() && *score >= 0.0), "{:?}", scores);
                let source = sources.map(|sources| &sources[..1]);
                let explanation = autoencoder.explain_block(&values, 1, source, 9).unwrap();
                prop_assert!(explanation.entries().iter().all(|entry| entry.typical.is_finite()));
            }
        }
    }
}
