//! What a detector is given for each row: features, and where and when the flow was.

use std::collections::HashMap;
use std::net::IpAddr;

use netsage_schema::{ContextColumn, Identity, start_seconds};

use crate::dataset::{DataError, Dataset};

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The feature at this position in the schema.
    Feature(usize),
    /// The place or time of the flow.
    Context(ContextColumn),
}

/// The columns of a detector, in the order in which it wants them.
#[derive(Debug, Default)]
pub struct Chosen {
    columns: Vec<Column>,
    /// For each row the values in the order of [`ContextColumn::ALL`]; empty when nobody asks for them, or when the file
    /// does not say.
    contexts: Vec<[f32; 3]>,
}

impl Chosen {
    /// Finds columns by name.
    ///
    /// # Errors
    /// When a name is not of the schema, or names something that the file does not tell.
    pub fn of(data: &Dataset, names: &[String]) -> Result<Self, DataError> {
        let schema = data.rows.schema();
        let find = |name: &String| match (schema.index_of(name), ContextColumn::by_name(name)) {
            (Some(position), _) => Ok(Column::Feature(position)),
            (None, Some(context)) if data.identities.is_empty() && context.unknown().is_none() => {
                Err(DataError::NoContext(name.clone()))
            }
            (None, Some(context)) => Ok(Column::Context(context)),
            (None, None) => Err(DataError::UnknownColumn {
                column: name.clone(),
                schema: schema.id,
            }),
        };
        let columns = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let asks = columns.iter().any(|column| matches!(column, Column::Context(_)));
        Ok(Self {
            columns,
            contexts: if asks {
                contexts(&data.identities)
            } else {
                Vec::new()
            },
        })
    }

    /// The column at a position among the chosen ones.
    pub fn get(&self, position: usize) -> Option<Column> {
        self.columns.get(position).copied()
    }

    /// The columns of the rows from `start` on, at most `count`, row-major, as a detector gets them.
    pub fn project(&self, data: &Dataset, start: usize, count: usize) -> Vec<f32> {
        let end = start.saturating_add(count).min(data.rows.len());
        let mut values = Vec::with_capacity(self.columns.len() * end.saturating_sub(start));
        for row in start..end {
            let features = data.rows.row(row);
            values.extend(self.columns.iter().map(|&column| match column {
                // The same rounding as on the host: to the nearest f32.
                Column::Feature(position) => features[position] as f32,
                Column::Context(context) => self.context(row, context),
            }));
        }
        values
    }

    fn context(&self, row: usize, context: ContextColumn) -> f32 {
        let known = self.contexts.get(row);
        known.map_or_else(
            || context.unknown().unwrap_or_default(),
            |values| values[context as usize],
        )
    }
}

/// The host gives keyed hashes of addresses, so that a detector never learns one; here they are numbered as they come.
/// Both tell addresses apart, which is all that a detector may use.
fn contexts(identities: &[Identity]) -> Vec<[f32; 3]> {
    let first = identities.first().map_or(0, |identity| identity.start_ns);
    let mut numbers: HashMap<IpAddr, u32> = HashMap::new();
    let mut number = |address: IpAddr| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry(address).or_insert(next) as f32
    };
    identities
        .iter()
        .map(|identity| {
            [
                start_seconds(first, identity.start_ns),
                number(identity.source),
                number(identity.destination),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{csv, read, row};
    use crate::sample;
    use netsage_schema::UNSW_NB15;

    fn chosen(data: &Dataset, names: &[&str]) -> Result<Chosen, DataError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Chosen::of(data, &names)
    }

    #[test]
    fn rows_are_projected() {
        let rows = [row("1", "0.1", "Normal", "0"), row("3", "9.5", "DoS", "1")];
        let data = read(&csv(&rows.each_ref().map(String::as_str))).unwrap();
        let columns = chosen(&data, &["dur", "proto"]).unwrap();
        assert_eq!(columns.project(&data, 0, 9), [0.1f32, 1.0, 9.5, 1.0]);
        assert_eq!(columns.project(&data, 1, 1), [9.5f32, 1.0]);
        assert!(columns.project(&data, 7, 1).is_empty());
        // Nobody knows the sources of such a table.
        let columns = chosen(&data, &["context.source", "dur"]).unwrap();
        assert_eq!(columns.project(&data, 0, 9), [-1.0, 0.1f32, -1.0, 9.5]);
    }

    #[test]
    fn what_the_file_does_not_tell_is_refused() {
        let rows = [row("1", "0.1", "Normal", "0")];
        let data = read(&csv(&rows.each_ref().map(String::as_str))).unwrap();
        let check = |name: &str, expected: &str| {
            let error = chosen(&data, &[name]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("context.start-time", "does not tell");
        check("durr", "does not have");
    }

    #[test]
    fn equal_addresses_have_equal_numbers() {
        let data = sample::generate(300, 1, &UNSW_NB15).unwrap();
        let columns = chosen(
            &data,
            &["context.start-time", "context.source", "context.destination"],
        )
        .unwrap();
        let values = columns.project(&data, 0, data.rows.len());
        let contexts = || values.chunks_exact(3).zip(&data.identities);
        for (values, identity) in contexts() {
            for (other, theirs) in contexts() {
                assert_eq!(values[1] == other[1], identity.source == theirs.source);
                assert_eq!(values[1] == other[2], identity.source == theirs.destination);
            }
        }
        assert_eq!(values[0], 0.0);
        assert!(values.chunks_exact(3).any(|values| values[0] > 1.0));
    }
}
