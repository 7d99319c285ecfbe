//! The plan of a model: its nodes, their operators, the shape of its rows.

use std::collections::BTreeSet;

use netsage_onnx_format::{Model, Node};

use super::attributes::Attributes;
use super::tensor::{Tensor, count};
use super::{Kernel, classic, elementwise, kernel, layout, product, recurrent, reduce};

/// Most nodes.
const MOST_NODES: usize = 20_000;
/// Domain of the operators of [`classic`].
const CLASSIC: &str = "ai.onnx.ml";

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

/// The output that is asked for, or the only one.
pub(super) fn chosen<'a>(model: &'a Model, output: Option<&'a str>) -> Result<&'a str, String> {
    let names: Vec<&str> = model
        .graph
        .outputs
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    match (output, names.as_slice()) {
        (Some(name), names) if names.contains(&name) => Ok(name),
        (Some(name), _) => Err(format!("it has no output {name}; it has {}", names.join(", "))),
        (None, [name]) => Ok(name),
        (None, _) => Err(format!(
            "it has the outputs {}; say which gives the score or the reconstruction",
            names.join(", ")
        )),
    }
}

/// The nodes that the output needs, in the order of the model.
pub(super) fn needed<'a>(model: &'a Model, output: &str) -> Result<Vec<&'a Node>, String> {
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
    Ok(nodes)
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
            "its input has the shape {rest:?} behind the rows, and the columns become {inputs} numbers"
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

pub(super) fn prepare(node: &Node, model: &Model) -> Result<Kernel, String> {
    let opset = model.opsets.get("").copied().unwrap_or(1);
    let made = match node.domain.as_str() {
        "" if node.operator == "Constant" => Some(constant(node)),
        "" => elementwise::prepare(node)
            .or_else(|| layout::prepare(node))
            .or_else(|| product::prepare(node))
            .or_else(|| recurrent::prepare(node))
            .or_else(|| reduce::prepare(node, opset)),
        CLASSIC if classic::OPERATORS.contains(&node.operator.as_str()) => classic::prepare(node),
        _ => None,
    };
    match made {
        Some(made) => made.map_err(|error| format!("{}: {error}", label(node))),
        None => Err(format!("{} is not known; known are {}", label(node), operators())),
    }
}

/// A constant in a node of its own.
fn constant(node: &Node) -> Result<Kernel, String> {
    let attributes = Attributes(node);
    let tensor = if let Some(tensor) = node.tensors.get("value") {
        Tensor::constant(tensor)?
    } else if let Some(&value) = node.floats.get("value_float") {
        Tensor::floats(&[], vec![value])
    } else if let Some(&value) = node.ints.get("value_int") {
        Tensor::integers(&[], vec![value])
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
