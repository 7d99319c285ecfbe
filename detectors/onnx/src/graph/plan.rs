//! The plan of a model: its nodes, their operators, the shape of its rows.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use netsage_onnx_format::{Model, Node};

use super::attributes::Attributes;
use super::tensor::{Tensor, count};
use super::{Kernel, classic, elementwise, kernel, layout, product, recurrent, reduce};

/// Most nodes.
const MOST_NODES: usize = 20_000;
/// Domain of the operators of [`classic`].
const CLASSIC: &str = "ai.onnx.ml";
/// Versions of ONNX's own operators that mean what is computed here. Before 7 operators were stretched by other rules,
/// and trained unless told otherwise; what is newer may mean something else.
const OPSETS: RangeInclusive<i64> = 7..=26;
/// The same of the operators of [`classic`].
const CLASSIC_OPSETS: RangeInclusive<i64> = 1..=5;

/// The names of all operators that are known; those of scikit-learn's models follow `ai.onnx.ml`.
pub(crate) fn operators() -> String {
    let mut own = BTreeSet::new();
    own.insert("Constant");
    for names in [
        elementwise::OPERATORS,
        layout::OPERATORS,
        product::OPERATORS,
        recurrent::OPERATORS,
        reduce::OPERATORS,
    ] {
        own.extend(names);
    }
    let own: Vec<&str> = own.into_iter().collect();
    format!(
        "{}; of {CLASSIC}: {}",
        own.join(", "),
        classic::OPERATORS.join(", ")
    )
}

/// The output that is asked for, or the only one, and which of the numbers of a row it stands for; none for all.
/// `NAME[1]` asks for the second.
pub(super) fn chosen<'a>(
    model: &'a Model,
    output: Option<&'a str>,
) -> Result<(&'a str, Option<usize>), String> {
    let names: Vec<&str> = model
        .graph
        .outputs
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    let Some(name) = output else {
        let [name] = names.as_slice() else {
            return Err(format!(
                "it has the outputs {}; say which gives the score or the reconstruction",
                names.join(", ")
            ));
        };
        return Ok((name, None));
    };
    if names.contains(&name) {
        return Ok((name, None));
    }
    let part = name.strip_suffix(']').and_then(|name| name.rsplit_once('['));
    match part.and_then(|(name, column)| Some((name, column.parse().ok()?))) {
        Some((name, column)) if names.contains(&name) => Ok((name, Some(column))),
        _ => Err(format!("it has no output {name}; it has {}", names.join(", "))),
    }
}

/// The nodes that the output needs, in the order of the model, and the names of all values that they need of each other.
pub(super) fn needed<'a>(
    model: &'a Model,
    output: &'a str,
) -> Result<(Vec<&'a Node>, BTreeSet<&'a str>), String> {
    if model.graph.nodes.len() > MOST_NODES {
        return Err(format!(
            "it has {} nodes; {MOST_NODES} are allowed",
            model.graph.nodes.len()
        ));
    }
    let mut wanted = BTreeSet::new();
    wanted.insert(output);
    let mut nodes = Vec::new();
    for node in model.graph.nodes.iter().rev() {
        if node.outputs.iter().any(|name| wanted.contains(name.as_str())) {
            for name in &node.inputs {
                wanted.insert(name.as_str());
            }
            nodes.push(node);
        }
    }
    nodes.reverse();
    Ok((nodes, wanted))
}

/// The shape of the input behind the rows, and whether there is only ever one row.
pub(super) fn input_shape(
    stated: Option<&[Option<usize>]>,
    inputs: usize,
) -> Result<(Vec<usize>, bool), String> {
    let Some([rows, rest @ ..]) = stated else {
        return Ok((vec![inputs], false));
    };
    let one_row = match rows {
        None => false,
        Some(1) => true,
        Some(rows) => {
            return Err(format!(
                "it takes {rows} rows at a time; export it with a free number of rows"
            ));
        }
    };
    let mut shape = Vec::with_capacity(rest.len());
    let stated: usize = rest
        .iter()
        .flatten()
        .fold(1, |product, &length| product.saturating_mul(length));
    for length in rest {
        // What is not stated is what is left; of two such lengths the first is.
        let open = shape.iter().product::<usize>().saturating_mul(stated).max(1);
        shape.push(length.unwrap_or_else(|| {
            if shape.is_empty() {
                inputs / stated.max(1)
            } else {
                inputs / open
            }
        }));
    }
    if rest.is_empty() || count(&shape)? != inputs {
        return Err(format!(
            "it reads {stated} numbers of a row, and the columns become {inputs}; give columns that become as many"
        ));
    }
    Ok((shape, one_row))
}

pub(super) fn label(node: &Node) -> String {
    let domain = if node.domain.is_empty() {
        String::new()
    } else {
        format!(" of {}", node.domain)
    };
    if node.name.is_empty() {
        let makes = node.outputs.first().map_or("nothing", String::as_str);
        format!("the operator {}{domain} that makes {makes}", node.operator)
    } else {
        format!("the operator {}{domain} of the node {}", node.operator, node.name)
    }
}

/// The operator of a node, ready to run; `wanted` are the names of the values that are needed.
pub(super) fn prepare(node: &Node, model: &Model, wanted: &BTreeSet<&str>) -> Result<Kernel, String> {
    let problem = |error: String| format!("{}: {error}", label(node));
    let domain = node.domain.as_str();
    let opset = opset(model, domain).map_err(problem)?;
    let attributes = Attributes::new(node);
    let made = match domain {
        "" if node.operator == "Constant" => Some(constant(&attributes)),
        "" => elementwise::prepare(&attributes)
            .or_else(|| layout::prepare(&attributes))
            .or_else(|| product::prepare(&attributes))
            .or_else(|| recurrent::prepare(&attributes))
            .or_else(|| reduce::prepare(&attributes, opset)),
        CLASSIC => classic::prepare(&attributes),
        _ => None,
    };
    let Some(made) = made else {
        return Err(format!(
            "{} is not known; {}",
            label(node),
            way_out(&node.operator)
        ));
    };
    let made = made.map_err(problem)?;
    if let Some(name) = attributes.unread() {
        return Err(problem(format!(
            "its attribute {name} is not known, and may change what it computes; export it without"
        )));
    }
    let most = most_inputs(&node.operator);
    if let Some(place) = node
        .inputs
        .iter()
        .rposition(|name| !name.is_empty())
        .filter(|&place| place >= most)
    {
        return Err(problem(format!(
            "its input {place} ({}) is not known, and may change what it computes; export it without",
            node.inputs[place]
        )));
    }
    let is_wanted = |name: &String| wanted.contains(name.as_str());
    if domain == CLASSIC
        && node.operator.ends_with("Classifier")
        && node.outputs.first().is_some_and(is_wanted)
    {
        return Err(problem(
            "its labels are no scores; ask for its probabilities, e.g. `--output 'probabilities[1]'`"
                .to_owned(),
        ));
    }
    Ok(made)
}

/// Version of the operators of a domain that the model is written for.
fn opset(model: &Model, domain: &str) -> Result<i64, String> {
    let known = match domain {
        "" => OPSETS,
        CLASSIC => CLASSIC_OPSETS,
        // Its operators are named as not known.
        _ => return Ok(0),
    };
    match model.opsets.get(domain) {
        Some(version) if known.contains(version) => Ok(*version),
        Some(version) => Err(format!(
            "the model is written for opset {version}, and {} to {} are known; export it for one of them",
            known.start(),
            known.end()
        )),
        None => Err("the model does not say for which opset it is written; export it again".to_owned()),
    }
}

/// What to do about an operator that is not known.
fn way_out(operator: &str) -> &'static str {
    match operator {
        "ZipMap" => {
            "export it without (`options={'zipmap': False}` for skl2onnx), and ask for its probabilities"
        }
        "If" | "Loop" | "Scan" => "export the model without control flow",
        "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "MatMulInteger"
        | "QLinearMatMul"
        | "QuantizeLinear" => "export the model before it is quantised",
        "OneHotEncoder" | "CategoryMapper" | "DictVectorizer" => {
            "export the model behind it, and encode with `--columns NAME=term|term`"
        }
        "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike" | "Bernoulli"
        | "Multinomial" => "a score must not depend on chance: export the model in evaluation mode",
        _ => "docs/detectors/onnx.md lists those that are; replace it before the export",
    }
}

/// How many inputs of an operator have a meaning here.
fn most_inputs(operator: &str) -> usize {
    match operator {
        "Concat" | "Max" | "Mean" | "Min" | "Sum" => usize::MAX,
        "LSTM" => 7,
        "GRU" | "RNN" => 6,
        "BatchNormalization" | "Slice" => 5,
        "Clip" | "Conv" | "Dropout" | "Gemm" | "LayerNormalization" | "Pad" | "Range" | "Where" => 3,
        "Add"
        | "And"
        | "ArrayFeatureExtractor"
        | "CastLike"
        | "Div"
        | "Equal"
        | "Expand"
        | "Gather"
        | "GatherElements"
        | "Greater"
        | "GreaterOrEqual"
        | "Less"
        | "LessOrEqual"
        | "MatMul"
        | "Mod"
        | "Mul"
        | "Or"
        | "PRelu"
        | "Pow"
        | "Reshape"
        | "Split"
        | "Squeeze"
        | "Sub"
        | "Tile"
        | "Unsqueeze"
        | "Xor" => 2,
        "Constant" => 0,
        _ if operator.starts_with("Reduce") => 2,
        _ => 1,
    }
}

/// A constant in a node of its own.
fn constant(attributes: &Attributes<'_>) -> Result<Kernel, String> {
    let node = attributes.node;
    let tensor = if let Some(tensor) = attributes.tensor("value") {
        Tensor::constant(tensor)?
    } else if let Some(value) = attributes.optional_float("value_float") {
        Tensor::floats(&[], vec![value])
    } else if node.ints.contains_key("value_int") {
        Tensor::integers(&[], vec![attributes.int("value_int", 0)])
    } else if let Some(values) = attributes.ints("value_ints") {
        Tensor::integers(&[values.len()], values)
    } else {
        let values = attributes.floats("value_floats");
        if values.is_empty() {
            return Err("it holds no numbers".to_owned());
        }
        Tensor::floats(&[values.len()], values)
    };
    Ok(kernel(move |_| Ok(tensor.clone())))
}
