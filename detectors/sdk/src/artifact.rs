//! The envelope of an artifact: eight bytes that name detector and format, then one value in postcard's encoding.
//!
//! A detector may have any format of its own. This one is small, has no padding, and reports every damage as an error,
//! never by a panic.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why an artifact cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// It does not start with the magic bytes. The text names what was expected, and how to get one.
    #[error("this is no {0}")]
    Format(&'static str),
    /// The encoding is damaged.
    #[error("it is damaged or cut off ({0}); make it again or fetch it again")]
    Encoding(String),
    /// The encoding is intact, but its content contradicts itself.
    #[error("the model contradicts itself: {0}; train it again")]
    Content(String),
}

/// Name and version of a format.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// First bytes of the artifact.
    pub magic: [u8; 8],
    /// What it is, for [`ArtifactError::Format`], e.g. `model of rhythm of format 1; train one with ...`.
    pub name: &'static str,
}

impl Format {
    /// Encodes a value as an artifact.
    pub fn encode(&self, value: &impl Serialize) -> Vec<u8> {
        postcard::to_extend(value, self.magic.to_vec()).expect("a vector grows and every length is known")
    }

    /// Decodes the value of an artifact.
    ///
    /// # Errors
    /// [`ArtifactError::Format`] and [`ArtifactError::Encoding`].
    pub fn decode<T: DeserializeOwned>(&self, artifact: &[u8]) -> Result<T, ArtifactError> {
        last(self.open(artifact)?)
    }

    /// The bytes after the magic bytes, for a detector that decodes piece by piece.
    ///
    /// # Errors
    /// [`ArtifactError::Format`].
    pub fn open<'a>(&self, artifact: &'a [u8]) -> Result<&'a [u8], ArtifactError> {
        artifact
            .strip_prefix(&self.magic)
            .ok_or(ArtifactError::Format(self.name))
    }
}

/// Decodes a value that must take up all of `encoded`.
///
/// # Errors
/// [`ArtifactError::Encoding`].
pub fn last<T: DeserializeOwned>(encoded: &[u8]) -> Result<T, ArtifactError> {
    let (value, rest) = postcard::take_from_bytes(encoded).map_err(damaged)?;
    match rest.len() {
        0 => Ok(value),
        more => Err(ArtifactError::Encoding(format!("{more} bytes follow its end"))),
    }
}

/// An error of postcard as an error of an artifact.
#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` wants")]
pub fn damaged(error: postcard::Error) -> ArtifactError {
    ArtifactError::Encoding(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{ArtifactError, Format};

    #[test]
    fn what_is_written_is_read_and_every_cut_is_an_error() {
        let format = Format {
            magic: *b"TEST\0\0\0\x01",
            name: "test of format 1",
        };
        let value = (7_u32, "text".to_owned(), vec![1.5_f32, -0.0]);
        let bytes = format.encode(&value);
        assert_eq!(format.decode(&bytes), Ok(value));
        for length in 0..bytes.len() {
            let error = format
                .decode::<(u32, String, Vec<f32>)>(&bytes[..length])
                .unwrap_err();
            match error {
                ArtifactError::Format(name) => assert!(length < 8 && name == format.name),
                ArtifactError::Encoding(_) => assert!(length >= 8),
                ArtifactError::Content(_) => panic!("{error}"),
            }
        }
        let longer = [&bytes[..], b"x"].concat();
        let error = format.decode::<(u32, String, Vec<f32>)>(&longer).unwrap_err();
        assert_eq!(
            error,
            ArtifactError::Encoding("1 bytes follow its end".to_owned())
        );
    }
}
