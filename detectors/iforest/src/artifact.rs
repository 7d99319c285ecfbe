//! The artifact: a trained forest as bytes.
//!
//! Eight bytes of magic and version and the postcard encoding of [`Model`]. Whatever the bytes, decoding gives a model
//! or an error; what the model says is checked when a [`Forest`](crate::Forest) is made of it.

pub use netsage_detector_sdk::artifact::ArtifactError;
use netsage_detector_sdk::artifact::{Format, damaged, last};
use serde::{Deserialize, Serialize};

/// Name and version of the format; another layout gets another last byte.
const FORMAT: Format = Format {
    magic: *b"NSIFOR\0\x02",
    name: "isolation forest of format 2; train one with `netsage train iforest`",
};

/// Marks a leaf in [`TreeShape::columns`].
pub const LEAF: u8 = u8::MAX;

/// A trained forest as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// The columns that rows have, in order; 1 to 255.
    pub columns: Vec<InputColumn>,
    /// Training rows per tree, 2 to 2^20.
    pub subsample: u32,
    /// The trees, at least one.
    pub trees: Vec<TreeShape>,
    /// For each column the least and the largest value that training saw (of a nominal column: ranks). A row outside
    /// of them is isolated sooner than by the trees alone. Empty: no row is outside.
    pub ranges: Vec<[f32; 2]>,
    /// The hyperplanes, when splits are extended; `None` when each split is by one column.
    pub planes: Option<Planes>,
}

/// Extended splits (Hariri, Kind and Brunner, 2019): rows are divided by a weighted sum of several columns. A split
/// then names 0 in [`TreeShape::columns`], and its threshold is one of the sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planes {
    /// Columns that a split weighs, 2 to 255.
    pub columns_per_split: u8,
    /// For each split of each tree, in their order, that many columns with their weights. Weights are for values on
    /// the scale of [`scaled`](crate::scaled).
    pub terms: Vec<Term>,
}

/// A column in the sum of an extended split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// Index of the column.
    pub column: u8,
    /// What its scaled value is multiplied by.
    pub weight: f32,
}

/// What [`Model`] holds behind its trees.
#[derive(Debug, Deserialize)]
pub(crate) struct Tail {
    pub(crate) ranges: Vec<[f32; 2]>,
    pub(crate) planes: Option<Planes>,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputColumn {
    /// Its name in the schema.
    pub name: String,
    /// The value that is typical of it: the median in training, for a nominal column the commonest code.
    pub typical: f32,
    /// For a nominal column: the rank of each code by how often training saw it, 0 for the commonest. Splits
    /// compare ranks, so that one split sets rare terms apart from common ones. A code beyond the list, or
    /// one that training never saw, has rank [`InputColumn::unseen_rank`].
    pub ranks: Option<Vec<u16>>,
}

impl InputColumn {
    /// The rank of terms that training never saw: beyond all others.
    pub fn unseen_rank(ranks: &[u16]) -> u16 {
        ranks.iter().copied().max().unwrap_or_default()
    }
}

/// A tree in breadth-first order. The children of the `k`-th split are the nodes `2k + 1` and `2k + 2`, so no
/// links are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TreeShape {
    /// For each node the index of the column that it splits by, or [`LEAF`].
    pub columns: Vec<u8>,
    /// For each split its threshold: rows with smaller values go to the first child.
    pub thresholds: Vec<f32>,
    /// For each leaf the number of training rows that it holds, at least 1.
    pub sizes: Vec<u32>,
}

impl Model {
    /// The artifact of this model.
    pub fn encode(&self) -> Vec<u8> {
        FORMAT.encode(self)
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError::Format`] and [`ArtifactError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        FORMAT.decode(bytes)
    }
}

/// What comes before the trees.
#[derive(Deserialize)]
struct Preface {
    schema: String,
    columns: Vec<InputColumn>,
    subsample: u32,
    trees: u32,
}

/// What [`Model`] holds before its trees.
pub(crate) struct Head {
    pub(crate) schema: String,
    pub(crate) columns: Vec<InputColumn>,
    pub(crate) subsample: u32,
    /// How many trees follow.
    pub(crate) trees: usize,
}

/// The trees of an artifact, read one after the other. It reads what [`Model::decode`] does, at a tenth of the cost:
/// columns and thresholds are copied at once, not value by value.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads what comes before the trees.
    pub(crate) fn new(artifact: &'a [u8]) -> Result<(Self, Head), ArtifactError> {
        let (preface, rest): (Preface, _) =
            postcard::take_from_bytes(FORMAT.open(artifact)?).map_err(damaged)?;
        let head = Head {
            schema: preface.schema,
            columns: preface.columns,
            subsample: preface.subsample,
            trees: preface.trees as usize,
        };
        Ok((Self { rest }, head))
    }

    /// The nodes of the next `trees` trees, which must be all there are and which are not read, and what follows them.
    pub(crate) fn look_ahead(&self, trees: usize) -> Result<(usize, Tail), ArtifactError> {
        let mut ahead = self.clone();
        let mut nodes = 0;
        for _ in 0..trees {
            nodes += ahead.bytes(1)?.len();
            ahead.bytes(size_of::<f32>())?;
            for _ in 0..ahead.number()? {
                ahead.number()?;
            }
        }
        Ok((nodes, last(ahead.rest)?))
    }

    /// Reads the next tree into `shape`, whose memory is used again.
    pub(crate) fn read_tree(&mut self, shape: &mut TreeShape) -> Result<(), ArtifactError> {
        shape.columns.clear();
        shape.columns.extend_from_slice(self.bytes(1)?);
        shape.thresholds.clear();
        let thresholds = self.bytes(size_of::<f32>())?.as_chunks().0;
        shape
            .thresholds
            .extend(thresholds.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        shape.sizes.clear();
        for _ in 0..self.number()? {
            let size = self.number()?;
            shape.sizes.push(size);
        }
        Ok(())
    }

    /// A list of elements that have `width` bytes each: its length, then the elements.
    fn bytes(&mut self, width: usize) -> Result<&'a [u8], ArtifactError> {
        let bytes = (self.number()? as usize).checked_mul(width);
        let (list, rest) = bytes
            .and_then(|bytes| self.rest.split_at_checked(bytes))
            .ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(list)
    }

    /// A number in postcard's form: seven bits a byte, the lowest first, the eighth set on all but the last.
    fn number(&mut self) -> Result<u32, ArtifactError> {
        // Nearly all have one byte.
        if let [first @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(*first));
        }
        let (number, rest) = postcard::take_from_bytes(self.rest).map_err(damaged)?;
        self.rest = rest;
        Ok(number)
    }
}

fn cut_off() -> ArtifactError {
    ArtifactError::Encoding("it ends within a tree".to_owned())
}
