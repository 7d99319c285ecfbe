//! Pairs the records of both sides and compares their cells.

use std::collections::BTreeMap;

use crate::defect::Defect;
use crate::ours::Metered;
use crate::record::{COLUMNS, Cell, Key, Record};

/// Cells of one column.
#[derive(Debug, Clone, Default)]
pub struct ColumnTally {
    /// Cells compared.
    pub compared: u64,
    /// Cells that are equal.
    pub equal: u64,
    /// The cell that is furthest off.
    pub worst: Option<Difference>,
}

/// A cell in which both sides differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The column, by its place in [`COLUMNS`].
    pub column: usize,
    /// How far off, as [`Cell::distance`] has it.
    pub distance: f64,
    /// The capture and the record.
    pub place: String,
    /// The value of Argus.
    pub argus: Cell,
    /// The value of the meter.
    pub ours: Cell,
}

/// The result of comparing any number of captures.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// One tally for each of [`COLUMNS`].
    pub columns: Vec<ColumnTally>,
    /// Records of Argus about IP addresses.
    pub argus_records: u64,
    /// Records of the meter.
    pub our_records: u64,
    /// Pairs.
    pub matched: u64,
    /// Records of Argus that are about stations instead of IP addresses; the schema has no place for them.
    pub without_address: u64,
    /// Records of either side between ends that exchange IPv6 fragments, which Argus does not put together.
    pub of_fragments: u64,
    /// Cells left out for each defect of Argus, in the order of [`Defect::ALL`].
    pub left_out: [u64; Defect::ALL.len()],
    /// Every cell that differs.
    pub differences: Vec<Difference>,
    /// Records that only Argus has.
    pub only_argus: Vec<String>,
    /// Records that only the meter has.
    pub only_ours: Vec<String>,
}

impl Comparison {
    /// Nothing compared yet.
    pub fn new() -> Self {
        Self {
            columns: vec![ColumnTally::default(); COLUMNS.len()],
            ..Self::default()
        }
    }

    /// Adds the records of one capture; `name` is what differences are reported under.
    pub fn add(&mut self, name: &str, argus: &[Record], ours: &Metered) {
        let mut groups: BTreeMap<Key, (Vec<&Record>, Vec<&Record>)> = BTreeMap::new();
        for record in argus {
            match record.key() {
                Some(key) if ours.has_fragments(&key) => self.of_fragments += 1,
                Some(key) => groups.entry(key).or_default().0.push(record),
                None => self.without_address += 1,
            }
        }
        for record in &ours.records {
            match record.key() {
                Some(key) if ours.has_fragments(&key) => self.of_fragments += 1,
                Some(key) => groups.entry(key).or_default().1.push(record),
                None => {}
            }
        }
        for (theirs, mut candidates) in groups.into_values() {
            self.argus_records += theirs.len() as u64;
            self.our_records += candidates.len() as u64;
            for record in theirs {
                // Two flows of the same ends may begin in the same microsecond (name lookups do).
                let best = (0..candidates.len()).max_by_key(|&index| equal_cells(record, candidates[index]));
                match best {
                    Some(index) => self.pair(name, record, candidates.swap_remove(index)),
                    None => self.only_argus.push(format!("{name}: {record}")),
                }
            }
            self.only_ours
                .extend(candidates.iter().map(|record| format!("{name}: {record}")));
        }
    }

    /// Adds the result of other captures.
    pub fn join(&mut self, other: Self) {
        for (tally, more) in self.columns.iter_mut().zip(other.columns) {
            tally.compared += more.compared;
            tally.equal += more.equal;
            let is_worse = match (&tally.worst, &more.worst) {
                (Some(worst), Some(others)) => others.distance > worst.distance,
                (None, others) => others.is_some(),
                (Some(_), None) => false,
            };
            if is_worse {
                tally.worst = more.worst;
            }
        }
        for (cells, more) in self.left_out.iter_mut().zip(other.left_out) {
            *cells += more;
        }
        self.argus_records += other.argus_records;
        self.our_records += other.our_records;
        self.matched += other.matched;
        self.without_address += other.without_address;
        self.of_fragments += other.of_fragments;
        self.differences.extend(other.differences);
        self.only_argus.extend(other.only_argus);
        self.only_ours.extend(other.only_ours);
    }

    fn pair(&mut self, name: &str, argus: &Record, ours: &Record) {
        self.matched += 1;
        for (column, declared) in COLUMNS.iter().enumerate() {
            let (theirs, own) = (&argus.cells[column], &ours.cells[column]);
            let distance = theirs.distance(own, declared.kind);
            if distance > 0.0
                && let Some(defect) = Defect::of(declared.name, argus, ours)
            {
                self.left_out[defect.index()] += 1;
                continue;
            }
            let tally = &mut self.columns[column];
            tally.compared += 1;
            if distance == 0.0 {
                tally.equal += 1;
                continue;
            }
            let difference = Difference {
                column,
                distance,
                place: format!("{name}: {argus}"),
                argus: theirs.clone(),
                ours: own.clone(),
            };
            if tally.worst.as_ref().is_none_or(|worst| worst.distance < distance) {
                tally.worst = Some(difference.clone());
            }
            self.differences.push(difference);
        }
    }

    /// Cells compared and cells equal, over all columns.
    pub fn cells(&self) -> (u64, u64) {
        self.columns.iter().fold((0, 0), |(compared, equal), tally| {
            (compared + tally.compared, equal + tally.equal)
        })
    }

    /// Share of the records of either side that have a partner, 0 to 1.
    pub fn matched_share(&self) -> f64 {
        share(2 * self.matched, self.argus_records + self.our_records)
    }

    /// Share of the cells of matched records that are equal, 0 to 1.
    pub fn equal_share(&self) -> f64 {
        let (compared, equal) = self.cells();
        share(equal, compared)
    }
}

/// A part of a whole; nothing of nothing is all of it.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

fn equal_cells(left: &Record, right: &Record) -> usize {
    COLUMNS
        .iter()
        .zip(left.cells.iter().zip(&right.cells))
        .filter(|(column, (left, right))| left.distance(right, column.kind) == 0.0)
        .count()
}
