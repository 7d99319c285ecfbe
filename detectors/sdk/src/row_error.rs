//! Why rows cannot be scored.

/// Why a model cannot score rows: what most models check beyond [`crate::Block`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowError {
    /// The number of values does not fit.
    #[error("{rows} rows of {columns} columns are not {values} values")]
    Shape {
        /// Rows announced.
        rows: usize,
        /// Columns of the model.
        columns: usize,
        /// Values given.
        values: usize,
    },
    /// A column of codes (of terms, or of sources) holds something else.
    #[error("row {row}, column {column}: {value} is no code that it can hold")]
    Code {
        /// Position of the row, from 0.
        row: usize,
        /// Name of the column.
        column: String,
        /// What it holds.
        value: f32,
    },
}

impl RowError {
    /// Checks that `values` are `rows` rows of so many columns.
    ///
    /// # Errors
    /// [`RowError::Shape`].
    pub fn check_shape(rows: usize, columns: usize, values: &[f32]) -> Result<(), Self> {
        if rows.checked_mul(columns) == Some(values.len()) {
            return Ok(());
        }
        Err(Self::Shape {
            rows,
            columns,
            values: values.len(),
        })
    }
}
