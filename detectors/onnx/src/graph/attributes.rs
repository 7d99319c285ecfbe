//! The constant arguments of a node.

use std::cell::RefCell;
use std::collections::BTreeSet;

use netsage_onnx_format::proto::attribute_type::{FLOAT, FLOATS, INT, INTS, STRING, STRINGS, TENSOR};
use netsage_onnx_format::{Node, Tensor};

/// In place of the type of an attribute that is read whatever its type.
const ANY: i32 = 0;
/// In place of a type that no operator here reads.
const OTHER: i32 = -1;

/// The attributes of a node. It remembers which were read, so that one that an operator does not know is refused
/// instead of ignored.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    pub(super) node: &'a Node,
    /// By type, one of [`attribute_type`], and name.
    read: RefCell<BTreeSet<(i32, String)>>,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self {
            node,
            read: RefCell::default(),
        }
    }

    /// An attribute that nothing has read, or that has another type than was read.
    pub(super) fn unread(&self) -> Option<&'a str> {
        let node = self.node;
        let names = (node.ints.keys().map(|name| (INT, name)))
            .chain(node.floats.keys().map(|name| (FLOAT, name)))
            .chain(node.strings.keys().map(|name| (STRING, name)))
            .chain(node.int_lists.keys().map(|name| (INTS, name)))
            .chain(node.float_lists.keys().map(|name| (FLOATS, name)))
            .chain(node.string_lists.keys().map(|name| (STRINGS, name)))
            .chain(node.tensors.keys().map(|name| (TENSOR, name)))
            .chain(node.others.iter().map(|name| (OTHER, name)));
        let read = self.read.borrow();
        let is_read = |kind, name: &str| read.contains(&(kind, name.to_owned()));
        let mut unread = names.filter(|&(kind, name)| !is_read(kind, name) && !is_read(ANY, name));
        unread.next().map(|(_, name)| name.as_str())
    }

    /// Attributes that change nothing that is computed here, whatever their type.
    pub(super) fn without_effect(&self, names: &[&str]) {
        for name in names {
            self.known(ANY, name);
        }
    }

    fn known(&self, kind: i32, name: &str) {
        self.read.borrow_mut().insert((kind, name.to_owned()));
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.known(INT, name);
        self.node.ints.get(name).copied().unwrap_or(default)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.int(name, i64::from(default)) != 0
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.optional_float(name).unwrap_or(default)
    }

    pub(super) fn optional_float(&self, name: &str) -> Option<f32> {
        self.known(FLOAT, name);
        self.node.floats.get(name).copied()
    }

    pub(super) fn text(&self, name: &str, default: &'a str) -> &'a str {
        self.known(STRING, name);
        self.node.strings.get(name).map_or(default, String::as_str)
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'a Tensor> {
        self.known(TENSOR, name);
        self.node.tensors.get(name)
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.known(INTS, name);
        self.node.int_lists.get(name).cloned()
    }

    /// Numbers; empty when absent.
    pub(super) fn floats(&self, name: &str) -> Vec<f32> {
        self.known(FLOATS, name);
        self.node.float_lists.get(name).cloned().unwrap_or_default()
    }

    /// Texts; empty when absent.
    pub(super) fn texts(&self, name: &str) -> &'a [String] {
        self.known(STRINGS, name);
        self.node.string_lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// Non-negative lengths.
    pub(super) fn lengths(&self, name: &str) -> Result<Option<Vec<usize>>, String> {
        let Some(values) = self.ints(name) else {
            return Ok(None);
        };
        let lengths: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
        match lengths {
            Some(lengths) => Ok(Some(lengths)),
            None => Err(format!("its attribute {name} is {values:?}")),
        }
    }
}
