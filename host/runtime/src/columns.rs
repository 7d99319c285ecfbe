//! From rows of the schema to the block a detector asked for.

use netsage_package::{Golden, MAX_COLUMNS};
use netsage_schema::{Contexts, Rows, Schema, Vocabulary, WantedContext, narrow};

use crate::bindings::exports::netsage::detector::detector::{Block, Context, Inputs};
use crate::error::{GuestFailure, LoadError, ScoreError};

/// An input of a detector: a column of the schema, or a context that an explanation can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputColumn {
    /// Name in the schema, or of the context.
    pub name: &'static str,
    /// Unit of the values, `""` when there is none.
    pub unit: &'static str,
    /// The terms, for a nominal column.
    pub vocabulary: Option<&'static Vocabulary>,
    /// Position in the schema; `None` for context.
    index: Option<usize>,
}

impl InputColumn {
    /// When a flow began. In an explanation its value is 0, and its typical value is the number of seconds by which the
    /// flow was expected later.
    pub const START_TIME: Self = Self::context("start-time", "s");
    /// The sender of the first packet; explanations show no value, since it is a hash.
    pub const SOURCE: Self = Self::context("source", "");
    /// The other side.
    pub const DESTINATION: Self = Self::context("destination", "");
    /// In the order in which explanations number them.
    const CONTEXT: [Self; 3] = [Self::START_TIME, Self::SOURCE, Self::DESTINATION];

    const fn context(name: &'static str, unit: &'static str) -> Self {
        Self {
            name,
            unit,
            vocabulary: None,
            index: None,
        }
    }

    fn find(name: &str, schema: &'static Schema) -> Option<Self> {
        let index = schema.index_of(name)?;
        let column = &schema.columns[index];
        Some(Self {
            name: column.name,
            unit: column.unit,
            vocabulary: column.vocabulary(),
            index: Some(index),
        })
    }

    /// Position in the schema; `None` for context.
    pub fn index(&self) -> Option<usize> {
        self.index
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
    /// The value of the row, as the detector saw it; 0 for context.
    pub value: f32,
    /// The typical value; for the start time the number of seconds by which the flow was expected later.
    pub typical: f32,
}

/// The first real difference: the first name that the schema with most of these columns does not have. A detector that
/// says nothing of its schema is tried with the default one, where every name may be strange.
fn unknown_column(names: &[String], schema: &'static Schema) -> LoadError {
    let unknown = |schema: &Schema| {
        names
            .iter()
            .filter(|name| schema.index_of(name).is_none())
            .count()
    };
    let closest = Schema::ALL.into_iter().fold(schema, |closest, other| {
        let fewer = unknown(other) < unknown(closest);
        // A schema that has them all is no help: this one is what the rows are of.
        if fewer && unknown(other) > 0 {
            other
        } else {
            closest
        }
    });
    let first = names.iter().find(|name| closest.index_of(name).is_none());
    let column = first.map_or("", String::as_str);
    LoadError::UnknownColumn {
        column: column.chars().take(64).collect(),
        schema: closest.to_string(),
        nearest: closest.nearest(column),
    }
}

fn wanted(context: Context) -> WantedContext {
    WantedContext {
        start_time: context.start_time,
        source: context.source,
        destination: context.destination,
    }
}

/// A block as a detector gets it; buffers are reused from block to block.
#[derive(Debug, Default)]
pub(crate) struct InputBlock {
    rows: u32,
    pub(crate) values: Vec<f32>,
    contexts: Contexts,
    /// Which lists of `contexts` are handed over.
    given: WantedContext,
}

impl InputBlock {
    /// Makes it that of some of the golden rows.
    pub(crate) fn set(&mut self, golden: &Golden, rows: impl ExactSizeIterator<Item = usize>) {
        let width = golden.columns.len();
        self.rows = rows.len() as u32;
        self.values.clear();
        self.given = golden.context;
        self.contexts.clear();
        for row in rows {
            self.values
                .extend_from_slice(&golden.rows[row * width..][..width]);
            self.contexts.push_row_of(&golden.contexts, row);
        }
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    pub(crate) fn lend(&self) -> Block<'_> {
        Block {
            rows: self.rows,
            values: &self.values,
            start_time: self.given.start_time.then(|| self.contexts.starts()),
            source: self.given.source.then(|| self.contexts.sources()),
            destination: self.given.destination.then(|| self.contexts.destinations()),
        }
    }
}

/// The inputs of a detector, looked up once when the detector is loaded.
#[derive(Debug)]
pub(crate) struct Projection {
    pub(crate) schema: &'static Schema,
    pub(crate) columns: Vec<InputColumn>,
    pub(crate) context: WantedContext,
}

impl Projection {
    pub(crate) fn new(inputs: Inputs, schema: &'static Schema) -> Result<Self, LoadError> {
        let Inputs {
            columns: names,
            context,
        } = inputs;
        if !(1..=MAX_COLUMNS).contains(&names.len()) {
            let what = format!("it named {} columns; 1 to {MAX_COLUMNS} are allowed", names.len());
            return Err(GuestFailure::BadReturn { call: "inputs", what }.into());
        }
        let find =
            |name: &String| InputColumn::find(name, schema).ok_or_else(|| unknown_column(&names, schema));
        Ok(Self {
            schema,
            columns: names.iter().map(find).collect::<Result<_, _>>()?,
            context: wanted(context),
        })
    }

    /// Names of the columns, in the order of the detector.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.name).collect()
    }

    /// What explanations can name: the columns, and the three kinds of context.
    pub(crate) fn inputs(&self) -> usize {
        self.columns.len() + InputColumn::CONTEXT.len()
    }

    /// The input that an explanation names; `None` beyond all.
    pub(crate) fn input(&self, number: u32) -> Option<InputColumn> {
        let number = number as usize;
        let context = || InputColumn::CONTEXT.get(number - self.columns.len()).copied();
        self.columns.get(number).copied().or_else(context)
    }

    /// Writes the block of these rows.
    ///
    /// Values are narrowed by [`narrow`]: the contract promises finite ones.
    pub(crate) fn fill(
        &self,
        rows: &Rows,
        contexts: Option<&Contexts>,
        selected: impl ExactSizeIterator<Item = usize>,
        block: &mut InputBlock,
    ) -> Result<(), ScoreError> {
        let contexts = contexts.filter(|_| self.context.any());
        block.values.clear();
        block.values.reserve(selected.len() * self.columns.len());
        block.contexts.clear();
        block.rows = selected.len() as u32;
        block.given = if contexts.is_some() {
            self.context
        } else {
            WantedContext::default()
        };
        for row in selected {
            let features = rows.row(row);
            for column in &self.columns {
                // Only columns of the schema are asked for by name.
                let value = column.index.and_then(|index| narrow(features[index]));
                let value = value.ok_or(ScoreError::NotANumber {
                    row,
                    column: column.name,
                })?;
                block.values.push(value);
            }
            if let Some(contexts) = contexts
                && !block.contexts.push_row_of(contexts, row)
            {
                return Err(ScoreError::NoContext {
                    rows: rows.len(),
                    contexts: contexts.len(),
                });
            }
        }
        Ok(())
    }
}
