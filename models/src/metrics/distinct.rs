//! Rows that are counted once.
//!
//! A dataset that repeats rows gives them more weight: one flood of equal flows can decide an area. Beside every figure
//! on all rows stands one on distinct rows.

use std::cmp::Ordering;

use netsage_schema::Rows;

/// The rows that are left when repeated ones are counted once.
///
/// Two rows are the same when all columns of the schema are equal and the label is: a row that occurs both as an attack
/// and as an ordinary flow stays once on each side, because no detector can be right about both. The first of equal
/// rows stays, with its score and its category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct {
    /// Positions of the rows that stay, rising.
    pub rows: Vec<usize>,
    /// Vectors that occur with both labels.
    pub with_both_labels: usize,
}

impl Distinct {
    /// Finds them. `attack` has the label of each row.
    pub fn of(rows: &Rows, attack: &[bool]) -> Self {
        let mut order: Vec<usize> = (0..rows.len().min(attack.len())).collect();
        order.sort_unstable_by(|&a, &b| {
            compare(rows.row(a), rows.row(b))
                .then(attack[a].cmp(&attack[b]))
                .then(a.cmp(&b))
        });
        let (mut first, mut with_both_labels) = (Vec::new(), 0);
        for (position, &row) in order.iter().enumerate() {
            let before = position.checked_sub(1).map(|before| order[before]);
            match before.filter(|&before| compare(rows.row(before), rows.row(row)).is_eq()) {
                Some(before) if attack[before] == attack[row] => {}
                Some(_) => {
                    with_both_labels += 1;
                    first.push(row);
                }
                None => first.push(row),
            }
        }
        first.sort_unstable();
        Self {
            rows: first,
            with_both_labels,
        }
    }

    /// The values of the rows that stay.
    pub fn select<T: Clone>(&self, values: &[T]) -> Vec<T> {
        self.rows.iter().map(|&row| values[row].clone()).collect()
    }
}

fn compare(a: &[f64], b: &[f64]) -> Ordering {
    let values = a.iter().zip(b);
    values
        // Adding 0 makes one number of -0 and 0.
        .map(|(a, b)| (a + 0.0).total_cmp(&(b + 0.0)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}
