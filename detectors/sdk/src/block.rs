//! Blocks of rows with their context, and explanations.

use crate::Error;

/// Most rows in a block.
pub const MAX_ROWS: usize = 1_024;

/// The context of the flows of a block: times and addresses. A list is absent when the detector did not ask for it or
/// the host does not know it; a list that is present has one entry for each row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contexts<'a> {
    /// When each flow began, microseconds since the Unix epoch.
    pub start_time: Option<&'a [u64]>,
    /// Keyed hash of each source address.
    pub source: Option<&'a [u64]>,
    /// Keyed hash of each destination address, by the same key.
    pub destination: Option<&'a [u64]>,
}

/// A block of feature rows, row-major. The type guarantees the shape that the detector asked for, and finite values.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    columns: usize,
    values: &'a [f32],
    contexts: Contexts<'a>,
}

impl<'a> Block<'a> {
    /// Checks a block of `rows` rows of `columns` columns.
    ///
    /// # Errors
    /// [`Error::BadInput`] when `rows` is not 1 to 1,024, when the number of values is not `rows` times
    /// `columns`, or when a value is not finite.
    #[inline]
    pub fn new(rows: usize, columns: usize, values: &'a [f32]) -> Result<Self, Error> {
        let has_shape =
            columns > 0 && (1..=MAX_ROWS).contains(&rows) && rows.checked_mul(columns) == Some(values.len());
        // No early exit: this runs over every value of every flow, and only so does it vectorise.
        let all_finite = values
            .iter()
            .fold(true, |finite, value| finite & value.is_finite());
        if !has_shape || !all_finite {
            return Err(no_block(rows, columns, values));
        }
        Ok(Self {
            columns,
            values,
            contexts: Contexts::default(),
        })
    }

    /// The same rows with their context.
    ///
    /// # Errors
    /// [`Error::BadInput`] when a list has another number of entries than there are rows.
    #[inline]
    pub fn with_contexts(self, contexts: Contexts<'a>) -> Result<Self, Error> {
        let rows = self.rows();
        let fits = |list: Option<&[u64]>| list.is_none_or(|list| list.len() == rows);
        if !fits(contexts.start_time) || !fits(contexts.source) || !fits(contexts.destination) {
            return Err(Error::BadInput(format!(
                "a list of context has one entry for each of the {rows} rows"
            )));
        }
        Ok(Self { contexts, ..self })
    }

    /// Number of rows, 1 to 1,024.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Number of columns, at least 1.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row-major.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// The context of the rows, as far as it is known.
    pub fn contexts(&self) -> Contexts<'a> {
        self.contexts
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.columns)
    }
}

/// Why [`Block::new`] refuses. Apart from it, so that a row that comes alone pays for no message.
#[cold]
fn no_block(rows: usize, columns: usize, values: &[f32]) -> Error {
    if columns == 0 || rows == 0 || rows > MAX_ROWS {
        return Error::BadInput(format!(
            "a block has 1 to {MAX_ROWS} rows of at least one column, not {rows} rows of {columns}"
        ));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) if rows.checked_mul(columns) == Some(values.len()) => Error::BadInput(format!(
            "row {}, column {}: {} is not a finite number",
            position / columns,
            position % columns,
            values[position]
        )),
        _ => Error::BadInput(format!(
            "{rows} rows of {columns} columns need {} values, and {} came",
            rows.saturating_mul(columns),
            values.len()
        )),
    }
}

/// One input that drove the score of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution {
    /// Position among the columns that the detector asked for; the three numbers after the last of them stand for start
    /// time, source and destination.
    pub column: usize,
    /// Share of the score, 0 to 1.
    pub weight: f32,
    /// The value that would have been typical, in the unit of the column; for the start time how many seconds later it
    /// would have been; for an address 0.
    pub typical: f32,
}

/// The explanations of a block, one row after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    counts: Vec<u32>,
    entries: Vec<Contribution>,
}

impl Explanation {
    /// Appends the entries of the next row, largest contribution first.
    pub fn push_row(&mut self, contributions: impl IntoIterator<Item = Contribution>) {
        let before = self.entries.len();
        self.entries.extend(contributions);
        let count = self.entries.len() - before;
        self.counts
            .push(u32::try_from(count).expect("a row has at most 256 columns"));
    }

    /// Number of entries of each row.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The entries of all rows.
    pub fn entries(&self) -> &[Contribution] {
        &self.entries
    }

    /// The entries of each row.
    pub fn rows(&self) -> impl Iterator<Item = &[Contribution]> {
        let mut rest = self.entries.as_slice();
        self.counts.iter().map(move |&count| {
            let (row, after) = rest.split_at(count as usize);
            rest = after;
            row
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: usize, columns: usize, values: &[f32], expected: Result<(), &str>) {
        match (Block::new(rows, columns, values), expected) {
            (Ok(block), Ok(())) => assert_eq!((block.rows(), block.columns()), (rows, columns)),
            (Err(Error::BadInput(text)), Err(part)) => {
                assert!(text.contains(part), "{text:?} does not say {part:?}");
            }
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn accepts_only_the_shape_asked_for() {
        check(2, 2, &[0.0, 1.0, -1.0, f32::MAX], Ok(()));
        check(0, 2, &[], Err("0 rows"));
        check(1, 0, &[], Err("at least one column"));
        check(1_025, 1, &[0.0; 1_025], Err("1 to 1024 rows"));
        check(2, 2, &[0.0; 3], Err("need 4 values, and 3 came"));
        check(usize::MAX, 2, &[0.0; 3], Err("1 to 1024 rows"));
        check(2, 2, &[0.0, 1.0, f32::NAN, 0.0], Err("row 1, column 0"));
        check(1, 2, &[0.0, f32::NEG_INFINITY], Err("row 0, column 1: -inf"));
    }

    #[test]
    fn contexts_are_whole_or_absent() {
        let block = Block::new(2, 1, &[0.0, 1.0]).unwrap();
        assert_eq!(block.contexts(), Contexts::default());
        let of = |source| Contexts {
            source,
            ..Contexts::default()
        };
        let known = block.with_contexts(of(Some(&[1, 2]))).unwrap();
        assert_eq!(known.contexts().source, Some(&[1, 2][..]));
        let error = block.with_contexts(of(Some(&[1]))).unwrap_err();
        assert!(error.to_string().contains("each of the 2 rows"), "{error}");
    }

    #[test]
    fn explanations_keep_rows_apart() {
        let entry = |column| Contribution {
            column,
            weight: 0.5,
            typical: 1.0,
        };
        let mut explanation = Explanation::default();
        explanation.push_row([entry(3), entry(1)]);
        explanation.push_row([]);
        explanation.push_row([entry(2)]);
        assert_eq!(explanation.counts(), [2, 0, 1]);
        let columns: Vec<Vec<usize>> = explanation
            .rows()
            .map(|row| row.iter().map(|entry| entry.column).collect())
            .collect();
        assert_eq!(columns, [vec![3, 1], vec![], vec![2]]);
    }
}
