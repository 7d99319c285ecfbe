//! The package file: one file that holds code, model, card and golden vectors.
//!
//! It is a WebAssembly component with three custom sections at its top level: [`ARTIFACT_SECTION`], the trained model;
//! [`CARD_SECTION`], the model card as JSON; and [`GOLDEN_SECTION`], rows with the scores expected of them. Every tool
//! that understands components understands packages, and ignores the sections that it does not know.
//!
//! The digest of the whole file is the identity of a package. The digest of the code, the file without these
//! sections, is the key under which compiled code is cached: new weights need no new compilation.
//!
//! This module reads structure only. The runtime finds out whether the code is valid and of the right world when it
//! compiles the code.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use netsage_schema::Schema;
use sha2::{Digest as _, Sha256};

use crate::card::{CardError, ModelCard, known_schema, known_schemas};
use crate::golden::Golden;

/// Name of the custom section that holds the trained model.
pub const ARTIFACT_SECTION: &str = "netsage:artifact";
/// Name of the custom section that holds the model card, JSON.
pub const CARD_SECTION: &str = "netsage:card";
/// Name of the custom section that holds the golden vectors.
pub const GOLDEN_SECTION: &str = "netsage:golden";

/// The property of `describe` by which a detector names the schema of the rows that it scores, e.g. `flow-v1@1`. The
/// schema of a package without a model card is known by this property.
pub const SCHEMA_PROPERTY: &str = "netsage.schema";

/// The largest package, bytes.
pub const MAX_PACKAGE_BYTES: usize = 128 << 20;
/// The largest artifact, bytes.
pub const MAX_ARTIFACT_BYTES: usize = 64 << 20;
/// The largest card, bytes.
pub const MAX_CARD_BYTES: usize = 1 << 20;
/// The largest golden vectors, bytes.
pub const MAX_GOLDEN_BYTES: usize = 2 << 20;

/// Why bytes are not a detector package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The first bytes are not those of WebAssembly.
    #[error(
        "this is not WebAssembly: the file does not begin with `\\0asm`; give a detector package (.wasm)"
    )]
    NotWasm,
    /// WebAssembly, but a core module.
    #[error(
        "this is a core WebAssembly module, not a component; build the detector as a component \
         (see wit/README.md) and pack it"
    )]
    CoreModule,
    /// WebAssembly of an unknown version.
    #[error(
        "this WebAssembly file is of an unknown version ({0:#x}); this program reads components of version 0xd"
    )]
    UnknownVersion(u32),
    /// A section is cut off or has a wrong length.
    #[error("the package is damaged at byte {offset}: {reason}; copy or build it again")]
    Damaged {
        /// Where, from the start of the file.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// There is no artifact section.
    #[error(
        "the package has no section `netsage:artifact`, so the detector has no trained model; \
         make one with `netsage detector pack`"
    )]
    NoArtifact,
    /// A section that may occur once occurs again.
    #[error("the package has more than one section `{0}`; pack it again")]
    Duplicate(&'static str),
    /// The card is refused.
    #[error(transparent)]
    Card(#[from] CardError),
    /// Neither a card nor the detector says which rows it scores.
    #[error(
        "the package does not say for which schema it is: it has no model card, and its detector does not have the \
         property `{SCHEMA_PROPERTY}`; pack it with a model card, or build the detector with the property"
    )]
    NoSchema,
    /// The detector names a schema that this program does not have, or not in this version.
    #[error(
        "the detector says by its property `{SCHEMA_PROPERTY}` that it is for the schema {found:?}, and this program \
         knows {}; build the detector for one of these",
        known_schemas()
    )]
    UnknownSchema {
        /// The schema of the property.
        found: String,
    },
    /// The detector names a schema that is not the one that runs.
    #[error(
        "the detector says by its property `{SCHEMA_PROPERTY}` that it is for the schema {found:?}, and {running} runs \
         here; run with the schema of the detector, or build the detector for {running}"
    )]
    OtherSchema {
        /// The schema of the property.
        found: String,
        /// The schema that runs.
        running: String,
    },
    /// The golden vectors cannot be read.
    #[error("the golden vectors of the package cannot be read: {0}; pack it again")]
    Golden(String),
    /// A part is too large.
    #[error("the {part} has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// `package`, `artifact`, `card` or `golden vectors`.
        part: &'static str,
        /// Its size.
        bytes: usize,
        /// The largest size that is allowed.
        limit: usize,
    },
}

/// A SHA-256 digest; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A detector package in memory. Cloning it copies no bytes.
#[derive(Clone)]
pub struct Package {
    /// A vector, so that bytes which were read for a package are kept and not copied.
    bytes: Arc<Vec<u8>>,
    artifact: Range<usize>,
    card: Option<Range<usize>>,
    golden: Option<Range<usize>>,
    /// The file without the three sections, as the parts of `bytes` to be put together.
    code: Vec<Range<usize>>,
    /// Made when first asked for: whoever looks through packages for one of a schema asks for none.
    digest: OnceLock<Digest>,
    code_digest: OnceLock<Digest>,
}

impl Package {
    /// Reads the structure of a package.
    ///
    /// # Errors
    /// When the bytes are not a component, are damaged, lack the artifact, or exceed a limit.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, PackageError> {
        let bytes = Arc::new(bytes.into());
        let parts = Parts::read(&bytes)?;
        let artifact = parts.artifact.ok_or(PackageError::NoArtifact)?;
        limit("artifact", artifact.len(), MAX_ARTIFACT_BYTES)?;
        if let Some(card) = &parts.card {
            limit("card", card.len(), MAX_CARD_BYTES)?;
        }
        if let Some(golden) = &parts.golden {
            limit("golden vectors", golden.len(), MAX_GOLDEN_BYTES)?;
        }
        Ok(Self {
            digest: OnceLock::new(),
            code_digest: OnceLock::new(),
            artifact,
            card: parts.card,
            golden: parts.golden,
            code: parts.code,
            bytes,
        })
    }

    /// SHA-256 of the whole file: the identity of the package.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(&self.bytes))
    }

    /// SHA-256 of the component without artifact, card and golden vectors: equal when only the model differs.
    pub fn code_digest(&self) -> Digest {
        *self.code_digest.get_or_init(|| {
            let parts = self.code.iter().map(|part| &self.bytes[part.clone()]);
            let hash = parts.fold(Sha256::new(), |hash, part| hash.chain_update(part));
            Digest(hash.finalize().into())
        })
    }

    /// The trained model.
    pub fn artifact(&self) -> &[u8] {
        &self.bytes[self.artifact.clone()]
    }

    /// The model card, JSON, as it stands in the file.
    pub fn card(&self) -> Option<&[u8]> {
        self.card.clone().map(|range| &self.bytes[range])
    }

    /// The model card, when the package brings one; unchecked.
    ///
    /// # Errors
    /// [`PackageError::Card`] when it cannot be read.
    pub fn model_card(&self) -> Result<Option<ModelCard>, PackageError> {
        Ok(self.card().map(ModelCard::from_json).transpose()?)
    }

    /// Rows and the scores expected of them, when the package brings any.
    ///
    /// # Errors
    /// [`PackageError::Golden`] when they cannot be read.
    pub fn golden(&self) -> Result<Option<Golden>, PackageError> {
        let section = self.golden.clone().map(|range| &self.bytes[range]);
        section.map(Golden::decode).transpose()
    }

    /// The schema that the model was trained for, where the package has a card.
    ///
    /// # Errors
    /// [`PackageError::Card`] when the card cannot be read, or names a schema that this program does not know.
    pub fn known_schema(&self) -> Result<Option<&'static Schema>, PackageError> {
        let card = self.model_card()?;
        Ok(card.map(|card| card.known_schema()).transpose()?)
    }

    /// The schema of the rows that the package scores: that of its card, and without a card the one that its detector
    /// names. `property` is the value of the detector's [`SCHEMA_PROPERTY`].
    ///
    /// # Errors
    /// [`PackageError::Card`] as [`known_schema`](Self::known_schema); without a card [`PackageError::NoSchema`] or
    /// [`PackageError::UnknownSchema`].
    pub fn schema(&self, property: Option<&str>) -> Result<&'static Schema, PackageError> {
        if let Some(schema) = self.known_schema()? {
            return Ok(schema);
        }
        let found = property.ok_or(PackageError::NoSchema)?;
        known_schema(found).ok_or_else(|| PackageError::UnknownSchema {
            found: found.chars().take(64).collect(),
        })
    }

    /// Checks a package for rows of `schema` without running the package: the card is for this schema and consistent,
    /// and the golden vectors can be read. Returns the card.
    ///
    /// # Errors
    /// [`PackageError::Card`] or [`PackageError::Golden`].
    pub fn check(&self, schema: &Schema) -> Result<Option<ModelCard>, PackageError> {
        let card = self.model_card()?;
        if let Some(card) = &card {
            card.check(schema)?;
        }
        self.golden()?;
        Ok(card)
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The component without artifact, card and golden vectors.
    pub fn code(&self) -> Vec<u8> {
        join(&self.bytes, &self.code)
    }
}

impl fmt::Debug for Package {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Package")
            .field("digest", &self.digest())
            .field("bytes", &self.bytes.len())
            .field("artifact", &self.artifact.len())
            .finish_non_exhaustive()
    }
}

/// Makes a package from a component, a model, a card and golden vectors. Sections of these names that the component
/// already has are replaced, so that a package can be packed again with another model.
///
/// # Errors
/// When `component` is not a component or is damaged, or a part exceeds its limit.
pub fn pack(
    component: &[u8],
    artifact: &[u8],
    card: Option<&[u8]>,
    golden: Option<&Golden>,
) -> Result<Vec<u8>, PackageError> {
    limit("artifact", artifact.len(), MAX_ARTIFACT_BYTES)?;
    let mut package = strip(component)?;
    append(&mut package, ARTIFACT_SECTION, artifact);
    if let Some(card) = card {
        limit("card", card.len(), MAX_CARD_BYTES)?;
        append(&mut package, CARD_SECTION, card);
    }
    if let Some(golden) = golden {
        let golden = golden.encode();
        limit("golden vectors", golden.len(), MAX_GOLDEN_BYTES)?;
        append(&mut package, GOLDEN_SECTION, &golden);
    }
    limit("package", package.len(), MAX_PACKAGE_BYTES)?;
    Ok(package)
}

/// The component without artifact, card and golden vectors.
///
/// # Errors
/// When `component` is not a component or is damaged.
pub fn strip(component: &[u8]) -> Result<Vec<u8>, PackageError> {
    Ok(join(component, &Parts::read(component)?.code))
}

/// Appends a custom section: its id, its length, and in it the length of the name, the name and the data.
fn append(package: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut head = Vec::new();
    write_leb128(&mut head, name.len());
    head.extend_from_slice(name.as_bytes());
    package.push(CUSTOM_SECTION);
    write_leb128(package, head.len() + data.len());
    package.extend_from_slice(&head);
    package.extend_from_slice(data);
}

fn join(bytes: &[u8], parts: &[Range<usize>]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(ExactSizeIterator::len).sum());
    for part in parts {
        joined.extend_from_slice(&bytes[part.clone()]);
    }
    joined
}

fn limit(part: &'static str, bytes: usize, limit: usize) -> Result<(), PackageError> {
    if bytes > limit {
        Err(PackageError::TooLarge { part, bytes, limit })
    } else {
        Ok(())
    }
}

/// The id of a custom section.
const CUSTOM_SECTION: u8 = 0;

/// Where the parts of a package lie in its bytes.
struct Parts {
    artifact: Option<Range<usize>>,
    card: Option<Range<usize>>,
    golden: Option<Range<usize>>,
    code: Vec<Range<usize>>,
}

impl Parts {
    /// Walks the sections at the top level. A section is an id, a length and that many bytes; what is nested
    /// in it is skipped by its length, so sections of nested components are never taken for ours.
    fn read(bytes: &[u8]) -> Result<Self, PackageError> {
        const MAGIC: [u8; 4] = *b"\0asm";
        const CORE_MODULE: u32 = 1;
        const COMPONENT: u32 = 0x0001_000d;
        /// Bytes of magic number and version.
        const HEADER: usize = 8;

        limit("package", bytes.len(), MAX_PACKAGE_BYTES)?;
        let version = bytes.strip_prefix(&MAGIC).ok_or(PackageError::NotWasm)?;
        match version.first_chunk().copied().map(u32::from_le_bytes) {
            Some(COMPONENT) => {}
            Some(CORE_MODULE) => return Err(PackageError::CoreModule),
            Some(other) => return Err(PackageError::UnknownVersion(other)),
            None => return Err(damaged(bytes.len(), "the file ends within its header")),
        }

        let mut parts = Self {
            artifact: None,
            card: None,
            golden: None,
            code: std::iter::once(0..HEADER).collect(),
        };
        let mut rest = &bytes[HEADER..];
        while !rest.is_empty() {
            let start = bytes.len() - rest.len();
            let section = Section::take(&mut rest)
                .ok_or_else(|| damaged(start, "the section that begins here reaches beyond the end"))?;
            let end = bytes.len() - rest.len();
            let slot = match section.name {
                Some(ARTIFACT_SECTION) => Some((&mut parts.artifact, ARTIFACT_SECTION)),
                Some(CARD_SECTION) => Some((&mut parts.card, CARD_SECTION)),
                Some(GOLDEN_SECTION) => Some((&mut parts.golden, GOLDEN_SECTION)),
                _ => None,
            };
            match (slot, parts.code.last_mut()) {
                (Some((Some(_), name)), _) => return Err(PackageError::Duplicate(name)),
                (Some((empty, _)), _) => *empty = Some(end - section.data.len()..end),
                (None, Some(last)) if last.end == start => last.end = end,
                (None, _) => parts.code.push(start..end),
            }
        }
        Ok(parts)
    }
}

/// One section at the top level.
struct Section<'a> {
    /// Of a custom section; `None` when it is no text, which no section of ours is named.
    name: Option<&'a str>,
    /// What follows the name, or the whole content of another section.
    data: &'a [u8],
}

impl<'a> Section<'a> {
    /// Takes the next section. `None` when it reaches beyond the end, or its name beyond it.
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let (&id, content) = rest.split_first()?;
        *rest = content;
        let mut data = sized(rest)?;
        let mut name = None;
        if id == CUSTOM_SECTION {
            name = std::str::from_utf8(sized(&mut data)?).ok();
        }
        Some(Self { name, data })
    }
}

/// Takes a length and as many bytes.
fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(read_leb128(rest)?).ok()?;
    let (taken, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(taken)
}

/// Takes a number in WebAssembly's variable-length encoding: at most five bytes of seven bits, the lowest first.
fn read_leb128(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
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

fn write_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        bytes.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn damaged(offset: usize, reason: &str) -> PackageError {
    PackageError::Damaged {
        offset,
        reason: reason.to_owned(),
    }
}
