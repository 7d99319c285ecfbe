//! The constant arguments of a node.

use netsage_onnx_format::Node;

#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a>(pub(super) &'a Node);

impl<'a> Attributes<'a> {
    pub(super) fn int(self, name: &str, default: i64) -> i64 {
        self.0.ints.get(name).copied().unwrap_or(default)
    }

    pub(super) fn flag(self, name: &str, default: bool) -> bool {
        self.int(name, i64::from(default)) != 0
    }

    pub(super) fn float(self, name: &str, default: f32) -> f32 {
        self.0.floats.get(name).copied().unwrap_or(default)
    }

    pub(super) fn text(self, name: &str, default: &'a str) -> &'a str {
        self.0.strings.get(name).map_or(default, String::as_str)
    }

    pub(super) fn ints(self, name: &str) -> Option<Vec<i64>> {
        self.0.int_lists.get(name).cloned()
    }

    /// Numbers; empty when absent.
    pub(super) fn floats(self, name: &str) -> Vec<f32> {
        self.0.float_lists.get(name).cloned().unwrap_or_default()
    }

    /// Texts; empty when absent.
    pub(super) fn texts(self, name: &str) -> &'a [String] {
        self.0.string_lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// Non-negative lengths.
    pub(super) fn lengths(self, name: &str) -> Result<Option<Vec<usize>>, String> {
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
