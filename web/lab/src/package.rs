//! Finding the artifact in a detector package.
//!
//! A package is a WebAssembly component with the trained model in a custom section. The browser needs
//! nothing else of the package, as the host serves the code already translated.

/// The custom section that holds the trained model.
pub const ARTIFACT_SECTION: &[u8] = b"netsage:artifact";

const PREAMBLE: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// Why a package holds no artifact that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The first bytes are not those of a component.
    #[error("the package is not a WebAssembly component; make one with `netsage detector pack`")]
    NotAComponent,
    /// A section reaches beyond the end.
    #[error("the package is cut off in the section at byte {offset}; fetch it again")]
    Truncated {
        /// Where the section starts.
        offset: usize,
    },
    /// There is no such section.
    #[error("the package holds no trained model; add one with `netsage detector pack`")]
    NoArtifact,
}

/// The artifact of a package.
///
/// # Errors
/// When the bytes are no component, are cut off, or have no artifact.
pub fn artifact(package: &[u8]) -> Result<&[u8], PackageError> {
    let mut rest = package
        .strip_prefix(&PREAMBLE)
        .ok_or(PackageError::NotAComponent)?;
    while !rest.is_empty() {
        let offset = package.len() - rest.len();
        let section = Section::split(&mut rest).ok_or(PackageError::Truncated { offset })?;
        if section.custom_name() == Some(ARTIFACT_SECTION) {
            return section.custom_data().ok_or(PackageError::Truncated { offset });
        }
    }
    Err(PackageError::NoArtifact)
}

struct Section<'a> {
    id: u8,
    content: &'a [u8],
}

impl<'a> Section<'a> {
    fn split(rest: &mut &'a [u8]) -> Option<Self> {
        let (&id, after_id) = rest.split_first()?;
        let mut tail = after_id;
        let content = sized(&mut tail)?;
        *rest = tail;
        Some(Self { id, content })
    }

    fn custom_name(&self) -> Option<&'a [u8]> {
        let mut content = self.content;
        (self.id == 0).then(|| sized(&mut content)).flatten()
    }

    fn custom_data(&self) -> Option<&'a [u8]> {
        let mut content = self.content;
        sized(&mut content)?;
        Some(content)
    }
}

/// Takes a length and as many bytes.
fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(leb128(rest)?).ok()?;
    let (taken, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(taken)
}

fn leb128(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(name: &[u8], data: &[u8]) -> Vec<u8> {
        let size = u8::try_from(name.len() + data.len() + 1).unwrap();
        [&[0, size, u8::try_from(name.len()).unwrap()], name, data].concat()
    }

    fn check(sections: &[Vec<u8>], expected: Result<&[u8], PackageError>) {
        let package = [PREAMBLE.to_vec(), sections.concat()].concat();
        assert_eq!(artifact(&package), expected);
    }

    #[test]
    fn finds_the_artifact_among_other_sections() {
        check(
            &[custom(b"name", b"x"), custom(ARTIFACT_SECTION, b"model")],
            Ok(b"model"),
        );
        check(&[vec![7, 2, 1, 2], custom(ARTIFACT_SECTION, b"")], Ok(b""));
        check(&[custom(b"name", b"x")], Err(PackageError::NoArtifact));
        check(&[vec![0, 9, 1]], Err(PackageError::Truncated { offset: 8 }));
        check(
            &[vec![0, 0x80, 0x80, 0x80, 0x80, 0x80, 1]],
            Err(PackageError::Truncated { offset: 8 }),
        );
        assert_eq!(artifact(b"\0asm\x01\0\0\0"), Err(PackageError::NotAComponent));
        assert_eq!(artifact(b""), Err(PackageError::NotAComponent));
    }

    #[test]
    fn every_cut_gives_an_error() {
        let whole = [
            PREAMBLE.to_vec(),
            custom(b"name", b"xyz"),
            custom(ARTIFACT_SECTION, b"model"),
        ]
        .concat();
        for length in 0..whole.len() {
            assert!(artifact(&whole[..length]).is_err(), "cut at {length}");
        }
    }
}
