//! From rows of the schema to the block a detector asked for.

use netsage_package::MAX_COLUMNS;
use netsage_schema::{ContextColumn, Rows, Schema, Vocabulary};

use crate::error::{GuestFailure, LoadError, ScoreError};

/// A column that a detector reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputColumn {
    /// Name in the schema, or of the context column.
    pub name: &'static str,
    /// Unit of the values, `""` when there is none.
    pub unit: &'static str,
    /// The terms, for a nominal column.
    pub vocabulary: Option<&'static Vocabulary>,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Position in the schema.
    Feature(usize),
    Context(ContextColumn),
}

impl InputColumn {
    fn find(name: &str, schema: &'static Schema) -> Option<Self> {
        if let Some(index) = schema.index_of(name) {
            let column = &schema.columns[index];
            return Some(Self {
                name: column.name,
                unit: column.unit,
                vocabulary: column.vocabulary(),
                origin: Origin::Feature(index),
            });
        }
        let context = ContextColumn::by_name(name)?;
        let unit = if context == ContextColumn::StartTime {
            "s"
        } else {
            ""
        };
        Some(Self {
            name: context.name(),
            unit,
            vocabulary: None,
            origin: Origin::Context(context),
        })
    }

    /// A value of this column for people: its term when the column is nominal, else the number.
    pub fn show(&self, value: f32) -> String {
        let Some(vocabulary) = self.vocabulary else {
            return value.to_string();
        };
        // A typical value may lie between codes or outside them: then the number is all there is to say.
        let code = (0.0..f32::from(u16::MAX))
            .contains(&value)
            .then_some(value as u16);
        match code
            .filter(|code| f32::from(*code) == value)
            .and_then(|code| vocabulary.term(code))
        {
            Some(term) => term.to_owned(),
            None => value.to_string(),
        }
    }
}

/// One column that drove the score of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColumnContribution {
    /// The column.
    pub column: InputColumn,
    /// Share of the score, 0 to 1.
    pub weight: f32,
    /// The value of the row, as the detector saw it.
    pub value: f32,
    /// The value that would have been typical.
    pub typical: f32,
}

/// The context columns of rows, by row: known for flows, not for plain rows, whose addresses are -1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContextValues {
    values: Vec<[f32; 3]>,
}

impl ContextValues {
    /// For no row yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the context of the next row: seconds since the first flow that the host saw, and keyed
    /// hashes of the addresses, of which the lower 24 bits are used (a `f32` holds them exactly).
    pub fn push(&mut self, start_time: f32, source: u32, destination: u32) {
        let hash = |value: u32| (value & 0x00ff_ffff) as f32;
        self.values.push([start_time, hash(source), hash(destination)]);
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// When the flow of a row started: seconds since the first flow that the host saw. `None` for a row that is not
    /// known.
    pub fn start_time(&self, row: usize) -> Option<f32> {
        self.get(row, ContextColumn::StartTime)
    }

    /// Appends the context of a row of `other`; says whether there is one.
    pub fn push_row_of(&mut self, other: &Self, row: usize) -> bool {
        let context = other.values.get(row);
        self.values.extend(context);
        context.is_some()
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    fn get(&self, row: usize, column: ContextColumn) -> Option<f32> {
        let position = match column {
            ContextColumn::StartTime => 0,
            ContextColumn::Source => 1,
            ContextColumn::Destination => 2,
        };
        self.values.get(row).map(|values| values[position])
    }
}

/// The columns a detector asked for, found once when it was loaded.
#[derive(Debug)]
pub(crate) struct Projection {
    pub(crate) schema: &'static Schema,
    pub(crate) columns: Vec<InputColumn>,
}

impl Projection {
    pub(crate) fn new(names: &[String], schema: &'static Schema) -> Result<Self, LoadError> {
        if !(1..=MAX_COLUMNS).contains(&names.len()) {
            let what = format!("it named {} columns; 1 to {MAX_COLUMNS} are allowed", names.len());
            return Err(GuestFailure::BadReturn {
                call: "columns",
                what,
            }
            .into());
        }
        let find = |name: &String| {
            InputColumn::find(name, schema).ok_or_else(|| LoadError::UnknownColumn {
                column: name.chars().take(64).collect(),
                schema: schema.to_string(),
            })
        };
        let columns = names.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { schema, columns })
    }

    /// Names of the columns, in the order of the detector.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.name).collect()
    }

    /// Writes the block of these rows to `values`, which keeps its memory from block to block, and counts them.
    ///
    /// Values beyond `f32` become its largest: the contract promises finite values.
    pub(crate) fn fill(
        &self,
        rows: &Rows,
        contexts: Option<&ContextValues>,
        block: impl ExactSizeIterator<Item = usize>,
        values: &mut Vec<f32>,
    ) -> Result<u32, ScoreError> {
        values.clear();
        values.reserve(block.len() * self.columns.len());
        let count = block.len() as u32;
        for row in block {
            let features = rows.row(row);
            for column in &self.columns {
                let value = match column.origin {
                    Origin::Feature(index) => features[index] as f32,
                    Origin::Context(context) => match contexts {
                        Some(contexts) => contexts.get(row, context),
                        None => context.unknown(),
                    }
                    .ok_or(ScoreError::NoContext { column: column.name })?,
                };
                if value.is_nan() {
                    return Err(ScoreError::NotANumber {
                        row,
                        column: column.name,
                    });
                }
                values.push(value.clamp(f32::MIN, f32::MAX));
            }
        }
        Ok(count)
    }
}
