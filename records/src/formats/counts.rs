//! How many items were read, passed over and refused, and why.

use std::fmt;

use super::refusal::{PassedOver, Refusal};

/// A number for each reason. Reasons are few, so they are looked for one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<R> {
    counts: Vec<(R, u64)>,
}

impl<R> Default for Tally<R> {
    fn default() -> Self {
        Self { counts: Vec::new() }
    }
}

impl<R: Copy + Eq> Tally<R> {
    /// Counts a reason some times more.
    pub fn add(&mut self, reason: R, times: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += times,
            None => self.counts.push((reason, times)),
        }
    }

    /// How often a reason was counted.
    pub fn of(&self, reason: R) -> u64 {
        (self.counts.iter())
            .find(|(known, _)| *known == reason)
            .map_or(0, |(_, count)| *count)
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The reasons in the order in which each came first.
    pub fn iter(&self) -> impl Iterator<Item = (R, u64)> {
        self.counts.iter().copied()
    }
}

/// What has become of items. As text it is one sentence without a full stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that are records.
    pub records: u64,
    /// Those that are as they should be and are no flows.
    pub passed_over: Tally<PassedOver>,
    /// Those that cannot be read.
    pub refused: Tally<Refusal>,
}

impl Counts {
    /// All items.
    pub fn items(&self) -> u64 {
        self.records + self.passed_over.total() + self.refused.total()
    }

    /// Items that are no records, but for those that are no items to whoever reads the bytes: headers and blank lines.
    pub fn unused(&self) -> u64 {
        let passed_over: u64 = (self.passed_over.iter())
            .filter(|(reason, _)| !matches!(reason, PassedOver::Header | PassedOver::Blank))
            .map(|(_, count)| count)
            .sum();
        passed_over + self.refused.total()
    }

    /// Adds the counts of another reader.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        for (reason, times) in other.passed_over.iter() {
            self.passed_over.add(reason, times);
        }
        for (refusal, times) in other.refused.iter() {
            self.refused.add(refusal, times);
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} records", self.records)?;
        for (place, (reason, times)) in self.passed_over.iter().enumerate() {
            let before = if place == 0 { "; passed over: " } else { ", " };
            write!(formatter, "{before}{times} {reason}")?;
        }
        for (place, (refusal, times)) in self.refused.iter().enumerate() {
            let before = if place == 0 { "; refused: " } else { ", " };
            write!(formatter, "{before}{times} ({refusal})")?;
        }
        Ok(())
    }
}
