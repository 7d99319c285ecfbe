//! The result as a table for people.

use std::fmt;

use crate::compare::{Comparison, share};
use crate::defect::Defect;
use crate::record::COLUMNS;

/// Prints a [`Comparison`]: a line per column, then the records.
#[derive(Debug)]
pub struct Report<'a> {
    /// What is printed.
    pub comparison: &'a Comparison,
    /// How many unequal cells and unpaired records are listed.
    pub listed: usize,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = self.comparison;
        writeln!(
            formatter,
            "{:<8} {:>9} {:>9} {:>9}  worst cell",
            "column", "compared", "equal", "share"
        )?;
        for (column, tally) in COLUMNS.iter().zip(&comparison.columns) {
            write!(
                formatter,
                "{:<8} {:>9} {:>9} {:>8.3}%",
                column.name,
                tally.compared,
                tally.equal,
                100.0 * share(tally.equal, tally.compared)
            )?;
            match &tally.worst {
                Some(worst) => writeln!(
                    formatter,
                    "  argus {}, netsage {} in {}",
                    worst.argus, worst.ours, worst.place
                )?,
                None => writeln!(formatter)?,
            }
        }
        let (compared, equal) = comparison.cells();
        writeln!(
            formatter,
            "all      {compared:>9} {equal:>9} {:>8.3}%",
            100.0 * comparison.equal_share()
        )?;
        writeln!(
            formatter,
            "records: {} of argus, {} of netsage, {} matched ({:.3}%), {} only argus, {} only netsage",
            comparison.argus_records,
            comparison.our_records,
            comparison.matched,
            100.0 * comparison.matched_share(),
            comparison.only_argus.len(),
            comparison.only_ours.len(),
        )?;
        writeln!(
            formatter,
            "left out: {} records of argus without an IP address, {} records of either side between ends with IPv6 fragments",
            comparison.without_address, comparison.of_fragments
        )?;
        for (defect, cells) in Defect::ALL.into_iter().zip(comparison.left_out) {
            writeln!(formatter, "left out: {cells} cells: {defect}")?;
        }
        self.list(formatter)
    }
}

impl Report<'_> {
    fn list(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in self.comparison.differences.iter().take(self.listed) {
            writeln!(
                formatter,
                "unequal {}: argus {}, netsage {} in {}",
                COLUMNS[difference.column].name, difference.argus, difference.ours, difference.place
            )?;
        }
        for record in self.comparison.only_argus.iter().take(self.listed) {
            writeln!(formatter, "only argus: {record}")?;
        }
        for record in self.comparison.only_ours.iter().take(self.listed) {
            writeln!(formatter, "only netsage: {record}")?;
        }
        Ok(())
    }
}
