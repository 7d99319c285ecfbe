//! The inputs of a detector for each row: columns of the schema and the context of the flow.

use netsage_schema::{AddressKey, Contexts, Kind, Schema, WantedContext, narrow};
use serde::Serialize;

use crate::dataset::{DataError, Dataset};

/// The inputs that a detector asks for, in its order.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Positions in the schema.
    columns: Vec<usize>,
    wanted: WantedContext,
    /// The context of the flows, with the key that the command line uses for files; `None` when the detector does not
    /// ask for it or the file lacks it.
    contexts: Option<Contexts>,
}

impl Chosen {
    /// Finds columns by name.
    ///
    /// # Errors
    /// When a name is not of the schema.
    pub fn of(data: &Dataset, names: &[String], wanted: WantedContext) -> Result<Self, DataError> {
        let schema = data.rows.schema();
        let find = |name: &String| {
            schema.index_of(name).ok_or_else(|| DataError::UnknownColumn {
                column: name.clone(),
                schema: schema.id,
            })
        };
        let is_known = wanted.any() && !data.identities.is_empty();
        Ok(Self {
            columns: names.iter().map(find).collect::<Result<_, _>>()?,
            wanted,
            contexts: is_known.then(|| Contexts::of(&data.identities, &AddressKey::OF_FILES)),
        })
    }

    /// The position in the schema of the column at a position among the chosen ones.
    pub fn column(&self, position: usize) -> Option<usize> {
        self.columns.get(position).copied()
    }

    /// The name of the context that an explanation gives this number.
    pub fn context(&self, number: usize) -> Option<&'static str> {
        let all = WantedContext {
            start_time: true,
            source: true,
            destination: true,
        };
        all.names().nth(number.checked_sub(self.columns.len())?)
    }

    /// The columns of the rows from `start` on, at most `count`, row-major, as a detector gets them.
    pub fn project(&self, data: &Dataset, start: usize, count: usize) -> Vec<f32> {
        let end = start.saturating_add(count).min(data.rows.len());
        let mut values = Vec::with_capacity(self.columns.len() * end.saturating_sub(start));
        for row in start..end {
            let features = data.rows.row(row);
            // The same rule as on the host. Rows of files and captures hold finite numbers.
            let narrowed = |&position: &usize| narrow(features[position]).unwrap_or(f32::NAN);
            values.extend(self.columns.iter().map(narrowed));
        }
        values
    }

    /// When the flows from `start` on began, at most `count` of them; `None` when that was not asked for or is not known.
    pub fn starts(&self, start: usize, count: usize) -> Option<Vec<u64>> {
        self.list(self.wanted.start_time, Contexts::starts, start, count)
    }

    /// Hashes of the sources of these flows, with the same absence.
    pub fn sources(&self, start: usize, count: usize) -> Option<Vec<u64>> {
        self.list(self.wanted.source, Contexts::sources, start, count)
    }

    /// Hashes of the destinations of these flows, with the same absence.
    pub fn destinations(&self, start: usize, count: usize) -> Option<Vec<u64>> {
        self.list(self.wanted.destination, Contexts::destinations, start, count)
    }

    fn list(
        &self,
        wanted: bool,
        of: fn(&Contexts) -> &[u64],
        start: usize,
        count: usize,
    ) -> Option<Vec<u64>> {
        let list = of(self.contexts.as_ref().filter(|_| wanted)?);
        let end = start.saturating_add(count).min(list.len());
        list.get(start..end).map(<[u64]>::to_vec)
    }
}

/// A schema as the contract has it, for `open`.
#[derive(Debug, Serialize)]
pub struct SchemaView {
    id: &'static str,
    version: u32,
    columns: Vec<ColumnView>,
}

#[derive(Debug, Serialize)]
struct ColumnView {
    name: &'static str,
    unit: &'static str,
    kind: &'static str,
    terms: Vec<TermView>,
}

#[derive(Debug, Serialize)]
struct TermView {
    code: u32,
    name: &'static str,
}

impl SchemaView {
    /// The view of a schema.
    pub fn of(schema: &Schema) -> Self {
        let columns = schema.columns.iter().map(|column| {
            let terms = column.vocabulary().map_or(&[][..], |vocabulary| vocabulary.terms);
            ColumnView {
                name: column.name,
                unit: column.unit,
                kind: match column.kind {
                    Kind::Nominal(_) => "nominal",
                    Kind::Count => "count",
                    Kind::Continuous => "continuous",
                    Kind::Flag => "flag",
                },
                terms: (0..)
                    .zip(terms)
                    .map(|(code, &name)| TermView { code, name })
                    .collect(),
            }
        });
        Self {
            id: schema.id,
            version: schema.version,
            columns: columns.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{csv, read, row};
    use crate::sample;
    use netsage_schema::UNSW_NB15;

    const ALL: WantedContext = WantedContext {
        start_time: true,
        source: true,
        destination: true,
    };

    fn chosen(data: &Dataset, names: &[&str], wanted: WantedContext) -> Result<Chosen, DataError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Chosen::of(data, &names, wanted)
    }

    #[test]
    fn rows_are_projected() {
        let rows = [row("1", "0.1", "Normal", "0"), row("3", "9.5", "DoS", "1")];
        let data = read(&csv(&rows.each_ref().map(String::as_str))).unwrap();
        let columns = chosen(&data, &["dur", "proto"], ALL).unwrap();
        assert_eq!(columns.project(&data, 0, 9), [0.1f32, 1.0, 9.5, 1.0]);
        assert_eq!(columns.project(&data, 1, 1), [9.5f32, 1.0]);
        assert!(columns.project(&data, 7, 1).is_empty());
        assert_eq!(
            columns.sources(0, 9),
            None,
            "nobody knows the sources of such a table"
        );
        assert_eq!(columns.context(2), Some("start-time"));
        assert_eq!((columns.context(1), columns.context(5)), (None, None));
        let error = chosen(&data, &["durr"], ALL).unwrap_err().to_string();
        assert!(error.contains("does not have"), "{error}");
    }

    #[test]
    fn contexts_are_those_of_the_host() {
        let data = sample::generate(300, 1, &UNSW_NB15).unwrap();
        let columns = chosen(&data, &["dur"], ALL).unwrap();
        let expected = Contexts::of(&data.identities, &AddressKey::OF_FILES);
        let rows = data.rows.len();
        assert_eq!(columns.starts(0, rows).unwrap(), expected.starts());
        assert_eq!(columns.sources(3, 2).unwrap(), expected.sources()[3..5]);
        assert_eq!(
            columns.destinations(rows - 1, 9).unwrap(),
            expected.destinations()[rows - 1..]
        );
        let none = chosen(&data, &["dur"], WantedContext::default()).unwrap();
        assert_eq!(none.starts(0, rows), None);
    }
}
