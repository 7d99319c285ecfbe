//! Rows built by the names of their columns, at no cost at run time.

use crate::Schema;

impl Schema {
    /// As [`Self::index_of`], for constants.
    ///
    /// # Panics
    /// When there is no column of that name; in a constant that is an error of the compiler.
    pub const fn position(&self, name: &str) -> usize {
        let mut position = 0;
        while position < self.columns.len() {
            if is_equal(self.columns[position].name, name) {
                return position;
            }
            position += 1;
        }
        panic!("the schema has no column of this name")
    }

    /// Whether `names` are those of the columns, each once, in any order.
    pub const fn has_exactly(&self, names: &[&str]) -> bool {
        let mut position = 0;
        while position < self.columns.len() {
            let mut found = 0;
            let mut other = 0;
            while other < names.len() {
                found += is_equal(self.columns[position].name, names[other]) as usize;
                other += 1;
            }
            if found != 1 {
                return false;
            }
            position += 1;
        }
        names.len() == self.columns.len()
    }
}

pub(crate) const fn is_equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut position = 0;
    while position < one.len() {
        if one[position] != other[position] {
            return false;
        }
        position += 1;
    }
    true
}

/// A row of a schema, an array of `f64`, with each value beside the name of its column.
///
/// The compiler refuses a name that the schema does not have, a column that is left out, and one that stands twice:
/// `row!(FLOW_V1, { duration: 1.5 })` does not compile, since 67 columns are missing.
///
/// ```compile_fail
/// use netsage_schema::{FLOW_V1, row};
/// let row = row!(FLOW_V1, { duration: 1.5 });
/// ```
#[macro_export]
macro_rules! row {
    ($schema:path, { $($column:ident: $value:expr),* $(,)? }) => {{
        // An item, which `cargo check` evaluates too.
        const _: () = assert!(
            $schema.has_exactly(&[$(stringify!($column)),*]),
            "a row has one value for each column of its schema"
        );
        let mut row = [0.0_f64; $schema.width()];
        $(row[const { $schema.position(stringify!($column)) }] = $value;)*
        row
    }};
}

#[cfg(test)]
mod tests {
    use crate::FLOW_V1;

    #[test]
    fn columns_are_found_by_name() {
        for schema in crate::Schema::ALL {
            for (position, column) in schema.columns.iter().enumerate() {
                assert_eq!(schema.position(column.name), position);
            }
        }
    }

    #[test]
    fn a_row_has_every_column_once() {
        let names: Vec<&str> = FLOW_V1.columns.iter().map(|column| column.name).collect();
        let reversed: Vec<&str> = names.iter().rev().copied().collect();
        let twice: Vec<&str> = names[1..].iter().chain(&names[1..2]).copied().collect();
        for (names, expected) in [
            (&names[..], true),
            (&reversed[..], true),
            (&names[1..], false),
            (&twice[..], false),
            (&[], false),
        ] {
            assert_eq!(FLOW_V1.has_exactly(names), expected, "{names:?}");
        }
    }
}
