//! Weights that lie in another file, as exporters write them for large models.

use prost::Message as _;

use crate::OnnxError;
use crate::proto::{ModelProto, TensorProto};

/// Where the values of a tensor lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Path of the file, relative to the folder of the model. It comes from the model, so it may be any.
    pub location: String,
    /// Bytes of the file before the values.
    pub offset: u64,
    /// Bytes of the values; none for all up to the end of the file.
    pub length: Option<u64>,
}

/// A model with the weights inside that lie in other files, which `read` reads; the bytes as they are when there are no
/// such weights. What this crate does not read of a model is left out of one that is written again.
///
/// # Errors
/// [`OnnxError::Encoding`], and [`OnnxError::Tensor`] with what `read` says.
pub fn embed(
    bytes: Vec<u8>,
    mut read: impl FnMut(&External) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, OnnxError> {
    let decoded = ModelProto::decode(bytes.as_slice());
    let mut model = decoded.map_err(|error| OnnxError::Encoding(error.to_string()))?;
    let Some(graph) = &mut model.graph else {
        return Ok(bytes);
    };
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    let tensors = attributes.filter_map(|attribute| attribute.t.as_mut());
    let mut found = false;
    for tensor in tensors.chain(&mut graph.initializer) {
        if tensor.is_external() {
            found = true;
            let values = external(tensor).and_then(|external| read(&external));
            tensor.raw_data = Some(values.map_err(|problem| OnnxError::Tensor {
                name: tensor.name.clone().unwrap_or_default(),
                problem,
            })?);
            tensor.external_data.clear();
            tensor.data_location = None;
        }
    }
    Ok(if found { model.encode_to_vec() } else { bytes })
}

impl TensorProto {
    /// Whether the values are in another file.
    pub(crate) fn is_external(&self) -> bool {
        self.data_location == Some(1) || !self.external_data.is_empty()
    }
}

fn external(tensor: &TensorProto) -> Result<External, String> {
    let entry = |key: &str| {
        let mut entries = tensor.external_data.iter();
        let entry = entries.find(|entry| entry.key.as_deref() == Some(key))?;
        entry.value.as_deref()
    };
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("lies in another file at the {key} {text:?}")),
        },
    };
    Ok(External {
        location: entry("location")
            .ok_or("lies in another file without a name")?
            .to_owned(),
        offset: number("offset")?.unwrap_or(0),
        length: number("length")?,
    })
}
