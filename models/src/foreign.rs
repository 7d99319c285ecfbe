//! Networks that were trained elsewhere, in PyTorch, scikit-learn or Keras: from an ONNX file, the columns it reads and
//! the scaler it was trained behind to the artifact of the detector `onnx`, and with ordinary flows to its model card.

pub use netsage_onnx::Output;
use netsage_onnx::artifact::{Network, UNKNOWN};
use netsage_onnx::{Dense, Encoding, Function, InputColumn, Model, Program, Scorer};
use netsage_onnx_format::proto::data_type::{self, INT32, INT64};
use netsage_onnx_format::{Model as OnnxModel, OnnxError};
use netsage_package::ModelCard;
use netsage_schema::{Kind, Schema};
use serde::Deserialize;

use crate::preparation::{Common, TrainError, Trained, gather, typical};
use crate::training::Flows;

/// How the numbers of an encoded row are scaled: one entry for each number, in the order of the columns; a nominal column
/// has one number for each category.
///
/// The names are those of scikit-learn's `StandardScaler` (`mean_`, `scale_`) and `MinMaxScaler` (`data_min_`,
/// `data_max_`), with or without the underscores.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Scaler {
    /// `(x - mean) / scale`.
    Standard {
        /// Of each number.
        #[serde(alias = "mean_")]
        mean: Vec<f64>,
        /// Of each number; not 0.
        #[serde(alias = "scale_")]
        scale: Vec<f64>,
    },
    /// `(x - min) / (max - min)`.
    Range {
        /// Of each number.
        #[serde(alias = "data_min_")]
        min: Vec<f64>,
        /// Of each number.
        #[serde(alias = "data_max_")]
        max: Vec<f64>,
    },
}

/// Why a network cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The file is no ONNX model.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The network reads whole numbers, and a column has fractions.
    #[error(
        "the input {input} of the network is {kind}, and the column {column} becomes fractions; export the network with an input of float32, or give columns of whole numbers without a scaler"
    )]
    Fractions {
        /// Name of the input.
        input: String,
        /// Type of the input.
        kind: &'static str,
        /// The first column that has fractions.
        column: String,
    },
    /// A column is written in a way that is not known.
    #[error("{0}; give names of columns of {1}, `NAME:log` for a logarithm, `NAME=term|term` for categories")]
    Column(String, &'static str),
    /// The scaler does not fit the columns.
    #[error(
        "the scaler has {found} numbers of {name}, and the columns become {expected}; fit it on these columns"
    )]
    Scaler {
        /// `mean`, `scale`, `min` or `max`.
        name: &'static str,
        /// Numbers in the scaler.
        found: usize,
        /// Numbers that a row becomes.
        expected: usize,
    },
    /// The flows have other columns than the network reads.
    #[error(
        "the flows to calibrate on have the schema {found}, and the network reads {expected}; give `--schema {found}` or other flows"
    )]
    Schema {
        /// Schema of the flows.
        found: &'static str,
        /// Schema of the model, with its version.
        expected: String,
    },
    /// The flows do not make a card.
    #[error(transparent)]
    Calibration(#[from] TrainError),
    /// The parts do not make a model, or the network has an operator that is not known.
    #[error("the columns, the scaler and the network do not make a detector: {0}")]
    Model(#[from] netsage_onnx::ArtifactError),
}

/// The model of a network: of its output `named`, or of its only output. Each of `columns` is the name of a column of
/// `schema` that the network gets as it is (the code of a nominal one), `NAME:log` for `ln(1 + x)`, or
/// `NAME=term|term|...` for one number per term: 1 for the term of the row, 0 for the others.
///
/// # Errors
/// [`ForeignError`].
pub fn model(
    onnx: Vec<u8>,
    schema: &'static Schema,
    columns: &[String],
    scaler: Option<&Scaler>,
    output: Output,
    named: Option<&str>,
) -> Result<Model, ForeignError> {
    let decoded = OnnxModel::decode(&onnx)?;
    let mut inputs = columns
        .iter()
        .map(|column| input(schema, column))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(scaler) = scaler {
        scaler.apply(&mut inputs)?;
    }
    check_whole(&decoded, schema, &inputs)?;
    // Chains of dense layers run faster by themselves; all else is walked operator by operator. The loop for the chains
    // does not look at attributes and opsets, which making the graph ready does.
    let width = inputs.iter().map(|column| column.encoding.width()).sum();
    let is_chain = named.is_none() && Dense::new(&decoded).is_ok();
    let network = if is_chain && Program::new(&decoded, width, None).is_ok() {
        Network::Dense(onnx)
    } else {
        Network::Graph {
            onnx,
            output: named.map(str::to_owned),
        }
    };
    let model = Model {
        schema: schema.to_string(),
        columns: inputs,
        output,
        network,
    };
    Scorer::new(&model)?;
    Ok(model)
}

/// What a file is that people take for a network, and what to do about it; none when it may be one.
pub fn another_kind(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let start = start
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(start)
        .trim_ascii_start();
    let lower = start.to_ascii_lowercase();
    let kinds: [(&[u8], &'static str); 10] = [
        (
            b"version https://git-lfs",
            "a Git LFS pointer, which stands for the network; fetch it with `git lfs pull`",
        ),
        (
            b"<!doctype html",
            "a web page, saved in place of the network; download the raw file",
        ),
        (
            b"<html",
            "a web page, saved in place of the network; download the raw file",
        ),
        (b"<?xml", "XML; export the network as ONNX"),
        (b"{", "JSON; export the network as ONNX"),
        (
            b"pk\x03\x04",
            "a zip archive, as PyTorch and Keras write; unpack it, or export the network as ONNX",
        ),
        (b"\x1f\x8b", "compressed by gzip; unpack it"),
        (b"\x80", "a pickle of Python; export the network as ONNX"),
        (b"\x89hdf", "a model of Keras in HDF5; export it as ONNX"),
        (
            b"ortm",
            "a model in the format of onnxruntime; give the ONNX file that it was made of",
        ),
    ];
    // The format of onnxruntime has its name behind four bytes.
    let named = |kind: &[u8]| lower.starts_with(kind) || (kind == b"ortm" && lower.get(4..8) == Some(kind));
    kinds.iter().find(|(kind, _)| named(kind)).map(|&(_, what)| what)
}

/// Whether a network of whole numbers gets whole numbers.
fn check_whole(model: &OnnxModel, schema: &Schema, columns: &[InputColumn]) -> Result<(), ForeignError> {
    let whole = |input: &&netsage_onnx_format::Input| [INT32, INT64].contains(&input.data_type);
    let Some(input) = model.graph.inputs.first().filter(whole) else {
        return Ok(());
    };
    let is_whole = |value: &f32| value.fract() == 0.0;
    let has_fractions = |column: &&InputColumn| match &column.encoding {
        Encoding::Number {
            function,
            offset,
            scale,
            ..
        } => {
            let kind = schema
                .index_of(&column.name)
                .map(|place| schema.columns[place].kind);
            *function != Function::Same
                || !is_whole(offset)
                || *scale != 1.0
                || kind == Some(Kind::Continuous)
        }
        Encoding::OneHot { values, .. } => !values.iter().flatten().all(is_whole),
        Encoding::Ordinal { numbers, unknown } => !numbers.iter().chain([unknown]).all(is_whole),
    };
    match columns.iter().find(has_fractions) {
        Some(column) => Err(ForeignError::Fractions {
            input: input.name.clone(),
            kind: data_type::name(input.data_type),
            column: column.name.clone(),
        }),
        None => Ok(()),
    }
}

/// A model without flows to calibrate it on: its card says what the model is, and has neither threshold nor percentiles.
pub fn uncalibrated(model: &Model, schema: &'static Schema, common: &Common) -> Trained {
    let card = ModelCard {
        detector: Some("onnx".to_owned()),
        ..common.unmeasured_card(schema, names(model))
    };
    Trained {
        detector: "onnx",
        artifact: model.encode(),
        card,
    }
}

/// The columns that a model reads.
fn names(model: &Model) -> Vec<String> {
    model.columns.iter().map(|column| column.name.clone()).collect()
}

/// Scores ordinary flows with a model and makes a card from the scores: threshold, calibration and the distributions that
/// drift is measured against. The typical values and ranges of explanations come from the flows as well.
///
/// The threshold is the quantile `common.threshold_quantile` of the scores of all flows. Give other flows than the
/// network was trained on: a network scores its training flows lower than new ones.
///
/// # Errors
/// [`ForeignError`].
pub fn calibrate(mut model: Model, flows: Flows<'_>, common: &Common) -> Result<Trained, ForeignError> {
    let (rows, schema) = (flows.rows, flows.rows.schema());
    let id = schema.to_string();
    if id != model.schema {
        return Err(ForeignError::Schema {
            found: schema.id,
            expected: model.schema,
        });
    }
    common.check(rows)?;
    let places: Vec<usize> = model
        .columns
        .iter()
        .filter_map(|column| schema.index_of(&column.name))
        .collect();
    let all: Vec<usize> = (0..rows.len()).collect();
    let table = gather(rows, &all, &places)?;
    for ((column, values), &place) in model.columns.iter_mut().zip(table.columns()).zip(&places) {
        column.typical = typical(&schema.columns[place], values.iter().copied()).0;
        column.range = values.iter().fold([f32::MAX, -f32::MAX], |[low, high], &value| {
            [low.min(value), high.max(value)]
        });
    }
    let values: Vec<f32> = table.iter().copied().collect();
    let mut scores = Vec::with_capacity(rows.len());
    Scorer::new(&model)?
        .score_block(&values, rows.len(), &mut scores)
        .map_err(|error| TrainError::Score(error.to_string()))?;
    let mut card = common.card(schema, names(&model), rows.len(), scores);
    card.detector = Some("onnx".to_owned());
    card.threshold_rule = format!(
        "the {} quantile of the scores of {} ordinary rows that it was calibrated on",
        common.threshold_quantile,
        rows.len()
    );
    // Nobody knows here whether the network was trained on these rows, so they are no held-out ones.
    card.figures.clear();
    let mut trained = Trained {
        detector: "onnx",
        artifact: model.encode(),
        card,
    };
    trained.describe(rows, flows.identities);
    Ok(trained)
}

fn input(schema: &'static Schema, text: &str) -> Result<InputColumn, ForeignError> {
    let unknown = |problem: String| ForeignError::Column(problem, schema.id);
    let (name, terms) = match text.split_once('=') {
        Some((name, terms)) => (name, Some(terms)),
        None => (text, None),
    };
    let (name, logarithm) = match name.strip_suffix(":log") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let index = schema
        .index_of(name)
        .ok_or_else(|| unknown(format!("there is no column {name}")))?;
    let vocabulary = schema.columns[index].vocabulary();
    let encoding = match (terms, vocabulary) {
        (Some(_), None) => return Err(unknown(format!("{name} has no terms"))),
        (Some(terms), Some(vocabulary)) => {
            let mut categories = vec![UNKNOWN; vocabulary.terms.len()];
            let mut count = 0u16;
            for term in terms.split('|') {
                let code = vocabulary
                    .code_of(term)
                    .ok_or_else(|| unknown(format!("{name} has no term {term}")))?;
                categories[usize::from(code)] = count;
                count += 1;
            }
            Encoding::OneHot {
                categories,
                count,
                other: None,
                values: vec![[0.0, 1.0]; usize::from(count)],
            }
        }
        (None, Some(_)) if logarithm => {
            return Err(unknown(format!("the codes of {name} have no logarithm")));
        }
        (None, Some(vocabulary)) => Encoding::Ordinal {
            numbers: (0..vocabulary.terms.len()).map(|code| code as f32).collect(),
            unknown: vocabulary.terms.len() as f32,
        },
        (None, None) => Encoding::Number {
            function: if logarithm {
                Function::Logarithm { steps: 1.0 }
            } else {
                Function::Same
            },
            offset: 0.0,
            scale: 1.0,
            limit: 1e30,
        },
    };
    Ok(InputColumn {
        name: name.to_owned(),
        typical: 0.0,
        range: [0.0, f32::MAX],
        weight: 1.0,
        encoding,
    })
}

impl Scaler {
    fn apply(&self, columns: &mut [InputColumn]) -> Result<(), ForeignError> {
        let expected: usize = columns.iter().map(|column| column.encoding.width()).sum();
        let named = match self {
            Self::Standard { mean, scale } => [("mean", mean), ("scale", scale)],
            Self::Range { min, max } => [("min", min), ("max", max)],
        };
        for (name, numbers) in named {
            let found = numbers.len();
            if found != expected {
                return Err(ForeignError::Scaler {
                    name,
                    found,
                    expected,
                });
            }
        }
        let mut pairs = named[0]
            .1
            .iter()
            .zip(named[1].1)
            .map(|(&first, &second)| match self {
                Self::Standard { .. } => (first, second),
                Self::Range { .. } => (first, second - first),
            });
        let mut scale = || pairs.next().unwrap_or((0.0, 1.0));
        for column in columns {
            match &mut column.encoding {
                Encoding::Number {
                    offset,
                    scale: divisor,
                    function,
                    ..
                } => {
                    let (mean, deviation) = scale();
                    (*offset, *divisor) = (mean as f32, deviation as f32);
                    // The mean is what is typical, as far as the scaler knows.
                    column.typical = match function {
                        Function::Same => mean as f32,
                        Function::Logarithm { .. } => mean.exp_m1() as f32,
                    };
                }
                Encoding::OneHot { values, .. } => {
                    for value in values {
                        let (mean, deviation) = scale();
                        *value = value.map(|value| ((f64::from(value) - mean) / deviation) as f32);
                    }
                }
                Encoding::Ordinal { numbers, unknown } => {
                    let (mean, deviation) = scale();
                    for number in numbers.iter_mut().chain([unknown]) {
                        *number = ((f64::from(*number) - mean) / deviation) as f32;
                    }
                }
            }
        }
        Ok(())
    }
}
