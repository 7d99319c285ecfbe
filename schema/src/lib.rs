//! The feature schema: the names, order, units and vocabularies of every column, defined here once.
//!
//! The flow meter, the host, the training code and the browser all read this definition; none of them
//! keeps a list of columns of its own. That is how training and serving cannot drift apart.
//!
//! This crate must never do I/O or know packets and detectors; it compiles to wasm.
//!
//! Start with [`Schema`], then [`unsw_nb15`] (the dataset as it is, for comparison), [`flow_v1`] (what a gateway should
//! use) and [`record_v1`] (what records of any meter say); [`rows::Rows`] holds rows of a schema, [`FlowBatch`] rows with the identities of their flows,
//! and [`csv`] turns text into such rows and back. [`row!`] builds a row by the names of its columns.
//! The tables of `docs/features.md` are written from these declarations.

mod batch;
mod beside;
pub mod community_id;
pub mod context;
pub mod csv;
pub mod flow_v1;
pub mod json_lines;
mod nearest;
pub mod protocol;
mod provenance;
pub mod record_v1;
pub mod reference;
mod row;
pub mod rows;
mod summary;
pub mod unsw_nb15;
pub mod value;
mod vocabulary;

use std::fmt;

pub use batch::FlowBatch;
pub use beside::Beside;
pub use community_id::CommunityId;
pub use context::{AddressKey, Contexts, WantedContext};
pub use flow_v1::FLOW_V1;
pub use provenance::Provenance;
pub use record_v1::RECORD_V1;
pub use reference::Reference;
pub use rows::{Identity, Rows};
pub use summary::Summary;
pub use unsw_nb15::UNSW_NB15;
pub use value::{ValueError, narrow};
pub use vocabulary::Vocabulary;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A term of a vocabulary; rows hold its code.
    Nominal(&'static Vocabulary),
    /// A whole number of things, 0 or more.
    Count,
    /// A measured quantity.
    Continuous,
    /// 0 or 1.
    Flag,
}

/// One feature column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Name as it stands in a CSV header.
    pub name: &'static str,
    /// Unit of the values, `""` when there is none.
    pub unit: &'static str,
    /// What the values are.
    pub kind: Kind,
    /// How the value is computed, exactly enough to compute it again.
    pub definition: &'static str,
    /// Purpose of the column: which behaviour it tells apart.
    pub purpose: &'static str,
    /// Sources of the column or of its definition; never empty.
    pub citation: &'static [&'static Reference],
}

impl Column {
    const fn new(
        name: &'static str,
        unit: &'static str,
        kind: Kind,
        definition: &'static str,
        purpose: &'static str,
        citation: &'static [&'static Reference],
    ) -> Self {
        Self {
            name,
            unit,
            kind,
            definition,
            purpose,
            citation,
        }
    }

    /// The vocabulary of a nominal column.
    pub fn vocabulary(&self) -> Option<&'static Vocabulary> {
        match self.kind {
            Kind::Nominal(vocabulary) => Some(vocabulary),
            Kind::Count | Kind::Continuous | Kind::Flag => None,
        }
    }
}

/// An ordered set of feature columns with a name and a version.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// Name, e.g. `unsw-nb15`.
    pub id: &'static str,
    /// Raised when a column or a vocabulary changes meaning.
    pub version: u32,
    /// What the schema is for, in a sentence or two.
    pub purpose: &'static str,
    /// The columns, in the order in which rows hold them.
    pub columns: &'static [Column],
}

impl Schema {
    /// Every schema there is.
    pub const ALL: [&'static Schema; 3] = [&UNSW_NB15, &FLOW_V1, &RECORD_V1];

    /// The schema of that name.
    pub fn by_id(id: &str) -> Option<&'static Schema> {
        Self::ALL.into_iter().find(|schema| schema.id == id)
    }

    /// Number of columns.
    pub const fn width(&self) -> usize {
        self.columns.len()
    }

    /// Position of the column of that name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The column that a name which is none was probably to mean.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        nearest::nearest(name, self.columns.iter().map(|column| column.name))
    }
}

/// Name and version, e.g. `unsw-nb15@1`: what model cards and artifacts call the schema.
impl fmt::Display for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.id, self.version)
    }
}
